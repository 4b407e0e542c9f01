//! `cercle reply`, `react`, `edit`, `retract`, `pin`, `direct`, `set-profile`: what is said about messages
//! and threads.

use cercle_proto::id::{GroupId, MessageId, UserId};
use cercle_sdk::{
    core::GroupSummary,
    message::{Body, Draft, Edit, Pin, Reaction, Retract, Text as Words},
    thread::view::Range,
};

use super::{durable, find_group, kept, send::deliver, thread};
use crate::{
    arguments::talk::{ProfileArguments, Talk},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::ID_PREFIX_DIGITS_MIN,
    records::{GroupRecord, Record},
    resolve, stdin,
};

pub(crate) async fn run(context: &Context<'_>, talk: Talk) -> Result<Exit, Failure> {
    match talk {
        Talk::Reply { message, text, mention } => {
            let text = stdin::text(text)?;
            let enrolled = context.enrolled().await?;
            let (group, id) = find_message(context, &enrolled, &message).await?;
            let body = Body::Text(Words { text, mentions: mentions(&enrolled, &mention)? });
            let draft = Draft { body, in_reply_to: Some(id) };
            deliver(context, enrolled, &group, draft, &text!("Réponse envoyée."; "Answer sent.")).await
        }
        Talk::React { message, emoji, remove } => {
            let about = |message| Body::Reaction(Reaction { message, emoji, removed: remove });
            let done = if remove {
                text!("Réaction retirée."; "Reaction taken back.")
            } else {
                text!("Réaction envoyée."; "Reaction sent.")
            };
            say(context, &message, about, &done).await
        }
        Talk::Edit { message, text } => {
            let text = Words { text: stdin::text(text)?, ..Words::default() };
            let about = |message| Body::Edit(Edit { message, text });
            say(context, &message, about, &text!("Message modifié."; "Message edited.")).await
        }
        Talk::Retract { message, reason } => {
            let about = |message| Body::Retract(Retract { message, reason });
            say(context, &message, about, &text!("Message retiré."; "Message withdrawn.")).await
        }
        Talk::Pin { message, remove } => {
            let about = |message| Body::Pin(Pin { message, removed: remove });
            let done = if remove {
                text!("Message détaché."; "Message unpinned.")
            } else {
                text!("Message épinglé."; "Message pinned.")
            };
            say(context, &message, about, &done).await
        }
        Talk::Thread { group, last } => thread::show(context, &group, last).await,
        Talk::Read { group } => thread::read(context, &group).await,
        Talk::Draft { group, text } => thread::draft(context, &group, text.as_deref()).await,
        Talk::Search { words, group, limit } => {
            thread::search(context, &words.join(" "), group.as_deref(), limit).await
        }
        Talk::Direct { user } => direct(context, &user).await,
        Talk::SetProfile { group, title, profile } => {
            Box::pin(set_profile(context, &group, title, profile)).await
        }
    }
}

/// Users to call by name.
pub(crate) fn mentions(enrolled: &Enrolled, names: &[String]) -> Result<Vec<UserId>, Failure> {
    names.iter().map(|name| resolve::user(&enrolled.identity, name)).collect()
}

async fn say(
    context: &Context<'_>,
    message: &str,
    about: impl FnOnce(MessageId) -> Body,
    done: &crate::language::Text,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let (group, id) = find_message(context, &enrolled, message).await?;
    deliver(context, enrolled, &group, about(id).into(), done).await
}

/// Finds the one message that `name` means: `group:number`, or the beginning of its id.
async fn find_message(
    context: &Context<'_>,
    enrolled: &Enrolled,
    name: &str,
) -> Result<(GroupSummary, MessageId), Failure> {
    if let Some((group, seq)) = name.rsplit_once(':')
        && let Ok(seq) = seq.trim_start_matches('#').parse::<u64>()
    {
        let group = find_group(context, enrolled, group).await?;
        let range = Range { after: seq.saturating_sub(1), before: seq.saturating_add(1), limit: 1 };
        let view = enrolled.client.thread(group.group, range).await?;
        let found = view.messages.first().map(|view| view.message.id);
        return found.map(|id| (group, id)).ok_or_else(|| unknown(name));
    }
    let digits = name.to_ascii_lowercase();
    let is_prefix = digits.len() >= ID_PREFIX_DIGITS_MIN && digits.bytes().all(|c| c.is_ascii_hexdigit());
    if !is_prefix {
        return Err(unknown(name));
    }
    match enrolled.client.messages_by_prefix(digits).await?.as_slice() {
        [] => Err(unknown(name)),
        [(group, _, id)] => Ok((group_of(enrolled, *group).await?, *id)),
        _ => Err(Failure::new(
            Exit::NotFound,
            text!("« {name} » désigne plusieurs messages."; "\"{name}\" means several messages."),
        )
        .mend(text!("Donnez plus de chiffres de l'identifiant."; "Give more digits of the id."))),
    }
}

async fn group_of(enrolled: &Enrolled, id: GroupId) -> Result<GroupSummary, Failure> {
    let groups = enrolled.client.groups().await?;
    let found = groups.into_iter().find(|group| group.group == id);
    found.ok_or_else(|| {
        Failure::new(Exit::NotFound, text!("Ce groupe est inconnu."; "This group is unknown."))
    })
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        Exit::NotFound,
        text!("Aucun message ne correspond à « {name} »."; "No message matches \"{name}\"."),
    )
    .mend(text!("Voyez : cercle thread <groupe>"; "See: cercle thread <group>"))
}

async fn direct(context: &Context<'_>, user: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = resolve::user(&enrolled.identity, user)?;
    context.online_if_possible(&enrolled).await?;
    let group = enrolled.client.direct_with(user.clone()).await?;
    // Inviting somebody who is there changes nothing; of somebody who cannot be reached it tells.
    let what = text!("Ouverture du fil direct…"; "Opening the direct thread…");
    let inviting = enrolled.client.invite(group, vec![user]);
    if durable(context, &enrolled, &what, inviting).await?.is_none() {
        return Ok(kept(context, enrolled, Some(group.to_hex()), None).await);
    }
    let summary = group_of(&enrolled, group).await?;
    let title = &summary.profile.title;
    context.output.result(
        &Record::Group(GroupRecord::new(&summary)),
        &text!("Fil direct « {title} ». Ensuite : cercle send \"{title}\" <texte>"; "Direct thread \"{title}\". Next: cercle send \"{title}\" <text>"),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn set_profile(
    context: &Context<'_>,
    name: &str,
    title: Option<String>,
    arguments: ProfileArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, name).await?;
    let mut profile = group.profile.clone();
    if let Some(title) = title {
        profile.title = title;
    }
    super::history::describe(arguments, &mut profile)?;
    let title = profile.title.clone();
    let done = text!("Le fil s'appelle « {title} »."; "The thread is called \"{title}\".");
    deliver(context, enrolled, &group, Body::GroupProfile(profile).into(), &done).await
}
