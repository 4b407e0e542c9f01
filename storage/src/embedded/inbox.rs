//! The inbox of each device, and the welcomes it points to.

use std::collections::BTreeSet;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, Epoch, GroupId};

use super::{Embedded, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    record::{
        expiry,
        inbox::{InboxHeadRow, InboxRow, WelcomePointersRow},
    },
    store::{Appended, CommitRecord, Inbox, InboxBody, InboxRecord, ReadError, WelcomeRecord, WriteError},
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Inbox for Embedded {
    async fn inbox(&self, device: DeviceId, after: u64, limit: usize) -> Result<Vec<InboxRecord>, ReadError> {
        // It is empty almost always; its items may be large.
        let range = KeyRange::prefix_after(device.as_bytes(), &table::inbox(device, after));
        if self.briefly(|snapshot| rows::keys(snapshot, Table::Inbox, &range, 1))?.is_empty() {
            return Ok(Vec::new());
        }
        self.on_snapshot(move |snapshot| items(snapshot, device, after, limit)).await
    }

    async fn notify(&self, devices: Vec<DeviceId>, body: InboxBody) -> Result<(), WriteError> {
        let InboxBody::InvalidCommitReported { group, seq, reporter } = body else { return Ok(()) };
        let row = InboxRow::InvalidCommitReported { group, seq, reporter };
        self.write(move |tx| devices.into_iter().try_for_each(|device| deliver(tx, device, &row))).await
    }

    async fn acknowledge_inbox(&self, device: DeviceId, up_to: u64) -> Result<(), WriteError> {
        self.write(move |tx| acknowledge(tx, device, up_to)).await
    }
}

/// Stores a commit's welcome once, and a pointer to it in each recipient's inbox.
pub(super) fn deliver_welcome(
    tx: &mut Transaction<'_>,
    commit: &CommitRecord,
    welcome: &WelcomeRecord,
    appended: &Appended,
) -> Result<(), WriteError> {
    let recipients: BTreeSet<DeviceId> = welcome.recipients.iter().copied().collect();
    if recipients.is_empty() {
        return Ok(());
    }
    let key = table::welcome(commit.group, appended.epoch);
    let count = u32::try_from(recipients.len()).expect("a group has far fewer than 2^32 devices");
    tx.put_blob(Table::Welcomes, key.clone(), &welcome.body);
    tx.put(key.clone(), &WelcomePointersRow { count, at: commit.at });
    tx.note_expiry(expiry::Kind::Welcome, commit.at, key);
    let pointer = InboxRow::Welcome { group: commit.group, epoch: appended.epoch, joined_at: appended.seq };
    recipients.into_iter().try_for_each(|device| deliver(tx, device, &pointer))
}

/// Deletes a welcome; pointers to it remain and read as expired.
pub(super) fn delete_welcome(tx: &mut Transaction<'_>, key: &[u8]) {
    tx.delete(Table::Welcomes, key.to_vec());
    tx.delete(Table::WelcomePointers, key.to_vec());
}

fn deliver(tx: &mut Transaction<'_>, device: DeviceId, item: &InboxRow) -> Result<(), WriteError> {
    let mut head = head(tx, device)?;
    head.newest += 1;
    tx.put(table::inbox(device, head.newest), item);
    tx.put(table::device(device), &head);
    Ok(())
}

fn head(tx: &Transaction<'_>, device: DeviceId) -> Result<InboxHeadRow, WriteError> {
    let head = tx.load(&table::device(device))?;
    Ok(head.unwrap_or(InboxHeadRow { newest: 0, acked: 0 }))
}

fn acknowledge(tx: &mut Transaction<'_>, device: DeviceId, up_to: u64) -> Result<(), WriteError> {
    let mut head = head(tx, device)?;
    let up_to = up_to.min(head.newest);
    for number in head.acked + 1..=up_to {
        let key = table::inbox(device, number);
        if let Some(InboxRow::Welcome { group, epoch, .. }) = tx.load(&key)? {
            release_welcome(tx, group, epoch)?;
        }
        tx.delete(Table::Inbox, key);
    }
    if up_to > head.acked {
        head.acked = up_to;
        tx.put(table::device(device), &head);
    }
    Ok(())
}

fn release_welcome(tx: &mut Transaction<'_>, group: GroupId, epoch: Epoch) -> Result<(), WriteError> {
    let key = table::welcome(group, epoch);
    let Some(mut pointers) = tx.load::<WelcomePointersRow>(&key)? else { return Ok(()) };
    if pointers.count <= 1 {
        delete_welcome(tx, &key);
    } else {
        pointers.count -= 1;
        tx.put(key, &pointers);
    }
    Ok(())
}

fn items(
    snapshot: &dyn Snapshot,
    device: DeviceId,
    after: u64,
    limit: usize,
) -> Result<Vec<InboxRecord>, ReadError> {
    let range = KeyRange::prefix_after(device.as_bytes(), &table::inbox(device, after));
    let rows = rows::collect::<InboxRow>(snapshot, &range, limit)?;
    let item = |(key, row): (table::Key, InboxRow)| {
        let number = table::last_number(&key).ok_or_else(|| rows::bad_key(Table::Inbox))?;
        Ok(InboxRecord { number, body: body(snapshot, row)? })
    };
    rows.into_iter().map(item).collect()
}

fn body(snapshot: &dyn Snapshot, row: InboxRow) -> Result<InboxBody, ReadError> {
    Ok(match row {
        InboxRow::Welcome { group, epoch, joined_at } => {
            let welcome = rows::load_blob(snapshot, Table::Welcomes, &table::welcome(group, epoch))?;
            InboxBody::Welcome { group, epoch, joined_at, body: welcome.unwrap_or_else(Bytes::new) }
        }
        InboxRow::InvalidCommitReported { group, seq, reporter } => {
            InboxBody::InvalidCommitReported { group, seq, reporter }
        }
    })
}
