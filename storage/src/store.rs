//! The operations of the hub's store, by theme, and the types that go in and out.
//!
//! Rules that every implementation keeps (checked by the conformance suite):
//! - `Ok` from a write means durable on the engine's strongest promise. [`WriteError::Unavailable`] means
//!   certainly not stored, [`WriteError::OutcomeUnknown`] perhaps stored: retry with the same id.
//! - Every write that carries a [`MessageId`](cercle_proto::id::MessageId) looks it up before it checks
//!   anything else; a repeated id answers with the first verdict and writes nothing.
//! - A refused write changes nothing and does not disturb its neighbours in the same physical commit.
//! - Times come in as arguments; the store has no clock.

pub mod account;
pub mod audit;
pub mod blob;
pub mod copies;
pub mod group;
pub mod inbox;
pub mod key_package;
pub mod log;
pub mod note;
pub mod register;
pub mod timer;

pub use account::{Accounts, DeviceRecord, EnrolError, Enrolment, InvitationRecord, Opening, UserRecord};
pub(crate) use audit::AuditPlan;
pub use audit::{AUDIT_EMPTIED, Audit, AuditClass, AuditCut, AuditEntry, AuditPruned, AuditRecord};
pub use blob::{AnnounceError, AnnouncedBlob, BlobRecord, BlobUsage, Blobs, NewBlob};
pub use copies::{Copies, Fork, Restore, RowVisitor};
pub use group::{
    CommitRecord, CreateGroup, Delivered, GroupRecord, Groups, Joined, Membership, RosterEntry, WelcomeRecord,
};
pub use inbox::{Inbox, InboxBody, InboxRecord};
pub use key_package::{ClaimedPackage, KeyPackageRecord, KeyPackages, PublishError};
pub use log::{Append, AppendError, Appended, Cursor, Entry, Kind, Log, Page, ReadFrom, ReadLimit};
pub use note::{NoteDecision, NoteKey, NoteKind, Notes};
pub use register::{Claim, Registers};
pub use timer::{Effect, Timer, TimerEffects, Timers};

use cercle_proto::id::TimestampMs;

/// All operations together: what the hub is built on.
pub trait Store:
    Log + Groups + Inbox + KeyPackages + Accounts + Timers + Notes + Audit + Registers + Blobs + Maintenance
{
}

impl<S> Store for S where
    S: Log
        + Groups
        + Inbox
        + KeyPackages
        + Accounts
        + Timers
        + Notes
        + Audit
        + Registers
        + Blobs
        + Maintenance
{
}

/// What an engine promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Name for logs: `redb`, `sled`, `memory`.
    pub name: &'static str,
    /// An acknowledged write survives a power loss (it was fsynced).
    pub power_loss_durable: bool,
}

/// Health, identity and housekeeping of a store.
#[async_trait::async_trait]
pub trait Maintenance: Send + Sync {
    /// What the engine promises.
    fn caps(&self) -> Caps;

    /// Changes whenever the store was restored from a copy. Random, made with the store.
    fn incarnation(&self) -> [u8; 16];

    /// Deletes what nobody needs any more: log entries that every active device has acknowledged or that
    /// are older than `policy.keep_after`, idempotency records older than the log, welcomes, spent
    /// invitations. At most about `policy.budget_rows` rows a call, so that writers never wait long; each
    /// call goes on where the last one stopped. Entries go from the front of a group's log, which never gets
    /// a gap; rows of devices that were removed at or below the new floor go with them. A group without
    /// members keeps its entries until they are too old.
    ///
    /// # Errors
    /// As any write.
    async fn expire(&self, policy: ExpirePolicy) -> Result<Expired, WriteError>;

    /// Whether the store still takes writes. A failed commit ends that for good, and so does work of the engine
    /// that failed beside it.
    fn is_healthy(&self) -> bool;

    /// The store as something that can be copied; `None` if it has no rows to copy.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
}

/// What [`Maintenance::expire`] may delete.
#[derive(Debug, Clone, Copy)]
pub struct ExpirePolicy {
    /// Entries accepted before this time are deleted even if a device has not acknowledged them.
    pub keep_after: TimestampMs,
    /// Records of verdicts, claims and handed out key packages, unfetched welcomes, and invitations that
    /// expired are deleted when their time lies in a second before this one.
    pub keep_records_after: TimestampMs,
    /// About how many rows one call deletes at most.
    pub budget_rows: usize,
}

/// What [`Maintenance::expire`] deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Log entries.
    pub entries: usize,
    /// Other rows.
    pub records: usize,
    /// The budget ended this call before everything was looked at: call again.
    pub more: bool,
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The engine failed.
    #[error("the store cannot be read: {0}")]
    Engine(String),
    /// A record does not decode, or is not what was written: named, never served.
    #[error("a stored record is damaged: {0}")]
    Corrupt(String),
}

/// Why a write failed for a reason that lies with the store, not with the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Certainly not stored.
    #[error("not stored: {0}")]
    Unavailable(String),
    /// Perhaps stored: retry with the same id.
    #[error("perhaps stored: {0}")]
    OutcomeUnknown(String),
    /// A record does not decode: named, never served; nothing was stored.
    #[error("a stored record is damaged: {0}")]
    Corrupt(String),
}
