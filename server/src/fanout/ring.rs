//! The newest entries of one live group, each encoded once.
//!
//! A [`Ring`] is a window without gaps onto the log. Writers of one group report in any order, so entries may
//! wait for those before them; what does not come soon is left to the log: a ring may answer "not here", never
//! wrongly.

use std::collections::{BTreeMap, VecDeque};

use cercle_proto::id::Seq;

use super::encoding::Encoded;
use crate::limits;

/// What a ring has after a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingRead {
    /// Nothing newer was appended.
    UpToDate,
    /// Entries were added, the first one right after the cursor, in order and without a gap.
    Entries {
        /// There are newer ones behind a gap: look again.
        more: bool,
    },
    /// The ring does not reach back so far: read the log.
    Miss,
}

/// The newest entries of a group, without a gap.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Encoded>,
    bytes: usize,
    /// Entries that came before those in front of them.
    early: BTreeMap<Seq, Encoded>,
    /// Entries up to here were there at the last [`Ring::forget_old`].
    old: Seq,
}

impl Ring {
    pub(super) fn push(&mut self, entry: Encoded) {
        match self.entries.back() {
            // It came late: readers have found, or will find, it in the log.
            Some(newest) if entry.seq <= newest.seq => return,
            Some(newest) if entry.seq > newest.seq + 1 => {
                self.early.insert(entry.seq, entry);
                if self.early.len() > limits::RING_EARLY_MAX {
                    self.skip_gap();
                }
            }
            _ => self.append(entry),
        }
        while let Some(next) = self.entries.back().and_then(|newest| self.early.remove(&(newest.seq + 1))) {
            self.append(next);
        }
    }

    /// Adds what lies after a cursor to `into`.
    pub(super) fn after(&self, cursor: Seq, into: &mut Vec<Encoded>) -> RingRead {
        let (Some(oldest), Some(newest)) = (self.entries.front(), self.entries.back()) else {
            return RingRead::Miss;
        };
        let more = !self.early.is_empty();
        if newest.seq <= cursor {
            // Behind the gap there is something, and what fills the gap may have been lost.
            return if more { RingRead::Miss } else { RingRead::UpToDate };
        }
        let Some(skip) = (cursor + 1).checked_sub(oldest.seq).and_then(|n| usize::try_from(n).ok()) else {
            return RingRead::Miss;
        };
        into.extend(self.entries.range(skip..).cloned());
        RingRead::Entries { more }
    }

    /// How many entries there are, and how many of those that came before others in front of them.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.entries.len(), self.early.len())
    }

    /// Drops what was there at the last call already, so that quiet groups take no memory.
    pub(super) fn forget_old(&mut self) {
        while self.entries.front().is_some_and(|oldest| oldest.seq <= self.old) {
            self.drop_oldest();
        }
        self.old = self.entries.back().map_or(self.old, |newest| newest.seq);
    }

    /// What should have filled the gap was lost: goes on behind it.
    fn skip_gap(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        if let Some((_, first)) = self.early.pop_first() {
            self.append(first);
        }
    }

    fn append(&mut self, encoded: Encoded) {
        if !self.early.is_empty() {
            self.early = self.early.split_off(&encoded.seq);
        }
        self.bytes += encoded.size_bytes();
        self.entries.push_back(encoded);
        // The newest one stays whatever its size: all readers are about to ask for it.
        while self.entries.len() > 1
            && (self.entries.len() > limits::RING_ENTRIES_MAX || self.bytes > limits::RING_BYTES_MAX)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.size_bytes();
        }
    }
}
