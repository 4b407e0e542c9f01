//! Plays the script: each line is sent by its speaker and waited for at every other member of its group.

use std::collections::HashSet;

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::{Notice, now_ms},
    core::Message,
    event::Event,
};
use tokio::time::timeout;

use super::{
    cast::{GROUPS, Line, SCRIPT},
    people::People,
    stage::Stage,
};
use crate::{exit::Exit, failure::Failure, limits::DEMO_LINE_PATIENCE};

/// What the play amounts to.
#[derive(Default)]
pub(super) struct Played {
    /// When the first message was decrypted by another device, ms since the Unix epoch.
    pub(super) first_message_at_ms: u64,
    pub(super) messages: usize,
    pub(super) received: usize,
    pub(super) gaps: usize,
}

/// Founds each group when its first line comes, so that the first message does not wait for the last group.
pub(super) async fn run(people: &mut People, stage: &Stage<'_>) -> Result<Played, Failure> {
    let mut played = Played::default();
    let mut groups: Vec<Option<GroupId>> = vec![None; GROUPS.len()];
    for (number, line) in SCRIPT.iter().enumerate() {
        let group = match groups[line.group] {
            Some(group) => group,
            None => {
                let group = Box::pin(people.found(line.group)).await?;
                groups[line.group] = Some(group);
                stage.group_made(line.group);
                group
            }
        };
        if number == 0 {
            stage.dialogue();
        }
        let speaking = Box::pin(speak(people, group, line, &mut played));
        let Ok(heard) = timeout(DEMO_LINE_PATIENCE, speaking).await else { return Err(unheard()) };
        let (message, took_ms) = heard?;
        stage.heard(line.group, &message, GROUPS[line.group].members.len() - 1, took_ms);
        stage.pause().await;
    }
    Ok(played)
}

/// Sends one line and waits until every other member has decrypted it; how long that took, ms.
async fn speak(
    people: &mut People,
    group: GroupId,
    line: &Line,
    played: &mut Played,
) -> Result<(Message, u64), Failure> {
    let sent_ms = now_ms();
    let id = people.client(line.speaker).send(group, line.text).await?;
    played.messages += 1;
    let mut waiting: HashSet<usize> = GROUPS[line.group].members.iter().copied().collect();
    waiting.remove(&line.speaker);
    loop {
        let Some((place, notice)) = people.next().await else { return Err(unheard()) };
        match notice {
            Notice::Event(Event::MessageReceived(message)) if message.id == id => {
                if played.first_message_at_ms == 0 {
                    played.first_message_at_ms = now_ms();
                }
                played.received += 1;
                waiting.remove(&place);
                if waiting.is_empty() {
                    return Ok((message, now_ms().saturating_sub(sent_ms)));
                }
            }
            Notice::Event(Event::Gap { .. }) => played.gaps += 1,
            Notice::Event(_) | Notice::Missed(_) => {}
        }
    }
}

fn unheard() -> Failure {
    Failure::new(
        Exit::Fault,
        text!(
            "Un message de la démonstration n'est pas arrivé à tous ses destinataires.";
            "A message of the demonstration did not reach all its recipients."
        ),
    )
    .mend(text!(
        "Relancez avec CERCLE_LOG=debug et signalez-le.";
        "Run it again with CERCLE_LOG=debug and report it."
    ))
}
