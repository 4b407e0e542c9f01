//! Appending to, reading from and acknowledging the log of a group.

use cercle_proto::id::{DeviceId, Epoch, GroupId, Seq};

use super::{Embedded, blob, group, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    limits,
    record::{
        expiry,
        group::{GroupRow, RosterRow},
        log::{EntryRow, VerdictRow},
    },
    store::{
        Append, AppendError, Appended, Cursor, Entry, Kind, Log, Page, ReadError, ReadFrom, ReadLimit,
        WriteError,
    },
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Log for Embedded {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut verdicts = Vec::with_capacity(batch.len());
        let mut items = batch.into_iter().peekable();
        while items.peek().is_some() {
            let slice: Vec<Append> = items.by_ref().take(limits::BATCH_OPERATIONS_MAX).collect();
            let (count, bytes) = (slice.len(), slice.iter().map(|item| item.body.len()).sum());
            let append = move |tx: &mut Transaction<'_>| -> Result<Vec<_>, WriteError> {
                Ok(slice.into_iter().map(|item| tx.attempt(|tx| append(tx, item))).collect())
            };
            match self.writer.write(bytes, append).await {
                Ok(slice) => verdicts.extend(slice),
                Err(error) => verdicts.extend((0..count).map(|_| Err(error.clone().into()))),
            }
        }
        verdicts
    }

    async fn read(&self, from: Vec<ReadFrom>, limit: ReadLimit) -> Result<Vec<Page>, ReadError> {
        self.on_snapshot(move |snapshot| {
            let mut left = Left { entries: limit.entries, bytes: limit.bytes, first: true };
            from.iter().map(|from| page(snapshot, from, &mut left)).collect()
        })
        .await
    }

    async fn acknowledge(&self, device: DeviceId, up_to: Vec<(GroupId, Seq)>) -> Result<(), WriteError> {
        self.write(move |tx| {
            for (group, seq) in up_to {
                acknowledge(tx, group, device, seq)?;
            }
            Ok(())
        })
        .await
    }

    async fn acknowledge_all(&self, mut cursors: Vec<Cursor>) -> Result<(), WriteError> {
        // Rows of one group lie together, so that a commit touches few pages.
        cursors.sort_unstable_by_key(|cursor| (cursor.group, cursor.device));
        for slice in cursors.chunks(limits::CURSORS_PER_WRITE_MAX) {
            let slice = slice.to_vec();
            self.write(move |tx| -> Result<(), WriteError> {
                for Cursor { group, device, up_to } in slice {
                    acknowledge(tx, group, device, up_to)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

/// Looks up the first verdict of a write.
pub(super) fn first_verdict(tx: &Transaction<'_>, key: &[u8]) -> Result<Option<Appended>, WriteError> {
    Ok(tx.load::<VerdictRow>(key)?.map(|verdict| verdict.repeated()))
}

/// Writes an entry at the head of a group, with its verdict; the caller stores the group's row.
pub(super) fn push(
    tx: &mut Transaction<'_>,
    group: GroupId,
    row: &mut GroupRow,
    mut entry: Entry,
) -> Appended {
    row.head += 1;
    entry.seq = row.head;
    let verdict = VerdictRow { seq: entry.seq, epoch: row.epoch, at: entry.at };
    remember(tx, table::idempotency(entry.sender, entry.message_id), &verdict);
    tx.put(table::entry(group, entry.seq), &EntryRow(entry));
    verdict.first()
}

/// Stores a first verdict.
pub(super) fn remember(tx: &mut Transaction<'_>, key: table::Key, verdict: &VerdictRow) {
    tx.note_expiry(expiry::Kind::Verdict, verdict.at, key.clone());
    tx.put(key, verdict);
}

fn append(tx: &mut Transaction<'_>, item: Append) -> Result<Appended, AppendError> {
    if item.kind == Kind::Commit {
        return Err(WriteError::Unavailable("a commit is not an append: it ends an epoch".into()).into());
    }
    let verdict_key = table::idempotency(item.sender, item.message_id);
    if let Some(verdict) = first_verdict(tx, &verdict_key)? {
        return Ok(verdict);
    }
    let group_key = table::group(item.group);
    let mut row = tx.load::<GroupRow>(&group_key)?.ok_or(AppendError::GroupUnknown)?;
    if let Some(sender) = item.sender {
        let member = group::member(tx, item.group, sender)?.ok_or(AppendError::NotMember)?;
        if item.kind == Kind::Application && row.posting_restricted && !member.0.may_post {
            return Err(AppendError::PostDenied);
        }
    }
    check_epoch(&row, item.epoch, item.epochs_behind_max)?;
    if item.kind == Kind::Application && item.epoch < row.open_since {
        return Err(moved(&row));
    }
    blob::refer(tx, item.group, &item.blobs, item.at)?;
    if let Some(state) = &item.group_state {
        tx.put_blob(Table::GroupStates, group_key.clone(), state);
    }
    let entry = Entry {
        seq: 0,
        kind: item.kind,
        epoch: item.epoch,
        sender: item.sender,
        message_id: item.message_id,
        at: item.at,
        body: item.body,
    };
    let appended = push(tx, item.group, &mut row, entry);
    tx.put(group_key, &row);
    Ok(appended)
}

/// The epoch that a write was made in must be the group's, or at most so many behind.
pub(super) fn check_epoch(row: &GroupRow, epoch: Epoch, behind_max: u64) -> Result<(), AppendError> {
    match row.epoch.checked_sub(epoch) {
        Some(behind) if behind <= behind_max => Ok(()),
        _ => Err(moved(row)),
    }
}

const fn moved(row: &GroupRow) -> AppendError {
    AppendError::EpochMoved { epoch: row.epoch, last_commit: row.last_commit }
}

fn acknowledge(
    tx: &mut Transaction<'_>,
    group: GroupId,
    device: DeviceId,
    up_to: Seq,
) -> Result<(), WriteError> {
    let Some(mut row) = tx.load::<RosterRow>(&table::roster(group, device))? else { return Ok(()) };
    let end = match row.0.removed_at {
        Some(removed_at) => removed_at,
        None => tx.load::<GroupRow>(&table::group(group))?.map_or(0, |row| row.head),
    };
    let acked = up_to.min(end);
    if row.0.removed_at.is_some() && acked >= end {
        group::forget(tx, group, device);
    } else if acked > row.0.acked {
        row.0.acked = acked;
        tx.put(table::roster(group, device), &row);
    }
    Ok(())
}

/// What a read may still return.
struct Left {
    entries: usize,
    bytes: usize,
    /// Nothing was returned yet: the first entry goes whatever its size.
    first: bool,
}

impl Left {
    /// Takes an entry's share, or says that it no longer fits.
    fn take(&mut self, bytes: usize) -> bool {
        if self.entries == 0 || (bytes > self.bytes && !self.first) {
            // Later and smaller entries must not slip in: that would be a gap.
            self.entries = 0;
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.first = false;
        true
    }
}

fn page(snapshot: &dyn Snapshot, from: &ReadFrom, left: &mut Left) -> Result<Page, ReadError> {
    let mut page = Page { group: from.group, entries: Vec::new(), more: false, floor: 0 };
    let Some(row) = rows::load::<GroupRow>(snapshot, &table::group(from.group))? else { return Ok(page) };
    page.floor = row.floor;
    let end = row.head.min(from.until);
    if from.after < row.floor || from.after >= end {
        return Ok(page);
    }
    if left.entries == 0 {
        page.more = true;
        return Ok(page);
    }
    let range = KeyRange {
        from: table::entry(from.group, from.after + 1),
        to: Some(table::entry(from.group, end.saturating_add(1))),
    };
    let mut next = from.after + 1;
    rows::each(snapshot, &range, |key, EntryRow(entry)| {
        if entry.seq != next || table::last_number(key) != Some(next) {
            return Err(gap(next));
        }
        page.more = !left.take(entry.body.len());
        if !page.more {
            page.entries.push(entry);
            next += 1;
        }
        Ok(rows::go_on(!page.more && next <= end))
    })?;
    if !page.more && next <= end {
        return Err(gap(next));
    }
    Ok(page)
}

fn gap(seq: Seq) -> ReadError {
    ReadError::Corrupt(format!("table {}: entry {seq} is missing", Table::Log.name()))
}
