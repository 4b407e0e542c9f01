//! Opening after a kill must not walk the whole store: with quick repair it takes no longer for a large one.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use redb::{Database, TableDefinition};

use super::child::{End, Engine, Job, Task};

const MEGABYTES: u64 = 64;

#[expect(clippy::disallowed_methods, reason = "measures how long opening takes")]
fn now() -> Instant {
    Instant::now()
}

fn leave_behind(job: Job, store: &Path) {
    let notes = store.with_extension("notes");
    let task = Task {
        job,
        store: store.into(),
        engine: Engine::Redb,
        notes,
        round: 2,
        entries: Some(0),
        end: End::Kill,
    };
    let status = task.start(&[]).wait().unwrap();
    assert!(!status.success(), "it was to be killed, but ended with {status}");
}

/// Opens a file with redb itself and says whether it was walked to repair it.
fn walks_the_file(file: &Path) -> bool {
    let walked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&walked);
    let mut builder = Database::builder();
    builder.set_repair_callback(move |_| noted.store(true, Ordering::Relaxed));
    drop(builder.open(file).unwrap());
    walked.load(Ordering::Relaxed)
}

#[test]
fn a_killed_store_of_64_megabytes_opens_at_once_and_without_a_repair() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    leave_behind(Job::Fill { megabytes: MEGABYTES }, &first);
    std::fs::create_dir(&second).unwrap();
    let file = second.join("store.redb");
    std::fs::copy(first.join("store.redb"), &file).unwrap();
    assert!(!walks_the_file(&file));

    let before = now();
    let store = Engine::Redb.open(&first).unwrap();
    let took = before.elapsed();
    drop(store);
    println!("{MEGABYTES} MB: reopened in {took:?}");
}

#[test]
fn a_file_written_without_quick_repair_would_be_walked() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("plain");
    leave_behind(Job::PlainRedb, &file);
    assert!(walks_the_file(&file), "the test above would notice nothing");
}

/// Commits to a redb file as redb does by default.
pub(crate) fn write_plainly(file: &Path) {
    let database = Database::create(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = TableDefinition::<u64, u64>::new("plain");
    transaction.open_table(table).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    // The process is killed with the database open.
    std::mem::forget(database);
}
