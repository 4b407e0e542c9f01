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
//! - `key_package`: publish and claim. `reading`: lists, cursors, group info. `rate`: bounded rate limits.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use cercle_proto::{
    certificate::Root,
    id::{DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId},
};
use cercle_storage::store::{Appended, ClaimedPackage, Store};

use crate::fanout::Fanout;

mod error;

pub use cercle_storage::store::{Delivered, Membership};
pub use error::Error;

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
    pub application: Option<(MessageId, Bytes)>,
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
    root: Root,
    fanout: Fanout,
    settings: Settings,
}
