//! Why the attachment service refuses, on the session and on a transfer.

use cercle_storage::store::{ReadError, WriteError};

use super::BodyError;

/// Why a request of a session was refused. Nothing was written, except perhaps with
/// [`WriteError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No such group, or the device was never in it.
    #[error("no such group")]
    GroupUnknown,
    /// The device is no longer in the group.
    #[error("the device is not a member")]
    NotMember,
    /// A blob of no bytes.
    #[error("size must not be 0")]
    Empty,
    /// It is larger than the hub takes.
    #[error("a blob is larger than the hub takes")]
    TooLarge,
    /// The id is taken by another blob.
    #[error("the blob id is taken")]
    Exists,
    /// The user's blobs would take more than they may.
    #[error("the user's attachments would take more than they may")]
    QuotaExceeded,
    /// No such blob, for this device.
    #[error("no such blob")]
    Unknown,
    /// It is not stored completely.
    #[error("the blob is not stored completely")]
    Incomplete,
    /// The hub gives no more tickets at the moment.
    #[error("too many transfers are under way")]
    Busy,
    /// The store did not take it, or perhaps did: the source tells.
    #[error("the store did not take it")]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// The files cannot be read or written.
    #[error("the files of attachments cannot be used")]
    Files(#[from] BodyError),
}

/// Why a transfer of bytes was refused or ended.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No ticket for this blob and direction, or no longer. Said of blobs that do not exist alike.
    #[error("no ticket for this")]
    Unauthorised,
    /// The upload goes on elsewhere.
    #[error("{stored} bytes are stored")]
    WrongOffset {
        /// Bytes that are stored.
        stored: u64,
    },
    /// More bytes than announced.
    #[error("more bytes than announced")]
    TooLarge,
    /// The range begins behind the end.
    #[error("the blob has {size} bytes")]
    RangeNotSatisfiable {
        /// Bytes of the blob.
        size: u64,
    },
    /// Cut into more pieces than the hub keeps of one blob.
    #[error("the blob is in too many pieces: release it and begin again")]
    TooManyParts,
    /// The body ended early, came too slowly, or another request took over. What arrived is kept.
    #[error("the body was cut after {stored} bytes of the blob")]
    Cut {
        /// Bytes that are stored.
        stored: u64,
    },
    /// As many transfers are under way as may be.
    #[error("too many transfers are under way")]
    Busy,
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Unreadable(#[from] ReadError),
    /// The store cannot be written.
    #[error("the store cannot be written")]
    Unwritable(#[from] WriteError),
    /// The files cannot be read or written.
    #[error("the files of attachments cannot be used")]
    Files(#[from] BodyError),
}
