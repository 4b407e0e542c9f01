//! The open state that the operations of one batch see and change.
//!
//! Changes are staged in memory over the newest snapshot, so each operation sees those of its neighbours
//! before it. A refused operation is undone to the last row: [`Transaction::attempt`]. The finished batch
//! goes to the engine in one piece.

use std::{cell::RefCell, collections::BTreeMap};

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::rows;
use crate::{
    engine::{Batch, Change, EngineError, Snapshot, Visit},
    record::{
        self, Record,
        expiry::{self, ExpiryRow},
    },
    store::{ReadError, WriteError},
    table::{Key, KeyRange, Table},
};

/// Each message of a batch reads the roster row of its sender, and many have the same.
const READ_AGAIN: Table = Table::Roster;

/// Staged changes over a snapshot.
pub(super) struct Transaction<'a> {
    base: &'a dyn Snapshot,
    /// Rows of [`READ_AGAIN`] as the snapshot has them.
    seen: RefCell<BTreeMap<Key, Option<Vec<u8>>>>,
    batch: Batch,
    /// What each change replaced, newest last.
    undo: Vec<(Table, Key, Change)>,
    /// Subjects for the expiry index: bucket, kind, key.
    due: Vec<(u64, expiry::Kind, Key)>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(base: &'a dyn Snapshot) -> Self {
        Self { base, seen: RefCell::default(), batch: Batch::default(), undo: Vec::new(), due: Vec::new() }
    }

    /// Runs an operation; if it is refused, nothing of it remains.
    pub(super) fn attempt<T, E>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let (undo_mark, due_mark) = (self.undo.len(), self.due.len());
        let verdict = operation(self);
        if verdict.is_err() {
            for (table, key, before) in self.undo.drain(undo_mark..).rev() {
                self.batch.set(table, key, before);
            }
            self.due.truncate(due_mark);
        }
        verdict
    }

    /// The record under a key.
    pub(super) fn load<R: Record>(&self, key: &[u8]) -> Result<Option<R>, WriteError> {
        Ok(rows::load(self, key)?)
    }

    /// Whether there is a row under a key.
    pub(super) fn exists(&self, table: Table, key: &[u8]) -> Result<bool, WriteError> {
        Ok(rows::exists(self, table, key)?)
    }

    /// Sets a record.
    pub(super) fn put<R: Record>(&mut self, key: Key, row: &R) {
        self.change(R::TABLE, key, Change::Put(row.encode()));
    }

    /// Sets a body.
    pub(super) fn put_blob(&mut self, table: Table, key: Key, bytes: &Bytes) {
        self.change(table, key, Change::Put(record::encode_blob(bytes)));
    }

    /// Sets a row of an index.
    pub(super) fn put_mark(&mut self, table: Table, key: Key) {
        self.change(table, key, Change::Put(record::encode_mark()));
    }

    /// Deletes a row, if it is there.
    pub(super) fn delete(&mut self, table: Table, key: Key) {
        self.change(table, key, Change::Delete);
    }

    /// Notes that a row is to be looked at when `at` has passed.
    pub(super) fn note_expiry(&mut self, kind: expiry::Kind, at: TimestampMs, subject: Key) {
        self.due.push((expiry::bucket(at), kind, subject));
    }

    /// The changes to apply, the expiry index included.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn finish(mut self) -> Result<Batch, WriteError> {
        let mut due: BTreeMap<_, Vec<Key>> = BTreeMap::new();
        for (bucket, kind, subject) in std::mem::take(&mut self.due) {
            due.entry((bucket, kind)).or_default().push(subject);
        }
        for ((bucket, kind), mut subjects) in due {
            let key = expiry::key(bucket, kind, &subjects[0]);
            if let Some(before) = self.load::<ExpiryRow>(&key)? {
                subjects.extend(before.subjects);
            }
            self.put(key, &ExpiryRow { subjects });
        }
        Ok(self.batch)
    }

    fn change(&mut self, table: Table, key: Key, change: Change) {
        let before = self.batch.set(table, key.clone(), change);
        self.undo.push((table, key, before));
    }
}

impl Snapshot for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.batch.get(table, key) {
            Some(staged) => Ok(staged.map(<[u8]>::to_vec)),
            None if table == READ_AGAIN => {
                if let Some(seen) = self.seen.borrow().get(key) {
                    return Ok(seen.clone());
                }
                let value = self.base.get(table, key)?;
                self.seen.borrow_mut().insert(key.to_vec(), value.clone());
                Ok(value)
            }
            None => self.base.get(table, key),
        }
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let mut staged = self.batch.range(table, range).peekable();
        let mut broken_off = false;
        self.base.scan(table, range, &mut |key, value| {
            while let Some((staged_key, staged_value)) = staged.next_if(|(next, _)| next.as_slice() < key) {
                broken_off = staged_value.as_ref().is_some_and(|value| visit(staged_key, value).is_break());
                if broken_off {
                    return rows::go_on(false);
                }
            }
            let value = match staged.next_if(|(next, _)| next.as_slice() == key) {
                Some((_, replaced)) => replaced.as_deref(),
                None => Some(value),
            };
            broken_off = value.is_some_and(|value| visit(key, value).is_break());
            rows::go_on(!broken_off)
        })?;
        if !broken_off {
            for (key, value) in staged {
                if value.as_ref().is_some_and(|value| visit(key, value).is_break()) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl From<ReadError> for WriteError {
    /// An operation that could not read has certainly not written.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Engine(what) => Self::Unavailable(what),
            ReadError::Corrupt(what) => Self::Corrupt(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, MemoryEngine};

    fn keys_of(from: &dyn Snapshot) -> Vec<Key> {
        rows::keys(from, Table::Timers, &KeyRange::all(), usize::MAX).unwrap()
    }

    #[test]
    fn a_scan_merges_staged_rows_with_stored_ones() {
        let engine = MemoryEngine::default();
        let mut stored = Batch::default();
        for key in [1, 3, 5] {
            stored.set(Table::Timers, vec![key], Change::Put(vec![1]));
        }
        engine.apply(&stored).unwrap();
        let snapshot = engine.snapshot().unwrap();
        let mut tx = Transaction::new(&*snapshot);
        for key in [0, 3, 4, 9] {
            tx.put_mark(Table::Timers, vec![key]);
        }
        tx.delete(Table::Timers, vec![5]);
        assert_eq!(keys_of(&tx), [[0], [1], [3], [4], [9]]);
        assert_eq!(rows::keys(&tx, Table::Timers, &KeyRange::all(), 2).unwrap(), [[0], [1]]);
        assert_eq!(rows::keys(&tx, Table::Timers, &KeyRange::prefix(&[9]), 2).unwrap(), [[9]]);
    }

    #[test]
    fn a_refused_operation_leaves_nothing_behind() {
        let engine = MemoryEngine::default();
        let snapshot = engine.snapshot().unwrap();
        let mut tx = Transaction::new(&*snapshot);
        tx.put_mark(Table::Timers, vec![1]);
        let refused: Result<(), ()> = tx.attempt(|tx| {
            tx.delete(Table::Timers, vec![1]);
            tx.put_mark(Table::Timers, vec![2]);
            tx.note_expiry(expiry::Kind::Claim, 5, vec![2]);
            Err(())
        });
        assert!(refused.is_err());
        assert_eq!(keys_of(&tx), [[1]]);
        assert_eq!(tx.finish().unwrap().tables().count(), 1);
    }
}
