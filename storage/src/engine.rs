//! The byte level: what a key-value engine has to offer to carry the embedded store.
//!
//! Called by `embedded` only. Two operations: a consistent snapshot to read from, and one atomic, durable
//! batch of changes. There is one writer, so the state that a batch was computed from cannot move before
//! it is applied; engines therefore need no transactions that read and write.

mod dice;
mod faulty;
mod faulty_disk;
mod journal;
mod memory;
mod redb;
pub(crate) mod sealed;
#[cfg(feature = "sled")]
mod sled;
mod verify;

use std::{collections::BTreeMap, ops::ControlFlow};

pub use self::faulty::{Fault, FaultyEngine};
pub use self::faulty_disk::{DiskFault, FaultyDisk};
pub use self::journal::{
    JournalEngine, JournalError, JournalFault, JournalFaults, JournalHeld, JournalPlace, JournalSizes,
};
pub use self::memory::MemoryEngine;
pub use self::redb::RedbEngine;
#[cfg(feature = "sled")]
pub use self::sled::{SledEngine, SledSync};

use crate::{
    limits,
    store::Caps,
    table::{Key, KeyRange, Table},
};

/// A key-value engine with one writer and many readers.
pub trait Engine: Send + Sync {
    /// What it promises.
    fn caps(&self) -> Caps;

    /// Operations that one batch may carry: more where a batch costs little besides its sync.
    fn batch_operations_max(&self) -> usize {
        limits::BATCH_OPERATIONS_MAX
    }

    /// A consistent view of everything that [`Engine::apply`] has returned `Ok` for. Hold it briefly: it
    /// may keep the writer waiting or old pages alive. Never take two on one thread.
    ///
    /// # Errors
    /// When the engine cannot start to read.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError>;

    /// The rows as they lie on the disk, sealed where the store is: for copies.
    ///
    /// # Errors
    /// When the engine cannot start to read.
    fn stored(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.snapshot()
    }

    /// Makes all changes of the batch, or none, and returns once they are durable. Called by one thread.
    ///
    /// # Errors
    /// [`ApplyError::NotStored`] when nothing was written, [`ApplyError::Unknown`] when that is not
    /// certain. Either way the engine may be broken: the caller writes no more through it.
    fn apply(&self, batch: &Batch) -> Result<(), ApplyError>;

    /// Whether it still takes batches. What it does beside them may fail without one.
    fn is_healthy(&self) -> bool {
        true
    }
}

/// What a visitor of [`Snapshot::scan`] is called with: a key and its value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A consistent view of the tables.
pub trait Snapshot {
    /// The value of a key.
    ///
    /// # Errors
    /// When the engine fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Visits the rows of a range in the order of their keys, until the visitor breaks off.
    ///
    /// # Errors
    /// When the engine fails.
    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError>;
}

/// Changes to apply together: for each key its new value, or `None` to delete it.
#[derive(Debug, Default)]
pub struct Batch {
    changes: BTreeMap<Table, BTreeMap<Key, Option<Vec<u8>>>>,
}

/// What a batch says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is set to this value.
    Put(Vec<u8>),
    /// It is deleted.
    Delete,
    /// Nothing.
    Untouched,
}

impl Batch {
    /// Changes a key and returns what the batch said about it before.
    pub fn set(&mut self, table: Table, key: Key, change: Change) -> Change {
        let rows = self.changes.entry(table).or_default();
        let before = match change {
            Change::Put(value) => rows.insert(key, Some(value)),
            Change::Delete => rows.insert(key, None),
            Change::Untouched => rows.remove(&key),
        };
        match before {
            Some(Some(value)) => Change::Put(value),
            Some(None) => Change::Delete,
            None => Change::Untouched,
        }
    }

    /// What the batch says about a key: `Some(None)` is a deletion, `None` nothing.
    #[must_use]
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(&table)?.get(key).map(Option::as_deref)
    }

    /// Nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.values().all(BTreeMap::is_empty)
    }

    /// The changes of each touched table, in the order of their keys.
    pub fn tables(&self) -> impl Iterator<Item = (Table, &BTreeMap<Key, Option<Vec<u8>>>)> {
        self.changes.iter().filter(|(_, rows)| !rows.is_empty()).map(|(table, rows)| (*table, rows))
    }

    /// The changes of one table within a range, in the order of their keys.
    pub(crate) fn range(
        &self,
        table: Table,
        range: &KeyRange,
    ) -> impl Iterator<Item = (&Key, &Option<Vec<u8>>)> {
        let bounds = bounds(range);
        self.changes.get(&table).into_iter().flat_map(move |rows| rows.range::<[u8], _>(bounds))
    }
}

/// The range as the standard library's maps and the engines' trees take it. An end before the start gives
/// an empty range at the start: the trees panic on, or refuse, a reversed one.
pub(crate) fn bounds(range: &KeyRange) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let from = range.from.as_slice();
    match range.to.as_deref() {
        Some(to) if to <= from => (Included(from), Excluded(from)),
        Some(to) => (Included(from), Excluded(to)),
        None => (Included(from), Unbounded),
    }
}

/// A read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot read now.
    #[error("{0}")]
    Failed(String),
    /// What is stored is not what was written. The text says what and where; nothing of it is served.
    #[error("{0}")]
    Damaged(String),
}

/// A batch was not applied, or perhaps not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Certainly nothing of it was stored.
    #[error("{0}")]
    NotStored(String),
    /// All of it or nothing: not known.
    #[error("{0}")]
    Unknown(String),
}
