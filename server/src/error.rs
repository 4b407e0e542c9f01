//! The only mapping from service errors to error codes.
//!
//! A client sees a [`Refusal`]: number, a sentence for its developer, how long to wait. Faults of the hub
//! itself are logged here, once, with their whole chain; their sentence says nothing of the cause.

use std::borrow::Cow;

use bytes::Bytes;
use cercle_proto::{
    ErrorCode, frame,
    frame::FrameError,
    id::{Epoch, GroupId, IdError, Seq},
    v1,
};
use cercle_storage::store::WriteError;

use crate::{
    alert, attachments, auth, delivery, directory, joining, lane, limits, membership, push, register, vault,
};

/// Why a request is refused or a session ends, as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable number.
    pub code: ErrorCode,
    /// For a developer; never a name or a content.
    pub message: Cow<'static, str>,
    /// Wait at least this long; 0: see the code.
    pub retry_after_ms: u32,
    /// What the code needs beyond the sentence.
    pub details: Option<Details>,
}

/// What some codes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details {
    /// Another commit won.
    EpochConflict {
        /// Epoch the group is in.
        current_epoch: Epoch,
        /// Entry that holds the newest commit.
        winner_seq: Seq,
    },
    /// The log does not reach back to the cursor.
    ResyncRequired {
        /// The group.
        group: GroupId,
        /// Entries up to and including this one are gone.
        floor: Seq,
    },
}

impl Refusal {
    /// A refusal with a sentence and nothing else.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0, details: None }
    }

    /// A refusal whose sentence is the meaning of its code.
    #[must_use]
    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, code.meaning())
    }

    /// The same, to be tried again after a while.
    #[must_use]
    pub fn retry_after(mut self, ms: u32) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// The same with details.
    #[must_use]
    pub fn with(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    /// The frame that carries it; request 0 if it answers none.
    #[must_use]
    pub fn frame(&self, request: u64) -> Bytes {
        let details = self.details.map(|details| match details {
            Details::EpochConflict { current_epoch, winner_seq } => {
                v1::error::Details::EpochConflict(v1::EpochConflict { current_epoch, winner_seq })
            }
            Details::ResyncRequired { group, floor } => {
                v1::error::Details::ResyncRequired(v1::ResyncRequired { group: group.to_bytes(), floor })
            }
        });
        let error = v1::Error {
            code: self.code.number(),
            message: self.message.clone().into_owned(),
            retry_after_ms: self.retry_after_ms,
            details,
        };
        frame::encode(&frame::server(request, v1::server_frame::Body::Error(error)))
    }

    /// A write that failed, by whether it may have been stored.
    fn write_fault(cause: &WriteError, error: &dyn std::error::Error) -> Self {
        let code = match cause {
            WriteError::Unavailable(_) => ErrorCode::Unavailable,
            WriteError::OutcomeUnknown(_) => ErrorCode::OutcomeUnknown,
            WriteError::Corrupt(_) => ErrorCode::Internal,
        };
        Self::fault(code, error)
    }

    /// A fault of the hub: logged here with its chain, named to the client by its code only.
    fn fault(code: ErrorCode, error: &dyn std::error::Error) -> Self {
        tracing::error!(code = code.number(), cause = %Chain(error), "a request failed for a fault of the hub");
        Self::of(code).retry_after(limits::RETRY_AFTER_FAULT_MS)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        Self::write_fault(&error, &error)
    }
}

impl From<IdError> for Refusal {
    fn from(error: IdError) -> Self {
        Self::new(ErrorCode::InvalidField, error.to_string())
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge { .. } => Self::new(ErrorCode::FrameTooLarge, error.to_string()),
            // What the decoder says may quote the bytes.
            FrameError::Malformed(_) => Self::of(ErrorCode::MalformedFrame),
        }
    }
}

impl From<auth::Error> for Refusal {
    fn from(error: auth::Error) -> Self {
        use auth::Error as E;
        let code = match &error {
            E::InvalidField(_) => ErrorCode::InvalidField,
            E::ProofInvalid => ErrorCode::ProofInvalid,
            E::DeviceUnknown => ErrorCode::DeviceUnknown,
            E::DeviceRevoked => ErrorCode::DeviceRevoked,
            E::RecoveryRefused => ErrorCode::RecoveryRefused,
            E::InvitationUnknown => ErrorCode::InvitationUnknown,
            E::InvitationExpired => ErrorCode::InvitationExpired,
            E::InvitationUsed => ErrorCode::InvitationUsed,
            E::NotAuthorised => ErrorCode::NotAuthorised,
            E::DeviceIdTaken => ErrorCode::DeviceIdTaken,
            E::TooManyDevices(_) => ErrorCode::TooMany,
            E::RateLimited { retry_after_ms } => {
                let wait = *retry_after_ms;
                return Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait);
            }
            E::Write(cause) => return Self::write_fault(cause, &error),
            E::Read(_) | E::Issue(_) => {
                return Self::fault(ErrorCode::Internal, &error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<delivery::Error> for Refusal {
    fn from(error: delivery::Error) -> Self {
        use delivery::Error as E;
        let code = match &error {
            E::InvalidField(_) => ErrorCode::InvalidField,
            E::DeviceRevoked => ErrorCode::DeviceRevoked,
            E::GroupUnknown => ErrorCode::GroupUnknown,
            E::GroupExists => ErrorCode::GroupExists,
            E::NotMember => ErrorCode::NotMember,
            E::EpochConflict { current_epoch, winner_seq } => {
                let details =
                    Details::EpochConflict { current_epoch: *current_epoch, winner_seq: *winner_seq };
                return Self::new(ErrorCode::EpochConflict, error.to_string()).with(details);
            }
            E::EpochStale { current_epoch, winner_seq } => {
                let details =
                    Details::EpochConflict { current_epoch: *current_epoch, winner_seq: *winner_seq };
                return Self::new(ErrorCode::EpochStale, error.to_string()).with(details);
            }
            E::MlsInvalid(_) => ErrorCode::MlsInvalid,
            E::PolicyDenied(_) => ErrorCode::PolicyDenied,
            E::WelcomeMismatch(_) => ErrorCode::WelcomeMismatch,
            E::GroupInfoMismatch(_) => ErrorCode::GroupInfoMismatch,
            E::ApplicationNotPrivate => ErrorCode::ApplicationNotPrivate,
            E::CertificateRefused(_) => ErrorCode::CertificateRefused,
            E::ProposalsPending => ErrorCode::ProposalsPending,
            E::GroupFull(_) => ErrorCode::GroupFull,
            E::ExternalJoinDenied => ErrorCode::ExternalJoinDenied,
            E::BlobUnknown => ErrorCode::BlobUnknown,
            E::BlobIncomplete => ErrorCode::BlobIncomplete,
            E::KeyPackageInvalid(_) => ErrorCode::KeyPackageInvalid,
            E::KeyPackagesFull { .. } => ErrorCode::KeyPackagesFull,
            E::RateLimited { retry_after_ms } => {
                let wait = *retry_after_ms;
                return Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait);
            }
            E::TooLarge(_) => ErrorCode::TooLarge,
            E::TooMany(_) => ErrorCode::TooMany,
            E::Write(cause) => return Self::write_fault(cause, &error),
            E::Read(_) | E::Internal(_) => {
                return Self::fault(ErrorCode::Internal, &error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<push::RegisterError> for Refusal {
    fn from(error: push::RegisterError) -> Self {
        use push::RegisterError as E;
        match &error {
            E::NotConfigured | E::NoAddress => Self::new(ErrorCode::PushAddressRefused, error.to_string()),
            E::Full => Self::new(ErrorCode::TooMany, error.to_string()),
            E::Store(cause) => Self::write_fault(cause, &error),
        }
    }
}

impl From<register::Error> for Refusal {
    fn from(error: register::Error) -> Self {
        use register::Error as E;
        match &error {
            E::RateLimited { retry_after_ms } => {
                let wait = *retry_after_ms;
                Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait)
            }
            E::Write(cause) => Self::write_fault(cause, &error),
        }
    }
}

impl From<vault::Error> for Refusal {
    fn from(error: vault::Error) -> Self {
        use vault::Error as E;
        match &error {
            E::InvalidField(_) => Self::new(ErrorCode::InvalidField, error.to_string()),
            E::Conflict(_) => Self::new(ErrorCode::VaultConflict, error.to_string()),
            E::Unknown => Self::new(ErrorCode::VaultChunkUnknown, error.to_string()),
            E::Full => Self::new(ErrorCode::QuotaExceeded, error.to_string()),
            E::Write(cause) => Self::write_fault(cause, &error),
            E::Damaged | E::Read(_) | E::Files(_) => Self::fault(ErrorCode::Internal, &error),
        }
    }
}

impl From<lane::Error> for Refusal {
    fn from(error: lane::Error) -> Self {
        use lane::Error as E;
        let code = match error {
            E::RateLimited { .. } => ErrorCode::RateLimited,
            E::TooMany => ErrorCode::TooMany,
            E::Exists => ErrorCode::InvalidField,
        };
        let wait = if let E::RateLimited { retry_after_ms } = error { retry_after_ms } else { 0 };
        Self::new(code, error.to_string()).retry_after(wait)
    }
}

impl From<alert::Error> for Refusal {
    fn from(error: alert::Error) -> Self {
        use alert::Error as E;
        let code = match &error {
            E::InvalidField(_) => ErrorCode::InvalidField,
            E::NotAuthorised => ErrorCode::NotAuthorised,
            E::NotMember => ErrorCode::NotMember,
            E::Unknown => ErrorCode::AlertUnknown,
            E::Over => ErrorCode::AlertOver,
            E::SecondPerson => ErrorCode::AlertSecondPerson,
            E::TooMany(_) => ErrorCode::TooMany,
            E::Write(cause) => return Self::write_fault(cause, &error),
            E::Read(_) => return Self::fault(ErrorCode::Internal, &error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<attachments::CreateError> for Refusal {
    fn from(error: attachments::CreateError) -> Self {
        use attachments::CreateError as E;
        let code = match &error {
            E::GroupUnknown => ErrorCode::GroupUnknown,
            E::NotMember => ErrorCode::NotMember,
            E::Empty => ErrorCode::InvalidField,
            E::TooLarge => ErrorCode::BlobTooLarge,
            E::Exists => ErrorCode::BlobExists,
            E::QuotaExceeded => ErrorCode::QuotaExceeded,
            E::Unknown => ErrorCode::BlobUnknown,
            E::Incomplete => ErrorCode::BlobIncomplete,
            E::Busy => {
                let wait = limits::RETRY_AFTER_FULL_MS;
                return Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait);
            }
            E::Write(cause) => return Self::write_fault(cause, &error),
            E::Read(_) | E::Files(_) => {
                return Self::fault(ErrorCode::Internal, &error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<directory::Error> for Refusal {
    fn from(error: directory::Error) -> Self {
        use directory::Error as E;
        let code = match &error {
            E::Unknown => ErrorCode::DirectoryEntryUnknown,
            E::NotAllowed => ErrorCode::NotAuthorised,
            E::Field(_) => ErrorCode::InvalidField,
            E::TooMany(_) => ErrorCode::TooMany,
            E::RateLimited { retry_after_ms } => {
                let wait = *retry_after_ms;
                return Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait);
            }
            E::Busy | E::Damaged(_) | E::Io(_) | E::Communes(_) | E::Index(_) | E::Store(_) => {
                return Self::fault(ErrorCode::Internal, &error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<membership::Error> for Refusal {
    fn from(error: membership::Error) -> Self {
        use membership::Error as E;
        match error {
            E::NotAdministrator => Self::new(ErrorCode::NotAuthorised, error.to_string()),
            E::TooMany => Self::new(ErrorCode::TooMany, error.to_string()),
            E::Directory(error) => error.into(),
            E::Delivery(error) => error.into(),
        }
    }
}

impl From<joining::Error> for Refusal {
    fn from(error: joining::Error) -> Self {
        use joining::Error as E;
        match error {
            E::NotAdministrator => Self::new(ErrorCode::NotAuthorised, error.to_string()),
            E::NotListed => Self::new(ErrorCode::GroupUnknown, error.to_string()),
            E::Member => Self::new(ErrorCode::InvalidField, error.to_string()),
            E::Declined { retry_after_ms } => {
                Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(retry_after_ms)
            }
            E::TooMany(_) => Self::new(ErrorCode::TooMany, error.to_string()),
            E::Directory(error) => error.into(),
            E::Delivery(error) => error.into(),
        }
    }
}

impl From<cercle_storage::store::ReadError> for Refusal {
    fn from(error: cercle_storage::store::ReadError) -> Self {
        Self::fault(ErrorCode::Internal, &error)
    }
}

/// Prints an error and everything that caused it on one line.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loser_of_an_epoch_learns_who_won() {
        let refusal = Refusal::from(delivery::Error::EpochConflict { current_epoch: 7, winner_seq: 40 });
        let frame = frame::decode_server(refusal.frame(3)).unwrap();
        assert_eq!(frame.request, 3);
        let Some(v1::server_frame::Body::Error(error)) = frame.body else { panic!("not an error") };
        assert_eq!(error.code, ErrorCode::EpochConflict.number());
        let expected = v1::EpochConflict { current_epoch: 7, winner_seq: 40 };
        assert_eq!(error.details, Some(v1::error::Details::EpochConflict(expected)));
    }

    #[test]
    fn a_fault_of_the_hub_says_nothing_of_its_cause() {
        let cause = cercle_storage::store::ReadError::Corrupt("table devices, key 42".into());
        let refusal = Refusal::from(delivery::Error::Read(cause));
        assert_eq!(refusal.code, ErrorCode::Internal);
        assert!(!refusal.message.contains("42"));
        assert!(refusal.retry_after_ms > 0);
    }

    #[test]
    fn a_malformed_frame_is_refused_without_quoting_it() {
        let error = frame::decode_client(Bytes::from_static(b"\x0a\xffsecret")).unwrap_err();
        assert!(!Refusal::from(error).message.contains("secret"));
    }
}
