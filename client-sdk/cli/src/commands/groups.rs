//! `cercle groups`, `new`, `leave`, `update-keys`: groups as a whole.

use cercle_sdk::{
    core::{GroupState, GroupSummary, PolicyTemplate},
    message::GroupProfile,
};

use super::{durable, find_group, kept};
use crate::{
    arguments::talk::ProfileArguments,
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    records::{GroupRecord, Record},
    resolve,
};

pub(crate) async fn list(context: &Context<'_>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let groups = enrolled.client.groups().await?;
    if groups.is_empty() {
        context.output.say(&text!(
            "Aucun groupe. Pour en créer un : cercle new <titre>";
            "No group. To make one: cercle new <title>"
        ));
    }
    for group in &groups {
        context.output.result(&Record::Group(GroupRecord::new(group)), &line(group));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// A group in one line.
pub(crate) fn line(group: &GroupSummary) -> Text {
    let id = &group.group.to_hex()[..8];
    let (title, users, devices) = (&group.profile.title, group.users, group.devices);
    let state = match group.state {
        GroupState::Active => text!(""; ""),
        GroupState::Creating => text!(", en création"; ", being made"),
        GroupState::Recovering => text!(", en cours de rétablissement"; ", being recovered"),
        GroupState::Leaving => text!(", départ demandé"; ", leaving"),
        GroupState::Closed => text!(", fermé"; ", closed"),
    };
    let (fr, en) = (state.fr, state.en);
    text!(
        "{id}  {title}  ({users} personnes, {devices} appareils{fr})";
        "{id}  {title}  ({users} people, {devices} devices{en})"
    )
}

pub(crate) async fn create(
    context: &Context<'_>,
    title: &str,
    announcements: bool,
    arguments: ProfileArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let restricted = announcements || arguments.is_library();
    let mut profile = GroupProfile::titled(title);
    super::history::describe(arguments, &mut profile)?;
    let policy = if restricted { PolicyTemplate::Announcements } else { PolicyTemplate::Conversation };
    let what = text!("Création du groupe…"; "Making the group…");
    let creating = enrolled.client.create_group(profile, policy);
    let Some(id) = durable(context, &enrolled, &what, creating).await? else {
        return Ok(kept(context, enrolled, None, None).await);
    };
    let groups = enrolled.client.groups().await?;
    if let Some(group) = groups.iter().find(|group| group.group == id) {
        let short = &id.to_hex()[..8];
        let sentence = text!(
            "Groupe « {title} » créé ({short}). Ensuite : cercle invite \"{title}\" <personne>…";
            "Group \"{title}\" made ({short}). Next: cercle invite \"{title}\" <person>…"
        );
        context.output.result(&Record::Group(GroupRecord::new(group)), &sentence);
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn leave(
    context: &Context<'_>,
    name: &str,
    successor: Option<&str>,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, name).await?;
    let what = text!("Départ du groupe…"; "Leaving the group…");
    let successor = successor.map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    let leaving = async {
        match successor {
            Some(successor) => enrolled.client.leave_to(group.group, successor).await,
            None => enrolled.client.leave(group.group).await,
        }
    };
    let id = group.group.to_hex();
    if durable(context, &enrolled, &what, leaving).await?.is_none() {
        return Ok(kept(context, enrolled, Some(id), None).await);
    }
    let title = &group.profile.title;
    context
        .output
        .result(&Record::Left { group: id }, &text!("Vous quittez « {title} »."; "You leave \"{title}\"."));
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn update_keys(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, name).await?;
    let what = text!("Renouvellement des clés…"; "Renewing keys…");
    let updating = enrolled.client.update_keys(group.group);
    let id = group.group.to_hex();
    if durable(context, &enrolled, &what, updating).await?.is_none() {
        return Ok(kept(context, enrolled, Some(id), None).await);
    }
    let title = &group.profile.title;
    context.output.result(
        &Record::KeysUpdated { group: id },
        &text!("Vos clés dans « {title} » sont renouvelées."; "Your keys in \"{title}\" are renewed."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}
