//! Why the delivery service refuses: one variant for each thing a client can do about it.

use cercle_proto::id::{Epoch, Seq};
use cercle_storage::store::{ReadError, WriteError};

/// Why a request to the delivery service was refused. Nothing was written, except perhaps with
/// [`WriteError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is missing or out of range.
    #[error("{0}")]
    InvalidField(&'static str),
    /// The device was revoked.
    #[error("the device was revoked")]
    DeviceRevoked,
    /// No such group, or the device was never in it.
    #[error("no such group")]
    GroupUnknown,
    /// The group id is taken.
    #[error("the group exists already")]
    GroupExists,
    /// The device is not (or no longer) a member.
    #[error("the device is not a member")]
    NotMember,
    /// Another commit won the epoch.
    #[error("the group is in epoch {current_epoch}")]
    EpochConflict {
        /// Epoch the group is in.
        current_epoch: Epoch,
        /// Entry that holds the newest commit; 0 if none.
        winner_seq: Seq,
    },
    /// The message was made for an epoch that is too far behind, or ahead.
    #[error("the group is in epoch {current_epoch}, the message is not near it")]
    EpochStale {
        /// Epoch the group is in.
        current_epoch: Epoch,
        /// Entry that holds the newest commit; 0 if none.
        winner_seq: Seq,
    },
    /// The MLS message does not verify.
    #[error("the MLS message does not verify: {0}")]
    MlsInvalid(String),
    /// The group's policy does not allow this.
    #[error("{0}")]
    PolicyDenied(&'static str),
    /// Welcome and added key packages do not match.
    #[error("the welcome does not fit the added key packages: {0}")]
    WelcomeMismatch(&'static str),
    /// The group info is not that of the epoch the commit leads to.
    #[error("the group info does not fit the commit: {0}")]
    GroupInfoMismatch(&'static str),
    /// Application messages must be `PrivateMessage`.
    #[error("an application message must be a PrivateMessage of content type application")]
    ApplicationNotPrivate,
    /// A certificate is not one of this hub, has expired, is revoked or is for another key.
    #[error("a certificate of the commit is refused: {0}")]
    CertificateRefused(&'static str),
    /// The commit leaves out proposals that wait in the log.
    #[error("proposals wait in the log and are not in the commit")]
    ProposalsPending,
    /// The group has reached its largest size.
    #[error("a group has at most {0} devices")]
    GroupFull(usize),
    /// The device may not join by external commit.
    #[error("the device is not one of a user in the roster")]
    ExternalJoinDenied,
    /// A blob that the message refers to is not one of the group.
    #[error("a blob of the message is not one of the group")]
    BlobUnknown,
    /// A blob that the message refers to is not stored completely.
    #[error("a blob of the message is not stored completely")]
    BlobIncomplete,
    /// A key package does not verify or is not for this device.
    #[error("a key package is refused: {0}")]
    KeyPackageInvalid(&'static str),
    /// The device has its full stock already.
    #[error("the device has {left} key packages, at most {limit} are kept")]
    KeyPackagesFull {
        /// What it has.
        left: usize,
        /// What is kept at most.
        limit: usize,
    },
    /// Too many requests of this kind.
    #[error("too many requests; wait {retry_after_ms} ms")]
    RateLimited {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// A field is longer than the hub takes.
    #[error("{0} is too long")]
    TooLarge(&'static str),
    /// More items than the hub takes in one request.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The store did not take it, or perhaps did: the source tells.
    #[error("the store did not take it")]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// A fault of the hub itself.
    #[error("internal fault: {0}")]
    Internal(&'static str),
}
