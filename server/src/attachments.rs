//! Attachments: ciphertext of documents, uploaded and downloaded in pieces by members of a group
//! (docs/protocol.md, section 9).
//!
//! Called by the dispatch for the frames that give tickets, by `transport/blobs.rs` for the bytes, and by
//! housekeeping. Promises: what an upload was answered for is on disk; nobody without a ticket learns whether
//! a blob exists; no transfer holds more than two parts in memory.
//!
//! - `tickets`: who may move which bytes for the next minutes. `bodies`: the bytes at rest.
//! - `upload`, `download`: one request each. `turns`: one writer per blob. `transfers`: how many at once.
//! - `retention`: what is deleted. `error`: why a request is refused.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use cercle_proto::id::{BlobId, DeviceId, GroupId, TimestampMs};
use cercle_storage::store::{AnnounceError, BlobRecord, BlobUsage, NewBlob, Store};
use tokio_util::sync::CancellationToken;

use crate::{auth::Identity, delivery::rate::RateLimit, limits, telemetry::Metrics};

mod bodies;
mod download;
mod error;
mod retention;
mod tickets;
mod transfers;
mod turns;
mod upload;

pub use bodies::BodyError;
pub use download::{Download, Range};
pub use error::{CreateError, TransferError};
pub use tickets::{Direction, Secret, Ticket};
pub use upload::{Chunks, Cut};

use bodies::Bodies;
use retention::Progress;
use tickets::Tickets;
use transfers::Transfers;
use turns::Turns;

/// What the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What the blobs of one user take at most, bytes.
    pub user_bytes_max: u64,
    /// How long a blob is kept after the newest message that refers to it, ms.
    pub retention_ms: u64,
    /// How long an upload may send nothing before it is ended.
    pub silence_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_bytes_max: limits::BLOB_BYTES_PER_USER_MAX,
            retention_ms: limits::BLOB_RETENTION_MS,
            silence_max: limits::UPLOAD_SILENCE_MAX,
        }
    }
}

/// A blob that a device wants to upload.
#[derive(Debug, Clone, Copy)]
pub struct CreateBlob {
    /// Its id, random.
    pub blob: BlobId,
    /// Group whose members may read it.
    pub group: GroupId,
    /// Bytes of ciphertext.
    pub size: u64,
}

/// A ticket as its device gets it.
#[derive(Debug)]
pub struct IssuedTicket {
    /// The blob.
    pub blob: BlobId,
    /// What the device shows with its bytes.
    pub secret: Secret,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of it that are stored.
    pub stored: u64,
}

/// The attachment service. Cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    settings: Settings,
    bodies: Bodies,
    tickets: Tickets,
    turns: Turns,
    transfers: Transfers,
    requests: RateLimit<DeviceId>,
    progress: Progress,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachments").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Attachments {
    /// The service over a store and a folder that exists. Transfers end when `shutdown` is cancelled.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(
        store: Arc<dyn Store>,
        folder: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Result<Self, BodyError> {
        let inner = Inner {
            store,
            settings,
            bodies: Bodies::open(folder)?,
            tickets: Tickets::new(shutdown),
            turns: Turns::default(),
            transfers: Transfers::default(),
            requests: RateLimit::new(limits::TRANSFER_RATE),
            progress: Progress::default(),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Announces a blob, or finds what is stored of it, and lets the device upload it.
    ///
    /// # Errors
    /// As [`CreateError`] says.
    pub async fn create_blob(
        &self,
        by: &Identity,
        request: CreateBlob,
        now: TimestampMs,
    ) -> Result<IssuedTicket, CreateError> {
        let CreateBlob { blob, group, size } = request;
        if size == 0 {
            return Err(CreateError::Empty);
        }
        if size > limits::BLOB_BYTES_MAX {
            return Err(CreateError::TooLarge);
        }
        self.check_member(group, by.device).await?;
        let new = NewBlob { blob, group, uploader: by.user.clone(), size, at: now };
        let usage_max =
            BlobUsage { blobs: limits::BLOBS_PER_USER_MAX, bytes: self.inner.settings.user_bytes_max };
        if self.inner.store.blob(blob).await?.is_some_and(|record| record.uploader != by.user) {
            return Err(CreateError::Exists);
        }
        // Taken before the announcement: files of a blob of this id that was deleted go before the first byte
        // of the new one comes, and an upload that lost its connection makes way.
        let _turn = self.inner.turns.take(blob).await;
        let announced = match self.inner.store.announce_blob(new, usage_max).await {
            Ok(announced) => announced,
            Err(AnnounceError::Exists) => return Err(CreateError::Exists),
            Err(AnnounceError::QuotaExceeded) => return Err(CreateError::QuotaExceeded),
            Err(AnnounceError::Store(error)) => return Err(error.into()),
        };
        let stored = if announced.repeated {
            self.stored(&announced.record).await?
        } else {
            self.inner.bodies.delete(blob).await?;
            0
        };
        self.issue(by.device, &announced.record, Direction::Upload, stored, now)
    }

    /// Lets a member of the blob's group download it.
    ///
    /// # Errors
    /// As [`CreateError`] says; who is not a member learns no more than that there is no such blob for him.
    pub async fn open_blob(
        &self,
        by: &Identity,
        blob: BlobId,
        now: TimestampMs,
    ) -> Result<IssuedTicket, CreateError> {
        let record = self.inner.store.blob(blob).await?.ok_or(CreateError::Unknown)?;
        if !self.is_member(record.group, by.device).await? {
            return Err(CreateError::Unknown);
        }
        if record.completed_at.is_none() {
            return Err(CreateError::Incomplete);
        }
        self.issue(by.device, &record, Direction::Download, record.size, now)
    }

    /// Deletes a blob of this user, complete or not.
    ///
    /// # Errors
    /// [`CreateError::Unknown`] if there is none, or it is another user's; or a failure of the store.
    pub async fn release_blob(&self, by: &Identity, blob: BlobId) -> Result<(), CreateError> {
        loop {
            let record = self.inner.store.blob(blob).await?;
            let record = record.filter(|record| record.uploader == by.user).ok_or(CreateError::Unknown)?;
            // It may have been completed or referred to since it was read: then once more.
            if self.delete(record).await? {
                return Ok(());
            }
        }
    }

    /// Ends the tickets and transfers of a device that was revoked.
    pub fn end_tickets(&self, device: DeviceId) {
        self.inner.tickets.end(device);
    }

    /// Bytes of a blob that are stored, without a gap from the first.
    async fn stored(&self, record: &BlobRecord) -> Result<u64, BodyError> {
        if record.completed_at.is_some() {
            return Ok(record.size);
        }
        Ok(self.inner.bodies.parts(record.blob).await?.stored())
    }

    fn issue(
        &self,
        device: DeviceId,
        record: &BlobRecord,
        direction: Direction,
        stored: u64,
        now: TimestampMs,
    ) -> Result<IssuedTicket, CreateError> {
        let BlobRecord { blob, group, size, .. } = *record;
        let issued = self.inner.tickets.issue(device, blob, group, direction, now);
        let (secret, expires_at) = issued.ok_or(CreateError::Busy)?;
        Ok(IssuedTicket { blob, secret, expires_at, size, stored })
    }

    async fn check_member(&self, group: GroupId, device: DeviceId) -> Result<(), CreateError> {
        match self.inner.store.roster_entry(group, device).await? {
            None => Err(CreateError::GroupUnknown),
            Some(entry) if entry.removed_at.is_some() => Err(CreateError::NotMember),
            Some(_) => Ok(()),
        }
    }

    async fn is_member(
        &self,
        group: GroupId,
        device: DeviceId,
    ) -> Result<bool, cercle_storage::store::ReadError> {
        let entry = self.inner.store.roster_entry(group, device).await?;
        Ok(entry.is_some_and(|entry| entry.removed_at.is_none()))
    }
}
