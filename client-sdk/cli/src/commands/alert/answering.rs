//! Acknowledge and answer: the hub learns that and when, the group what.

use cercle_sdk::{
    client::{Client, ClientError},
    core::GroupAlert,
    error::Error,
    message::{AlertAnswer, AnswerKind, Body, Draft, cap::time},
};
use tokio::time::timeout;

use super::{event, find, find_online};
use crate::{
    arguments::alert::Answer,
    commands::send::{Verdict, refused, verdict},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    records::Record,
};

/// When somebody is available, and what he adds.
pub(super) struct Availability {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) note: String,
}

pub(super) async fn acknowledge(
    context: &Context<'_>,
    name: &str,
    taking_over: bool,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let Ok(known) = find(&enrolled, name).await else {
        let event = event::find(&enrolled, name).await?;
        event::acknowledge(context, &enrolled, &event, taking_over).await?;
        enrolled.close().await;
        return Ok(Exit::Done);
    };
    enrolled.client.acknowledge_alert(known.state.alert.alert, true).await?;
    let id = known.state.alert.alert.to_hex();
    let mode = known.state.alert.mode_label(context.output.language());
    context.output.result(
        &Record::AlertAcknowledged { alert: id },
        &text!("Alerte acquittée ({mode})."; "Alert acknowledged ({mode})."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(super) async fn answer(
    context: &Context<'_>,
    name: &str,
    answer: Answer,
    availability: Availability,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let known = find_online(context, &enrolled, name).await?;
    let answer = AlertAnswer {
        alert: known.state.alert.alert,
        answer: match answer {
            Answer::Available => AnswerKind::Available,
            Answer::OnSite => AnswerKind::OnSite,
            Answer::NotAvailable => AnswerKind::NotAvailable,
            Answer::Need => AnswerKind::Need,
        },
        from_ms: moment(availability.from.as_deref())?,
        to_ms: moment(availability.to.as_deref())?,
        note: availability.note,
    };
    acknowledge_if_known(&enrolled.client, &known).await?;
    let record = post(context, &enrolled, &known, answer).await?;
    context
        .output
        .result(&record, &text!("Réponse envoyée, alerte acquittée."; "Answer sent, alert acknowledged."));
    enrolled.close().await;
    Ok(Exit::Done)
}

/// An alert that nobody opened on the hub can be answered all the same.
async fn acknowledge_if_known(client: &Client, known: &GroupAlert) -> Result<(), Failure> {
    match client.acknowledge_alert(known.state.alert.alert, true).await {
        Ok(())
        | Err(ClientError::Core(Error::Refused { code: cercle_proto::ErrorCode::AlertUnknown, .. })) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Posts the answer to the first of the alert's groups that lets this user write.
async fn post(
    context: &Context<'_>,
    enrolled: &Enrolled,
    known: &GroupAlert,
    answer: AlertAnswer,
) -> Result<Record<'static>, Failure> {
    let client = &enrolled.client;
    let mut last = Failure::new(Exit::Refused, text!("Réponse non envoyée."; "Answer not sent."));
    for group in &known.groups {
        let mut events = client.events();
        let body = Body::AlertAnswer(answer.clone());
        let draft = Draft { body, in_reply_to: Some(known.state.message) };
        let id = client.post(*group, draft).await?;
        let deciding = timeout(context.patience, verdict(client, &mut events, *group, id, known.state.seq));
        match Box::pin(deciding).await {
            Ok(verdict) => match verdict? {
                Verdict::Accepted { seq, at_ms } => {
                    return Ok(Record::Accepted { group: group.to_hex(), id: id.to_hex(), seq, at_ms });
                }
                Verdict::Refused(reason) => last = refused(reason),
            },
            Err(_) => last = Failure::unreachable(&enrolled.identity.address, None),
        }
    }
    Err(last)
}

fn moment(text: Option<&str>) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(0) };
    time::to_ms(text).ok_or_else(|| {
        let what = text!("Date non comprise : {text}"; "Not a date: {text}");
        Failure::new(Exit::Usage, what)
            .mend(text!("Exemple : 2026-11-22T08:00:00+01:00"; "Example: 2026-11-22T08:00:00+01:00"))
    })
}
