//! Encrypted local database: MLS state, cursor, message and outbox change in one transaction.
//!
//! `Store` owns the SQLite connection. All reading and writing goes through a `Tx`, one method per
//! question the core asks; each table has a file here. The core opens one transaction per input, and
//! nothing leaves the device before it is committed.

use rusqlite::{Connection, OptionalExtension, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::error::OpenError;
use pieces::Pieces;
use seal::Sealer;

pub(crate) mod groups;
pub(crate) mod identity;
pub(crate) mod intents;
pub(crate) mod key_packages;
pub(crate) mod messages;
pub(crate) mod notes;
pub(crate) mod outbox;
pub(crate) mod pieces;
pub(crate) mod schema;
pub(crate) mod seal;

/// Opens the values of a store: 32 random bytes, or derived from a passphrase by the caller. Wiped when
/// dropped, never shown.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Takes the key.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey")
    }
}

/// The local store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite: disk full, file damaged, file in use by another process.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// openmls' tables could not be made.
    #[error("MLS tables: {0}")]
    Migration(String),
    /// A value is damaged or was sealed with another key.
    #[error("a stored value does not open: {0}")]
    Damaged(&'static str),
}

/// The database of one device.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    sealer: Arc<Sealer>,
}

impl Store {
    /// Opens or makes the store in this database.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(mut connection: Connection, key: &StoreKey) -> Result<Self, OpenError> {
        let sealer = Arc::new(Sealer::new(key));
        schema::configure(&connection)?;
        schema::prepare(&connection, &sealer)?;
        crate::mls::provider::migrate(&mut connection).map_err(StoreError::Migration)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(Self { connection, sealer })
    }

    /// Begins a transaction; dropped without [`Tx::commit`], it leaves no trace.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn begin(&self) -> Result<Tx<'_>, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        Ok(Tx { transaction, sealer: &self.sealer })
    }
}

/// One transaction on the store.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    transaction: Transaction<'a>,
    sealer: &'a Arc<Sealer>,
}

impl Tx<'_> {
    /// Makes everything durable.
    ///
    /// # Errors
    /// When SQLite fails: nothing was changed.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit()?)
    }

    /// The connection, for openmls' own tables.
    pub(crate) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// What seals values, for openmls' own tables.
    pub(crate) fn sealer(&self) -> &Arc<Sealer> {
        self.sealer
    }

    /// Large values, for openmls.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces::new(&self.transaction, self.sealer)
    }

    /// Marks a point to return to with [`Tx::rollback_to_mark`]. Marks nest: `depth` is 0 outside.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn mark(&self, depth: u8) -> Result<(), StoreError> {
        Ok(self.transaction.execute_batch(&format!("SAVEPOINT mark_{depth}"))?)
    }

    /// Forgets the mark and keeps what came after it.
    ///
    /// # Errors
    /// When SQLite fails, also when it has ended the transaction by itself (disk full).
    pub(crate) fn keep_since_mark(&self, depth: u8) -> Result<(), StoreError> {
        Ok(self.transaction.execute_batch(&format!("RELEASE mark_{depth}"))?)
    }

    /// Undoes everything since the mark and forgets the mark.
    ///
    /// # Errors
    /// When SQLite fails, also when it has ended the transaction by itself (disk full).
    pub(crate) fn rollback_to_mark(&self, depth: u8) -> Result<(), StoreError> {
        let sql = format!("ROLLBACK TO mark_{depth}; RELEASE mark_{depth}");
        Ok(self.transaction.execute_batch(&sql)?)
    }

    /// Encodes and seals a record for a place.
    fn seal<T: Serialize>(&self, context: &[&[u8]], value: &T) -> Vec<u8> {
        self.sealer.seal(context, &encode(value))
    }

    /// Opens and decodes a record from its place.
    fn open<T: DeserializeOwned>(&self, context: &[&[u8]], sealed: &[u8]) -> Result<T, StoreError> {
        let plain = Zeroizing::new(self.sealer.open(context, sealed)?);
        decode(&plain)
    }

    fn read_meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let mut statement = self.transaction.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let sealed: Option<Vec<u8>> = statement.query_row([name], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.open(&[b"meta", name.as_bytes()], &sealed)).transpose()
    }

    fn write_meta<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let sealed = self.seal(&[b"meta", name.as_bytes()], value);
        let sql = "INSERT INTO meta(name, value) VALUES (?1, ?2)
                   ON CONFLICT(name) DO UPDATE SET value = excluded.value";
        self.transaction.prepare_cached(sql)?.execute((name, sealed))?;
        Ok(())
    }
}

/// Encodes a record: a version byte, then CBOR, which tolerates added fields.
pub(crate) fn encode<T: Serialize>(value: &T) -> Zeroizing<Vec<u8>> {
    let out = cbor4ii::serde::to_vec(vec![RECORD_VERSION], value);
    let out = Zeroizing::new(out.expect("memory is there, and serde's values all have a form in CBOR"));
    #[cfg(test)]
    tests::assert_written_as_ever(&out[1..], value);
    out
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// When it is another version or damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, rest)) => {
            cbor4ii::serde::from_slice(rest).map_err(|_| StoreError::Damaged("a record does not decode"))
        }
        _ => Err(StoreError::Damaged("a record of an unknown version")),
    }
}

const RECORD_VERSION: u8 = 1;

/// A sequence number or time as SQLite stores it.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A sequence number or time as SQLite stored it.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    /// Stores were first written by `ciborium`, and openmls finds its rows by their encoded keys: every
    /// record that any test of this crate writes must be the same to the byte.
    pub(super) fn assert_written_as_ever<T: Serialize>(written: &[u8], value: &T) {
        let mut before = Vec::new();
        ciborium::into_writer(value, &mut before).unwrap();
        assert!(written == before, "{} is written in another way", std::any::type_name::<T>());
    }
}
