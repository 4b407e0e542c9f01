//! `cercle send`: puts a message into the outbox and waits until the hub has it.

use cercle_proto::id::{GroupId, MessageId, Seq};
use cercle_sdk::{
    client::{Client, Events, Notice},
    core::GroupSummary,
    event::{Event, RefusedReason},
    message::{Body, Draft, Text as Words},
};
use tokio::time::timeout;

use super::{find_group, kept, talk::mentions};
use crate::{
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::PAGE_MESSAGES,
    records::Record,
    stdin,
};

/// What became of a message.
pub(crate) enum Verdict {
    Accepted { seq: Seq, at_ms: u64 },
    Refused(RefusedReason),
}

pub(crate) async fn run(
    context: &Context<'_>,
    name: &str,
    text: Option<String>,
    mention: &[String],
) -> Result<Exit, Failure> {
    let text = stdin::text(text)?;
    let enrolled = context.enrolled().await?;
    let mentions = mentions(&enrolled, mention)?;
    let group = find_group(context, &enrolled, name).await?;
    let draft = Body::Text(Words { text, mentions }).into();
    Box::pin(deliver(context, enrolled, &group, draft, &sent_to(&group))).await
}

/// Puts a message of any kind into the outbox and waits until the hub has it.
pub(crate) async fn post(context: &Context<'_>, name: &str, draft: Draft) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, name).await?;
    Box::pin(deliver(context, enrolled, &group, draft, &sent_to(&group))).await
}

/// The same, with what the caller has looked up already.
pub(crate) async fn post_to(
    context: &Context<'_>,
    enrolled: Enrolled,
    group: &GroupSummary,
    body: Body,
) -> Result<Exit, Failure> {
    deliver(context, enrolled, group, body.into(), &sent_to(group)).await
}

fn sent_to(group: &GroupSummary) -> Text {
    let title = &group.profile.title;
    text!("Envoyé dans « {title} »."; "Sent to \"{title}\".")
}

/// Queues a message, waits until the hub has it, and says `done`.
pub(crate) async fn deliver(
    context: &Context<'_>,
    enrolled: Enrolled,
    group: &GroupSummary,
    draft: Draft,
    done: &Text,
) -> Result<Exit, Failure> {
    let mut events = enrolled.client.events();
    let id = enrolled.client.post(group.group, draft).await?;
    let (group_id, message_id) = (group.group.to_hex(), id.to_hex());
    match context.online(&enrolled).await {
        Ok(()) => {}
        Err(failure) if failure.exit == Exit::Unreachable => {
            context.output.failure_as_note(&failure);
            return Ok(kept(context, enrolled, Some(group_id), Some(message_id)).await);
        }
        Err(failure) => return Err(failure),
    }
    let what = text!("Envoi…"; "Sending…");
    let deciding =
        timeout(context.patience, verdict(&enrolled.client, &mut events, group.group, id, group.cursor));
    let Ok(verdict) = context.output.waiting(&what, deciding).await else {
        return Ok(kept(context, enrolled, Some(group_id), Some(message_id)).await);
    };
    match verdict? {
        Verdict::Accepted { seq, at_ms } => {
            let accepted = Record::Accepted { group: group_id, id: message_id, seq, at_ms };
            context.output.result(&accepted, done);
            enrolled.close().await;
            Ok(Exit::Done)
        }
        Verdict::Refused(reason) => {
            enrolled.close().await;
            Err(refused(reason))
        }
    }
}

/// Waits until the hub has decided about a message. `after` is a place in the group's log from before it
/// was sent, where to look if the event was missed.
pub(crate) async fn verdict(
    client: &Client,
    events: &mut Events,
    group: GroupId,
    id: MessageId,
    after: Seq,
) -> Result<Verdict, Failure> {
    loop {
        match events.next().await {
            Some(Notice::Event(Event::MessageAccepted { message, seq, at_ms, .. })) if message == id => {
                return Ok(Verdict::Accepted { seq, at_ms });
            }
            Some(Notice::Event(Event::MessageRefused { message, reason, .. })) if message == id => {
                return Ok(Verdict::Refused(reason));
            }
            Some(Notice::Missed(_)) => {
                if let Some(verdict) = stored_verdict(client, group, id, after).await? {
                    return Ok(verdict);
                }
            }
            Some(Notice::Event(_)) => {}
            None => return Err(cercle_sdk::client::ClientError::Closed.into()),
        }
    }
}

async fn stored_verdict(
    client: &Client,
    group: GroupId,
    id: MessageId,
    mut after: Seq,
) -> Result<Option<Verdict>, Failure> {
    if client.outbox().await?.iter().any(|message| message.id == id) {
        return Ok(None);
    }
    loop {
        let page = client.messages(group, after, PAGE_MESSAGES).await?;
        if let Some(found) = page.iter().find(|message| message.id == id) {
            return Ok(Some(Verdict::Accepted { seq: found.seq, at_ms: found.at_ms }));
        }
        match page.last() {
            Some(last) => after = last.seq,
            // Neither waiting nor in the log.
            None => return Ok(Some(Verdict::Refused(RefusedReason::NotMember))),
        }
    }
}

/// Why a message can never be sent, as a failure.
pub(crate) fn refused(reason: RefusedReason) -> Failure {
    let what = match reason {
        RefusedReason::NotMember => text!(
            "Message non envoyé : vous n'êtes plus membre de ce groupe.";
            "Not sent: you are no longer a member of this group."
        ),
        RefusedReason::Denied => text!(
            "Message non envoyé : seuls les administrateurs écrivent dans ce groupe, ou le message nomme un patient et quelqu'un d'autre y est entré.";
            "Not sent: only administrators write in this group, or the message names a patient and somebody else has come in."
        ),
        RefusedReason::Refused(code) => {
            let (number, meaning) = (code.number(), code.meaning());
            text!("Message refusé par le hub ({number}) : {meaning}"; "Refused by the hub ({number}): {meaning}")
        }
        _ => text!("Message refusé."; "Message refused."),
    };
    Failure::new(Exit::Refused, what)
}
