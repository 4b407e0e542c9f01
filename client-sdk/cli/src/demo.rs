//! `cercle demo`: the whole product on one machine, with nothing prepared.
//!
//! A real hub in this process, on loopback only, with a store on disk; a small fictitious CPTS
//! ([`cast`]) whose members are real SDK clients ([`people`]) that spend a [`day`] over real TLS and MLS;
//! then the visitor's turn in a second terminal ([`visitor`]). `--once` plays the day and ends. The data
//! are thrown away, unless `--keep` names a folder.

mod cast;
mod day;
mod hub;
mod people;
mod stage;
mod visitor;

use std::path::{Path, PathBuf};

use cercle_sdk::client::now_ms;

use crate::{
    context::Context, exit::Exit, failure::Failure, interrupt::Interrupt, records::demo::DemoRecord,
};
use hub::DemoHub;
use people::People;
use stage::Stage;

/// Where the data of one demonstration lie.
enum Data {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Data {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

pub(crate) async fn run(context: &Context<'_>, once: bool, keep: Option<PathBuf>) -> Result<Exit, Failure> {
    let started_ms = now_ms();
    // From here on, so that Ctrl-C never leaves the temporary folder behind.
    let mut interrupt = Interrupt::new()?;
    let data = match keep {
        Some(folder) => {
            refuse_used(&folder)?;
            Data::Kept(std::path::absolute(folder)?)
        }
        None => Data::Temporary(tempfile::Builder::new().prefix("cercle-demo-").tempdir()?),
    };
    let stage = Stage::new(context.output, started_ms);
    stage.open();
    let hub = DemoHub::start(data.path()).await?;
    stage.hub_ready(&hub);
    let mut people = People::enrol(&hub, data.path()).await?;
    stage.enrolled(&people);
    let playing = Box::pin(perform(&stage, &hub, &mut people, once, data.path()));
    let ended = tokio::select! {
        biased;
        () = interrupt.requested() => Ok(if once { Exit::Interrupted } else { Exit::Done }),
        played = playing => played.map(|()| Exit::Done),
    };
    people.close().await;
    hub.stop().await;
    if let Data::Kept(folder) = &data {
        stage.kept(folder);
    }
    ended
}

/// Plays the day, says what it amounted to, and gives the visitor the floor unless once is enough.
async fn perform(
    stage: &Stage<'_>,
    hub: &DemoHub,
    people: &mut People,
    once: bool,
    data: &Path,
) -> Result<(), Failure> {
    let played = Box::pin(day::play(people, stage, data)).await?;
    let after = |at_ms: u64| at_ms.saturating_sub(stage.started_ms());
    let record = DemoRecord {
        first_message_ms: after(played.first_message_at_ms),
        hub_ready_ms: hub.ready_ms,
        members: people.count(),
        groups: played.groups,
        messages: played.messages,
        received: played.received,
        gaps: played.gaps,
        total_ms: after(now_ms()),
        without_gp: played.without_gp,
        home_visit: played.home_visit,
        opinion: played.opinion,
        board: played.board,
        timeline: played.timeline,
    };
    stage.summary(Box::new(record));
    if once { Ok(()) } else { visitor::welcome(people, hub, stage, data).await }
}

/// A demonstration makes a hub of its own; it never touches one that is there.
fn refuse_used(folder: &Path) -> Result<(), Failure> {
    let used = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if !used {
        return Ok(());
    }
    let place = folder.display();
    Err(Failure::new(
        Exit::Usage,
        text!("Le dossier {place} n'est pas vide."; "The folder {place} is not empty."),
    )
    .mend(text!("Donnez un dossier nouveau à --keep."; "Give --keep a new folder.")))
}
