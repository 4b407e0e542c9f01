//! The model's log.

use std::ops::Bound::{Excluded, Included};

use cercle_proto::id::{DeviceId, Epoch, GroupId, Seq};

use super::{Group, Model, State};
use crate::store::{
    Append, AppendError, Appended, Entry, Kind, Log, Page, ReadError, ReadFrom, ReadLimit, WriteError,
};

#[async_trait::async_trait]
impl Log for Model {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut state = self.state();
        batch.into_iter().map(|item| state.append(item)).collect()
    }

    async fn read(&self, from: Vec<ReadFrom>, limit: ReadLimit) -> Result<Vec<Page>, ReadError> {
        let state = self.state();
        let (mut count, mut bytes, mut full) = (0, 0, false);
        let mut pages = Vec::new();
        for from in from {
            let mut page = Page { group: from.group, entries: Vec::new(), more: false, floor: 0 };
            if let Some(group) = state.groups.get(&from.group) {
                page.floor = group.record.floor;
                if from.after >= page.floor && from.after < from.until {
                    for entry in group.entries.range((Excluded(from.after), Included(from.until))) {
                        let size = bytes + entry.1.body.len();
                        full |= count == limit.entries || (count > 0 && size > limit.bytes);
                        if full {
                            page.more = true;
                            break;
                        }
                        (count, bytes) = (count + 1, size);
                        page.entries.push(entry.1.clone());
                    }
                }
            }
            pages.push(page);
        }
        Ok(pages)
    }

    async fn acknowledge(&self, device: DeviceId, up_to: Vec<(GroupId, Seq)>) -> Result<(), WriteError> {
        let mut state = self.state();
        for (group, seq) in up_to {
            let Some(group) = state.groups.get_mut(&group) else { continue };
            let head = group.record.head;
            let Some(row) = group.roster.get_mut(&device) else { continue };
            row.acked = row.acked.max(seq.min(row.removed_at.unwrap_or(head)));
            if row.removed_at == Some(row.acked) {
                group.roster.remove(&device);
            }
        }
        Ok(())
    }
}

impl Group {
    pub(super) fn check_epoch(&self, epoch: Epoch, behind_max: u64) -> Result<(), AppendError> {
        let group = &self.record;
        if epoch > group.epoch || group.epoch - epoch > behind_max { Err(self.moved()) } else { Ok(()) }
    }

    fn moved(&self) -> AppendError {
        AppendError::EpochMoved { epoch: self.record.epoch, last_commit: self.record.last_commit }
    }

    /// Puts an entry at the head and says where.
    pub(super) fn push(&mut self, mut entry: Entry) -> Appended {
        self.record.head += 1;
        entry.seq = self.record.head;
        let appended = Appended { seq: entry.seq, epoch: self.record.epoch, at: entry.at, repeated: false };
        self.entries.insert(entry.seq, entry);
        appended
    }
}

impl State {
    /// The first verdict on a write, marked as repeated.
    pub(super) fn verdict(
        &self,
        sender: Option<DeviceId>,
        id: cercle_proto::id::MessageId,
    ) -> Option<Appended> {
        self.verdicts.get(&(sender, id)).map(|first| Appended { repeated: true, ..*first })
    }

    fn append(&mut self, item: Append) -> Result<Appended, AppendError> {
        if item.kind == Kind::Commit {
            return Err(WriteError::Unavailable("a commit is not an append: it ends an epoch".into()).into());
        }
        if let Some(verdict) = self.verdict(item.sender, item.message_id) {
            return Ok(verdict);
        }
        let blobs = self.check_blobs(item.group, &item.blobs);
        let group = self.groups.get_mut(&item.group).ok_or(AppendError::GroupUnknown)?;
        if let Some(sender) = item.sender {
            let row = group.member(sender).ok_or(AppendError::NotMember)?;
            if item.kind == Kind::Application && group.record.posting_restricted && !row.may_post {
                return Err(AppendError::PostDenied);
            }
        }
        group.check_epoch(item.epoch, item.epochs_behind_max)?;
        if item.kind == Kind::Application && item.epoch < group.open_since {
            return Err(group.moved());
        }
        blobs?;
        if let Some(group_state) = item.group_state {
            group.record.group_state = group_state;
        }
        let appended = group.push(Entry {
            seq: 0,
            kind: item.kind,
            epoch: item.epoch,
            sender: item.sender,
            message_id: item.message_id,
            at: item.at,
            body: item.body,
        });
        self.verdicts.insert((item.sender, item.message_id), appended);
        self.refer(&item.blobs, item.at);
        Ok(appended)
    }
}
