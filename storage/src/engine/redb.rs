//! redb: one file, every commit in two phases. Stores from before the journal have it.
//!
//! Two-phase commit, because the one-phase checksum is not cryptographic and stored bodies come from
//! outside. Quick repair on every transaction, because a single one without it makes the next open after
//! a kill walk the whole file. ADR 0002 has the evidence.

use std::path::Path;

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError};

use super::{ApplyError, Batch, Engine, EngineError, Snapshot, Visit, bounds, verify};
use crate::{
    limits,
    store::Caps,
    table::{KeyRange, Table},
};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// A redb file.
#[derive(Debug)]
pub struct RedbEngine {
    database: Database,
}

impl RedbEngine {
    /// Opens the file and verifies it, or makes it. The caller makes the directory entry durable.
    ///
    /// # Errors
    /// When the file is locked, damaged or cannot be written.
    pub fn open(file: &Path) -> Result<Self, redb::DatabaseError> {
        let database = builder().create(file)?;
        verify::whole(file).map_err(redb::StorageError::Corrupted)?;
        Ok(Self { database })
    }

    /// Opens what lies on a disk that is no file, or makes it.
    ///
    /// # Errors
    /// When it is damaged or cannot be written.
    pub(super) fn over(disk: impl redb::StorageBackend) -> Result<Self, redb::DatabaseError> {
        Ok(Self { database: builder().create_with_backend(disk)? })
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(limits::ENGINE_CACHE_BYTES);
    builder.set_repair_callback(|session| {
        tracing::warn!(progress = session.progress(), "walking the whole store file to repair it");
    });
    builder
}

impl Engine for RedbEngine {
    fn caps(&self) -> Caps {
        Caps { name: "redb", power_loss_durable: true }
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        let transaction = self.database.begin_read().map_err(read_error)?;
        Ok(Box::new(RedbSnapshot { transaction }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let mut transaction = self.database.begin_write().map_err(not_stored)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        for (table, changes) in batch.tables() {
            let mut rows = transaction.open_table(definition(table)).map_err(not_stored)?;
            for (key, value) in changes {
                match value {
                    Some(value) => rows.insert(key.as_slice(), value.as_slice()).map_err(not_stored)?,
                    None => rows.remove(key.as_slice()).map_err(not_stored)?,
                };
            }
        }
        transaction.commit().map_err(|error| ApplyError::Unknown(error.to_string()))
    }
}

struct RedbSnapshot {
    transaction: ReadTransaction,
}

impl RedbSnapshot {
    /// The table, or `None` while nothing was ever written to it.
    fn rows(&self, table: Table) -> Result<Option<Rows>, EngineError> {
        match self.transaction.open_table(definition(table)) {
            Ok(rows) => Ok(Some(rows)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(read_error(error)),
        }
    }
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(rows) = self.rows(table)? else { return Ok(None) };
        Ok(rows.get(key).map_err(read_error)?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let Some(rows) = self.rows(table)? else { return Ok(()) };
        for row in rows.range::<&[u8]>(bounds(range)).map_err(read_error)? {
            let (key, value) = row.map_err(read_error)?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// What redb says when a page does not read is damage; all else is a failure.
pub(super) fn read_error(error: impl Into<redb::Error>) -> EngineError {
    match error.into() {
        error @ redb::Error::Corrupted(_) => EngineError::Damaged(error.to_string()),
        error => EngineError::Failed(error.to_string()),
    }
}

fn not_stored(error: impl Into<redb::Error>) -> ApplyError {
    ApplyError::NotStored(error.into().to_string())
}
