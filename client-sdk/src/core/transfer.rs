//! What the core knows about documents on their way: uploads that end with a message, and tickets.

use cercle_proto::id::{BlobId, GroupId, TimestampMs};

use crate::message::Body;

/// An upload that goes on until its message is in the outbox, over restarts. `Debug` shows ids only.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingUpload {
    /// The bytes on the hub; also the id of the transfer.
    pub blob: BlobId,
    /// The group that the message is for.
    pub group: GroupId,
    /// Bytes of ciphertext.
    pub sealed_bytes: u64,
    /// When it was begun.
    pub begun_at_ms: TimestampMs,
    /// What is said once the bytes are on the hub.
    pub body: Body,
}

impl std::fmt::Debug for PendingUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("PendingUpload");
        out.field("blob", &self.blob).field("group", &self.group).field("sealed_bytes", &self.sealed_bytes);
        out.finish_non_exhaustive()
    }
}

/// Lets this device up- or download one blob for a short time (docs/protocol.md section 9). `Debug` shows
/// the blob only.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which bytes.
    pub blob: BlobId,
    /// For the `Authorization` header.
    pub secret: [u8; 32],
    /// By the hub's clock.
    pub expires_at_ms: TimestampMs,
    /// Bytes of ciphertext.
    pub size: u64,
    /// Bytes of it that are on the hub.
    pub stored: u64,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({:?})", self.blob)
    }
}
