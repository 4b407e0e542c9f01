//! Copies: every row as of one moment, and a store made of them.

use std::{ops::ControlFlow, sync::mpsc};

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use cercle_storage::{
    EngineKind, ImportError, Importer, OpenError, open,
    store::{Append, CreateGroup, Fork, Joined, KeyPackageRecord, Kind, ReadFrom, ReadLimit, Restore, Store},
    table::Table,
};

type Row = (Table, Vec<u8>, Vec<u8>);

const GROUP: GroupId = GroupId::new([1; 16]);
const DEVICE: DeviceId = DeviceId::new([2; 16]);

pub(super) async fn rows(store: &dyn Store) -> Vec<Row> {
    let (sender, rows) = mpsc::channel();
    let visit = move |table: Table, key: &[u8], value: &[u8]| {
        sender.send((table, key.to_vec(), value.to_vec())).unwrap();
        ControlFlow::Continue(())
    };
    store.copies().unwrap().export(Box::new(visit)).await.unwrap();
    rows.into_iter().collect()
}

fn message(number: u8, at: u64) -> Append {
    Append {
        group: GROUP,
        sender: Some(DEVICE),
        message_id: MessageId::new([number; 16]),
        kind: Kind::Application,
        epoch: 0,
        epochs_behind_max: 0,
        at,
        body: Bytes::from_static(b"sealed"),
        group_state: None,
        blobs: Vec::new(),
    }
}

async fn filled(store: &dyn Store) {
    let creator =
        Joined { device: DEVICE, user: UserId::parse("a@b.example").unwrap(), leaf: 0, may_post: true };
    let group = CreateGroup {
        group: GROUP,
        message_id: MessageId::new([100; 16]),
        creator,
        group_info: Bytes::from_static(b"info"),
        group_state: Bytes::from_static(b"state"),
        posting_restricted: false,
        at: 1,
    };
    store.create_group(group).await.unwrap();
    for number in 1..=3 {
        store.append(vec![message(number, 2)]).await.remove(0).unwrap();
    }
    let package = KeyPackageRecord { hash: [1; 32], body: Bytes::from_static(b"kp"), expires_at: u64::MAX };
    store.publish(DEVICE, 1, vec![package], None, 9).await.unwrap();
}

fn import(rows: &[Row], path: &std::path::Path, copy_at: u64) -> Result<[u8; 16], ImportError> {
    let mut importer = Importer::create(path, EngineKind::Redb)?;
    for (table, key, value) in rows {
        importer.put(*table, key, value)?;
    }
    importer.finish(copy_at, copy_at + 50)
}

async fn entries(store: &dyn Store) -> usize {
    let from = ReadFrom { group: GROUP, after: 0, until: u64::MAX };
    let limit = ReadLimit { entries: 100, bytes: 1 << 20 };
    store.read(vec![from], limit).await.unwrap().remove(0).entries.len()
}

#[tokio::test]
async fn a_restored_store_has_everything_but_key_packages_and_knows_where_it_forked() {
    let place = tempfile::tempdir().unwrap();
    let first = open(&place.path().join("first"), EngineKind::Redb).unwrap();
    filled(&*first).await;
    let copy = rows(&*first).await;
    first.append(vec![message(4, 3)]).await.remove(0).unwrap();
    assert_eq!(first.copies().unwrap().restores(), []);
    assert_eq!(first.copies().unwrap().forks(vec![GROUP]).await, Ok(vec![vec![]]));

    let incarnation = import(&copy, &place.path().join("second"), 7).unwrap();
    let second = open(&place.path().join("second"), EngineKind::Redb).unwrap();
    assert_eq!(second.incarnation(), incarnation);
    assert_ne!(incarnation, first.incarnation());
    let restore = Restore { before: first.incarnation(), after: incarnation, copy_at: 7, restored_at: 57 };
    assert_eq!(second.copies().unwrap().restores(), [restore]);
    let fork = Fork { incarnation, head: 3, epoch: 0 };
    assert_eq!(second.copies().unwrap().forks(vec![GROUP]).await, Ok(vec![vec![fork]]));
    assert_eq!(entries(&*second).await, 3);
    assert_eq!(second.left(DEVICE).await, Ok(0));
    // What the copy does not have is new to the store, under the same id.
    let again = second.append(vec![message(4, 3)]).await.remove(0).unwrap();
    assert_eq!((again.seq, again.repeated), (4, false));

    // Restored once more, of a copy of the copy: both forks are known.
    let copy = rows(&*second).await;
    let third = import(&copy, &place.path().join("third"), 99).unwrap();
    let store = open(&place.path().join("third"), EngineKind::Redb).unwrap();
    let later = Fork { incarnation: third, head: 4, epoch: 0 };
    assert_eq!(store.copies().unwrap().forks(vec![GROUP]).await, Ok(vec![vec![fork, later]]));
    assert_eq!(store.copies().unwrap().restores().len(), 2);
}

#[tokio::test]
async fn a_copy_goes_from_any_engine_to_any_other() {
    let place = tempfile::tempdir().unwrap();
    let first = open(&place.path().join("first"), EngineKind::Journal).unwrap();
    filled(&*first).await;
    let copy = rows(&*first).await;
    import(&copy, &place.path().join("second"), 7).unwrap();
    let mut importer = Importer::create(&place.path().join("third"), EngineKind::Journal).unwrap();
    for (table, key, value) in rows(&*open(&place.path().join("second"), EngineKind::Redb).unwrap()).await {
        importer.put(table, &key, &value).unwrap();
    }
    importer.finish(8, 9).unwrap();
    let third = open(&place.path().join("third"), EngineKind::Journal).unwrap();
    assert_eq!(entries(&*third).await, 3);
    assert_eq!(third.copies().unwrap().restores().len(), 2);
}

#[tokio::test]
async fn an_export_is_of_one_moment_while_writes_go_on() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place.path().join("store"), EngineKind::Redb).unwrap();
    filled(&*store).await;
    let (sender, rows) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let mut first = true;
    let visit = move |table: Table, key: &[u8], _: &[u8]| {
        sender.send((table, key.to_vec())).unwrap();
        if std::mem::take(&mut first) {
            wait.recv().unwrap();
        }
        ControlFlow::Continue(())
    };
    let copied = store.clone();
    let export = tokio::spawn(async move { copied.copies().unwrap().export(Box::new(visit)).await });
    let begun = tokio::task::spawn_blocking(move || (rows.recv().unwrap(), rows)).await.unwrap();
    store.append(vec![message(4, 3)]).await.remove(0).unwrap();
    go_on.send(()).unwrap();
    export.await.unwrap().unwrap();
    assert_eq!(begun.1.iter().filter(|(table, _)| *table == Table::Log).count(), 3, "not the fourth");
    assert_eq!(entries(&*store).await, 4);
}

#[test]
fn a_copy_without_identity_of_a_newer_format_or_over_a_store_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let format = |number: u32| (Table::Meta, b"format".to_vec(), number.to_be_bytes().to_vec());
    let incarnation = (Table::Meta, b"incarnation".to_vec(), vec![3; 16]);
    let refused = |rows: &[Row]| import(rows, &place.path().join("store"), 1).unwrap_err();
    assert!(matches!(refused(&[format(1)]), ImportError::Format(_)));
    assert!(matches!(refused(std::slice::from_ref(&incarnation)), ImportError::Format(_)));
    let newer = refused(&[incarnation.clone(), format(9_999)]);
    assert!(std::error::Error::source(&newer).unwrap().to_string().contains("9999"), "{newer}");
    let damaged = (Table::Groups, vec![1; 16], vec![77]);
    assert!(matches!(refused(&[incarnation.clone(), format(1), damaged]), ImportError::Damaged(_)));
    // None of these left anything behind.
    import(&[incarnation.clone(), format(1)], &place.path().join("store"), 1).unwrap();
    let twice = refused(&[incarnation, format(1)]);
    assert!(matches!(twice, ImportError::Open(OpenError::Exists { .. })), "{twice}");
}
