//! The optional engine: sled 0.34, behind the feature `sled`.
//!
//! sled's `flush` returns before the data is on the disk (it ends in `sync_file_range`), so this wrapper
//! syncs the log file itself after it, and when opening every file and the directory. One tree holds all
//! tables under a byte of prefix, because only changes of one tree are applied together. sled has no
//! snapshots: a lock keeps readers out while a batch is applied, so that they see all of it or nothing,
//! and nothing that is not durable. ADR 0002 says why this engine is not the default.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{RwLock, RwLockReadGuard},
};

use super::{ApplyError, Batch, Engine, EngineError, Snapshot, Visit, bounds};
use crate::{
    limits,
    store::Caps,
    table::{Key, KeyRange, Table},
};

/// Whether the wrapper makes up for the sync that sled leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SledSync {
    /// Sync the log file after each flush: acknowledged writes survive a power loss.
    Complete,
    /// Trust `flush` alone. Loses acknowledged writes; there to show that the power-loss test notices.
    FlushOnly,
}

/// A sled directory.
#[derive(Debug)]
pub struct SledEngine {
    tree: sled::Tree,
    database: sled::Db,
    /// sled's log, opened a second time to sync it: a sync concerns the file, not the descriptor.
    log: File,
    sync: SledSync,
    applying: RwLock<()>,
}

impl SledEngine {
    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// When it is locked, damaged or cannot be written.
    pub fn open(directory: &Path, sync: SledSync) -> Result<Self, sled::Error> {
        let database = sled::Config::new()
            .path(directory)
            .cache_capacity(limits::ENGINE_CACHE_BYTES as u64)
            .flush_every_ms(None)
            .open()?;
        let tree = database.open_tree("cercle")?;
        database.flush()?;
        let log = File::open(log_file(directory))?;
        if sync == SledSync::Complete {
            sync_files(directory)?;
        }
        Ok(Self { tree, database, log, sync, applying: RwLock::new(()) })
    }

    fn apply_batch(&self, batch: &Batch) -> Result<(), sled::Error> {
        let mut changes = sled::Batch::default();
        for (table, rows) in batch.tables() {
            for (key, value) in rows {
                match value {
                    Some(value) => changes.insert(prefixed(table, key), value.as_slice()),
                    None => changes.remove(prefixed(table, key)),
                }
            }
        }
        self.tree.apply_batch(changes)?;
        self.database.flush()?;
        if self.sync == SledSync::Complete {
            self.log.sync_data()?;
        }
        Ok(())
    }
}

impl Engine for SledEngine {
    fn caps(&self) -> Caps {
        Caps { name: "sled", power_loss_durable: self.sync == SledSync::Complete }
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        let guard =
            self.applying.read().map_err(|_| EngineError::Failed("a batch was left half applied".into()))?;
        Ok(Box::new(SledSnapshot { tree: &self.tree, _guard: guard }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let _guard =
            self.applying.write().map_err(|_| ApplyError::Unknown("a batch was left half applied".into()))?;
        // sled cannot say whether a failed batch reached its log.
        self.apply_batch(batch).map_err(|error| ApplyError::Unknown(error.to_string()))
    }
}

struct SledSnapshot<'a> {
    tree: &'a sled::Tree,
    _guard: RwLockReadGuard<'a, ()>,
}

impl Snapshot for SledSnapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = self.tree.get(prefixed(table, key)).map_err(read_error)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let to = range.to.as_ref().map_or_else(|| vec![table.number() + 1], |to| prefixed(table, to));
        let range = KeyRange { from: prefixed(table, &range.from), to: Some(to) };
        for row in self.tree.range::<&[u8], _>(bounds(&range)) {
            let (key, value) = row.map_err(read_error)?;
            let Some(key) = key.get(1..) else { break };
            if visit(key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Syncs every file of the directory (log, configuration, snapshots), then its names.
fn sync_files(directory: &Path) -> std::io::Result<()> {
    for file in std::fs::read_dir(directory)? {
        File::open(file?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("db")
}

fn prefixed(table: Table, key: &[u8]) -> Key {
    [&[table.number()], key].concat()
}

fn read_error(error: sled::Error) -> EngineError {
    EngineError::Failed(error.to_string())
}
