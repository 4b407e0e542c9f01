//! Every record byte for byte, as format 1 has it, and what becomes of bytes that are none.

use std::fmt::Debug;

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, GroupId, MessageId, UserId, from_hex, to_hex};
use proptest::prelude::{any, proptest};

use super::{
    Record, Writer,
    audit::AuditHeadRow,
    copies::{ForksRow, RestoresRow},
    expiry::ExpiryRow,
    group::{GroupRow, RosterRow},
    inbox::{InboxHeadRow, InboxRow, WelcomePointersRow},
    key_package::{ClaimRow, KeyPackageRow, LastResortRow, SpentRow, StockRow},
    log::{EntryRow, VerdictRow},
    timer::TimerRow,
};
use crate::store::{
    AuditEntry, AuditRecord, BlobRecord, BlobUsage, Claim, ClaimedPackage, DeviceRecord, Entry, Fork,
    InvitationRecord, Kind, Restore, RosterEntry, UserRecord,
};

/// The record is written as these bytes and read from them.
fn is_written_as<R: Record + PartialEq + Debug>(record: &R, hex: &str) {
    assert_eq!(to_hex(&record.encode()), hex.replace(' ', ""), "{record:?}");
    assert_eq!(R::decode(&from_hex(&hex.replace(' ', "")).unwrap()).as_ref(), Ok(record));
}

/// An earlier version of a record is read as this.
fn is_read_from<R: Record + PartialEq + Debug>(record: &R, hex: &str) {
    assert_eq!(R::decode(&from_hex(&hex.replace(' ', "")).unwrap()).as_ref(), Ok(record));
}

fn device() -> DeviceId {
    DeviceId::new([0xdd; 16])
}

fn group() -> GroupId {
    GroupId::new([0x66; 16])
}

fn user() -> UserId {
    UserId::parse("a@b").unwrap()
}

fn body() -> Bytes {
    Bytes::from_static(b"\xb0\xd1")
}

const DEVICE: &str = "dddddddddddddddddddddddddddddddd";
const GROUP: &str = "66666666666666666666666666666666";
const USER: &str = "00000003 614062";

#[test]
fn rows_of_groups_and_logs_keep_their_bytes() {
    let row =
        GroupRow { epoch: 6, head: 2, floor: 3, last_commit: 4, posting_restricted: true, open_since: 5 };
    let first = "0000000000000006 0000000000000002 0000000000000003 0000000000000004 01";
    is_written_as(&row, &format!("02 {first} 0000000000000005"));
    is_read_from(&GroupRow { open_since: 0, ..row }, &format!("01 {first}"));
    let row = RosterRow(RosterEntry {
        device: device(),
        user: user(),
        leaf: 5,
        joined_at: 6,
        removed_at: Some(7),
        acked: 8,
        may_post: true,
        needs_re_add: false,
    });
    let tail = "00000005 0000000000000006 01 0000000000000007 0000000000000008 01 00";
    is_written_as(&row, &format!("01 {DEVICE} {USER} {tail}"));
    let entry = Entry {
        seq: 1,
        kind: Kind::Proposal,
        epoch: 2,
        sender: Some(device()),
        message_id: MessageId::new([0x11; 16]),
        at: 3,
        body: body(),
    };
    let id = "11111111111111111111111111111111";
    let head = "01 0000000000000001 03 0000000000000002";
    is_written_as(&EntryRow(entry.clone()), &format!("{head} 01 {DEVICE} {id} 0000000000000003 b0d1"));
    is_written_as(
        &EntryRow(Entry { sender: None, ..entry }),
        &format!("{head} 00 {id} 0000000000000003 b0d1"),
    );
    let row = VerdictRow { seq: 1, epoch: 2, at: 3 };
    is_written_as(&row, "01 0000000000000001 0000000000000002 0000000000000003");
}

#[test]
fn rows_of_inboxes_and_key_packages_keep_their_bytes() {
    let row = InboxRow::Welcome { group: group(), epoch: 1, joined_at: 2 };
    is_written_as(&row, &format!("01 01 {GROUP} 0000000000000001 0000000000000002"));
    let row = InboxRow::InvalidCommitReported { group: group(), seq: 1, reporter: device() };
    is_written_as(&row, &format!("01 02 {GROUP} 0000000000000001 {DEVICE}"));
    is_written_as(&InboxHeadRow { newest: 1, acked: 2 }, "01 0000000000000001 0000000000000002");
    is_written_as(&WelcomePointersRow { count: 1, at: 2 }, "01 00000001 0000000000000002");
    is_written_as(&StockRow { generation: 1, left: 2 }, "01 0000000000000001 00000002");
    is_written_as(&KeyPackageRow { expires_at: 1, body: body() }, "01 0000000000000001 b0d1");
    is_written_as(&LastResortRow { expires_at: 1, body: body() }, "01 0000000000000001 b0d1");
    is_written_as(&SpentRow { at: 1 }, "01 0000000000000001");
    let package = ClaimedPackage { user: user(), device: device(), body: body(), last_resort: true };
    let row = ClaimRow { at: 1, answer: vec![package] };
    is_written_as(&row, &format!("01 0000000000000001 00000001 {USER} {DEVICE} 01 00000002 b0d1"));
}

#[test]
fn rows_of_accounts_timers_and_the_audit_log_keep_their_bytes() {
    let record = UserRecord {
        user: user(),
        display_name: "N".into(),
        profession: String::new(),
        class: 1,
        roles: vec![2],
        created_at: 3,
    };
    let user_fields = format!("{USER} 00000001 4e 00000000 00000001 00000001 00000002 0000000000000003");
    is_written_as(&record, &format!("01 {user_fields}"));
    let invitation = InvitationRecord {
        secret_hash: [0x55; 32],
        user: user(),
        new_user: Some(record),
        expires_at: 1,
        created_at: 2,
        used_by: Some(device()),
        by_user: true,
    };
    let hash = "55".repeat(32);
    let tail = format!("0000000000000001 0000000000000002 01 {DEVICE}");
    is_written_as(&invitation, &format!("02 {hash} {USER} 01 {user_fields} {tail} 01"));
    let before = InvitationRecord { by_user: false, ..invitation };
    is_read_from(&before, &format!("01 {hash} {USER} 01 {user_fields} {tail}"));
    let device = DeviceRecord {
        device: device(),
        user: user(),
        public_key: [0x55; 32],
        certificate: body(),
        expires_at: 1,
        enrolled_at: 2,
        last_seen_at: 3,
        revoked_at: None,
    };
    let times = "0000000000000001 0000000000000002 0000000000000003 00";
    is_written_as(&device, &format!("01 {DEVICE} {USER} {hash} 00000002 b0d1 {times}"));
    is_written_as(&TimerRow { due: 1, payload: body() }, "01 0000000000000001 b0d1");
    is_written_as(&ExpiryRow { subjects: vec![vec![1, 2]] }, "01 00000001 00000002 0102");
    is_written_as(&AuditHeadRow { number: 1, hash: [0x55; 32] }, &format!("01 0000000000000001 {hash}"));
    let entry = AuditEntry { at: 2, actor: "h".into(), action: "x".into(), object: String::new() };
    let record = AuditHeadRow::default().next(entry);
    let hash = "c035cbb39cf1b464ffeee73a004f41636ab588efe0b57d6a8c8cb851780b120a";
    is_written_as(
        &record,
        &format!("01 0000000000000001 0000000000000002 00000001 68 00000001 78 00000000 {hash}"),
    );
}

#[test]
fn rows_of_registers_and_blobs_keep_their_bytes() {
    let claim = Claim { user: user(), device: device(), at: 1 };
    is_written_as(&claim, &format!("01 {USER} {DEVICE} 0000000000000001"));
    let announced = BlobRecord {
        blob: BlobId::new([0xbb; 16]),
        group: group(),
        uploader: user(),
        size: 1,
        created_at: 2,
        completed_at: None,
        referenced_at: None,
    };
    let blob = "bb".repeat(16);
    let head = format!("01 {blob} {GROUP} {USER} 0000000000000001 0000000000000002");
    is_written_as(&announced, &format!("{head} 00 00"));
    let referenced = BlobRecord { completed_at: Some(3), referenced_at: Some(4), ..announced };
    is_written_as(&referenced, &format!("{head} 01 0000000000000003 01 0000000000000004"));
    is_written_as(&BlobUsage { blobs: 1, bytes: 2 }, "01 0000000000000001 0000000000000002");
}

#[test]
fn rows_of_restored_copies_keep_their_bytes() {
    let (before, after) = ("bb".repeat(16), "aa".repeat(16));
    let restore = Restore { before: [0xbb; 16], after: [0xaa; 16], copy_at: 1, restored_at: 2 };
    let times = "0000000000000001 0000000000000002";
    is_written_as(&RestoresRow(vec![restore]), &format!("01 00000001 {before} {after} {times}"));
    let fork = Fork { incarnation: [0xaa; 16], head: 1, epoch: 2 };
    is_written_as(&ForksRow(vec![fork]), &format!("01 00000001 {after} {times}"));
}

#[test]
fn what_is_cut_short_too_long_or_of_another_version_is_refused() {
    let whole = VerdictRow { seq: 1, epoch: 2, at: 3 }.encode();
    for length in 0..whole.len() {
        assert!(VerdictRow::decode(&whole[..length]).is_err());
    }
    assert!(VerdictRow::decode(&[&whole[..], &[0]].concat()).is_err());
    for version in [0, 2, 255] {
        let refused = VerdictRow::decode(&[&[version], &whole[1..]].concat()).unwrap_err();
        assert_eq!(refused.to_string(), format!("table idempotency: record version {version}"));
    }
}

#[test]
fn a_list_that_claims_to_be_endless_costs_no_memory() {
    let mut fields = Writer::default();
    fields.u8(1);
    fields.u32(u32::MAX);
    assert!(ExpiryRow::decode(&fields.into_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[1], bytes.as_slice()].concat();
        drop((GroupRow::decode(&bytes), RosterRow::decode(&bytes), EntryRow::decode(&bytes)));
        drop((InboxRow::decode(&bytes), ClaimRow::decode(&bytes), ExpiryRow::decode(&bytes)));
        drop((UserRecord::decode(&bytes), DeviceRecord::decode(&bytes), InvitationRecord::decode(&bytes)));
        drop((ForksRow::decode(&bytes), RestoresRow::decode(&bytes)));
        drop((Claim::decode(&bytes), BlobRecord::decode(&bytes), BlobUsage::decode(&bytes)));
        drop((AuditRecord::decode(&bytes), TimerRow::decode(&bytes), KeyPackageRow::decode(&bytes)));
    }
}
