//! `cercle demo`: the whole product on one machine, with nothing prepared.
//!
//! A real hub in this process, on loopback only, with a store on disk; a small fictitious CPTS
//! ([`cast`]) whose members are real SDK clients ([`people`]) that talk over real TLS and MLS ([`play`]);
//! then the visitor's turn in a second terminal ([`visitor`]). `--once` plays the script and ends. The data
//! are thrown away, unless `--keep` names a folder.

mod cast;
mod hub;
mod people;
mod play;
mod stage;
mod visitor;

use std::path::{Path, PathBuf};

use cercle_sdk::client::now_ms;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    records::{DemoRecord, Record},
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
    let played = play::run(&mut people, &stage).await?;
    let record = DemoRecord {
        first_message_ms: played.first_message_at_ms.saturating_sub(started_ms),
        hub_ready_ms: hub.ready_ms,
        members: people.count(),
        groups: cast::GROUPS.len(),
        messages: played.messages,
        received: played.received,
        gaps: played.gaps,
        total_ms: now_ms().saturating_sub(started_ms),
    };
    stage.summary(&record);
    if once {
        context.output.record(&Record::Demo(record));
    } else {
        visitor::welcome(&mut people, &hub, &stage, data.path()).await?;
    }
    people.close().await;
    hub.stop().await;
    if let Data::Kept(folder) = &data {
        stage.kept(folder);
    }
    Ok(Exit::Done)
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
