//! A store of each released format, kept for ever as the text of its rows: `table key value`, hexadecimal. What
//! was written once is read by every later version.

use std::{ops::ControlFlow, path::Path, sync::mpsc};

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, GroupId, MessageId, RegisterId, UserId, from_hex, to_hex};
use cercle_storage::{
    DataKey, EngineKind,
    engine::{Batch, Change},
    open_engine, open_memory, open_sealed,
    store::{
        Append, AuditEntry, BlobUsage, Claim, CommitRecord, CreateGroup, DeviceRecord, Effect, Enrolment,
        InvitationRecord, Joined, KeyPackageRecord, Kind, NewBlob, NoteKey, NoteKind, ReadFrom, ReadLimit,
        Store, Timer, UserRecord, WelcomeRecord,
    },
    table::Table,
};

const FORMAT_1: &str = include_str!("../fixtures/format-1.txt");
/// Since rows of invitations are of version 2.
const FORMAT_1_INVITATIONS_2: &str = include_str!("../fixtures/format-1-invitations-2.txt");
/// Since rows of groups are of version 2.
const FORMAT_1_GROUPS_2: &str = include_str!("../fixtures/format-1-groups-2.txt");
/// The same rows as in format 1, sealed.
const SEALED_1: &str = include_str!("../fixtures/sealed-1.txt");
/// Since rows of groups are of version 2.
const SEALED_1_GROUPS_2: &str = include_str!("../fixtures/sealed-1-groups-2.txt");

/// The key that the fixture is sealed with.
fn sealing() -> DataKey {
    DataKey::new([9; 32])
}

const GROUP: GroupId = GroupId::new([0x66; 16]);
const ANNE: DeviceId = DeviceId::new([0xaa; 16]);
const BRUNO: DeviceId = DeviceId::new([0xbb; 16]);

fn user(name: &str) -> UserId {
    UserId::parse(&format!("{name}@cpts.example")).unwrap()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn joined(device: DeviceId, name: &str, leaf: u32) -> Joined {
    Joined { device, user: user(name), leaf, may_post: true }
}

/// Users and their devices.
async fn enrol(store: &dyn Store) {
    for (device, name, secret) in [(ANNE, "anne", 1), (BRUNO, "bruno", 2)] {
        let record = UserRecord {
            user: user(name),
            display_name: format!("Dr {name}"),
            profession: "10".into(),
            class: 1,
            roles: vec![1, 3],
            created_at: 1_000,
        };
        let invitation = InvitationRecord {
            secret_hash: [secret; 32],
            user: user(name),
            new_user: Some(record),
            expires_at: 90_000,
            created_at: 1_000,
            used_by: None,
            by_user: false,
        };
        store.put_invitation(invitation).await.unwrap();
        let device = DeviceRecord {
            device,
            user: user(name),
            public_key: [secret; 32],
            certificate: bytes("certificate"),
            expires_at: 80_000,
            enrolled_at: 2_000,
            last_seen_at: 0,
            revoked_at: None,
        };
        store.enrol(Enrolment { secret_hash: [secret; 32], device, now: 2_000 }, 9).await.unwrap();
    }
}

/// A little of everything that a store holds.
async fn fill(store: &dyn Store) {
    enrol(store).await;
    let package = |hash| KeyPackageRecord { hash: [hash; 32], body: bytes("package"), expires_at: 70_000 };
    store.publish(BRUNO, 7, vec![package(1), package(2)], Some(package(3)), 9).await.unwrap();
    store.claim(ANNE, [4; 16], vec![(user("bruno"), BRUNO)], 3_000).await.unwrap();
    let group = CreateGroup {
        group: GROUP,
        message_id: MessageId::new([1; 16]),
        creator: joined(ANNE, "anne", 0),
        group_info: bytes("info 0"),
        group_state: bytes("state 0"),
        posting_restricted: false,
        at: 4_000,
    };
    store.create_group(group).await.unwrap();
    let commit = CommitRecord {
        group: GROUP,
        sender: ANNE,
        external: false,
        message_id: MessageId::new([2; 16]),
        epoch: 0,
        body: bytes("commit"),
        group_info: bytes("info 1"),
        group_state: bytes("state 1"),
        joined: vec![joined(BRUNO, "bruno", 1)],
        removed: Vec::new(),
        may_post: Vec::new(),
        posting_restricted: false,
        welcome: Some(WelcomeRecord { body: bytes("welcome"), recipients: vec![BRUNO] }),
        application: None,
        application_blobs: Vec::new(),
        at: 5_000,
    };
    store.commit(commit).await.unwrap();
    let blob = BlobId::new([0xb0; 16]);
    let new = NewBlob { blob, group: GROUP, uploader: user("anne"), size: 10, at: 5_500 };
    store.announce_blob(new, BlobUsage { blobs: 9, bytes: 99 }).await.unwrap();
    store.complete_blob(blob, 5_600).await.unwrap();
    say(store, blob).await;
    rest(store).await;
}

/// Messages, one with a document, and how far they were read.
async fn say(store: &dyn Store, blob: BlobId) {
    let message = |number: u8, blobs| Append {
        group: GROUP,
        sender: Some(ANNE),
        message_id: MessageId::new([number; 16]),
        kind: Kind::Application,
        epoch: 1,
        epochs_behind_max: 0,
        at: 6_000,
        body: bytes("message"),
        group_state: None,
        blobs,
    };
    for verdict in store.append(vec![message(3, vec![blob]), message(4, Vec::new())]).await {
        verdict.unwrap();
    }
    store.acknowledge(ANNE, vec![(GROUP, 2)]).await.unwrap();
    store.set_needs_re_add(GROUP, BRUNO, true).await.unwrap();
}

/// What services keep.
async fn rest(store: &dyn Store) {
    store.arm(Timer { id: [5; 16], due: 9_000, payload: bytes("timer") }).await.unwrap();
    let note = NoteKey::new(NoteKind::PushAddress, ANNE.as_bytes().to_vec());
    let keep = move |_: &[Option<Bytes>]| vec![Effect::Put(note, bytes("note"))];
    store.change(Vec::new(), Box::new(keep)).await.unwrap();
    let claim = Claim { user: user("anne"), device: ANNE, at: 7_000 };
    store.claim_once(RegisterId::new([6; 16]), claim).await.unwrap();
    let (actor, action) = ("operator".to_owned(), "invitation.created".to_owned());
    store.record(AuditEntry { at: 8_000, actor, action, object: "anne".into() }).await.unwrap();
}

async fn text_of(store: &dyn Store) -> String {
    let (sender, rows) = mpsc::channel();
    let visit = move |table: Table, key: &[u8], value: &[u8]| {
        // The one row that is random.
        let value = if key == b"incarnation" { &[0x11; 16][..] } else { value };
        sender.send(format!("{} {} {}\n", table.name(), to_hex(key), to_hex(value))).unwrap();
        ControlFlow::Continue(())
    };
    store.copies().unwrap().export(Box::new(visit)).await.unwrap();
    rows.into_iter().collect()
}

/// Makes a store of these rows, as the version that released the format left it.
fn write(text: &str, path: &Path) {
    let engine = open_engine(path, EngineKind::Redb).unwrap();
    let mut batch = Batch::default();
    for line in text.lines() {
        let mut fields = line.split(' ');
        let (name, key, value) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        let table = *Table::ALL.iter().find(|table| table.name() == name).unwrap();
        batch.set(table, from_hex(key).unwrap(), Change::Put(from_hex(value).unwrap()));
    }
    engine.apply(&batch).unwrap();
}

#[tokio::test]
async fn the_rows_of_the_present_format_are_those_of_its_fixture() {
    let store = open_memory();
    fill(&*store).await;
    let written = text_of(&*store).await;
    let present = FORMAT_1_GROUPS_2;
    assert!(written == present, "the format has changed; its fixture would have to be:\n{written}");
}

#[tokio::test]
async fn the_rows_of_a_sealed_store_lie_under_the_keys_of_its_fixture() {
    let place = tempfile::tempdir().unwrap();
    let store = open_sealed(place.path(), EngineKind::Redb, Some(&sealing())).unwrap();
    fill(&*store).await;
    let written = text_of(&*store).await;
    // Sealed values differ each time: their tables, keys and lengths do not.
    let shape = |text: &str| -> Vec<(String, usize)> {
        let row = |line: &str| line.rsplit_once(' ').map(|(key, value)| (key.to_owned(), value.len()));
        text.lines().filter_map(row).collect()
    };
    assert!(shape(&written) == shape(SEALED_1_GROUPS_2), "the fixture would have to be:\n{written}");
}

#[tokio::test]
async fn a_store_of_every_released_format_opens_and_has_everything() {
    let readable = [FORMAT_1, FORMAT_1_INVITATIONS_2, FORMAT_1_GROUPS_2].map(|text| (text, None));
    let sealed = [SEALED_1, SEALED_1_GROUPS_2].map(|text| (text, Some(sealing())));
    for (text, key) in readable.into_iter().chain(sealed) {
        let place = tempfile::tempdir().unwrap();
        write(text, place.path());
        let store = open_sealed(place.path(), EngineKind::Redb, key.as_ref()).unwrap();
        assert_eq!(store.incarnation(), [0x11; 16]);
        let from = ReadFrom { group: GROUP, after: 0, until: u64::MAX };
        let page = store.read(vec![from], ReadLimit { entries: 9, bytes: 999 }).await.unwrap().remove(0);
        assert_eq!(page.entries.len(), 3);
        assert_eq!(page.entries[2].message_id, MessageId::new([4; 16]));
        assert_eq!(store.users(None, 9).await.unwrap().len(), 2);
        assert_eq!(store.devices_of(&user("bruno")).await.unwrap()[0].public_key, [2; 32]);
        assert_eq!(store.left(BRUNO).await, Ok(1));
        let membership = store.memberships(BRUNO).await.unwrap().remove(0);
        assert_eq!((membership.epoch, membership.head, membership.needs_re_add), (1, 3, vec![BRUNO]));
        assert_eq!(store.inbox(BRUNO, 0, 9).await.unwrap().len(), 1);
        assert!(store.blob(BlobId::new([0xb0; 16])).await.unwrap().unwrap().referenced_at.is_some());
        assert_eq!(store.next_due().await, Ok(Some(9_000)));
        assert_eq!(store.audit(0, 9).await.unwrap().len(), 1);
        // And it goes on.
        store.acknowledge(BRUNO, vec![(GROUP, 3)]).await.unwrap();
        assert_eq!(store.delivered(GROUP).await.unwrap().len(), 2);
    }
}
