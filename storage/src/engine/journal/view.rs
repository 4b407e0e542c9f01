//! The rows of one moment: two overlays over the index.
//!
//! A scan merges three sources in the order of their keys. Each is read a page at a time, small at first,
//! because most scans stop early; bodies of a page are read from their files together.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use bytes::Bytes;

use super::{
    Base, Shared,
    bodies::Pointer,
    index::{IndexRange, IndexView},
    overlay::{Overlay, Value},
};
use crate::{
    engine::{EngineError, Snapshot, Visit, bounds},
    limits::{BODY_READ_BYTES_MAX, SCAN_ROWS_FIRST, SCAN_ROWS_MAX},
    table::{KeyRange, Table},
};

/// A moment to read from.
pub(super) struct View<'a> {
    pub(super) shared: &'a Shared,
    /// Newest batch that it sees.
    pub(super) number: u64,
    /// Newest first.
    pub(super) overlays: Vec<Arc<Overlay>>,
    pub(super) index: IndexView,
    /// Keeps files of bodies that this moment may point to.
    pub(super) _base: Arc<Base>,
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.shared.forget_view(self.number);
    }
}

impl Snapshot for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        for overlay in &self.overlays {
            if let Some(value) = overlay.get(table, key, self.number) {
                return Ok(value.map(|value| value.to_vec()));
            }
        }
        let Some(value) = self.index.get(table, key)? else { return Ok(None) };
        if table != Table::Log {
            return Ok(Some(value));
        }
        let bodies = self.shared.bodies.read(&[(key.to_vec(), Pointer::decode(&value)?)])?;
        Ok(bodies.first().map(|body| body.to_vec()))
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let mut sources = self.sources(table, range)?;
        loop {
            let mut first: Option<(Bytes, usize)> = None;
            for (place, source) in sources.iter_mut().enumerate() {
                let Some(key) = source.peek()? else { continue };
                // The first of equals is the newest.
                if first.as_ref().is_none_or(|(least, _)| key < *least) {
                    first = Some((key, place));
                }
            }
            let Some((key, newest)) = first else { return Ok(()) };
            let mut value = None;
            for (place, source) in sources.iter_mut().enumerate() {
                if let Some(found) = source.take_if(&key)
                    && place == newest
                {
                    value = found;
                }
            }
            if value.is_some_and(|value| visit(&key, &value).is_break()) {
                return Ok(());
            }
        }
    }
}

impl View<'_> {
    /// Where rows of a range come from, newest first.
    fn sources<'a>(&'a self, table: Table, range: &'a KeyRange) -> Result<Vec<Source<'a>>, EngineError> {
        let (from, to) = bounds(range);
        let source = |from: From<'a>| Source { from, page: VecDeque::new(), rows_next: SCAN_ROWS_FIRST };
        let mut sources = Vec::with_capacity(3);
        for overlay in self.overlays.iter().filter(|overlay| overlay.touches(table)) {
            let next = Some(owned(from));
            sources.push(source(From::Overlay { overlay, table, next, to, number: self.number }));
        }
        let rows = self.index.range(table, (from, to))?;
        sources.push(source(From::Index { rows, view: self, table }));
        Ok(sources)
    }
}

fn owned(bound: Bound<&[u8]>) -> Bound<Bytes> {
    bound.map(Bytes::copy_from_slice)
}

enum From<'a> {
    Overlay {
        overlay: &'a Overlay,
        table: Table,
        /// Where the next page begins; `None` at the end.
        next: Option<Bound<Bytes>>,
        to: Bound<&'a [u8]>,
        number: u64,
    },
    Index {
        rows: IndexRange,
        view: &'a View<'a>,
        table: Table,
    },
}

/// One layer's rows, a page at a time.
struct Source<'a> {
    from: From<'a>,
    page: VecDeque<(Bytes, Value)>,
    /// Rows of the next page.
    rows_next: usize,
}

impl Source<'_> {
    /// The key that comes next.
    fn peek(&mut self) -> Result<Option<Bytes>, EngineError> {
        if self.page.is_empty() {
            let max = self.rows_next;
            self.rows_next = (max * 2).min(SCAN_ROWS_MAX);
            self.page = self.from.page(max)?;
        }
        Ok(self.page.front().map(|(key, _)| key.clone()))
    }

    /// Takes the next row if it has this key.
    fn take_if(&mut self, key: &Bytes) -> Option<Value> {
        if self.page.front().is_some_and(|(next, _)| next == key) {
            return self.page.pop_front().map(|(_, value)| value);
        }
        None
    }
}

impl From<'_> {
    /// The next rows; none at the end.
    fn page(&mut self, max: usize) -> Result<VecDeque<(Bytes, Value)>, EngineError> {
        match self {
            Self::Overlay { overlay, table, next, to, number } => {
                let Some(from) = next.take() else { return Ok(VecDeque::new()) };
                let rows = overlay.page(*table, (from.as_ref().map(|from| &from[..]), *to), *number, max);
                if rows.len() == max {
                    *next = rows.last().map(|(key, _)| Bound::Excluded(key.clone()));
                }
                Ok(rows.into())
            }
            Self::Index { rows, view, table } if *table == Table::Log => bodies_page(rows, view, max),
            Self::Index { rows, .. } => {
                let mut page = VecDeque::new();
                while page.len() < max
                    && let Some((key, value)) = rows.next()?
                {
                    page.push_back((key.into(), Some(value.into())));
                }
                Ok(page)
            }
        }
    }
}

/// Follows pointers, as many as fit into one read.
fn bodies_page(
    rows: &mut IndexRange,
    view: &View<'_>,
    max: usize,
) -> Result<VecDeque<(Bytes, Value)>, EngineError> {
    let (mut pointers, mut bytes) = (Vec::new(), 0);
    while pointers.len() < max
        && bytes < BODY_READ_BYTES_MAX
        && let Some((key, value)) = rows.next()?
    {
        let pointer = Pointer::decode(&value)?;
        bytes += pointer.bytes(&key);
        pointers.push((key, pointer));
    }
    let bodies = view.shared.bodies.read(&pointers)?;
    Ok(pointers.into_iter().zip(bodies).map(|((key, _), body)| (key.into(), Some(body))).collect())
}
