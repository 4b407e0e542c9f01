//! `cercle claim`, `answer`, `complete` and the others: takes a step and waits until it is decided.

use std::{collections::BTreeSet, path::PathBuf};

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    client::{ClientError, Events, Notice},
    core::{Act, BoardRow},
    error::Error,
    event::Event,
    message::{Language, request::Situation, transition::Action},
    thread::requests::Owner,
    transfer::AttachOptions,
};
use tokio::time::timeout;

use super::{again, ask, board, find, reach, situation};
use crate::{
    arguments::SituationArguments,
    commands::{find_group, kept, send},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    records::{Record, RequestRecord},
    resolve,
};

/// Takes a step; these files go with it, as far as the step takes any.
pub(super) async fn run(
    context: &Context<'_>,
    prefix: &str,
    mut action: Action,
    attach: Vec<PathBuf>,
    arguments: SituationArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = reach(context, &enrolled).await?;
    let row = find(&enrolled.client, prefix).await?;
    if let Action::GiveInfo { documents, .. }
    | Action::Answer { documents, .. }
    | Action::Complete { documents, .. } = &mut action
    {
        for path in attach {
            let options = AttachOptions::default();
            documents.push(
                crate::commands::documents::upload(context, &enrolled, row.groups[0], path, options).await?,
            );
        }
    }
    let situation = situation(&enrolled, &arguments);
    act(context, enrolled, online, row, (action, situation)).await
}

pub(super) async fn widen(
    context: &Context<'_>,
    prefix: &str,
    to: &[String],
    arguments: SituationArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = reach(context, &enrolled).await?;
    let row = find(&enrolled.client, prefix).await?;
    let mut groups = Vec::new();
    for name in to {
        groups.push(find_group(context, &enrolled, name).await?.group);
    }
    let situation = situation(&enrolled, &arguments);
    act(context, enrolled, online, row, (Action::Widen { groups }, situation)).await
}

pub(super) async fn reassign(
    context: &Context<'_>,
    prefix: &str,
    to: &str,
    arguments: SituationArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = reach(context, &enrolled).await?;
    let row = find(&enrolled.client, prefix).await?;
    let to = resolve::user(&enrolled.identity, to)?;
    let situation = situation(&enrolled, &arguments);
    act(context, enrolled, online, row, (Action::Reassign { to }, situation)).await
}

async fn act(
    context: &Context<'_>,
    enrolled: Enrolled,
    online: bool,
    row: BoardRow,
    (action, situation): (Action, Situation),
) -> Result<Exit, Failure> {
    let mut events = enrolled.client.events();
    let claims = matches!(action, Action::Claim { .. });
    let mut groups: BTreeSet<GroupId> = row.groups.iter().copied().collect();
    if let Action::Widen { groups: more } = &action {
        groups.extend(more);
    }
    let words = (action.render(Language::French), action.render(Language::English));
    let taking = enrolled.client.act(Act { request: row.request, action, situation });
    let message = taking.await.map_err(refused)?;
    let id = row.request.to_hex();
    if !online {
        return Ok(kept(context, enrolled, None, Some(id)).await);
    }
    let what = text!("Envoi…"; "Sending…");
    let deciding = async {
        match claims {
            true => owner(&enrolled, &mut events, &row).await,
            false => {
                stored(&enrolled, &mut events, &row, message).await?;
                ask::posted(&enrolled.client, &mut events, row.request, groups.len()).await;
                Ok(None)
            }
        }
    };
    let decided = context.output.waiting(&what, Box::pin(timeout(context.patience, deciding))).await;
    let Ok(decided) = decided else {
        return Ok(kept(context, enrolled, None, Some(id)).await);
    };
    if let Some(lost) = decided? {
        enrolled.close().await;
        return Err(lost);
    }
    let row = again(&enrolled.client, &row).await?;
    let titles = board::titles(&enrolled.client).await?;
    let line = board::line(&row, &titles);
    // What was said is not repeated beyond its first line: documents stand below it.
    let first = |words: &str| words.lines().next().unwrap_or_default().to_owned();
    let (fr, en) = (format!("{} {}", first(&words.0), line.fr), format!("{} {}", first(&words.1), line.en));
    context.output.result(&Record::Request(RequestRecord::new(&row)), &crate::language::Text { fr, en });
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Why a step is refused, with the option that says what is wrong.
fn refused(error: ClientError) -> Failure {
    let structure = matches!(&error, ClientError::Core(Error::Field { field: "situation.structure", .. }));
    let failure = Failure::from(error);
    if structure {
        failure.mend(text!("Option : --acting-structure"; "Option: --acting-structure"))
    } else {
        failure
    }
}

/// Waits until a step is in the log, if it is a message.
async fn stored(
    enrolled: &Enrolled,
    events: &mut Events,
    row: &BoardRow,
    message: Option<MessageId>,
) -> Result<(), Failure> {
    let Some(message) = message else { return Ok(()) };
    let group = row.groups[0];
    match send::verdict(&enrolled.client, events, group, message, 0).await? {
        send::Verdict::Accepted { .. } => Ok(()),
        send::Verdict::Refused(reason) => Err(send::refused(reason)),
    }
}

/// Waits until it is known who has a request; if that is somebody else, this is the failure.
async fn owner(enrolled: &Enrolled, events: &mut Events, row: &BoardRow) -> Result<Option<Failure>, Failure> {
    loop {
        let now = again(&enrolled.client, row).await?;
        match &now.owner {
            Some(owner) if owner.user == enrolled.identity.user => return Ok(None),
            Some(owner) => return Ok(Some(taken(owner))),
            None if now.state.is_closed() => return Ok(Some(closed())),
            None => {}
        }
        match events.next().await {
            Some(Notice::Event(Event::RequestLost { request, owner })) if request == row.request => {
                return Ok(Some(owner.as_ref().map_or_else(closed, taken)));
            }
            Some(_) => {}
            None => return Err(ClientError::Closed.into()),
        }
    }
}

/// Somebody else has it.
pub(crate) fn taken(owner: &Owner) -> Failure {
    let name = if owner.name.is_empty() { owner.user.as_str() } else { &owner.name };
    Failure::new(Exit::Taken, text!("Déjà prise en charge par {name}."; "{name} has taken it on already."))
}

fn closed() -> Failure {
    Failure::new(
        Exit::Refused,
        text!("Cette demande ne peut plus être prise en charge."; "This request can no longer be taken on."),
    )
}
