//! A store from the rows of a copy: under another name until it is whole, and with a new incarnation.
//!
//! Key packages of the copy are left out: one that was handed out since the copy was made would be handed
//! out again, and a key package must not be used twice (RFC 9420 section 16.8). Devices publish new ones when
//! they see the new incarnation. Where each group's log stood is noted as a fork.

use std::{collections::BTreeMap, path::Path};

use cercle_proto::id::{Epoch, Seq, TimestampMs};

use crate::{
    engine::{ApplyError, Batch, Change, sealed::SEALED_FORMAT},
    format::{FORMAT, FORMAT_KEY, FormatError, INCARNATION_KEY, new_incarnation},
    limits,
    open::{EngineKind, NewStore, OpenError},
    record::{
        Corrupt, Record,
        copies::{ForksRow, RESTORES_KEY, RestoresRow},
        group::GroupRow,
    },
    store::{Fork, Restore},
    table::{Key, Table},
};

/// Tables that a restored store begins without.
const LEFT_OUT: [Table; 5] =
    [Table::KeyPackageStocks, Table::KeyPackages, Table::LastResorts, Table::SpentKeyPackages, Table::Claims];

/// Makes a store out of rows.
pub struct Importer {
    new: NewStore,
    incarnation: [u8; 16],
    batch: Batch,
    rows: usize,
    bytes: usize,
    has_format: bool,
    before: Option<[u8; 16]>,
    restores: RestoresRow,
    /// Groups whose fork is not written yet, because they may have older ones: those come later.
    heads: BTreeMap<Key, (Seq, Epoch)>,
}

/// Why a copy did not become a store. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The directory, or the engine.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy's format.
    #[error("the copy cannot be used")]
    Format(#[from] FormatError),
    /// The new store cannot be written.
    #[error("the new store cannot be written: {0}")]
    Write(#[from] ApplyError),
    /// A row of the copy does not decode.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
}

impl From<Corrupt> for ImportError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Damaged(corrupt.to_string())
    }
}

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Importer {
    /// Begins in a directory that holds no store yet; it is made if its parent exists.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is a store already, or as [`OpenError`] says.
    pub fn create(path: &Path, kind: EngineKind) -> Result<Self, ImportError> {
        Ok(Self {
            new: NewStore::begin(path, kind)?,
            incarnation: new_incarnation()?,
            batch: Batch::default(),
            rows: 0,
            bytes: 0,
            has_format: false,
            before: None,
            restores: RestoresRow::default(),
            heads: BTreeMap::new(),
        })
    }

    /// Takes one row. Rows come as [`Copies::export`](crate::store::Copies::export) gives them.
    ///
    /// # Errors
    /// When the row is damaged or of a newer format, or the new store cannot be written.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), ImportError> {
        if LEFT_OUT.contains(&table) {
            return Ok(());
        }
        match (table, key) {
            (Table::Meta, INCARNATION_KEY) => {
                let incarnation = value.try_into();
                self.before = Some(
                    incarnation.map_err(|_| FormatError::Damaged("an incarnation of the wrong length"))?,
                );
                return Ok(());
            }
            (Table::Meta, RESTORES_KEY) => {
                self.restores = RestoresRow::decode(value)?;
                return Ok(());
            }
            (Table::Meta, FORMAT_KEY) => {
                let found = value.try_into().map(u32::from_be_bytes);
                let found = found.map_err(|_| FormatError::Damaged("no format number"))?;
                // The rows of a sealed store come, and stay, as they are: sealed.
                if found & !SEALED_FORMAT > FORMAT {
                    return Err(FormatError::Newer { found }.into());
                }
                self.has_format = true;
            }
            (Table::Groups, _) => {
                let row = GroupRow::decode(value)?;
                self.heads.insert(key.to_vec(), (row.head, row.epoch));
            }
            (Table::Forks, _) => {
                let earlier = ForksRow::decode(value)?;
                return self.fork(key.to_vec(), earlier);
            }
            _ => {}
        }
        self.write(table, key.to_vec(), value.to_vec())
    }

    /// Makes the store durable and gives it its name; returns its incarnation. `copy_at`: when the copy was
    /// made.
    ///
    /// # Errors
    /// When the copy had no format or incarnation, or the new store cannot be written.
    pub fn finish(mut self, copy_at: TimestampMs, now: TimestampMs) -> Result<[u8; 16], ImportError> {
        let before = self.before.ok_or(FormatError::Damaged("no incarnation"))?;
        if !self.has_format {
            return Err(FormatError::Damaged("no format number").into());
        }
        while let Some((key, _)) = self.heads.first_key_value() {
            let key = key.clone();
            self.fork(key, ForksRow::default())?;
        }
        self.restores.0.push(Restore { before, after: self.incarnation, copy_at, restored_at: now });
        let restores = self.restores.encode();
        self.write(Table::Meta, RESTORES_KEY.to_vec(), restores)?;
        self.write(Table::Meta, INCARNATION_KEY.to_vec(), self.incarnation.to_vec())?;
        self.flush()?;
        self.new.finish()?;
        Ok(self.incarnation)
    }

    /// Writes the forks of a group: those it had, and where its log stands in this copy.
    fn fork(&mut self, group: Key, mut forks: ForksRow) -> Result<(), ImportError> {
        let Some((head, epoch)) = self.heads.remove(&group) else { return Ok(()) };
        forks.0.push(Fork { incarnation: self.incarnation, head, epoch });
        self.write(Table::Forks, group, forks.encode())
    }

    fn write(&mut self, table: Table, key: Key, value: Vec<u8>) -> Result<(), ImportError> {
        self.rows += 1;
        self.bytes += key.len() + value.len();
        self.batch.set(table, key, Change::Put(value));
        if self.rows >= limits::IMPORT_ROWS_PER_WRITE_MAX || self.bytes >= limits::IMPORT_BYTES_PER_WRITE_MAX
        {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        (self.rows, self.bytes) = (0, 0);
        if !batch.is_empty() {
            self.new.engine().apply(&batch)?;
        }
        Ok(())
    }
}
