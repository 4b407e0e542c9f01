//! Delivery service (RFC 9750 section 5): its public operations.
//!
//! Called by the dispatch of a session and by a housekeeping timer. Every write looks its message id up
//! first, is checked in the order of docs/protocol.md section 6, becomes durable in one store operation, and
//! only then wakes readers through [`Fanout`].
//!
//! - `create`, `commit`, `application`, `proposal`: the writes. `verify`: what a commit must satisfy, pure.
//! - `leaf`, `welcome`, `group_info`: the parts of that judgement. `group_state`, `group_cache`: the public
//!   group behind it, at rest and in memory.
//! - `removal`: Remove proposals for revoked devices. `recovery`: lost welcomes, re-adds, reports.
//! - [`cursors`]: how far devices have read, until it is stored.
//! - `standing`: who is in a group and who administers it.
//! - `key_package`: publish and claim. `reading`: lists, cursors, group info. `rate`: bounded rate limits.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use cercle_proto::{
    certificate::Root,
    id::{BlobId, DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId},
};
use cercle_storage::store::{AppendError, Appended, AuditEntry, ClaimedPackage, RosterEntry, Store};
use openmls_rust_crypto::RustCrypto;

use crate::{fanout::Fanout, limits};

mod application;
mod commit;
mod create;
pub mod cursors;
mod error;
mod group_cache;
mod group_info;
mod group_state;
mod hub_sender;
mod key_package;
mod profile;
mod proposal;
pub(crate) mod rate;
mod reading;
mod recovery;
mod removal;
mod standing;
mod verify;
mod welcome;

pub use cercle_storage::store::{Delivered, Membership};
pub use error::Error;
pub use hub_sender::HubSender;
pub use standing::Standing;

use cursors::Cursors;
use group_cache::GroupCache;
use rate::RateLimit;
use verify::Rules;

/// What the operator may tune.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Devices in one group.
    pub group_devices_max: usize,
    /// Entries older than this are deleted even if a device has not acknowledged them, ms.
    pub retention_ms: u64,
    /// Idempotency records, spent invitations and unfetched welcomes older than this are deleted, ms.
    pub record_retention_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group_devices_max: limits::GROUP_DEVICES_MAX,
            retention_ms: limits::RETENTION_MS,
            record_retention_ms: limits::RECORD_RETENTION_MS,
        }
    }
}

/// A new group of one member.
#[derive(Debug, Clone)]
pub struct CreateGroupRequest {
    /// Its id, random.
    pub group: GroupId,
    /// Idempotency key.
    pub message_id: MessageId,
    /// MLSMessage with the GroupInfo of epoch 0, without tree.
    pub group_info: Bytes,
    /// `optional<Node> ratchet_tree<V>` of that epoch (RFC 9420 section 12.4.3.3).
    pub ratchet_tree: Bytes,
}

/// An application message to append.
#[derive(Debug, Clone)]
pub struct Application {
    /// Idempotency key.
    pub message_id: MessageId,
    /// MLSMessage with a PrivateMessage of content type application.
    pub mls: Bytes,
    /// Blobs of the group that it refers to.
    pub blobs: Vec<BlobId>,
}

impl Application {
    /// A message that refers to no blobs.
    #[must_use]
    pub const fn new(message_id: MessageId, mls: Bytes) -> Self {
        Self { message_id, mls, blobs: Vec::new() }
    }
}

/// A commit and all that is accepted with it.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The group.
    pub group: GroupId,
    /// Idempotency key.
    pub message_id: MessageId,
    /// MLSMessage with a PublicMessage that holds a Commit, also an external one.
    pub commit: Bytes,
    /// MLSMessage with one Welcome for all added key packages.
    pub welcome: Option<Bytes>,
    /// MLSMessage with the GroupInfo of the new epoch, without tree.
    pub group_info: Bytes,
    /// First application message of the new epoch, with its own idempotency key.
    pub application: Option<Application>,
}

/// A write is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The group.
    pub group: GroupId,
    /// Idempotency key of the write.
    pub message_id: MessageId,
    /// Place in the log; 0 for the creation of a group.
    pub seq: Seq,
    /// Epoch of the group after it.
    pub epoch: Epoch,
    /// When it was first accepted.
    pub at: TimestampMs,
    /// It had been accepted before.
    pub repeated: bool,
}

impl Accepted {
    fn new(group: GroupId, message_id: MessageId, appended: Appended) -> Self {
        let Appended { seq, epoch, at, repeated } = appended;
        Self { group, message_id, seq, epoch, at, repeated }
    }
}

/// What an external commit needs (RFC 9420 section 12.4.3.2).
#[derive(Debug, Clone)]
pub struct GroupInfoReply {
    /// The group.
    pub group: GroupId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Newest entry at this epoch.
    pub head: Seq,
    /// MLSMessage with the GroupInfo, without tree.
    pub group_info: Bytes,
    /// `optional<Node> ratchet_tree<V>`.
    pub ratchet_tree: Bytes,
}

/// What became of a welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WelcomeOutcome {
    /// The device is in the group.
    Joined,
    /// The key package it was made for is not known to the device.
    NoMatchingKeyPackage,
    /// It does not verify.
    Invalid,
}

/// Whose key packages are wanted.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Idempotency key of the claim, 16 random bytes.
    pub claim_id: [u8; 16],
    /// Users; each device of them gives one package.
    pub users: Vec<UserId>,
    /// Group that they are for; devices already in its roster are left out.
    pub group: Option<GroupId>,
    /// Only this device, even if it is in the roster.
    pub device: Option<DeviceId>,
}

/// Key packages that were handed out.
#[derive(Debug, Clone)]
pub struct ClaimReply {
    /// One for each device that had one.
    pub packages: Vec<ClaimedPackage>,
    /// Users who are unknown or have no device with a key package.
    pub missing: Vec<UserId>,
}

/// The delivery service. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

struct Inner {
    store: Arc<dyn Store>,
    fanout: Fanout,
    settings: Settings,
    hub: HubSender,
    rules: Arc<Rules>,
    groups: GroupCache,
    cursors: Cursors,
    claims: RateLimit<UserId>,
    claim_pairs: RateLimit<(UserId, UserId)>,
    group_infos: RateLimit<(DeviceId, GroupId)>,
    assistance: RateLimit<(DeviceId, GroupId)>,
}

impl Delivery {
    /// How many groups are in memory to be verified against.
    pub(crate) fn loaded_groups(&self) -> usize {
        self.inner.groups.len()
    }

    /// How many acknowledgements are not stored.
    pub(crate) fn waiting_cursors(&self) -> usize {
        self.inner.cursors.len()
    }

    /// Builds the service over a store, the root that certificates must lead to, the hub's voice in groups
    /// and the readers to wake.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        root: Root,
        hub: HubSender,
        fanout: Fanout,
        settings: Settings,
    ) -> Self {
        let rules = Arc::new(Rules {
            crypto: RustCrypto::default(),
            root,
            hub: hub.external_sender(),
            devices_max: settings.group_devices_max,
        });
        let cursors = Cursors::new(Arc::clone(&store));
        let inner = Inner {
            store,
            fanout,
            settings,
            hub,
            rules,
            groups: GroupCache::new(),
            cursors,
            claims: RateLimit::new(limits::CLAIM_RATE),
            claim_pairs: RateLimit::new(limits::CLAIM_PAIR_RATE),
            group_infos: RateLimit::new(limits::GROUP_INFO_RATE),
            assistance: RateLimit::new(limits::ASSISTANCE_RATE),
        };
        Self { inner: Arc::new(inner) }
    }

    /// How far devices have read, until it is stored.
    #[must_use]
    pub fn cursors(&self) -> &Cursors {
        &self.inner.cursors
    }

    /// The first verdict of a write, if this message id was accepted before.
    async fn first_verdict(
        &self,
        sender: DeviceId,
        group: GroupId,
        message_id: MessageId,
    ) -> Result<Option<Accepted>, Error> {
        let verdict = self.inner.store.verdict(sender, message_id).await?;
        Ok(verdict.map(|appended| Accepted::new(group, message_id, Appended { repeated: true, ..appended })))
    }

    /// The row of a member. Who was never in the group learns no more than that it is not his.
    async fn member(&self, group: GroupId, device: DeviceId) -> Result<RosterEntry, Error> {
        match self.inner.store.roster_entry(group, device).await? {
            None => Err(Error::GroupUnknown),
            Some(entry) if entry.removed_at.is_some() => Err(Error::NotMember),
            Some(entry) => Ok(entry),
        }
    }

    /// What the store says when it refuses a write, for this device.
    async fn refusal(&self, error: AppendError, group: GroupId, device: DeviceId) -> Error {
        match error {
            AppendError::NotMember => match self.member(group, device).await {
                Err(error) => error,
                Ok(_) => Error::NotMember,
            },
            AppendError::GroupUnknown => Error::GroupUnknown,
            AppendError::GroupExists => Error::GroupExists,
            AppendError::PostDenied => {
                Error::PolicyDenied("only an administrator of the group may post in it")
            }
            AppendError::EpochMoved { epoch, last_commit } => {
                Error::EpochConflict { current_epoch: epoch, winner_seq: last_commit }
            }
            AppendError::BlobUnknown => Error::BlobUnknown,
            AppendError::BlobIncomplete => Error::BlobIncomplete,
            AppendError::Store(error) => error.into(),
        }
    }

    /// Leaves an audit entry. The change it tells of is durable already, so a failure is the operator's to
    /// know, not the caller's.
    async fn audit(&self, at: TimestampMs, actor: &str, action: &str, object: String) {
        let entry = AuditEntry { at, actor: actor.to_owned(), action: action.to_owned(), object };
        if let Err(error) = self.inner.store.record(entry).await {
            tracing::error!(action, %error, "an audit entry could not be written");
        }
    }
}

/// Runs a write to its end even if the session that asked for it ends first: between the durable write and
/// the wake of its readers nothing may stop.
async fn to_the_end<T: Send + 'static>(
    write: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(write).await.unwrap_or(Err(Error::Internal("a write ended early")))
}
