//! `cercle join`: groups that can be asked for, and who asks.

use cercle_proto::id::{GroupId, to_hex};
use cercle_sdk::{
    client::now_ms,
    joining::{JoinDeclined, JoinRequest, ListedGroup},
};

use super::{find_group, members};
use crate::{
    arguments::join::JoinCommand,
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::{DECLINED_MS, ID_PREFIX_DIGITS_MIN},
    moment,
    records::{JoinRequestRecord, ListedGroupRecord, Record, RequestDeclinedRecord},
    resolve,
};

pub(crate) async fn run(context: &Context<'_>, command: JoinCommand) -> Result<Exit, Failure> {
    if let JoinCommand::Accept { group, users } = command {
        return accept(context, &group, &users).await;
    }
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    match command {
        JoinCommand::Find { words } => find(context, &enrolled, &words.join(" ")).await?,
        JoinCommand::Ask { group, withdraw } => ask(context, &enrolled, &group, withdraw).await?,
        JoinCommand::Open { group, about } => open(context, &enrolled, &group, &about).await?,
        JoinCommand::Close { group } => close(context, &enrolled, &group).await?,
        JoinCommand::Requests { group } => requests(context, &enrolled, group.as_deref()).await?,
        JoinCommand::Decline { group, user, reason } => {
            decline(context, &enrolled, &group, &user, &reason).await?;
        }
        JoinCommand::Accept { .. } => {}
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn find(context: &Context<'_>, enrolled: &Enrolled, text: &str) -> Result<(), Failure> {
    let groups = enrolled.client.find_groups(text).await?;
    if groups.is_empty() {
        context.output.say(&text!("Aucun groupe publié ne correspond."; "No listed group fits."));
    }
    for group in &groups {
        context.output.result(&Record::ListedGroup(ListedGroupRecord::new(group)), &line(group));
    }
    Ok(())
}

async fn ask(context: &Context<'_>, enrolled: &Enrolled, name: &str, withdraw: bool) -> Result<(), Failure> {
    let ListedGroup { member, declined_at_ms, decline_reason, group, listing, .. } =
        listed(enrolled, name).await?;
    let group = GroupId::try_from(&group).map_err(|_| nothing_listed(name))?;
    let title = listing.unwrap_or_default().title;
    if !withdraw && member {
        let what = text!("Vous êtes déjà dans « {title} »."; "You are in \"{title}\" already.");
        return Err(Failure::new(Exit::Usage, what));
    }
    let may_ask_at = declined_at_ms + DECLINED_MS;
    if !withdraw && declined_at_ms > 0 && now_ms() < may_ask_at {
        let at = moment::time(may_ask_at);
        let what = declined_sentence(&title, &decline_reason);
        let mend = text!("Vous pouvez redemander après {at}."; "You can ask again after {at}.");
        return Err(Failure::new(Exit::Refused, what).mend(mend));
    }
    let (fr, en) = if withdraw {
        enrolled.client.withdraw_request_to_join(group).await?;
        ("est retirée", "is taken back")
    } else {
        enrolled.client.ask_to_join(group).await?;
        ("est transmise à ses administrateurs", "is with its administrators")
    };
    let record = Record::AskedToJoin { group: group.to_hex(), withdrawn: withdraw };
    let sentence = text!("Votre demande pour « {title} » {fr}."; "Your request for \"{title}\" {en}.");
    context.output.result(&record, &sentence);
    Ok(())
}

async fn open(context: &Context<'_>, enrolled: &Enrolled, name: &str, about: &str) -> Result<(), Failure> {
    let group = find_group(context, enrolled, name).await?;
    enrolled.client.list_group(group.group, about).await?;
    let title = &group.profile.title;
    let sentence = text!(
        "« {title} » est publié : tous les membres de ce hub voient son titre et peuvent demander à le rejoindre.";
        "\"{title}\" is listed: everybody on this hub sees its title and can ask to join."
    );
    context.output.result(&Record::GroupListed { group: group.group.to_hex(), listed: true }, &sentence);
    Ok(())
}

async fn close(context: &Context<'_>, enrolled: &Enrolled, name: &str) -> Result<(), Failure> {
    let group = find_group(context, enrolled, name).await?;
    enrolled.client.unlist_group(group.group).await?;
    let title = &group.profile.title;
    let sentence = text!("« {title} » n'est plus publié."; "\"{title}\" is no longer listed.");
    context.output.result(&Record::GroupListed { group: group.group.to_hex(), listed: false }, &sentence);
    Ok(())
}

async fn requests(context: &Context<'_>, enrolled: &Enrolled, name: Option<&str>) -> Result<(), Failure> {
    let group = match name {
        Some(name) => Some(find_group(context, enrolled, name).await?.group),
        None => None,
    };
    let waiting = enrolled.client.join_requests(group).await?;
    if waiting.is_empty() {
        context.output.say(&text!("Aucune demande en attente."; "Nobody asks to join."));
    }
    let groups = enrolled.client.groups().await?;
    for request in &waiting {
        let summary = groups.iter().find(|summary| summary.group.as_bytes()[..] == request.group[..]);
        let title = summary.map_or("", |summary| summary.profile.title.as_str());
        show_request(context, request, title);
    }
    Ok(())
}

/// Shows that a request of one's own was declined.
pub(crate) fn show_declined(context: &Context<'_>, declined: &JoinDeclined) {
    let record = Record::RequestDeclined(RequestDeclinedRecord::new(declined));
    context.output.result(&record, &declined_sentence(&declined.title, &declined.reason));
}

fn declined_sentence(title: &str, reason: &str) -> Text {
    if reason.is_empty() {
        return text!("« {title} » a décliné votre demande."; "\"{title}\" declined your request.");
    }
    text!(
        "« {title} » a décliné votre demande : {reason}";
        "\"{title}\" declined your request: {reason}"
    )
}

/// Shows that somebody wants to join.
pub(crate) fn show_request(context: &Context<'_>, request: &JoinRequest, title: &str) {
    let JoinRequest { user, display_name, profession, asked_at_ms, .. } = request;
    let at = moment::time(*asked_at_ms);
    let sentence = text!(
        "{display_name} ({user}, {profession}) demande à rejoindre « {title} » depuis {at}  — cercle join accept \"{title}\" {user}";
        "{display_name} ({user}, {profession}) asks to join \"{title}\" since {at}  — cercle join accept \"{title}\" {user}"
    );
    context.output.result(&Record::JoinRequest(JoinRequestRecord::new(request)), &sentence);
}

/// Adds people who asked; who did not is invited with `cercle invite`.
async fn accept(context: &Context<'_>, name: &str, users: &[String]) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    let waiting = enrolled.client.join_requests(Some(group.group)).await?;
    for user in users {
        let user = resolve::user(&enrolled.identity, user)?;
        if !waiting.iter().any(|request| request.user == user.as_str()) {
            return Err(nobody_asked(user.as_str()));
        }
    }
    enrolled.close().await;
    members::invite(context, &group.group.to_hex(), users).await
}

async fn decline(
    context: &Context<'_>,
    enrolled: &Enrolled,
    name: &str,
    user: &str,
    reason: &str,
) -> Result<(), Failure> {
    let group = find_group(context, enrolled, name).await?;
    let user = resolve::user(&enrolled.identity, user)?;
    let waiting = enrolled.client.join_requests(Some(group.group)).await?;
    if !waiting.iter().any(|request| request.user == user.as_str()) {
        return Err(nobody_asked(user.as_str()));
    }
    enrolled.client.decline_join(group.group, user.clone(), reason.to_owned()).await?;
    let user = user.as_str();
    let sentence = text!("La demande de {user} est déclinée."; "The request of {user} is declined.");
    context.output.result(&Record::JoinDeclined { group: group.group.to_hex(), user, reason }, &sentence);
    Ok(())
}

/// The one listed group whose title or id begins so.
async fn listed(enrolled: &Enrolled, name: &str) -> Result<ListedGroup, Failure> {
    let groups = enrolled.client.find_groups("").await?;
    let wanted = name.trim().to_lowercase();
    let is_exact = |group: &&ListedGroup| title(group).to_lowercase() == wanted;
    let begins = |group: &&ListedGroup| {
        let by_id = wanted.len() >= ID_PREFIX_DIGITS_MIN && to_hex(&group.group).starts_with(&wanted);
        by_id || (!wanted.is_empty() && title(group).to_lowercase().starts_with(&wanted))
    };
    // A whole title is meant, though another one begins so.
    let mut found: Vec<&ListedGroup> = groups.iter().filter(is_exact).collect();
    if found.is_empty() {
        found = groups.iter().filter(begins).collect();
    }
    match found.as_slice() {
        [group] => Ok((*group).clone()),
        _ => Err(nothing_listed(name)),
    }
}

fn nothing_listed(name: &str) -> Failure {
    let what = text!(
        "Aucun groupe publié ne commence par « {name} », ou plusieurs.";
        "No listed group begins with \"{name}\", or several do."
    );
    Failure::new(Exit::NotFound, what).mend(text!("Voyez : cercle join find"; "See: cercle join find"))
}

fn nobody_asked(user: &str) -> Failure {
    let what =
        text!("{user} n'a pas demandé à rejoindre ce groupe."; "{user} has not asked to join this group.");
    Failure::new(Exit::NotFound, what).mend(text!(
        "Voyez : cercle join requests ; sans demande : cercle invite";
        "See: cercle join requests; without a request: cercle invite"
    ))
}

fn title(group: &ListedGroup) -> &str {
    group.listing.as_ref().map_or("", |listing| listing.title.as_str())
}

fn line(group: &ListedGroup) -> Text {
    let id = to_hex(&group.group);
    let (id, title) = (&id[..id.len().min(8)], title(group));
    let about = group.listing.as_ref().map_or("", |listing| listing.about.as_str());
    let state = match group {
        group if group.member => text!(" (vous y êtes)"; " (you are in it)"),
        group if group.declined_at_ms > 0 && !group.decline_reason.is_empty() => {
            let reason = &group.decline_reason;
            text!(" (demande déclinée : {reason})"; " (declined: {reason})")
        }
        group if group.declined_at_ms > 0 => text!(" (demande déclinée)"; " (declined)"),
        group if group.asked_at_ms > 0 => text!(" (demande en attente)"; " (asked, waiting)"),
        _ => text!(""; ""),
    };
    let (fr, en) = (state.fr, state.en);
    text!("{id}  {title}{fr}  {about}"; "{id}  {title}{en}  {about}")
}
