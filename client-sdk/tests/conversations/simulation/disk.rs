//! What the hub's store lies on: redb over a disk of pages that tears and forgets, or the journal over a folder.
//!
//! The journal has files of its own, so its faults come by batches: one that is not written, and one whose sync
//! fails and which then is there or not. Batches do not depend on contents, so that a seed meets the same one in
//! each run. Records that are torn are the power-loss test's (`storage/tests/durability`).

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use cercle_storage::{
    Embedded,
    engine::{
        ApplyError, Batch, Change, DiskFault, Engine, EngineError, FaultyDisk, JournalEngine, JournalSizes,
        Snapshot,
    },
    store::Caps,
    table::{KeyRange, Table},
};
use tempfile::TempDir;

/// Small, so that a run has checkpoints, several files and files that go.
const SIZES: JournalSizes =
    JournalSizes { checkpoint_bytes: 96 << 10, journal_file_bytes: 64 << 10, body_file_bytes: 48 << 10 };

/// The disk of one hub.
pub(super) enum Disk {
    Pages(FaultyDisk),
    Journal { folder: TempDir, faults: Arc<Faults> },
}

/// Which batch fails, and how.
#[derive(Debug, Default)]
pub(super) struct Faults {
    batches: AtomicU64,
    next: Mutex<Option<(u64, DiskFault)>>,
}

impl Disk {
    pub(super) const fn pages(disk: FaultyDisk) -> Self {
        Self::Pages(disk)
    }

    /// A disk with what is on this one, of the kind that the seed has.
    pub(super) fn of_seed(disk: &FaultyDisk, seed: u64) -> Self {
        let copy = disk.copy(seed);
        if seed.is_multiple_of(2) {
            return Self::Pages(copy);
        }
        let folder = super::world::fast_folder();
        let journal = JournalEngine::open(&folder.path().join("journal"), SIZES).unwrap();
        let (from, mut rows) = (copy.engine().unwrap(), Batch::default());
        let snapshot = from.snapshot().unwrap();
        for table in Table::ALL {
            let mut put = |key: &[u8], value: &[u8]| {
                rows.set(table, key.to_vec(), Change::Put(value.to_vec()));
                ControlFlow::Continue(())
            };
            snapshot.scan(table, &KeyRange::all(), &mut put).unwrap();
        }
        journal.apply(&rows).unwrap();
        Self::Journal { folder, faults: Arc::default() }
    }

    /// Opens the store on it.
    pub(super) fn open(&self) -> Result<Embedded, String> {
        let engine: Arc<dyn Engine> = match self {
            Self::Pages(disk) => Arc::new(disk.engine().map_err(|error| error.to_string())?),
            Self::Journal { folder, faults } => {
                let journal = JournalEngine::open(&folder.path().join("journal"), SIZES);
                let journal = journal.map_err(|error| error.to_string())?;
                Arc::new(Failing { journal, faults: Arc::clone(faults) })
            }
        };
        Embedded::start_on_callers(engine).map_err(|error| error.to_string())
    }

    /// After so many more operations this fails, until the power is lost.
    pub(super) fn fail_after(&self, operations: u64, fault: DiskFault) {
        match self {
            Self::Pages(disk) => disk.fail_after(operations, fault),
            Self::Journal { faults, .. } => {
                let at = faults.batches.load(Ordering::Relaxed) + operations;
                *faults.next.lock().unwrap() = Some((at, fault));
            }
        }
    }

    /// Takes the power away and gives it back.
    pub(super) fn lose_power(&self) {
        match self {
            Self::Pages(disk) => disk.lose_power(),
            Self::Journal { faults, .. } => *faults.next.lock().unwrap() = None,
        }
    }
}

/// The journal on a disk that fails.
struct Failing {
    journal: JournalEngine,
    faults: Arc<Faults>,
}

impl Engine for Failing {
    fn caps(&self) -> Caps {
        self.journal.caps()
    }

    fn batch_operations_max(&self) -> usize {
        self.journal.batch_operations_max()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.journal.snapshot()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let number = self.faults.batches.fetch_add(1, Ordering::Relaxed);
        match self.faults.next.lock().unwrap().filter(|(at, _)| number >= *at) {
            None => self.journal.apply(batch),
            Some((_, DiskFault::Full)) => Err(ApplyError::NotStored("the test disk is full".into())),
            Some((at, DiskFault::Sync)) => {
                // What a sync that failed has left behind is anybody's guess: here that of the seed.
                if at.is_multiple_of(2) {
                    self.journal.apply(batch)?;
                }
                Err(ApplyError::Unknown("the test disk does not sync".into()))
            }
        }
    }

    fn is_healthy(&self) -> bool {
        self.journal.is_healthy()
    }
}
