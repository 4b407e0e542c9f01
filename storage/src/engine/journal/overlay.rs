//! Rows in memory that are durable in the journal and not yet in the index.
//!
//! Each row keeps as many versions as views may still ask for, so that readers see one moment while the
//! writer goes on. Values are parts of the records that they came in, and copy nothing.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::record::Row;
use crate::{limits::OVERLAY_ROW_BYTES, table::Table};

/// A row's value at some moment: `None` if it was deleted.
pub(super) type Value = Option<Bytes>;

type Rows = BTreeMap<Bytes, Versions>;

/// Rows that a checkpoint will carry into the index.
#[derive(Debug)]
pub(super) struct Overlay {
    /// By number of the table, from 0.
    tables: RwLock<Vec<Rows>>,
    /// Memory that it takes, about.
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Versions {
    newest: (u64, Value),
    /// Replaced by the next one, oldest first; kept for views from before that.
    older: Vec<(u64, Value)>,
}

impl Versions {
    /// The value as of a batch; `None` if the row had not been touched by then.
    fn at(&self, number: u64) -> Option<&Value> {
        if self.newest.0 <= number {
            return Some(&self.newest.1);
        }
        self.older.iter().rev().find(|(since, _)| *since <= number).map(|(_, value)| value)
    }

    /// Sets a value. `oldest`: no view asks for a moment before this one.
    fn set(&mut self, number: u64, value: Value, oldest: u64) {
        let replaced = std::mem::replace(&mut self.newest, (number, value));
        // A version is needed as long as its successor came after the oldest view.
        let needed_from = self.older.iter().skip(1).chain([&replaced]).position(|(next, _)| *next > oldest);
        self.older.drain(..needed_from.unwrap_or(self.older.len()));
        self.older.push(replaced);
    }
}

impl Default for Overlay {
    fn default() -> Self {
        let tables = Table::ALL.iter().map(|_| Rows::new()).collect();
        Self { tables: RwLock::new(tables), bytes: AtomicUsize::new(0) }
    }
}

impl Overlay {
    /// Adds the rows of a batch, parts of a record of so many bytes. `oldest`: the earliest batch that a view
    /// may stand at.
    pub(super) fn add(&self, number: u64, rows: Vec<Row>, record_bytes: usize, oldest: u64) {
        let mut added = record_bytes;
        // A panic while rows are added leaves them beyond what any view asks for.
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for Row { table, key, value } in rows {
            match tables[place(table)].entry(key) {
                std::collections::btree_map::Entry::Occupied(mut row) => {
                    row.get_mut().set(number, value, oldest);
                }
                std::collections::btree_map::Entry::Vacant(row) => {
                    row.insert(Versions { newest: (number, value), older: Vec::new() });
                    added += OVERLAY_ROW_BYTES;
                }
            }
        }
        self.bytes.fetch_add(added, Ordering::Relaxed);
    }

    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What it says about a row as of a batch; `None`: nothing.
    pub(super) fn get(&self, table: Table, key: &[u8], number: u64) -> Option<Value> {
        self.read()[place(table)].get(key)?.at(number).cloned()
    }

    /// At most `max` rows of a range as of a batch, in order.
    pub(super) fn page(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        number: u64,
        max: usize,
    ) -> Vec<(Bytes, Value)> {
        let tables = self.read();
        let rows = tables[place(table)].range::<[u8], _>(range);
        rows.filter_map(|(key, versions)| Some((key.clone(), versions.at(number)?.clone())))
            .take(max)
            .collect()
    }

    /// Visits every row of a table in its newest version, in order; once nothing is added any more.
    pub(super) fn each_newest<E>(
        &self,
        table: Table,
        mut visit: impl FnMut(&Bytes, Option<&Bytes>) -> Result<(), E>,
    ) -> Result<(), E> {
        let tables = self.read();
        tables[place(table)].iter().try_for_each(|(key, row)| visit(key, row.newest.1.as_ref()))
    }

    /// Whether it says anything about a table.
    pub(super) fn touches(&self, table: Table) -> bool {
        !self.read()[place(table)].is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Rows>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(table: Table) -> usize {
    usize::from(table.number()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: u8, value: Option<u8>) -> Row {
        let bytes = |byte| Bytes::from(vec![byte]);
        Row { table: Table::Timers, key: bytes(key), value: value.map(bytes) }
    }

    fn read(overlay: &Overlay, key: u8, number: u64) -> Option<Option<u8>> {
        overlay.get(Table::Timers, &[key], number).map(|value| value.map(|value| value[0]))
    }

    #[test]
    fn a_view_sees_the_moment_it_was_taken_at() {
        let overlay = Overlay::default();
        overlay.add(3, vec![put(1, Some(10))], 9, 0);
        overlay.add(5, vec![put(1, Some(11)), put(2, Some(20))], 9, 3);
        overlay.add(6, vec![put(1, None)], 9, 3);
        assert_eq!(read(&overlay, 1, 2), None);
        assert_eq!(read(&overlay, 1, 3), Some(Some(10)));
        assert_eq!(read(&overlay, 1, 4), Some(Some(10)));
        assert_eq!(read(&overlay, 1, 5), Some(Some(11)));
        assert_eq!(read(&overlay, 1, 6), Some(None));
        let all = (Bound::Unbounded, Bound::Unbounded);
        assert_eq!(overlay.page(Table::Timers, all, 4, 9).len(), 1);
        assert_eq!(overlay.page(Table::Timers, all, 6, 9).len(), 2);
    }

    #[test]
    fn versions_that_no_view_asks_for_are_dropped() {
        let overlay = Overlay::default();
        for number in 1..1_000 {
            overlay.add(number, vec![put(1, Some(1))], 9, number - 1);
        }
        let versions = |overlay: &Overlay| {
            overlay.read()[place(Table::Timers)].values().map(|row| row.older.len()).sum::<usize>()
        };
        assert_eq!(versions(&overlay), 1);
        for number in 1_000..1_010 {
            overlay.add(number, vec![put(1, Some(2))], 9, 999);
        }
        assert_eq!(read(&overlay, 1, 999), Some(Some(1)));
        assert_eq!(versions(&overlay), 10);
        overlay.add(1_010, vec![put(1, Some(3))], 9, 1_009);
        assert_eq!(versions(&overlay), 1);
        assert_eq!(read(&overlay, 1, 1_009), Some(Some(2)));
    }
}
