//! A process under load is killed at random moments, again and again, on the same store.

use std::time::{Duration, Instant};

use super::{
    child::{End, Engine, Job, Task},
    load::Random,
    verify::Expected,
};

#[expect(clippy::disallowed_methods, reason = "measures how long opening takes")]
fn now() -> Instant {
    Instant::now()
}

/// Entries that must have been acknowledged for the kills to prove something.
const ENTRIES: usize = 500;

/// Kills at least so many times, and on a slow machine as often as it takes to have something to lose.
fn kill_again_and_again(engine: Engine, times: u64) {
    let place = tempfile::tempdir().unwrap();
    let (store, notes) = (place.path().join("store"), place.path().join("notes"));
    let mut random = Random(u64::from(std::process::id()));
    let mut slowest = Duration::ZERO;
    let mut acknowledged = 0;
    for round in 1..=times * 20 {
        if round > times && acknowledged > ENTRIES {
            break;
        }
        let task = Task {
            job: Job::Load,
            store: store.clone(),
            engine,
            notes: notes.clone(),
            round: round * 2,
            entries: None,
            end: End::Clean,
        };
        let mut child = task.start(&[]);
        // The moment itself: some kills hit the opening, most the load.
        std::thread::sleep(Duration::from_millis(10 + random.below(140)));
        child.kill().unwrap();
        child.wait().unwrap();
        if !store.exists() {
            continue;
        }
        let before = now();
        drop(engine.open(&store).unwrap());
        slowest = slowest.max(before.elapsed());
        let expected = Expected::read(&notes);
        expected.check(engine, &store).unwrap_or_else(|what| panic!("after kill {round}: {what}"));
        acknowledged = expected.len();
    }
    println!("{engine:?}: {times} kills, {acknowledged} acknowledged entries, slowest reopening {slowest:?}");
    assert!(acknowledged > ENTRIES, "the load hardly ran: {acknowledged} entries");
}

#[test]
fn redb_keeps_every_acknowledged_write_when_killed() {
    kill_again_and_again(Engine::Redb, 55);
}

#[test]
fn the_journal_keeps_every_acknowledged_write_when_killed() {
    kill_again_and_again(Engine::Journal, 25);
}

#[test]
fn a_journal_killed_during_checkpoints_keeps_every_acknowledged_write() {
    kill_again_and_again(Engine::BusyJournal, 55);
}

#[cfg(feature = "sled")]
#[test]
fn sled_keeps_every_acknowledged_write_when_killed() {
    kill_again_and_again(Engine::Sled, 20);
}
