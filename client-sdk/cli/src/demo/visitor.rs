//! The visitor's turn: an invitation, a place in the first group, members that answer, and a request to claim.

use std::{path::Path, time::Duration};

use cercle_proto::id::{GroupId, UserId};
use cercle_sdk::{
    client::{Client, ClientError, Notice},
    core::{Ask, BoardFilter, BoardRow, Message},
    event::Event,
    message::{Body, Request, RequestId, request::Purpose, transition::Action},
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    cast::{ANSWERS, CAMILLE, DOMAIN, DONE, GROUPS, KARIM, TAKEN, TASK, VISITOR, WELCOME},
    hub::DemoHub,
    people::People,
    stage::Stage,
};
use crate::failure::Failure;

/// How often the coordinator looks whether the visitor has enrolled: soon enough that nobody wonders, and
/// far below what the hub allows one device to ask.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// How long a member "types".
const ANSWER_AFTER: Duration = Duration::from_millis(600);

/// Serves the visitor for as long as the demonstration runs.
pub(super) async fn welcome(
    people: &mut People,
    hub: &DemoHub,
    stage: &Stage<'_>,
    data: &Path,
) -> Result<(), Failure> {
    let visitor = UserId::new(VISITOR.0, DOMAIN).map_err(|error| Failure::fault(&error))?;
    let invitation = hub.invite(VISITOR.0, VISITOR.1, "", false).await?;
    let home = data.join("vous");
    stage.your_turn(&invitation.to_link(), &hub.address(), &home);
    let coordinator = people.client(CAMILLE).clone();
    let group = first_group(&coordinator).await?;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut joined, mut answers) = (false, ANSWERS.iter().cycle());
    loop {
        tokio::select! {
            biased;
            heard = people.next() => {
                let Some((CAMILLE, Notice::Event(Event::MessageReceived(message)))) = heard else { continue };
                show(&coordinator, stage, &message).await?;
                if message.sender != visitor || message.group != group {
                    continue;
                }
                let answer = match &message.body {
                    Body::Transition(step) => thanks(&step.action),
                    _ => answers.next().copied(),
                };
                if let Some((speaker, text)) = answer {
                    sleep(ANSWER_AFTER).await;
                    people.client(speaker).send(group, text).await?;
                }
            }
            _ = looks.tick(), if !joined => {
                joined = add_if_enrolled(&coordinator, group, &visitor).await?;
                if joined {
                    stage.visitor_joined();
                    let hello = "Bienvenue dans le cercle ! Écrivez-nous quelques mots.";
                    coordinator.send(group, hello).await?;
                    let row = Box::pin(ask(people.client(KARIM), group)).await?;
                    stage.visitor_asked(&row, &home);
                }
            }
        }
    }
}

/// Who answers a step of the visitor, and what.
fn thanks(action: &Action) -> Option<(usize, &'static str)> {
    match action {
        Action::Claim { .. } => Some((KARIM, TAKEN)),
        Action::Complete { .. } => Some((KARIM, DONE)),
        _ => None,
    }
}

/// The pharmacist asks for something that anybody may take on; as it stands on his board.
async fn ask(pharmacist: &Client, group: GroupId) -> Result<BoardRow, Failure> {
    // The SDK chooses the id when it posts the request.
    let mut request = Request::new(RequestId::new([0; 16]), Purpose::Task, TASK.0);
    TASK.1.clone_into(&mut request.reason);
    let mut events = pharmacist.events();
    let id =
        pharmacist.ask(Ask { request, groups: vec![group], widening: Vec::new(), patient: None }).await?;
    loop {
        let rows = pharmacist.board(BoardFilter::default()).await?;
        if let Some(row) = rows.into_iter().find(|row| row.request == id) {
            return Ok(row);
        }
        if events.next().await.is_none() {
            return Err(ClientError::Closed.into());
        }
    }
}

async fn first_group(coordinator: &Client) -> Result<GroupId, Failure> {
    let groups = coordinator.groups().await?;
    let found =
        groups.iter().find(|group| group.profile.title == GROUPS[WELCOME].title).map(|group| group.group);
    found.ok_or_else(|| Failure::from(cercle_sdk::error::Error::Invalid("the first group is missing")))
}

/// Adds the visitor once a device is enrolled and its key packages are there.
async fn add_if_enrolled(coordinator: &Client, group: GroupId, visitor: &UserId) -> Result<bool, Failure> {
    if coordinator.list_devices(Some(visitor.clone())).await?.is_empty() {
        return Ok(false);
    }
    // Until the device has published its key packages nobody can be added; the next look tries again.
    let added = coordinator.invite(group, vec![visitor.clone()]).await;
    Ok(added.is_ok_and(|invited| !invited.devices.is_empty()))
}

async fn show(coordinator: &Client, stage: &Stage<'_>, message: &Message) -> Result<(), Failure> {
    let groups = coordinator.groups().await?;
    let title = groups.iter().find(|group| group.group == message.group);
    stage.live(title.map_or("", |group| &group.profile.title), message);
    Ok(())
}
