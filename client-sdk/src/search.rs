//! Full-text search over what this device can read.
//!
//! The index is made from the sealed store and lives in memory only: nothing of it is on the disk, nothing is
//! sent, and it works without a connection. Case and accents do not matter, a word is found by its beginning,
//! and every word of a search must be there. Edits replace, withdrawn messages are gone.
//!
//! - [`fold`]: from text to words; [`index`]: words to messages; [`snippet`]: the place that fits.

use std::ops::Range;

use cercle_proto::id::GroupId;

use crate::{event::Message, message::Language};

pub(crate) mod fold;
pub(crate) mod index;
pub(crate) mod snippet;

/// What is looked for. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// Words, or their beginnings; at most 16 count.
    pub words: String,
    /// Only in this group; else in all, also those that this device has left.
    pub group: Option<GroupId>,
    /// At most so many hits; also at most [`HITS_MAX`](crate::limits::HITS_MAX).
    pub limit: usize,
    /// Language of the text shown.
    pub language: Language,
}

/// A message that fits. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Hit {
    /// The message, with the text of its last edit.
    pub message: Message,
    /// A part of its text around the first word that fits, on one line.
    pub snippet: String,
    /// Where in the snippet the words that fit are, bytes.
    pub marks: Vec<Range<usize>>,
}

impl Search {
    /// Words in all groups.
    #[must_use]
    pub fn everywhere(words: impl Into<String>, limit: usize) -> Self {
        Self { words: words.into(), group: None, limit, language: Language::French }
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("group", &self.group).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hit").field("message", &self.message).finish_non_exhaustive()
    }
}
