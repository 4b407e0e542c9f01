//! What can go wrong with the directory, seen from the hub.

use std::io;

use super::commune::CommuneError;

/// Why the directory does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No entry has this key, or it is not shown.
    #[error("no such entry")]
    Unknown,
    /// The user may not change this.
    #[error("only those it belongs to may change this")]
    NotAllowed,
    /// A field does not fit; names it.
    #[error("{0}")]
    Field(&'static str),
    /// More than the hub gives or keeps.
    #[error("{0}")]
    TooMany(&'static str),
    /// Too much was asked in too short a time.
    #[error("too many searches")]
    RateLimited {
        /// Wait this long, ms.
        retry_after_ms: u32,
    },
    /// Another import runs.
    #[error("another import is running: wait for it to end")]
    Busy,
    /// A file is not what it should be.
    #[error("the directory on disk is damaged ({0}): import the extraction again")]
    Damaged(&'static str),
    /// Input or output failed.
    #[error("the files of the directory cannot be used")]
    Io(#[from] io::Error),
    /// The list of communes cannot be used.
    #[error(transparent)]
    Communes(#[from] CommuneError),
    /// The search index failed.
    #[error("the search index failed")]
    Index(#[from] tantivy::TantivyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] cercle_storage::store::ReadError),
}
