//! What is known of blobs, and what each user's take.

use cercle_proto::id::{BlobId, GroupId, TimestampMs, UserId};

use super::{Embedded, rows, transaction::Transaction};
use crate::{
    store::{
        AnnounceError, AnnouncedBlob, AppendError, BlobRecord, BlobUsage, Blobs, NewBlob, ReadError,
        WriteError,
    },
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Blobs for Embedded {
    async fn announce_blob(
        &self,
        blob: NewBlob,
        usage_max: BlobUsage,
    ) -> Result<AnnouncedBlob, AnnounceError> {
        self.write(move |tx| announce(tx, blob, usage_max)).await
    }

    async fn complete_blob(&self, blob: BlobId, at: TimestampMs) -> Result<(), WriteError> {
        self.write(move |tx| {
            if let Some(mut record) = load(tx, blob)?.filter(|record| record.completed_at.is_none()) {
                record.completed_at = Some(at);
                tx.put(table::blob(blob), &record);
            }
            Ok(())
        })
        .await
    }

    async fn blob(&self, blob: BlobId) -> Result<Option<BlobRecord>, ReadError> {
        self.on_snapshot(move |snapshot| rows::load(snapshot, &table::blob(blob))).await
    }

    async fn blobs(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobRecord>, ReadError> {
        let range = after.map_or_else(KeyRange::all, |blob| KeyRange::prefix_after(&[], blob.as_bytes()));
        self.on_snapshot(move |snapshot| {
            let found = rows::collect(snapshot, &range, limit)?;
            Ok(found.into_iter().map(|(_, record)| record).collect())
        })
        .await
    }

    async fn blob_usage(&self, user: &UserId) -> Result<BlobUsage, ReadError> {
        let key = table::user(user);
        self.on_snapshot(move |snapshot| Ok(rows::load(snapshot, &key)?.unwrap_or_default())).await
    }

    async fn remove_blob(&self, seen: BlobRecord) -> Result<bool, WriteError> {
        self.write(move |tx| remove(tx, &seen)).await
    }
}

/// Marks the blobs of a message as referenced, or says which of them it may not refer to.
pub(super) fn refer(
    tx: &mut Transaction<'_>,
    group: GroupId,
    blobs: &[BlobId],
    at: TimestampMs,
) -> Result<(), AppendError> {
    for blob in blobs {
        let record = load(tx, *blob)?.filter(|record| record.group == group);
        let mut record = record.ok_or(AppendError::BlobUnknown)?;
        if record.completed_at.is_none() {
            return Err(AppendError::BlobIncomplete);
        }
        record.referenced_at = record.referenced_at.max(Some(at));
        tx.put(table::blob(*blob), &record);
    }
    Ok(())
}

fn load(tx: &Transaction<'_>, blob: BlobId) -> Result<Option<BlobRecord>, WriteError> {
    tx.load(&table::blob(blob))
}

fn announce(
    tx: &mut Transaction<'_>,
    new: NewBlob,
    usage_max: BlobUsage,
) -> Result<AnnouncedBlob, AnnounceError> {
    let NewBlob { blob, group, uploader, size, at } = new;
    if let Some(record) = load(tx, blob)? {
        let same = record.group == group && record.uploader == uploader && record.size == size;
        return if same { Ok(AnnouncedBlob { record, repeated: true }) } else { Err(AnnounceError::Exists) };
    }
    let usage = usage(tx, &uploader)?;
    let usage = BlobUsage { blobs: usage.blobs + 1, bytes: usage.bytes.saturating_add(size) };
    if usage.blobs > usage_max.blobs || usage.bytes > usage_max.bytes {
        return Err(AnnounceError::QuotaExceeded);
    }
    tx.put(table::user(&uploader), &usage);
    let record =
        BlobRecord { blob, group, uploader, size, created_at: at, completed_at: None, referenced_at: None };
    tx.put(table::blob(blob), &record);
    Ok(AnnouncedBlob { record, repeated: false })
}

fn remove(tx: &mut Transaction<'_>, seen: &BlobRecord) -> Result<bool, WriteError> {
    if load(tx, seen.blob)?.as_ref() != Some(seen) {
        return Ok(false);
    }
    tx.delete(Table::Blobs, table::blob(seen.blob));
    let key = table::user(&seen.uploader);
    let usage = usage(tx, &seen.uploader)?;
    if usage.blobs <= 1 {
        tx.delete(Table::BlobUsages, key);
    } else {
        let left = BlobUsage { blobs: usage.blobs - 1, bytes: usage.bytes.saturating_sub(seen.size) };
        tx.put(key, &left);
    }
    Ok(true)
}

fn usage(tx: &Transaction<'_>, user: &UserId) -> Result<BlobUsage, WriteError> {
    Ok(tx.load(&table::user(user))?.unwrap_or_default())
}
