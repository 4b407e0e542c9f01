//! Why the authentication service refuses: one variant for each thing a client can do about it.

use cercle_storage::store::{ReadError, WriteError};

use super::authority::AuthorityError;

/// Why a request to the authentication service was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is missing or out of range.
    #[error("{0}")]
    InvalidField(&'static str),
    /// The signature over the nonce does not verify.
    #[error("the proof does not verify with the device key")]
    ProofInvalid,
    /// No such device is enrolled here.
    #[error("no such device is enrolled here")]
    DeviceUnknown,
    /// The device was revoked.
    #[error("the device was revoked")]
    DeviceRevoked,
    /// The recovery code is not the right one, or there is no such user or code.
    #[error("the recovery code is not the right one, or the user has none")]
    RecoveryRefused,
    /// No such invitation.
    #[error("no such invitation")]
    InvitationUnknown,
    /// The invitation has expired.
    #[error("the invitation has expired")]
    InvitationExpired,
    /// Another device has used the invitation.
    #[error("another device has used the invitation")]
    InvitationUsed,
    /// The user lacks the role for this.
    #[error("the user lacks the role for this")]
    NotAuthorised,
    /// The device id is enrolled with another key or for another user.
    #[error("the device id is taken")]
    DeviceIdTaken,
    /// The user has as many devices as one may have.
    #[error("the user has {0} devices already")]
    TooManyDevices(usize),
    /// Too many requests of this kind.
    #[error("too many requests; wait {retry_after_ms} ms")]
    RateLimited {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// The store did not take it, or perhaps did: the source tells.
    #[error("the store did not take it")]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[from] AuthorityError),
}
