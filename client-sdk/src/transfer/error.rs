//! Why a transfer came to nothing, by what an app can do about it.

use std::io;

use cercle_proto::ErrorCode;

use super::photo::PhotoError;
use crate::{client::ClientError, sealing::Damaged};

/// Why a document was not sent or fetched. Texts hold no name, no path and no content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file cannot be read: check its name and its permissions.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    /// The file has no content.
    #[error("the file is empty")]
    Empty,
    /// The file is larger than what may be sent.
    #[error("the file is larger than {max} bytes")]
    TooLarge {
        /// Largest size, bytes.
        max: u64,
    },
    /// The picture may tell where and with what it was taken, and that cannot be taken out of it.
    #[error("the picture cannot be cleaned: {0}")]
    Photo(#[from] PhotoError),
    /// The disk cannot be written: of the profile when sending, of the destination when fetching.
    #[error("the disk cannot be written")]
    Disk(#[source] io::Error),
    /// There is a file already, and it was not said to replace it.
    #[error("there is a file of that name already")]
    Exists,
    /// This device is not, or no longer, in the group.
    #[error("this device is not in the group of the document")]
    NotMember,
    /// The hub refused it for good; the code's table says what to do.
    #[error("the hub refused it ({})", .0.number())]
    Refused(ErrorCode),
    /// The hub does not have these bytes: withdrawn, past their time, or never complete.
    #[error("the hub no longer has the document")]
    Gone,
    /// The bytes are not what the message says; nothing was kept.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The line broke too often: try again, it goes on where it was.
    #[error("the line to the hub broke too often")]
    Interrupted,
    /// The transfer was cancelled.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// The device refused it, or the client is closed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<crate::error::Error> for TransferError {
    fn from(error: crate::error::Error) -> Self {
        Self::Client(error.into())
    }
}
