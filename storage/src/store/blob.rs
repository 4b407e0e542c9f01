//! Blobs: what the hub knows of each file of ciphertext. The bytes themselves are files, never rows.

use cercle_proto::id::{BlobId, GroupId, TimestampMs, UserId};

use super::{ReadError, WriteError};

/// A blob as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its id, random.
    pub blob: BlobId,
    /// Group whose members may read it.
    pub group: GroupId,
    /// User who uploads it, and whose quota it counts against.
    pub uploader: UserId,
    /// Bytes, as announced before the upload.
    pub size: u64,
    /// When it was announced.
    pub created_at: TimestampMs,
    /// When all bytes were there; from then on it never changes.
    pub completed_at: Option<TimestampMs>,
    /// When a message last referred to it.
    pub referenced_at: Option<TimestampMs>,
}

/// A blob to announce.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// Its id, random.
    pub blob: BlobId,
    /// Group whose members may read it.
    pub group: GroupId,
    /// User who uploads it.
    pub uploader: UserId,
    /// Bytes.
    pub size: u64,
    /// When.
    pub at: TimestampMs,
}

/// A blob was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedBlob {
    /// It as stored.
    pub record: BlobRecord,
    /// It had been announced before: nothing was written.
    pub repeated: bool,
}

/// What a user's blobs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobUsage {
    /// How many blobs.
    pub blobs: u64,
    /// Bytes of them, as announced.
    pub bytes: u64,
}

/// Why a blob was not announced. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// The id is taken by another group's, user's or larger or smaller blob.
    #[error("the blob exists already")]
    Exists,
    /// The user's blobs would take more than they may.
    #[error("the user's blobs would take more than they may")]
    QuotaExceeded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// What is known of blobs. Referring to one is part of [`super::Log::append`] and [`super::Groups::commit`].
#[async_trait::async_trait]
pub trait Blobs: Send + Sync {
    /// Stores a blob of which nothing is uploaded yet. Announced again with the same group, uploader and
    /// size: the record on file, unchanged. `usage_max` bounds what the uploader's blobs take, this one
    /// included.
    ///
    /// # Errors
    /// As [`AnnounceError`] says.
    async fn announce_blob(
        &self,
        blob: NewBlob,
        usage_max: BlobUsage,
    ) -> Result<AnnouncedBlob, AnnounceError>;

    /// Marks a blob as stored completely; the first time counts. Ignored if it is unknown.
    ///
    /// # Errors
    /// As any write.
    async fn complete_blob(&self, blob: BlobId, at: TimestampMs) -> Result<(), WriteError>;

    /// A blob, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn blob(&self, blob: BlobId) -> Result<Option<BlobRecord>, ReadError>;

    /// Blobs in order of id, after one of them, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn blobs(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobRecord>, ReadError>;

    /// What a user's blobs take.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn blob_usage(&self, user: &UserId) -> Result<BlobUsage, ReadError>;

    /// Deletes a blob that still is as the caller saw it; returns whether it was. So a blob that a message
    /// refers to meanwhile is not deleted for having no message.
    ///
    /// # Errors
    /// As any write.
    async fn remove_blob(&self, seen: BlobRecord) -> Result<bool, WriteError>;
}
