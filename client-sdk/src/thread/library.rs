//! The current version of each entry of a library.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{Body, Kind as _, Language, LibraryEntry},
};

/// The entries of a thread.
#[derive(Debug, Default)]
pub struct Library {
    entries: BTreeMap<String, EntryState>,
}

/// The current version of an entry.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EntryState {
    /// Message id of the current version.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// Who published it.
    #[serde(serialize_with = "state::user")]
    pub publisher: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What it says.
    pub current: LibraryEntry,
    /// Versions that this device has seen.
    pub versions: u32,
    /// Versions that came with a number that was not higher: two publishers at once.
    pub conflicts: u32,
}

crate::message::kind::hidden!(EntryState);

impl Library {
    /// The highest version counts; among equals the first in the log.
    pub(super) fn apply(&mut self, message: &Message) {
        let Body::LibraryEntry(entry) = &message.body else { return };
        let fresh = || EntryState {
            id: message.id,
            publisher: message.sender.clone(),
            at_ms: message.at_ms,
            current: entry.clone(),
            versions: 0,
            conflicts: 0,
        };
        let state = self.entries.entry(entry.entry.clone()).or_insert_with(fresh);
        state.versions += 1;
        if state.id == message.id {
            return;
        }
        if entry.version <= state.current.version {
            state.conflicts += 1;
            return;
        }
        *state = EntryState { versions: state.versions, conflicts: state.conflicts, ..fresh() };
    }

    /// Current versions by the name of their entry, without what was withdrawn.
    pub fn current(&self) -> impl Iterator<Item = &EntryState> {
        self.entries.values().filter(|state| !state.current.withdrawn)
    }
}

impl Projected for EntryState {
    fn render(&self, language: Language) -> String {
        let conflicts = match (self.conflicts, language) {
            (0, _) => String::new(),
            (count, Language::French) => format!("\n{count} version(s) de même numéro ignorée(s)"),
            (count, Language::English) => format!("\n{count} version(s) of the same number ignored"),
        };
        format!("{}{conflicts}", self.current.render(language))
    }
}
