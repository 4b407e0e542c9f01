//! What is deleted: uploads that were not finished, blobs that no message refers to, blobs past the retention
//! time, blobs whose group has no device left, and files that no row knows.
//!
//! Each round of housekeeping looks at a page of rows and at the files of one of 256 shards, so that a round
//! is short whatever the number of blobs. The row goes first: files without a row are garbage that a later
//! round finds, a row without files would promise what is not there.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cercle_proto::id::{BlobId, GroupId, TimestampMs};
use cercle_storage::store::BlobRecord;

use super::{Attachments, CreateError};
use crate::limits;

/// Where the next round goes on.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Position>);

#[derive(Debug, Default)]
struct Position {
    /// The last row that was looked at; `None`: begin.
    row: Option<BlobId>,
    /// The shard of files to look at.
    shard: u8,
}

impl Attachments {
    /// One round of deletion. Also forgets tickets that have ended.
    ///
    /// # Errors
    /// A failure of the store or of the files; the next round tries again.
    pub async fn housekeeping(&self, now: TimestampMs) -> Result<(), CreateError> {
        self.inner.tickets.forget_expired(now);
        self.delete_due(now).await?;
        self.delete_strays().await
    }

    /// Deletes a blob that still is as it was seen: its row, then its files. Says whether it was.
    pub(super) async fn delete(&self, seen: BlobRecord) -> Result<bool, CreateError> {
        let blob = seen.blob;
        let removed = self.inner.store.remove_blob(seen).await?;
        if removed {
            self.delete_files(blob).await?;
        }
        Ok(removed)
    }

    /// Looks at a page of rows. The next round goes on behind it even if this one fails, so that one blob
    /// that cannot be deleted does not keep all others.
    async fn delete_due(&self, now: TimestampMs) -> Result<(), CreateError> {
        let page = self.inner.store.blobs(self.inner.progress.row(), limits::BLOBS_PER_ROUND).await?;
        let more = page.len() == limits::BLOBS_PER_ROUND;
        self.inner.progress.set_row(page.last().filter(|_| more).map(|record| record.blob));
        let mut alive = HashMap::new();
        for record in page {
            if is_due(&record, now, self.inner.settings.retention_ms)
                || !self.has_members(record.group, &mut alive).await?
            {
                self.delete(record).await?;
            } else {
                self.check_files(&record).await?;
            }
        }
        Ok(())
    }

    async fn has_members(
        &self,
        group: GroupId,
        known: &mut HashMap<GroupId, bool>,
    ) -> Result<bool, CreateError> {
        if let Some(alive) = known.get(&group) {
            return Ok(*alive);
        }
        let roster = self.inner.store.roster(group).await?;
        let alive = roster.iter().any(|entry| entry.removed_at.is_none());
        known.insert(group, alive);
        Ok(alive)
    }

    /// Tells the operator of a blob whose files are lost: only he has a backup.
    async fn check_files(&self, record: &BlobRecord) -> Result<(), CreateError> {
        if record.completed_at.is_some() {
            let stored = self.inner.bodies.parts(record.blob).await?.stored();
            if stored != record.size {
                tracing::error!(blob.id = ?record.blob, stored, size = record.size, "files of an attachment are missing: restore them from a backup");
            }
        }
        Ok(())
    }

    /// Deletes files that no row knows: their row was deleted, and the hub ended before they were.
    async fn delete_strays(&self) -> Result<(), CreateError> {
        for blob in self.inner.bodies.shard(self.inner.progress.next_shard()).await? {
            if self.inner.store.blob(blob).await?.is_none() {
                tracing::warn!(blob.id = ?blob, "deleting the files of an attachment that is not on record");
                self.delete_files(blob).await?;
            }
        }
        Ok(())
    }

    /// Deletes the files of a blob, unless it was announced anew meanwhile.
    async fn delete_files(&self, blob: BlobId) -> Result<(), CreateError> {
        let _turn = self.inner.turns.take(blob).await;
        if self.inner.store.blob(blob).await?.is_none() {
            self.inner.bodies.delete(blob).await?;
        }
        Ok(())
    }
}

impl Progress {
    /// The row after which this round begins.
    fn row(&self) -> Option<BlobId> {
        self.lock().row
    }

    fn set_row(&self, row: Option<BlobId>) {
        self.lock().row = row;
    }

    /// The shard of this round.
    fn next_shard(&self) -> u8 {
        let mut position = self.lock();
        let shard = position.shard;
        position.shard = shard.wrapping_add(1);
        shard
    }

    fn lock(&self) -> MutexGuard<'_, Position> {
        // Two numbers, each set at once: a panic elsewhere cannot leave them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a blob's time is over.
fn is_due(record: &BlobRecord, now: TimestampMs, retention_ms: u64) -> bool {
    let older_than = |at: TimestampMs, ms: u64| at.saturating_add(ms) <= now;
    match (record.completed_at, record.referenced_at) {
        (_, Some(referenced_at)) => older_than(referenced_at, retention_ms),
        (Some(completed_at), None) => older_than(completed_at, limits::BLOB_UNREFERENCED_MS),
        (None, None) => older_than(record.created_at, limits::BLOB_UNFINISHED_MS),
    }
}

#[cfg(test)]
mod tests {
    use cercle_proto::id::UserId;

    use super::*;

    #[test]
    fn a_blob_is_kept_two_days_without_a_message_and_the_retention_time_with_one() {
        let day = limits::DAY_MS;
        let announced = BlobRecord {
            blob: BlobId::new([1; 16]),
            group: GroupId::new([2; 16]),
            uploader: UserId::parse("a@b").unwrap(),
            size: 1,
            created_at: 0,
            completed_at: None,
            referenced_at: None,
        };
        let complete = BlobRecord { completed_at: Some(day), ..announced.clone() };
        let referenced = BlobRecord { referenced_at: Some(2 * day), ..complete.clone() };
        for (record, due) in [(announced, 2 * day), (complete, 3 * day), (referenced, 12 * day)] {
            assert!(!is_due(&record, due - 1, 10 * day), "{record:?}");
            assert!(is_due(&record, due, 10 * day), "{record:?}");
        }
    }
}
