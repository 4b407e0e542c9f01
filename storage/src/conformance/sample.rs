//! Small values to test with: numbered groups, devices and messages.

use std::sync::Arc;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, TimestampMs, UserId};

use crate::store::{
    Append, CommitRecord, CreateGroup, Entry, ExpirePolicy, Expired, Joined, Kind, ReadFrom, ReadLimit, Store,
};

pub(super) const NO_LIMIT: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

fn id(first: u8, number: u64) -> [u8; 16] {
    let mut id = [first; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

pub(super) fn group(number: u64) -> GroupId {
    GroupId::new(id(0x60, number))
}

pub(super) fn device(number: u64) -> DeviceId {
    DeviceId::new(id(0xd0, number))
}

pub(super) fn message(number: u64) -> MessageId {
    MessageId::new(id(0x01, number))
}

pub(super) fn user(number: u64) -> UserId {
    UserId::new(&format!("user-{number}"), "cpts.example").unwrap()
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Device `number` of user `number` at leaf `number`.
pub(super) fn joined(number: u64) -> Joined {
    Joined {
        device: device(number),
        user: user(number),
        leaf: u32::try_from(number).unwrap(),
        may_post: false,
    }
}

pub(super) fn new_group(number: u64, creator: u64) -> CreateGroup {
    CreateGroup {
        group: group(number),
        message_id: message(1_000_000 + number),
        creator: joined(creator),
        group_info: bytes("info 0"),
        group_state: bytes("state 0"),
        posting_restricted: false,
        at: 1_000,
    }
}

pub(super) fn application(number: u64, sender: u64, id: u64) -> Append {
    Append {
        group: group(number),
        sender: Some(device(sender)),
        message_id: message(id),
        kind: Kind::Application,
        epoch: 0,
        epochs_behind_max: 2,
        at: 10_000 + id,
        body: bytes(&format!("body {id}")),
        group_state: None,
        blobs: Vec::new(),
    }
}

/// A commit that changes nothing but the epoch.
pub(super) fn commit(number: u64, sender: u64, id: u64, epoch: u64) -> CommitRecord {
    CommitRecord {
        group: group(number),
        sender: device(sender),
        external: false,
        message_id: message(id),
        epoch,
        body: bytes(&format!("commit {id}")),
        group_info: bytes(&format!("info {}", epoch + 1)),
        group_state: bytes(&format!("state {}", epoch + 1)),
        joined: vec![],
        removed: vec![],
        may_post: vec![],
        posting_restricted: false,
        welcome: None,
        application: None,
        application_blobs: Vec::new(),
        at: 10_000 + id,
    }
}

/// Makes group `number` with members 1 to `members`, by one commit if there are several.
pub(super) async fn make_group(store: &Arc<dyn Store>, number: u64, members: u64) {
    store.create_group(new_group(number, 1)).await.unwrap();
    if members > 1 {
        let joined = (2..=members).map(joined).collect();
        store.commit(CommitRecord { joined, ..commit(number, 1, 2_000_000 + number, 0) }).await.unwrap();
    }
}

/// Every entry of a group after a cursor.
pub(super) async fn entries(store: &Arc<dyn Store>, number: u64, after: u64) -> Vec<Entry> {
    let from = ReadFrom { group: group(number), after, until: u64::MAX };
    let mut pages = store.read(vec![from], NO_LIMIT).await.unwrap();
    assert!(!pages[0].more);
    pages.remove(0).entries
}

/// Calls `expire` until nothing is left to do.
pub(super) async fn expire(
    store: &Arc<dyn Store>,
    keep_after: TimestampMs,
    keep_records_after: TimestampMs,
) -> Expired {
    let mut total = Expired::default();
    loop {
        let policy = ExpirePolicy { keep_after, keep_records_after, budget_rows: 100 };
        let expired = store.expire(policy).await.unwrap();
        total.entries += expired.entries;
        total.records += expired.records;
        if !expired.more {
            return total;
        }
    }
}
