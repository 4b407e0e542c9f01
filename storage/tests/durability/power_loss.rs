//! A loss of power at random moments: every acknowledged write must be there afterwards.
//!
//! Killing a process proves little: what it wrote stays in the system's cache. So a run of several
//! processes, which append, commit and delete and are restarted after clean and unclean ends, is recorded
//! with `strace`; then the disk is rebuilt as it may look at a cut point and opened. Needs `strace`: without
//! it the tests say so and pass, unless `CERCLE_REQUIRE_STRACE=1`.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    child::{End, Engine, Job, Task},
    image::{Disk, Unsynced},
    load::Random,
    trace::{Op, STRACE, Trace},
    verify::Expected,
};

/// The processes of a run: accepted entries, and how each ends.
const PROCESSES: [(u64, End); 5] =
    [(120, End::Kill), (120, End::Clean), (120, End::Kill), (100, End::Kill), (80, End::Clean)];
/// Cut points for each kind of image.
const CUTS: usize = 40;

pub(crate) fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("-V").output().is_ok();
    if !there {
        assert!(
            std::env::var("CERCLE_REQUIRE_STRACE").as_deref() != Ok("1"),
            "strace is missing and CERCLE_REQUIRE_STRACE=1"
        );
        // Past the capture of the test harness, which hides what tests that pass have to say.
        let warning = b"\nskipped: strace is missing. THE POWER-LOSS TEST DID NOT RUN.\n";
        std::io::stderr().write_all(warning).unwrap();
    }
    there
}

/// A recorded run and where its store was.
struct Run {
    trace: Trace,
    store: PathBuf,
    place: tempfile::TempDir,
}

fn record(engine: Engine) -> Run {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().canonicalize().unwrap();
    let (store, notes) = (path.join("store"), path.join("notes"));
    let mut trace = Trace::new(&store, &notes);
    for (round, (entries, end)) in (1..).zip(PROCESSES) {
        let output = path.join("strace");
        let mut wrapper: Vec<String> = STRACE.iter().map(|&word| word.into()).collect();
        wrapper.extend(["-o".into(), output.to_str().unwrap().into()]);
        let (store, notes) = (store.clone(), notes.clone());
        let task =
            Task { job: Job::Load, store, engine, notes, round: round * 2, entries: Some(entries), end };
        let status = task.start(&wrapper).wait().unwrap();
        assert_eq!(status.success(), end == End::Clean, "process {round} ended with {status}");
        trace.add(&std::fs::read_to_string(output).unwrap());
    }
    let expected = Expected::read(&notes);
    let deleted = expected.check(engine, &store).unwrap_or_else(|what| panic!("without any loss: {what}"));
    assert!(deleted > 100, "the run deleted only {deleted} entries");
    Run { trace, store, place }
}

/// What the cuts of a run gave.
#[derive(Debug, Default)]
struct Outcome {
    cuts: usize,
    kept: usize,
    losses: Vec<String>,
}

fn cut(run: &Run, engine: Engine, unsynced: Unsynced, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let acknowledged: Vec<usize> = positions(&run.trace.ops, |op| matches!(op, Op::Acknowledged(_)));
    let mut cuts: Vec<usize> = (0..CUTS)
        .map(|number| match number % 4 {
            // Anywhere, or while the store is being made.
            1 if engine.may_be_cut_anywhere() => below(&mut random, run.trace.ops.len()),
            3 if engine.may_be_cut_anywhere() => below(&mut random, acknowledged[0]),
            // Right after an acknowledgement, where nothing may be missing. Always for sled: it replaces its
            // snapshot file while it opens, and a loss of power just then may leave one that does not open.
            _ => acknowledged[below(&mut random, acknowledged.len())] + 1,
        })
        .collect();
    cuts.sort_unstable();

    let (mut disk, mut expected, mut done) = (Disk::default(), Expected::default(), 0);
    let mut outcome = Outcome { cuts: CUTS, ..Outcome::default() };
    for cut in cuts {
        for op in &run.trace.ops[done..cut] {
            disk.apply(op);
            if let Op::Acknowledged(note) = op {
                expected.add(*note);
            }
        }
        done = cut;
        let image = run.place.path().join("image");
        drop(std::fs::remove_dir_all(&image));
        disk.write_image(&run.store, &image, unsynced, &mut random);
        match check(&expected, engine, &image) {
            Ok(_) => outcome.kept += 1,
            Err(what) => outcome.losses.push(format!("op {cut}: {what}")),
        }
    }
    outcome
}

/// An engine may panic on an image; that is a loss like any other.
fn check(expected: &Expected, engine: Engine, image: &Path) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| expected.check(engine, image)))
        .unwrap_or_else(|_| Err("opening it panicked".into()))
}

fn positions(ops: &[Op], wanted: impl Fn(&Op) -> bool) -> Vec<usize> {
    ops.iter().enumerate().filter(|(_, op)| wanted(op)).map(|(place, _)| place).collect()
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).unwrap()
}

fn survives(engine: Engine) {
    if !strace_is_there() {
        return;
    }
    let run = record(engine);
    let seed = u64::from(std::process::id());
    for unsynced in [Unsynced::Dropped, Unsynced::Random] {
        let outcome = cut(&run, engine, unsynced, seed);
        println!(
            "{engine:?} {unsynced:?} seed {seed}: {} of {} cuts kept everything",
            outcome.kept, outcome.cuts
        );
        assert_eq!(outcome.losses, Vec::<String>::new(), "{unsynced:?}, seed {seed}");
    }
}

#[test]
fn redb_keeps_every_acknowledged_write_when_the_power_fails() {
    survives(Engine::Redb);
}

#[test]
fn the_journal_keeps_every_acknowledged_write_when_the_power_fails() {
    survives(Engine::Journal);
}

#[test]
fn a_journal_of_many_checkpoints_keeps_every_acknowledged_write_when_the_power_fails() {
    survives(Engine::BusyJournal);
}

#[cfg(feature = "sled")]
#[test]
fn sled_with_the_extra_sync_keeps_every_acknowledged_write_when_the_power_fails() {
    survives(Engine::Sled);
}

#[cfg(feature = "sled")]
#[test]
fn sled_without_the_extra_sync_is_caught_losing_acknowledged_writes() {
    if !strace_is_there() {
        return;
    }
    let run = record(Engine::SledFlushOnly);
    for unsynced in [Unsynced::Dropped, Unsynced::Random] {
        let outcome = cut(&run, Engine::SledFlushOnly, unsynced, 7);
        println!("sled as it comes, {unsynced:?}: {} of {} cuts kept everything", outcome.kept, outcome.cuts);
        assert!(outcome.losses.len() > CUTS / 2, "the instrument is blind: {:?}", outcome.losses);
    }
}

#[test]
fn an_engine_whose_syncs_do_nothing_is_caught() {
    if !strace_is_there() {
        return;
    }
    let mut run = record(Engine::Redb);
    let mut synced = 0;
    run.trace.ops.retain(|op| {
        // The first syncs make the file; without them there would be nothing to open.
        synced += usize::from(matches!(op, Op::Sync { .. }));
        synced < 20 || !matches!(op, Op::Sync { .. })
    });
    let outcome = cut(&run, Engine::Redb, Unsynced::Dropped, 7);
    println!("redb without its syncs: {} of {} cuts kept everything", outcome.kept, outcome.cuts);
    assert!(outcome.losses.len() > CUTS / 2, "the instrument is blind: {:?}", outcome.losses);
}
