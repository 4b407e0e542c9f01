//! The model's blobs. What a user's take is counted each time anew.

use std::ops::Bound::{Excluded, Unbounded};

use cercle_proto::id::{BlobId, GroupId, TimestampMs, UserId};

use super::{Model, State};
use crate::store::{
    AnnounceError, AnnouncedBlob, AppendError, BlobRecord, BlobUsage, Blobs, NewBlob, ReadError, WriteError,
};

#[async_trait::async_trait]
impl Blobs for Model {
    async fn announce_blob(
        &self,
        new: NewBlob,
        usage_max: BlobUsage,
    ) -> Result<AnnouncedBlob, AnnounceError> {
        let mut state = self.state();
        if let Some(record) = state.blobs.get(&new.blob).cloned() {
            let found = (record.group, &record.uploader, record.size);
            return if found == (new.group, &new.uploader, new.size) {
                Ok(AnnouncedBlob { record, repeated: true })
            } else {
                Err(AnnounceError::Exists)
            };
        }
        let usage = state.usage(&new.uploader);
        if usage.blobs + 1 > usage_max.blobs || usage.bytes.saturating_add(new.size) > usage_max.bytes {
            return Err(AnnounceError::QuotaExceeded);
        }
        let record = BlobRecord {
            blob: new.blob,
            group: new.group,
            uploader: new.uploader,
            size: new.size,
            created_at: new.at,
            completed_at: None,
            referenced_at: None,
        };
        state.blobs.insert(record.blob, record.clone());
        Ok(AnnouncedBlob { record, repeated: false })
    }

    async fn complete_blob(&self, blob: BlobId, at: TimestampMs) -> Result<(), WriteError> {
        if let Some(record) = self.state().blobs.get_mut(&blob) {
            record.completed_at.get_or_insert(at);
        }
        Ok(())
    }

    async fn blob(&self, blob: BlobId) -> Result<Option<BlobRecord>, ReadError> {
        Ok(self.state().blobs.get(&blob).cloned())
    }

    async fn blobs(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobRecord>, ReadError> {
        let state = self.state();
        let wanted = state.blobs.range((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(wanted.take(limit).map(|(_, record)| record.clone()).collect())
    }

    async fn blob_usage(&self, user: &UserId) -> Result<BlobUsage, ReadError> {
        Ok(self.state().usage(user))
    }

    async fn remove_blob(&self, seen: BlobRecord) -> Result<bool, WriteError> {
        let mut state = self.state();
        let unchanged = state.blobs.get(&seen.blob) == Some(&seen);
        if unchanged {
            state.blobs.remove(&seen.blob);
        }
        Ok(unchanged)
    }
}

impl State {
    fn usage(&self, user: &UserId) -> BlobUsage {
        let sizes = self.blobs.values().filter(|record| record.uploader == *user).map(|record| record.size);
        sizes.fold(BlobUsage::default(), |usage, size| BlobUsage {
            blobs: usage.blobs + 1,
            bytes: usage.bytes.saturating_add(size),
        })
    }

    /// Whether a message of a group may refer to these blobs.
    pub(super) fn check_blobs(&self, group: GroupId, blobs: &[BlobId]) -> Result<(), AppendError> {
        for blob in blobs {
            match self.blobs.get(blob).filter(|record| record.group == group) {
                None => return Err(AppendError::BlobUnknown),
                Some(record) if record.completed_at.is_none() => return Err(AppendError::BlobIncomplete),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Marks blobs as referenced.
    pub(super) fn refer(&mut self, blobs: &[BlobId], at: TimestampMs) {
        for blob in blobs {
            if let Some(record) = self.blobs.get_mut(blob) {
                record.referenced_at = record.referenced_at.max(Some(at));
            }
        }
    }
}
