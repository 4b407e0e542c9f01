//! The per-group log: the truth about every conversation.

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs};

use super::{ReadError, WriteError};

/// What an entry is. Stored as one byte; numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An application message (opaque).
    Application = 1,
    /// A commit: ends an epoch.
    Commit = 2,
    /// A proposal.
    Proposal = 3,
}

/// An application message or proposal to append. Commits go through [`super::Groups::commit`].
#[derive(Debug, Clone)]
pub struct Append {
    /// Group whose log it goes to.
    pub group: GroupId,
    /// Sending device; `None`: the hub itself (a proposal as external sender).
    pub sender: Option<DeviceId>,
    /// Idempotency key, unique per sender.
    pub message_id: MessageId,
    /// Application or proposal.
    pub kind: Kind,
    /// Epoch the message was made in.
    pub epoch: Epoch,
    /// How many epochs behind the group's it may be (0: must be the current one). An application message is
    /// never older than the last external commit: who came in by it could not open it.
    pub epochs_behind_max: u64,
    /// When the hub accepts it.
    pub at: TimestampMs,
    /// The MLS message.
    pub body: Bytes,
    /// New public group state that goes with it (a proposal changes it), if any.
    pub group_state: Option<Bytes>,
    /// Blobs that it refers to: complete, and of this group.
    pub blobs: Vec<BlobId>,
}

/// An append was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Place in the log.
    pub seq: Seq,
    /// Epoch of the group after it.
    pub epoch: Epoch,
    /// When it was first accepted.
    pub at: TimestampMs,
    /// It had been accepted before: nothing was written now.
    pub repeated: bool,
}

/// Why an append or commit was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such group.
    #[error("no such group")]
    GroupUnknown,
    /// The group id is taken.
    #[error("the group exists already")]
    GroupExists,
    /// The sender is not (or no longer) in the roster.
    #[error("the sender is not a member")]
    NotMember,
    /// The sender may not post (announcement group).
    #[error("the sender may not post in this group")]
    PostDenied,
    /// The epoch does not fit.
    #[error("the group is in epoch {epoch}")]
    EpochMoved {
        /// Epoch of the group.
        epoch: Epoch,
        /// Entry that holds the newest commit; 0 if none.
        last_commit: Seq,
    },
    /// A blob that it refers to is not one of the group.
    #[error("no such blob in this group")]
    BlobUnknown,
    /// A blob that it refers to is not stored completely.
    #[error("a blob is not stored completely")]
    BlobIncomplete,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// One entry as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place in the log, from 1, dense.
    pub seq: Seq,
    /// What it is.
    pub kind: Kind,
    /// Epoch the message was made in.
    pub epoch: Epoch,
    /// Sending device; `None`: the hub.
    pub sender: Option<DeviceId>,
    /// Idempotency key.
    pub message_id: MessageId,
    /// When the hub accepted it.
    pub at: TimestampMs,
    /// The MLS message.
    pub body: Bytes,
}

/// One group to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadFrom {
    /// The group.
    pub group: GroupId,
    /// Entries with a higher number are wanted.
    pub after: Seq,
    /// Entries with a higher number are not wanted (a removed member's limit); `Seq::MAX` for none.
    pub until: Seq,
}

/// How much a read returns at most, over all groups together.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Entries.
    pub entries: usize,
    /// Bytes of bodies; the first entry is returned whatever its size.
    pub bytes: usize,
}

/// How far one device has safely stored one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The group.
    pub group: GroupId,
    /// The device.
    pub device: DeviceId,
    /// Everything up to and including this entry.
    pub up_to: Seq,
}

/// What a read found in one group. Pages come in the order asked for; groups the limit left out get an
/// empty page with `more`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The group.
    pub group: GroupId,
    /// Entries in order, without a gap; empty if the group is unknown.
    pub entries: Vec<Entry>,
    /// The limit cut this page short.
    pub more: bool,
    /// Entries up to and including this one are gone. If it is above the cursor asked for, `entries` is
    /// empty: there would be a gap.
    pub floor: Seq,
}

/// The log of each group.
#[async_trait::async_trait]
pub trait Log: Send + Sync {
    /// Appends each item, or says why not; verdicts in the order of the batch. For each: repeated id,
    /// group, sender in roster (`None` is always allowed) and allowed to post, epoch, blobs, in this order.
    /// Blobs count as referenced with the entry. An item of the kind `Commit` is refused as
    /// [`WriteError::Unavailable`]: it would not end its epoch.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// Reads several groups after their cursors. Once the limit has cut a page short, no later entry is
    /// returned, however small.
    ///
    /// # Errors
    /// When the store cannot be read or a record is damaged.
    async fn read(&self, from: Vec<ReadFrom>, limit: ReadLimit) -> Result<Vec<Page>, ReadError>;

    /// Records what a device has safely stored. Never goes back, never past the head; groups that the
    /// device is not in are ignored. A removed device that acknowledges its removal loses its row.
    ///
    /// # Errors
    /// As any write.
    async fn acknowledge(&self, device: DeviceId, up_to: Vec<(GroupId, Seq)>) -> Result<(), WriteError>;

    /// The same for cursors of many devices, in as few physical commits as the store can make of them. A
    /// failure may leave some of them recorded; repeating is safe.
    ///
    /// # Errors
    /// As any write.
    async fn acknowledge_all(&self, cursors: Vec<Cursor>) -> Result<(), WriteError> {
        for Cursor { group, device, up_to } in cursors {
            self.acknowledge(device, vec![(group, up_to)]).await?;
        }
        Ok(())
    }
}
