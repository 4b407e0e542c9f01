//! What lies in the engine below, and that nothing of it can be exchanged.

use super::*;
use crate::engine::MemoryEngine;

const USER: &[u8] = b"jeanne.martin@cpts.example";

fn engine() -> SealedEngine {
    SealedEngine::create(Box::new(MemoryEngine::default()), &DataKey::new([7; 32])).unwrap()
}

fn put(engine: &SealedEngine, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.set(table, key.to_vec(), Change::Put(value.to_vec()));
    engine.apply(&batch).unwrap();
}

fn rows(snapshot: &dyn Snapshot, table: Table, range: &KeyRange) -> Vec<(Key, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    snapshot.scan(table, range, &mut visit).unwrap();
    rows
}

fn user_device(user: &[u8], device: u8) -> Key {
    [user, &[0], &[device; 16]].concat()
}

fn recipient(alert: u8, user: &[u8]) -> Key {
    [&[NoteKind::AlertRecipient as u8][..], &[alert; 16], user].concat()
}

#[test]
fn nothing_of_a_person_lies_below() {
    let engine = engine();
    let keys = [
        (Table::Users, USER.to_vec()),
        (Table::BlobUsages, USER.to_vec()),
        (Table::UserDevices, user_device(USER, 1)),
        (Table::Notes, recipient(1, USER)),
        (Table::Roster, vec![1; 32]),
        (Table::Audit, vec![0; 8]),
        (Table::Log, vec![2; 24]),
    ];
    for (table, key) in &keys {
        // As a record: its version, and for the log a number and the kind of a commit.
        put(&engine, *table, key, &[&[1, 0, 0, 0, 0, 0, 0, 0, 1, 2], USER].concat());
    }
    for table in Table::ALL {
        for (key, value) in rows(&*engine.stored().unwrap(), table, &KeyRange::all()) {
            let row = [key, value].concat();
            assert!(!row.windows(6).any(|part| USER.windows(6).any(|user| user == part)), "{table:?}");
        }
    }
    let snapshot = engine.snapshot().unwrap();
    for (table, key) in &keys {
        assert!(snapshot.get(*table, key).unwrap().unwrap().ends_with(USER), "{table:?}");
        assert!(rows(&*snapshot, *table, &KeyRange::all())[0].0 == *key, "{table:?}");
    }
}

#[test]
fn rows_come_in_the_order_of_their_true_keys() {
    let engine = engine();
    for user in 0..50_u8 {
        let user = format!("user{user:02}").into_bytes();
        put(&engine, Table::Users, &user, &[1]);
        for device in 0..3 {
            put(&engine, Table::UserDevices, &user_device(&user, device), &[1]);
            put(&engine, Table::Notes, &recipient(device, &user), &[1]);
        }
    }
    put(&engine, Table::Notes, &[NoteKind::PushAddress as u8, 9], &[1]);
    put(&engine, Table::Notes, &[NoteKind::AlertStep as u8, 9], &[1]);
    let snapshot = engine.snapshot().unwrap();
    let keys = |table, range: &KeyRange| -> Vec<Key> {
        rows(&*snapshot, table, range).into_iter().map(|(key, _)| key).collect()
    };
    let after = keys(Table::Users, &KeyRange::prefix_after(&[], b"user47"));
    assert_eq!(after, [b"user48".to_vec(), b"user49".to_vec()]);
    let one = keys(Table::UserDevices, &KeyRange::prefix(b"user07\0"));
    assert_eq!(one, [0, 1, 2].map(|device| user_device(b"user07", device)));
    let all = keys(Table::Notes, &KeyRange::all());
    assert!(all.is_sorted() && all.len() == 152);
    assert_eq!(keys(Table::Notes, &KeyRange::prefix(&recipient(1, &[]))).len(), 50);
    let page = KeyRange::prefix_after(&recipient(1, &[]), &recipient(1, b"user48"));
    assert_eq!(keys(Table::Notes, &page), [recipient(1, b"user49")]);
    assert_eq!(keys(Table::Notes, &KeyRange::prefix(&[NoteKind::PushAddress as u8])).len(), 1);
    assert_eq!(keys(Table::Notes, &KeyRange::prefix(&[NoteKind::AlertStep as u8])).len(), 1);
}

#[test]
fn a_row_that_was_moved_changed_or_never_sealed_is_not_served() {
    let engine = engine();
    put(&engine, Table::Roster, &[1], &[1, 10]);
    let sealed = engine.stored().unwrap().get(Table::Roster, &[1]).unwrap().unwrap();
    let mut damaged = sealed.clone();
    damaged[30] ^= 1;
    let mut batch = Batch::default();
    batch.set(Table::Roster, vec![2], Change::Put(sealed.clone()));
    batch.set(Table::Devices, vec![1], Change::Put(sealed));
    batch.set(Table::Roster, vec![3], Change::Put(damaged));
    batch.set(Table::Roster, vec![4], Change::Put(vec![1, 10]));
    batch.set(Table::Roster, vec![5], Change::Put(vec![]));
    engine.engine.apply(&batch).unwrap();
    let snapshot = engine.snapshot().unwrap();
    assert_eq!(snapshot.get(Table::Roster, &[1]).unwrap(), Some(vec![1, 10]));
    for (table, key) in
        [(Table::Roster, 2), (Table::Devices, 1), (Table::Roster, 3), (Table::Roster, 4), (Table::Roster, 5)]
    {
        assert!(snapshot.get(table, &[key]).is_err(), "{table:?} {key}");
    }
    assert!(snapshot.scan(Table::Roster, &KeyRange::all(), &mut |_, _| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_version_that_knows_no_seals_refuses_by_number() {
    let engine = engine();
    crate::format::check_or_create(&engine).unwrap();
    let refused = crate::format::check_or_create(&*engine.engine).unwrap_err();
    assert!(matches!(refused, crate::FormatError::Newer { found } if found == SEALED_FORMAT + 1));
    assert!(crate::format::check_or_create(&engine).is_ok());
}
