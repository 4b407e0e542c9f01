//! The index: a redb file with every row that a checkpoint has carried over.
//!
//! Values lie in it as they are, except those of the log, which are pointers into the files of bodies. Three
//! rows and a table of its own say how far it is. It takes part in no acknowledgement, so its commits are
//! few and large; they are two-phase with quick repair all the same, as ADR 0002 says why.

use std::{cell::OnceCell, collections::BTreeMap, path::Path};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    JournalError,
    bodies::{FileState, Pointer},
    disk::{Disk, IndexFile},
};
use crate::{
    engine::{EngineError, redb::read_error, verify},
    limits,
    table::Table,
};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

const FACTS: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("journal");
const FILES: TableDefinition<'static, u32, (u64, u64, u64)> = TableDefinition::new("body_files");

/// The layout of files that this build writes and reads.
const LAYOUT: u32 = 1;
const LAYOUT_KEY: &str = "layout";
const SEAL_KEY: &str = "seal";
const CHECKPOINT_KEY: &str = "checkpoint";

const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// The redb file.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
}

/// What the index says about itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// Key of the seals in the journal.
    pub(super) seal: [u8; 32],
    /// Number of the newest batch that it has.
    pub(super) checkpoint: u64,
    pub(super) files: BTreeMap<u32, FileState>,
}

impl Index {
    /// Opens the file and verifies it, or makes it with a key of its own.
    pub(super) fn open(disk: &Disk, file: &Path) -> Result<(Self, Facts), JournalError> {
        let mut builder = Database::builder();
        builder.set_cache_size(limits::ENGINE_CACHE_BYTES);
        builder.set_repair_callback(|session| {
            tracing::warn!(progress = session.progress(), "walking the whole index to repair it");
        });
        let opened = if disk.is_real() {
            builder.create(file)
        } else {
            builder.create_with_backend(
                IndexFile::open(disk, file)
                    .map_err(|error| JournalError::Io { path: file.to_owned(), source: error })?,
            )
        };
        let database = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse,
            error => index_error(error),
        })?;
        verify::whole(file).map_err(JournalError::Index)?;
        let this = Self { database };
        let facts = this.facts()?;
        Ok((this, facts))
    }

    fn facts(&self) -> Result<Facts, JournalError> {
        let transaction = self.write().map_err(JournalError::Index)?;
        let facts = facts_in(&transaction.transaction)?;
        if let Some(facts) = facts {
            return Ok(facts);
        }
        let mut seal = [0; 32];
        SystemRandom::new().fill(&mut seal).map_err(|_| JournalError::Random)?;
        {
            let mut rows = transaction.transaction.open_table(FACTS).map_err(index_error)?;
            rows.insert(LAYOUT_KEY, LAYOUT.to_be_bytes().as_slice()).map_err(index_error)?;
            rows.insert(SEAL_KEY, seal.as_slice()).map_err(index_error)?;
        }
        transaction.commit(0, &BTreeMap::new()).map_err(JournalError::Index)?;
        Ok(Facts { seal, checkpoint: 0, files: BTreeMap::new() })
    }

    /// Begins to read.
    pub(super) fn view(&self) -> Result<IndexView, EngineError> {
        let transaction = self.database.begin_read().map_err(read_error)?;
        Ok(IndexView { transaction, tables: Default::default() })
    }

    /// Begins a checkpoint. The error is in redb's words.
    pub(super) fn write(&self) -> Result<IndexWriter, String> {
        let mut transaction = self.database.begin_write().map_err(text)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        Ok(IndexWriter { transaction })
    }
}

fn facts_in(transaction: &WriteTransaction) -> Result<Option<Facts>, JournalError> {
    let rows = transaction.open_table(FACTS).map_err(index_error)?;
    let fact = |key: &str| -> Result<Option<Vec<u8>>, JournalError> {
        Ok(rows.get(key).map_err(index_error)?.map(|value| value.value().to_vec()))
    };
    let Some(layout) = fact(LAYOUT_KEY)? else { return Ok(None) };
    let layout = layout.try_into().map_or(0, u32::from_be_bytes);
    if layout != LAYOUT {
        return Err(JournalError::Layout { found: layout });
    }
    let damaged = || JournalError::Index("its own rows do not read".into());
    let seal = fact(SEAL_KEY)?.and_then(|seal| seal.try_into().ok()).ok_or_else(damaged)?;
    let checkpoint = fact(CHECKPOINT_KEY)?.and_then(|number| number.try_into().ok()).ok_or_else(damaged)?;
    let mut files = BTreeMap::new();
    for row in transaction.open_table(FILES).map_err(index_error)?.iter().map_err(index_error)? {
        let (number, state) = row.map_err(index_error)?;
        let (length, live_rows, live_bytes) = state.value();
        files.insert(number.value(), FileState { length, live_rows, live_bytes });
    }
    Ok(Some(Facts { seal, checkpoint: u64::from_be_bytes(checkpoint), files }))
}

/// The index at one moment.
pub(super) struct IndexView {
    transaction: ReadTransaction,
    /// Tables that were asked for: opening one is a search of its own.
    tables: [OnceCell<Option<Rows>>; Table::ALL.len()],
}

impl IndexView {
    /// The table, or `None` while nothing was ever written to it.
    fn rows(&self, table: Table) -> Result<Option<&Rows>, EngineError> {
        let cell = &self.tables[usize::from(table.number()) - 1];
        if let Some(rows) = cell.get() {
            return Ok(rows.as_ref());
        }
        let rows = match self.transaction.open_table(definition(table)) {
            Ok(rows) => Some(rows),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(read_error(error)),
        };
        Ok(cell.get_or_init(|| rows).as_ref())
    }

    /// The value of a key, as it lies in the index.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(rows) = self.rows(table)? else { return Ok(None) };
        Ok(rows.get(key).map_err(read_error)?.map(|value| value.value().to_vec()))
    }

    /// The rows of a range, in order, as they lie in the index.
    pub(super) fn range(
        &self,
        table: Table,
        bounds: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>),
    ) -> Result<IndexRange, EngineError> {
        let Some(rows) = self.rows(table)? else { return Ok(IndexRange(None)) };
        Ok(IndexRange(Some(rows.range::<&[u8]>(bounds).map_err(read_error)?)))
    }
}

/// Key and value.
type IndexRow = (Vec<u8>, Vec<u8>);

/// Rows of the index that are still to come.
pub(super) struct IndexRange(Option<redb::Range<'static, &'static [u8], &'static [u8]>>);

impl IndexRange {
    /// The next row, as it lies in the index; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<IndexRow>, EngineError> {
        let Some(row) = self.0.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let (key, value) = row.map_err(read_error)?;
        Ok(Some((key.value().to_vec(), value.value().to_vec())))
    }
}

/// A checkpoint under way. Errors are in redb's words.
pub(super) struct IndexWriter {
    transaction: WriteTransaction,
}

impl IndexWriter {
    /// Opens a table for changes.
    pub(super) fn table(&self, table: Table) -> Result<TableWriter<'_>, String> {
        Ok(TableWriter(self.transaction.open_table(definition(table)).map_err(text)?))
    }

    /// Records how far the index and the files are, and makes it all durable.
    pub(super) fn commit(self, checkpoint: u64, files: &BTreeMap<u32, FileState>) -> Result<(), String> {
        let number = checkpoint.to_be_bytes();
        {
            let mut facts = self.transaction.open_table(FACTS).map_err(text)?;
            facts.insert(CHECKPOINT_KEY, number.as_slice()).map_err(text)?;
            let mut rows = self.transaction.open_table(FILES).map_err(text)?;
            rows.retain(|number, _| files.contains_key(&number)).map_err(text)?;
            for (number, state) in files {
                let state = (state.length, state.live_rows, state.live_bytes);
                if rows.get(number).map_err(text)?.is_none_or(|before| before.value() != state) {
                    rows.insert(number, state).map_err(text)?;
                }
            }
        }
        self.transaction.commit().map_err(text)
    }
}

/// A table that a checkpoint changes.
pub(super) struct TableWriter<'a>(redb::Table<'a, &'static [u8], &'static [u8]>);

impl TableWriter<'_> {
    /// Sets or deletes a row.
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        match value {
            Some(value) => drop(self.0.insert(key, value).map_err(text)?),
            None => drop(self.0.remove(key).map_err(text)?),
        }
        Ok(())
    }

    /// Sets or deletes a pointer. Returns the one before.
    pub(super) fn point(&mut self, key: &[u8], to: Option<Pointer>) -> Result<Option<Pointer>, String> {
        let before = match to {
            Some(pointer) => self.0.insert(key, pointer.encode().as_slice()).map_err(text)?,
            None => self.0.remove(key).map_err(text)?,
        };
        before.map(|before| Pointer::decode(before.value())).transpose().map_err(|error| error.to_string())
    }

    /// Where a body lies.
    pub(super) fn pointer(&self, key: &[u8]) -> Result<Option<Pointer>, String> {
        let found = self.0.get(key).map_err(text)?;
        found.map(|value| Pointer::decode(value.value())).transpose().map_err(|error| error.to_string())
    }
}

fn text(error: impl Into<redb::Error>) -> String {
    error.into().to_string()
}

fn index_error(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Index(text(error))
}
