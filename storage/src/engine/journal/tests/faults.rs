//! The journal on a disk that fails at any of its files: a write that is refused, one that ends in the middle, a
//! sync that fails; then the power goes, and what was not synced is there, gone or torn.

use std::collections::BTreeMap;

use super::{Rows, SMALL, add, batch, scanned};
use crate::{
    engine::{
        Batch, Engine as _,
        dice::Dice,
        journal::{JournalEngine, JournalFault, JournalFaults, JournalPlace},
    },
    table::Table,
};

const PLACES: [JournalPlace; 3] = [JournalPlace::Journal, JournalPlace::Bodies, JournalPlace::Index];
const FAULTS: [JournalFault; 3] = [JournalFault::Full, JournalFault::Torn, JournalFault::Sync];
/// Batches of one life of the engine at most; enough for some checkpoints.
const BATCHES: u64 = 60;

/// Numbers from a seed, and what is made of them.
struct Numbers(Dice);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn batch(&mut self) -> Batch {
        let rows: Vec<_> = (0..=self.below(6))
            .map(|_| {
                let table = if self.below(2) == 0 { Table::Log } else { Table::Groups };
                let size = usize::try_from(self.below(1_500)).unwrap();
                let value = (self.below(4) > 0).then(|| vec![self.byte(); size]);
                (table, self.byte(), value)
            })
            .collect();
        batch(&rows)
    }
}

/// One disk through three lives of the engine. Returns how many faults were met.
fn live_three_times(seed: u64, place: JournalPlace, fault: JournalFault) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (faults, mut numbers) = (JournalFaults::new(seed), Numbers(Dice(seed)));
    let mut rows = Rows::new();
    for life in 0..3 {
        let engine = JournalEngine::open_failing(&faults, folder.path(), SMALL).unwrap();
        let what = format!("seed {seed}, {place:?} {fault:?}, life {life}");
        assert_eq!(scanned(&*engine.snapshot().unwrap()).unwrap(), rows, "{what}");
        let operations = if place == JournalPlace::Journal { numbers.below(50) } else { numbers.below(25) };
        faults.fail_after(operations, place, fault);
        let mut failed = None;
        for _ in 0..BATCHES {
            let batch = numbers.batch();
            if engine.apply(&batch).is_err() {
                failed = Some(batch);
                break;
            }
            add(&mut rows, &batch);
        }
        if failed.is_some() {
            assert!(!engine.is_healthy(), "{what}: who has failed takes no more");
            assert!(engine.apply(&numbers.batch()).is_err(), "{what}");
        }
        if numbers.below(2) == 0 {
            // The power goes while the engine is at work; else its program ends first.
            faults.lose_power().unwrap();
        }
        drop(engine);
        faults.lose_power().unwrap();
        let engine = JournalEngine::open_failing(&faults, folder.path(), SMALL)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = scanned(&*engine.snapshot().unwrap()).unwrap();
        if found != rows
            && let Some(failed) = failed
        {
            // What was not acknowledged may be there, but then it is whole.
            add(&mut rows, &failed);
        }
        assert!(found == rows, "{what}: something acknowledged is gone, or half of a batch is there");
    }
    faults.met().values().sum()
}

#[test]
fn what_was_acknowledged_survives_any_fault_at_any_file_and_a_loss_of_power() {
    let mut met: BTreeMap<(JournalPlace, &str), u64> = BTreeMap::new();
    let (first, seeds) = match std::env::var("CERCLE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => (seed, 1),
        None => (0, std::env::var("CERCLE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12)),
    };
    for seed in first..first + seeds {
        for place in PLACES {
            for (fault, name) in FAULTS.into_iter().zip(["full", "torn", "sync"]) {
                *met.entry((place, name)).or_default() += live_three_times(seed, place, fault);
            }
        }
    }
    eprintln!("journal on a failing disk: {seeds} seeds of nine kinds, operations that failed: {met:?}");
    if seeds > 1 {
        assert!(met.values().all(|met| *met > 0), "each kind of fault was met: {met:?}");
    }
}
