//! The inbox of each device: pointers to welcomes, and control items. Never ciphertext of a group.

use bytes::Bytes;
use cercle_proto::id::{DeviceId, Epoch, GroupId, Seq};

use super::{ReadError, WriteError};

/// One item, numbered from 1 without gaps per device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRecord {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub body: InboxBody,
}

/// What an inbox item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxBody {
    /// The device was added to a group. Stored as a pointer; read with the welcome's bytes.
    Welcome {
        /// The group.
        group: GroupId,
        /// Epoch that the welcome leads to.
        epoch: Epoch,
        /// Entry of the commit that added the device.
        joined_at: Seq,
        /// The MLS message; empty when it has expired.
        body: Bytes,
    },
    /// A member reports that it cannot process an accepted commit.
    InvalidCommitReported {
        /// The group.
        group: GroupId,
        /// The commit's entry.
        seq: Seq,
        /// Who reports.
        reporter: DeviceId,
    },
}

/// Inboxes. Welcomes get in through [`super::Groups::commit`].
#[async_trait::async_trait]
pub trait Inbox: Send + Sync {
    /// Items with a higher number than `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn inbox(&self, device: DeviceId, after: u64, limit: usize) -> Result<Vec<InboxRecord>, ReadError>;

    /// Puts a control item into several inboxes; a welcome body here is ignored.
    ///
    /// # Errors
    /// As any write.
    async fn notify(&self, devices: Vec<DeviceId>, body: InboxBody) -> Result<(), WriteError>;

    /// Deletes items up to and including a number; a welcome goes with its last pointer.
    ///
    /// # Errors
    /// As any write.
    async fn acknowledge_inbox(&self, device: DeviceId, up_to: u64) -> Result<(), WriteError>;
}
