//! Carries what the journal has over into index and bodies, on a thread of its own.
//!
//! Only one is under way at a time. Bodies are durable before the index points to them, and the index is
//! before the journal lets anything go; so a checkpoint that is cut off anywhere has not happened. If one
//! fails the engine takes no more writes: the journal has everything, and opening it again tries again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    bodies::{Bodies, BodyWriter, FileState, Pointer, Walk},
    index::{Index, IndexWriter, TableWriter},
    overlay::Overlay,
};
use crate::{engine::EngineError, table::Table};

/// The files of bodies as the last checkpoint left them.
pub(super) type Files = BTreeMap<u32, FileState>;

/// What checkpoints know of the files from one to the next.
pub(super) struct Books {
    files: Files,
    /// Files that cannot be copied together because something in them is damaged: they are left as they are, and
    /// said once. What is damaged is named to whoever asks for it.
    damaged: BTreeSet<u32>,
}

impl Books {
    /// With the files as the index has them.
    pub(super) const fn new(files: Files) -> Self {
        Self { files, damaged: BTreeSet::new() }
    }
}

/// Carries an overlay over. `number`: its newest batch. Changes the books, and returns the files in which nothing
/// is alive any more. The error says what failed, in words.
pub(super) fn write(
    index: &Index,
    bodies: &Bodies,
    file_bytes_max: u64,
    (number, overlay): (u64, &Overlay),
    books: &mut Books,
) -> Result<Vec<u32>, String> {
    let transaction = index.write()?;
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Log && overlay.touches(*table)) {
        let mut rows = transaction.table(table)?;
        overlay.each_newest(table, |key, value| rows.set(key, value.map(|value| &value[..])))?;
    }
    let (current, state) = match books.files.last_key_value() {
        Some((number, state)) => (*number, *state),
        None => (0, FileState::default()),
    };
    let writer = BodyWriter::new(bodies, file_bytes_max, current, state.length);
    let mut carrier = Carrier { rows: transaction.table(Table::Log)?, writer, books };
    overlay.each_newest(Table::Log, |key, body| carrier.set(key, body.map(|body| &body[..])))?;
    carrier.compact_one(bodies)?;
    carrier.writer.sync().map_err(io_text)?;
    let current = carrier.writer.current();
    drop(carrier);
    finish(transaction, number, current, books)
}

fn finish(
    transaction: IndexWriter,
    number: u64,
    current: u32,
    books: &mut Books,
) -> Result<Vec<u32>, String> {
    let Books { files, damaged } = books;
    // The current one stays, empty or not: the next checkpoint goes on in it.
    let dead =
        |(number, state): (&u32, &FileState)| (state.live_rows == 0 && *number != current).then_some(*number);
    let dead: Vec<u32> = files.iter().filter_map(dead).collect();
    files.retain(|number, _| !dead.contains(number));
    damaged.retain(|number| files.contains_key(number));
    transaction.commit(number, files)?;
    Ok(dead)
}

fn io_text(error: io::Error) -> String {
    format!("bodies cannot be written: {error}")
}

/// Moves bodies into files and keeps the books.
struct Carrier<'a> {
    rows: TableWriter<'a>,
    writer: BodyWriter<'a>,
    books: &'a mut Books,
}

impl Carrier<'_> {
    /// Sets or deletes an entry.
    fn set(&mut self, key: &[u8], body: Option<&[u8]>) -> Result<(), String> {
        let pointer = match body {
            Some(body) => Some(self.writer.append(key, body).map_err(io_text)?),
            None => None,
        };
        if let Some(pointer) = pointer {
            self.book_in(key, pointer);
        }
        if let Some(before) = self.rows.point(key, pointer)? {
            self.book_out(key, before);
        }
        Ok(())
    }

    fn book_in(&mut self, key: &[u8], pointer: Pointer) {
        let state = self.books.files.entry(pointer.file).or_default();
        state.length += pointer.bytes(key);
        state.live_rows += 1;
        state.live_bytes += pointer.bytes(key);
    }

    fn book_out(&mut self, key: &[u8], pointer: Pointer) {
        if let Some(state) = self.books.files.get_mut(&pointer.file) {
            state.live_rows = state.live_rows.saturating_sub(1);
            state.live_bytes = state.live_bytes.saturating_sub(pointer.bytes(key));
        }
    }

    /// Copies what is alive out of the emptiest file, if less than half of it is.
    fn compact_one(&mut self, bodies: &Bodies) -> Result<(), String> {
        let current = self.writer.current();
        let sparse = |(number, state): &(&u32, &FileState)| {
            let whole = !self.books.damaged.contains(number);
            **number != current && state.live_rows > 0 && state.live_bytes * 2 < state.length && whole
        };
        let emptiest = self.books.files.iter().filter(sparse).min_by_key(|(_, state)| state.live_bytes);
        let Some((victim, length)) = emptiest.map(|(number, state)| (*number, state.length)) else {
            return Ok(());
        };
        let mut walk = Walk::new(bodies, victim, length);
        while self.books.files.get(&victim).is_some_and(|state| state.live_rows > 0) {
            match walk.next() {
                Ok(Some((pointer, key, body))) => {
                    if self.rows.pointer(&key)? == Some(pointer) {
                        self.set(&key, Some(&body))?;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "a file of bodies cannot be copied together");
                    if matches!(error, EngineError::Damaged(_)) {
                        self.books.damaged.insert(victim);
                    }
                    break;
                }
            }
        }
        Ok(())
    }
}
