//! A day in the fictitious CPTS, played by real clients over a real hub.
//!
//! Each scene is a file: good morning, a [patient without general practitioner](without_gp), a
//! [home visit](home_visit) that two nurses claim, an [opinion] on a photo, and what one of them sees
//! in the [evening]. [`floor`] is what they all need: to say, ask and act, and to wait until everybody
//! concerned has it. Nothing here is staged: what a scene reports was read from the devices.

mod evening;
mod floor;
mod home_visit;
mod ledger;
mod opinion;
mod photo;
mod without_gp;

use std::path::Path;

use super::{
    cast::{GREETINGS, GROUPS, WELCOME},
    people::People,
    stage::Stage,
};
use crate::{
    failure::Failure,
    records::demo::{BoardOutcome, HomeVisit, Opinion, Timeline, WithoutGp},
};
use floor::Floor;

/// What the day amounts to.
pub(super) struct Played {
    /// When the first text was decrypted by another device, ms since the Unix epoch.
    pub(super) first_message_at_ms: u64,
    pub(super) messages: usize,
    pub(super) received: usize,
    pub(super) gaps: usize,
    pub(super) groups: usize,
    pub(super) without_gp: WithoutGp,
    pub(super) home_visit: HomeVisit,
    pub(super) opinion: Opinion,
    pub(super) board: BoardOutcome,
    pub(super) timeline: Timeline,
}

/// Plays the day; files of the scenes go to `data`.
///
/// # Errors
/// When something does not reach whom it is for in time.
pub(super) async fn play(people: &mut People, stage: &Stage<'_>, data: &Path) -> Result<Played, Failure> {
    let mut floor = Floor::new(people, stage);
    // Its messages are decrypted while the other groups do not exist: the first is there soonest.
    let welcome = floor.group(WELCOME).await?;
    stage.dialogue();
    for line in GREETINGS {
        floor.say(welcome, WELCOME, line.speaker, line.text).await?;
    }
    let without_gp = Box::pin(without_gp::play(&mut floor)).await?;
    let (home_visit, visited) = Box::pin(home_visit::play(&mut floor)).await?;
    let opinion = Box::pin(opinion::play(&mut floor, data)).await?;
    Box::pin(floor.settle()).await?;
    let (board, timeline) = Box::pin(evening::play(&floor, &visited)).await?;
    let ledger = floor.ledger();
    Ok(Played {
        first_message_at_ms: ledger.first_text_at_ms(),
        messages: ledger.messages(),
        received: ledger.received(),
        gaps: ledger.gaps(),
        groups: GROUPS.len(),
        without_gp,
        home_visit,
        opinion,
        board,
        timeline,
    })
}
