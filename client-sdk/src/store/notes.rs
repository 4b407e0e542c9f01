//! Tables `notes` and `agenda`: what this device must remember beside groups and messages, and when it has
//! to do something by itself.
//!
//! A note is a sealed record under a kind and a key: a transfer that goes on, an identity to hand over. An
//! appointment is a sealed record with a time; it is taken once, in the transaction that carries it out.

use cercle_proto::id::TimestampMs;
use rusqlite::OptionalExtension;
use serde::{Serialize, de::DeserializeOwned};

use super::{StoreError, Tx, integer, unsigned};

impl Tx<'_> {
    /// The note of this kind under this key.
    pub(crate) fn note<T: DeserializeOwned>(&self, kind: &str, key: &[u8]) -> Result<Option<T>, StoreError> {
        let sql = "SELECT record FROM notes WHERE kind = ?1 AND key = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let sealed: Option<Vec<u8>> = statement.query_row((kind, key), |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.open(&[b"notes", kind.as_bytes(), key], &sealed)).transpose()
    }

    /// Every note of this kind with its key, in the order of the keys.
    pub(crate) fn notes<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let sql = "SELECT key, record FROM notes WHERE kind = ?1 ORDER BY key";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([kind])?;
        let mut notes = Vec::new();
        while let Some(row) = rows.next()? {
            let (key, sealed): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let note = self.open(&[b"notes", kind.as_bytes(), &key], &sealed)?;
            notes.push((key, note));
        }
        Ok(notes)
    }

    /// How many notes of this kind there are.
    pub(crate) fn count_notes(&self, kind: &str) -> Result<usize, StoreError> {
        let mut statement = self.transaction.prepare_cached("SELECT COUNT(*) FROM notes WHERE kind = ?1")?;
        Ok(statement.query_row([kind], |row| row.get(0))?)
    }

    /// Writes or replaces a note.
    pub(crate) fn write_note<T: Serialize>(
        &self,
        kind: &str,
        key: &[u8],
        note: &T,
    ) -> Result<(), StoreError> {
        let sealed = self.seal(&[b"notes", kind.as_bytes(), key], note);
        let sql = "INSERT INTO notes(kind, key, record) VALUES (?1, ?2, ?3)
                   ON CONFLICT(kind, key) DO UPDATE SET record = excluded.record";
        self.transaction.prepare_cached(sql)?.execute((kind, key, sealed))?;
        Ok(())
    }

    /// Removes a note, if it is there.
    pub(crate) fn delete_note(&self, kind: &str, key: &[u8]) -> Result<(), StoreError> {
        let sql = "DELETE FROM notes WHERE kind = ?1 AND key = ?2";
        self.transaction.prepare_cached(sql)?.execute((kind, key))?;
        Ok(())
    }

    /// Makes an appointment.
    pub(crate) fn add_appointment<T: Serialize>(
        &self,
        due_at: TimestampMs,
        record: &T,
    ) -> Result<(), StoreError> {
        let sealed = self.seal(&[b"agenda"], record);
        let sql = "INSERT INTO agenda(due_at, record) VALUES (?1, ?2)";
        self.transaction.prepare_cached(sql)?.execute((integer(due_at), sealed))?;
        Ok(())
    }

    /// Takes the first appointment that is due, if there is one.
    pub(crate) fn take_appointment<T: DeserializeOwned>(
        &self,
        now: TimestampMs,
    ) -> Result<Option<T>, StoreError> {
        let sql = "DELETE FROM agenda WHERE id =
                   (SELECT id FROM agenda WHERE due_at <= ?1 ORDER BY due_at, id LIMIT 1) RETURNING record";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let sealed: Option<Vec<u8>> = statement.query_row([integer(now)], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.open(&[b"agenda"], &sealed)).transpose()
    }

    /// When the next appointment is due.
    pub(crate) fn next_appointment(&self) -> Result<Option<TimestampMs>, StoreError> {
        let mut statement = self.transaction.prepare_cached("SELECT MIN(due_at) FROM agenda")?;
        let due: Option<i64> = statement.query_row([], |row| row.get(0))?;
        Ok(due.map(unsigned))
    }
}
