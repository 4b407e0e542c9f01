//! The journal against a plain map: over checkpoints, reopening, copying together, damage and failing disks.

mod faults;

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};

use super::{JournalEngine, JournalError, JournalSizes};
use crate::{
    engine::{ApplyError, Batch, Change, Engine, EngineError, Snapshot},
    limits::JOURNAL_BLOCK_BYTES,
    table::{KeyRange, Table},
};

/// Every few batches a checkpoint, every few of those a new file.
const SMALL: JournalSizes =
    JournalSizes { checkpoint_bytes: 12 << 10, journal_file_bytes: 16 << 10, body_file_bytes: 8 << 10 };

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn open(place: &Path) -> JournalEngine {
    JournalEngine::open(place, SMALL).unwrap()
}

fn batch(rows: &[(Table, u8, Option<Vec<u8>>)]) -> Batch {
    let mut batch = Batch::default();
    for (table, key, value) in rows {
        let change = value.clone().map_or(Change::Delete, Change::Put);
        batch.set(*table, vec![*key], change);
    }
    batch
}

fn add(rows: &mut Rows, batch: &Batch) {
    for (table, changes) in batch.tables() {
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert((table, key.clone()), value.clone()),
                None => rows.remove(&(table, key.clone())),
            };
        }
    }
}

fn scanned(snapshot: &dyn Snapshot) -> Result<Rows, EngineError> {
    let mut rows = Rows::new();
    for table in [Table::Log, Table::Groups] {
        let mut last = None;
        snapshot.scan(table, &KeyRange::all(), &mut |key, value| {
            assert!(last.as_deref() < Some(key), "out of order");
            last = Some(key.to_vec());
            rows.insert((table, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

fn check(engine: &JournalEngine, expected: &Rows) {
    let snapshot = engine.snapshot().unwrap();
    assert_eq!(&scanned(&*snapshot).unwrap(), expected);
    for table in [Table::Log, Table::Groups] {
        for key in 0..=u8::MAX {
            let found = snapshot.get(table, &[key]).unwrap();
            assert_eq!(found.as_ref(), expected.get(&(table, vec![key])));
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Apply(Vec<(Table, u8, Option<Vec<u8>>)>),
    Look,
    Reopen,
}

fn operations() -> impl Strategy<Value = Vec<Op>> {
    let table = prop_oneof![Just(Table::Log), Just(Table::Groups)];
    let value = prop_oneof![
        3 => (any::<u8>(), 0..900_usize).prop_map(|(byte, length)| Some(vec![byte; length])),
        1 => Just(None),
    ];
    let apply = vec((table, any::<u8>(), value), 1..9).prop_map(Op::Apply);
    vec(prop_oneof![20 => apply, 2 => Just(Op::Look), 1 => Just(Op::Reopen)], 1..120)
}

#[test]
fn it_holds_what_a_map_holds_whatever_happens() {
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let run = runner.run(&operations(), |ops| {
        let place = tempfile::tempdir().unwrap();
        let mut engine = open(place.path());
        let mut rows = Rows::new();
        for op in ops {
            match op {
                Op::Apply(changes) => {
                    let batch = batch(&changes);
                    engine.apply(&batch).unwrap();
                    add(&mut rows, &batch);
                }
                Op::Look => check(&engine, &rows),
                Op::Reopen => {
                    drop(engine);
                    engine = open(place.path());
                    check(&engine, &rows);
                }
            }
        }
        check(&engine, &rows);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_view_stays_what_it_was_while_checkpoints_pass_under_it() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    let mut rows = Rows::new();
    let put = |round: u8, key: u8| (Table::Log, key, Some(vec![round; 700]));
    let first = batch(&(0..20).map(|key| put(0, key)).collect::<Vec<_>>());
    engine.apply(&first).unwrap();
    add(&mut rows, &first);
    let view = engine.snapshot().unwrap();
    let mut after = rows.clone();
    // Everything is replaced many times, so that every file the view points to is emptied.
    for round in 1..60 {
        let next = batch(&(0..20).map(|key| put(round, key)).collect::<Vec<_>>());
        engine.apply(&next).unwrap();
        add(&mut after, &next);
        engine.wait_for_checkpoint();
    }
    assert_eq!(scanned(&*view).unwrap(), rows);
    drop(view);
    check(&engine, &after);
    drop(engine);
    check(&open(place.path()), &after);
}

/// Sorted names of files that begin with a prefix.
fn files(place: &Path, prefix: &str) -> Vec<std::path::PathBuf> {
    super::numbered(place, prefix).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn space_comes_back_and_journal_files_are_used_again() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    let mut rows = Rows::new();
    // One row in twenty stays for ever, scattered over all files.
    for round in 0..200_u8 {
        let mut changes: Vec<_> = (200..219).map(|key| (Table::Log, key, Some(vec![round; 500]))).collect();
        if round % 5 == 0 {
            changes.push((Table::Log, round / 5, Some(vec![round; 500])));
        }
        let next = batch(&changes);
        engine.apply(&next).unwrap();
        add(&mut rows, &next);
        engine.wait_for_checkpoint();
    }
    check(&engine, &rows);
    let sizes = |prefix: &str| {
        files(place.path(), prefix).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>()
    };
    // 2 MB went through; 30 KB are alive, half of every file may be dead, and one file is being written.
    assert!(sizes("bodies-") < 150 << 10, "{} bytes of bodies", sizes("bodies-"));
    assert!(sizes("journal-") < 200 << 10, "{} bytes of journal", sizes("journal-"));
}

/// A store with batches that no checkpoint has, and the place of the journal file that holds them.
fn left_behind(place: &Path, batches: u8) -> (std::path::PathBuf, Rows) {
    let engine = JournalEngine::open(place, JournalSizes::default()).unwrap();
    let mut rows = Rows::new();
    for round in 0..batches {
        let next = batch(&[(Table::Log, round, Some(vec![round; 5_000]))]);
        engine.apply(&next).unwrap();
        add(&mut rows, &next);
    }
    let [file] = files(place, "journal-").try_into().unwrap();
    (file, rows)
}

fn damage(file: &Path, at: usize) {
    let mut content = std::fs::read(file).unwrap();
    content[at] ^= 0x10;
    std::fs::write(file, content).unwrap();
}

/// Bytes of one of the records of [`left_behind`].
const RECORD: usize = 2 * JOURNAL_BLOCK_BYTES;

#[test]
fn a_torn_last_record_was_never_acknowledged_and_is_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let (file, mut rows) = left_behind(place.path(), 5);
    damage(&file, 4 * RECORD + 100);
    rows.remove(&(Table::Log, vec![4]));
    let engine = open(place.path());
    check(&engine, &rows);
    let next = batch(&[(Table::Groups, 1, Some(vec![1]))]);
    engine.apply(&next).unwrap();
    add(&mut rows, &next);
    drop(engine);
    check(&open(place.path()), &rows);
}

#[test]
fn a_damaged_record_before_another_is_named_and_nothing_is_served() {
    let place = tempfile::tempdir().unwrap();
    let (file, rows) = left_behind(place.path(), 5);
    for at in [2 * RECORD, 2 * RECORD + 20, 2 * RECORD + 100, 3 * RECORD - 3_500] {
        damage(&file, at);
        let refused = JournalEngine::open(place.path(), SMALL).unwrap_err();
        assert!(
            matches!(refused, JournalError::RecordMissing { number: 3, found: 4, .. }),
            "{at}: {refused}"
        );
        assert!(refused.to_string().contains("journal-00000000 at byte 24576"), "{refused}");
        damage(&file, at);
    }
    check(&open(place.path()), &rows);
}

#[test]
fn a_message_that_looks_like_a_record_is_none() {
    let place = tempfile::tempdir().unwrap();
    let (file, mut rows) = left_behind(place.path(), 3);
    // A copy of a record of another store, sealed there, as a body that happens to lie at a block's start.
    let other = tempfile::tempdir().unwrap();
    let (others, _) = left_behind(other.path(), 9);
    let forged = std::fs::read(others).unwrap()[8 * RECORD..9 * RECORD].to_vec();
    let mut content = std::fs::read(&file).unwrap();
    content[3 * RECORD..4 * RECORD].copy_from_slice(&forged);
    content[5 * RECORD..6 * RECORD].copy_from_slice(&forged);
    std::fs::write(&file, content).unwrap();
    let engine = open(place.path());
    check(&engine, &rows);
    let next = batch(&[(Table::Log, 99, Some(forged))]);
    engine.apply(&next).unwrap();
    add(&mut rows, &next);
    check(&engine, &rows);
}

#[test]
fn a_lost_journal_file_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let sizes = JournalSizes { journal_file_bytes: 16 << 10, ..JournalSizes::default() };
    let engine = JournalEngine::open(place.path(), sizes).unwrap();
    for round in 0..9 {
        engine.apply(&batch(&[(Table::Log, round, Some(vec![round; 5_000]))])).unwrap();
    }
    drop(engine);
    let names = files(place.path(), "journal-");
    assert!(names.len() > 2);
    std::fs::remove_file(&names[1]).unwrap();
    let refused = JournalEngine::open(place.path(), sizes).unwrap_err();
    assert!(matches!(refused, JournalError::RecordMissing { .. }), "{refused}");
}

#[test]
fn a_damaged_body_is_named_and_its_neighbours_are_served() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    for round in 0..20 {
        engine.apply(&batch(&[(Table::Log, round, Some(vec![round; 900]))])).unwrap();
        engine.wait_for_checkpoint();
    }
    drop(engine);
    damage(&files(place.path(), "bodies-")[0], 500);
    let engine = open(place.path());
    let snapshot = engine.snapshot().unwrap();
    let refused = snapshot.get(Table::Log, &[0]).unwrap_err();
    assert!(matches!(refused, EngineError::Damaged(_)), "{refused:?}");
    assert!(refused.to_string().contains("bodies-00000000 at byte 0"), "{refused}");
    assert!(scanned(&*snapshot).is_err());
    assert_eq!(snapshot.get(Table::Log, &[1]).unwrap(), Some(vec![1; 900]));
}

/// A checkpoint copies together the emptiest file. One that could not be copied, because a body in it is damaged,
/// was the emptiest for ever: each checkpoint read it again and said so again, and no other file's turn came.
#[test]
fn a_damaged_body_does_not_keep_the_space_of_other_files() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    let mut rows = Rows::new();
    let mut apply = |engine: &JournalEngine, changes: &[(Table, u8, Option<Vec<u8>>)]| {
        engine.apply(&batch(changes)).unwrap();
        add(&mut rows, &batch(changes));
        engine.wait_for_checkpoint();
    };
    for round in 0..60 {
        apply(&engine, &[(Table::Log, round, Some(vec![round; 900]))]);
    }
    drop(engine);
    let [first, second] = [0, 1].map(|number| files(place.path(), "bodies-")[number].clone());
    damage(&first, 500);
    let engine = open(place.path());
    // Of the first file only what is damaged is left, of the second two bodies.
    let gone: Vec<_> = (1..=15).map(|key| (Table::Log, key, None)).collect();
    apply(&engine, &gone);
    for round in 0..60 {
        apply(&engine, &[(Table::Groups, round, Some(vec![round; 900]))]);
    }
    assert!(!second.exists(), "the second file is not copied together");
    assert!(first.exists(), "what is damaged is kept");
    let snapshot = engine.snapshot().unwrap();
    assert!(matches!(snapshot.get(Table::Log, &[0]), Err(EngineError::Damaged(_))));
    for ((table, key), value) in rows.iter().filter(|((_, key), _)| *key != [0]) {
        assert_eq!(snapshot.get(*table, key).unwrap().as_ref(), Some(value));
    }
}

/// Applies until the engine refuses; returns what it took.
fn fill_until_refused(engine: &JournalEngine, rows: &mut Rows) -> ApplyError {
    for round in 0..=u8::MAX {
        let next = batch(&[(Table::Log, round, Some(vec![round; 3_000]))]);
        match engine.apply(&next) {
            Ok(()) => add(rows, &next),
            Err(error) => return error,
        }
    }
    panic!("it never failed");
}

#[test]
fn a_disk_that_takes_no_journal_file_stops_writes_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    let mut rows = Rows::new();
    // Whatever stands in the way of the third file: here a folder of its name.
    let obstacle = place.path().join("journal-00000002");
    std::fs::create_dir(&obstacle).unwrap();
    let refused = fill_until_refused(&engine, &mut rows);
    assert!(matches!(refused, ApplyError::NotStored(_)), "{refused}");
    check(&engine, &rows);
    let again = engine.apply(&batch(&[(Table::Log, 0, None)])).unwrap_err();
    assert!(matches!(again, ApplyError::NotStored(_)), "{again}");
    drop(engine);
    std::fs::remove_dir(&obstacle).unwrap();
    let engine = open(place.path());
    check(&engine, &rows);
    engine.apply(&batch(&[(Table::Log, 0, None)])).unwrap();
}

#[test]
fn a_checkpoint_that_fails_is_known_before_anybody_writes_again() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    std::fs::create_dir(place.path().join("bodies-00000000")).unwrap();
    let mut rows = Rows::new();
    // The batch that finds enough gathered starts the checkpoint, and is itself taken.
    for round in 0.. {
        let next = batch(&[(Table::Log, round, Some(vec![round; 3_000]))]);
        engine.apply(&next).unwrap();
        add(&mut rows, &next);
        if engine.shared.progress().frozen.is_some() {
            break;
        }
    }
    engine.wait_for_checkpoint();
    assert!(!engine.is_healthy());
    check(&engine, &rows);
}

#[test]
fn a_checkpoint_that_fails_stops_writes_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path());
    let mut rows = Rows::new();
    let obstacle = place.path().join("bodies-00000001");
    std::fs::create_dir(&obstacle).unwrap();
    let refused = fill_until_refused(&engine, &mut rows);
    assert!(matches!(refused, ApplyError::NotStored(_)), "{refused}");
    check(&engine, &rows);
    drop(engine);
    std::fs::remove_dir(&obstacle).unwrap();
    let engine = open(place.path());
    check(&engine, &rows);
    for round in 0..60 {
        let next = batch(&[(Table::Log, round, Some(vec![1; 3_000]))]);
        engine.apply(&next).unwrap();
        add(&mut rows, &next);
    }
    check(&engine, &rows);
}
