//! Groups: epoch, public state, roster; and the one write that ends an epoch.

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId};

use super::{AppendError, Appended, ReadError, WriteError};

/// A new group with one member.
#[derive(Debug, Clone)]
pub struct CreateGroup {
    /// Its id.
    pub group: GroupId,
    /// Idempotency key of the creator.
    pub message_id: MessageId,
    /// The creator, at leaf `leaf`.
    pub creator: Joined,
    /// GroupInfo of epoch 0.
    pub group_info: Bytes,
    /// Public group state of epoch 0.
    pub group_state: Bytes,
    /// Only roster entries with `may_post` may append application messages.
    pub posting_restricted: bool,
    /// When.
    pub at: TimestampMs,
}

/// Everything that one commit changes: stored together or not at all.
#[derive(Debug, Clone)]
pub struct CommitRecord {
    /// The group.
    pub group: GroupId,
    /// Committing device. For an external commit it need not be in the roster yet.
    pub sender: DeviceId,
    /// The commit is external: the sender need not be in the roster.
    pub external: bool,
    /// Idempotency key.
    pub message_id: MessageId,
    /// The epoch that the commit ends; must be the group's current one.
    pub epoch: Epoch,
    /// The commit message.
    pub body: Bytes,
    /// GroupInfo of the new epoch.
    pub group_info: Bytes,
    /// Public group state of the new epoch.
    pub group_state: Bytes,
    /// Devices that are in the group after the commit and were not before, and devices that keep their
    /// membership on another leaf (resynchronised): their reading starts after this commit.
    pub joined: Vec<Joined>,
    /// Devices that are no longer in the group: they may read up to and including this commit.
    pub removed: Vec<DeviceId>,
    /// Devices whose right to post changes.
    pub may_post: Vec<(DeviceId, bool)>,
    /// As in [`CreateGroup`], after the commit.
    pub posting_restricted: bool,
    /// The welcome, stored once, pointed to from each recipient's inbox.
    pub welcome: Option<WelcomeRecord>,
    /// First application message of the new epoch, by the same sender.
    pub application: Option<(MessageId, Bytes)>,
    /// Blobs that the application message refers to, as in [`super::Append`].
    pub application_blobs: Vec<BlobId>,
    /// When.
    pub at: TimestampMs,
}

/// A device that a commit (or the creation) puts into the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Leaf index in the ratchet tree.
    pub leaf: u32,
    /// May append application messages where posting is restricted.
    pub may_post: bool,
}

/// A welcome and who it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeRecord {
    /// The MLS message.
    pub body: Bytes,
    /// Devices whose key packages it opens with.
    pub recipients: Vec<DeviceId>,
}

/// A group as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// Current epoch.
    pub epoch: Epoch,
    /// Newest entry; 0 if none.
    pub head: Seq,
    /// Entries up to and including this one are gone.
    pub floor: Seq,
    /// Entry that holds the newest commit; 0 if none.
    pub last_commit: Seq,
    /// GroupInfo of the current epoch.
    pub group_info: Bytes,
    /// Public group state of the current epoch.
    pub group_state: Bytes,
    /// As in [`CreateGroup`].
    pub posting_restricted: bool,
}

/// A device in a group's roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterEntry {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Leaf index; meaningless once removed.
    pub leaf: u32,
    /// It reads entries after this one.
    pub joined_at: Seq,
    /// It reads entries up to and including this one; `None`: it is a member.
    pub removed_at: Option<Seq>,
    /// Everything up to and including this entry is safely on the device.
    pub acked: Seq,
    /// May append where posting is restricted.
    pub may_post: bool,
    /// It could not join and waits to be added again.
    pub needs_re_add: bool,
}

/// What a device sees of one of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its newest entry.
    pub head: Seq,
    /// Its floor.
    pub floor: Seq,
    /// The device's own row.
    pub entry: RosterEntry,
    /// Members that wait to be added again.
    pub needs_re_add: Vec<DeviceId>,
}

/// How far one member has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The device's user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Its cursor.
    pub acked: Seq,
}

/// Groups, their rosters and their epochs.
#[async_trait::async_trait]
pub trait Groups: Send + Sync {
    /// Registers a group of one member. A repeated message id answers `repeated`; the entry number is 0.
    ///
    /// # Errors
    /// [`AppendError::GroupExists`] when the id is taken, or a store failure.
    async fn create_group(&self, group: CreateGroup) -> Result<Appended, AppendError>;

    /// Ends an epoch: commit entry, epoch + 1, public state, group info, roster, welcome with its inbox
    /// pointers, and the optional application entry, in one write. Checks repeated id, group, sender,
    /// epoch, in this order. The verdict is that of the commit entry. The application entry obeys the rules
    /// of the new epoch: if its sender may not post there, nothing of the commit is stored; if its id (which
    /// must differ from the commit's) is known already, it is left out.
    ///
    /// # Errors
    /// [`AppendError::EpochMoved`] when another commit won, and as [`super::Log::append`].
    async fn commit(&self, commit: CommitRecord) -> Result<Appended, AppendError>;

    /// Looks up the verdict of an earlier write by the same sender, before work is spent on a repetition.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn verdict(&self, sender: DeviceId, message_id: MessageId) -> Result<Option<Appended>, ReadError>;

    /// The group, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn group(&self, group: GroupId) -> Result<Option<GroupRecord>, ReadError>;

    /// Every device that is or was in the group and may still read, in order of id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn roster(&self, group: GroupId) -> Result<Vec<RosterEntry>, ReadError>;

    /// One device's row, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn roster_entry(&self, group: GroupId, device: DeviceId) -> Result<Option<RosterEntry>, ReadError>;

    /// The groups whose roster has this device (also those that removed it and that it may still read), in
    /// order of id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn memberships(&self, device: DeviceId) -> Result<Vec<Membership>, ReadError>;

    /// Cursors of the current members, in order of device id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn delivered(&self, group: GroupId) -> Result<Vec<Delivered>, ReadError>;

    /// Marks a member as waiting to be added again, or not. Ignored for devices that are no members.
    ///
    /// # Errors
    /// As any write.
    async fn set_needs_re_add(&self, group: GroupId, device: DeviceId, needs: bool)
    -> Result<(), WriteError>;

    /// Forgets a removed device's row (it has read its removal), so that the group leaves its list.
    ///
    /// # Errors
    /// As any write.
    async fn forget_removed(&self, group: GroupId, device: DeviceId) -> Result<(), WriteError>;
}
