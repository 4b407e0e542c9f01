//! What the hub's store lies on: redb over a disk of pages that tears and forgets, or the journal over a folder.
//!
//! The journal's faults come at each of its files: a write that is refused, one that ends in the middle, a sync that
//! fails; and when the power goes, what was not synced is there, gone or torn. A checkpoint is waited for after each
//! batch, so that what it meets does not depend on how fast its thread is.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Weak},
};

use cercle_storage::{
    Embedded,
    engine::{
        ApplyError, Batch, Change, DiskFault, Engine, EngineError, FaultyDisk, JournalEngine, JournalFault,
        JournalFaults, JournalPlace, JournalSizes, Snapshot,
    },
    store::Caps,
    table::{KeyRange, Table},
};
use tempfile::TempDir;

/// Small, so that a run has checkpoints, several files and files that go.
const SIZES: JournalSizes =
    JournalSizes { checkpoint_bytes: 48 << 10, journal_file_bytes: 64 << 10, body_file_bytes: 48 << 10 };

/// Largest batch of a run: some writes of the hub at once, one of them the state of a group.
const BATCH_BYTES_MAX: usize = 128 << 10;

/// The disk of one hub.
pub(super) enum Disk {
    Pages(FaultyDisk),
    Journal { folder: TempDir, faults: JournalFaults, open: Weak<Waiting> },
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
        let (from, mut rows, mut bytes) = (copy.engine().unwrap(), Batch::default(), 0);
        let snapshot = from.snapshot().unwrap();
        for table in Table::ALL {
            let mut put = |key: &[u8], value: &[u8]| {
                rows.set(table, key.to_vec(), Change::Put(value.to_vec()));
                bytes += key.len() + value.len();
                if bytes > SIZES.checkpoint_bytes / 4 {
                    journal.apply(&std::mem::take(&mut rows)).unwrap();
                    bytes = 0;
                }
                ControlFlow::Continue(())
            };
            snapshot.scan(table, &KeyRange::all(), &mut put).unwrap();
        }
        journal.apply(&rows).unwrap();
        journal.wait_for_checkpoint();
        Self::Journal { folder, faults: JournalFaults::new(seed), open: Weak::new() }
    }

    /// Opens the store on it.
    pub(super) fn open(&mut self) -> Result<Embedded, String> {
        let engine: Arc<dyn Engine> = match self {
            Self::Pages(disk) => Arc::new(disk.engine().map_err(|error| error.to_string())?),
            Self::Journal { folder, faults, open } => {
                let place = folder.path().join("journal");
                let journal = JournalEngine::open_failing(faults, &place, SIZES);
                let journal = Arc::new(Waiting(journal.map_err(|error| error.to_string())?));
                *open = Arc::downgrade(&journal);
                journal
            }
        };
        Embedded::start_on_callers(engine).map_err(|error| error.to_string())
    }

    /// After so many more operations this fails, until the power is lost. `pick` chooses among the journal's files.
    pub(super) fn fail_after(&self, operations: u64, fault: DiskFault, pick: u64) {
        let faults = match self {
            Self::Pages(disk) => return disk.fail_after(operations, fault),
            Self::Journal { faults, .. } => faults,
        };
        // Most of what the journal writes are batches; a checkpoint writes bodies once and the index some times.
        let (place, operations) = match pick % 4 {
            0 | 1 => (JournalPlace::Journal, operations % 5),
            2 => (JournalPlace::Bodies, 0),
            _ => (JournalPlace::Index, operations % 12),
        };
        let fault = match fault {
            DiskFault::Sync => JournalFault::Sync,
            DiskFault::Full if (pick / 4).is_multiple_of(2) => JournalFault::Torn,
            DiskFault::Full => JournalFault::Full,
        };
        faults.fail_after(operations, place, fault);
    }

    /// Takes the power away and gives it back.
    pub(super) fn lose_power(&self) {
        match self {
            Self::Pages(disk) => disk.lose_power(),
            Self::Journal { faults, .. } => faults.lose_power().unwrap(),
        }
    }

    /// What the journal holds is bounded.
    pub(super) fn check_held(&self, at_rest: bool) {
        let Self::Journal { open, .. } = self else { return };
        let Some(engine) = open.upgrade() else { return };
        let held = engine.0.held();
        let bytes = SIZES.checkpoint_bytes + BATCH_BYTES_MAX;
        assert!(held.bytes <= bytes, "{held:?}, at most {bytes} bytes");
        // Those that it lies in, the one that is written to, the spare ones, and those from an earlier life.
        let files = bytes / SIZES.journal_file_bytes + 4;
        assert!(held.files <= files, "{held:?}, at most {files} files");
        assert!(held.views == 0 || !at_rest, "{held:?}");
    }

    /// How many operations of the journal have failed, by the kind of file.
    pub(super) fn met(&self) -> BTreeMap<JournalPlace, u64> {
        match self {
            Self::Pages(_) => BTreeMap::new(),
            Self::Journal { faults, .. } => faults.met(),
        }
    }
}

/// The journal, whose checkpoints are waited for.
pub(super) struct Waiting(JournalEngine);

impl Engine for Waiting {
    fn caps(&self) -> Caps {
        self.0.caps()
    }

    fn batch_operations_max(&self) -> usize {
        self.0.batch_operations_max()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.0.snapshot()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let applied = self.0.apply(batch);
        self.0.wait_for_checkpoint();
        applied
    }

    fn is_healthy(&self) -> bool {
        self.0.is_healthy()
    }
}
