//! Typed reading of rows, from a snapshot or from an open transaction alike.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::{
    engine::{EngineError, Snapshot},
    record::{self, Record},
    store::ReadError,
    table::{Key, KeyRange, Table},
};

/// The record under a key.
pub(super) fn load<R: Record>(from: &dyn Snapshot, key: &[u8]) -> Result<Option<R>, ReadError> {
    let value = from.get(R::TABLE, key).map_err(engine)?;
    Ok(value.map(|value| R::decode(&value)).transpose()?)
}

/// The body under a key of a table that holds nothing but bodies.
pub(super) fn load_blob(from: &dyn Snapshot, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
    let value = from.get(table, key).map_err(engine)?;
    Ok(value.map(|value| record::decode_blob(table, &value)).transpose()?)
}

/// Whether there is a row under a key.
pub(super) fn exists(from: &dyn Snapshot, table: Table, key: &[u8]) -> Result<bool, ReadError> {
    Ok(from.get(table, key).map_err(engine)?.is_some())
}

/// Visits the records of a range in order, until the visitor breaks off or fails.
pub(super) fn each<R: Record>(
    from: &dyn Snapshot,
    range: &KeyRange,
    mut visit: impl FnMut(&[u8], R) -> Result<ControlFlow<()>, ReadError>,
) -> Result<(), ReadError> {
    let mut failure = None;
    let mut visit_row = |key: &[u8], value: &[u8]| {
        let step = R::decode(value).map_err(ReadError::from).and_then(|row| visit(key, row));
        step.unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    };
    from.scan(R::TABLE, range, &mut visit_row).map_err(engine)?;
    failure.map_or(Ok(()), Err)
}

/// The records of a range, at most `limit`.
pub(super) fn collect<R: Record>(
    from: &dyn Snapshot,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(Key, R)>, ReadError> {
    let mut rows = Vec::new();
    if limit == 0 {
        return Ok(rows);
    }
    each(from, range, |key, row| {
        rows.push((key.to_vec(), row));
        Ok(go_on(rows.len() < limit))
    })?;
    Ok(rows)
}

/// The keys of a range, at most `limit`, whatever their values say.
pub(super) fn keys(
    from: &dyn Snapshot,
    table: Table,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<Key>, ReadError> {
    let mut keys = Vec::new();
    if limit == 0 {
        return Ok(keys);
    }
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        go_on(keys.len() < limit)
    };
    from.scan(table, range, &mut visit).map_err(engine)?;
    Ok(keys)
}

/// Continue while true.
pub(super) const fn go_on(further: bool) -> ControlFlow<()> {
    if further { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// A key that does not have the shape its table prescribes.
pub(super) fn bad_key(table: Table) -> ReadError {
    record::corrupt(table, "a key of the wrong shape".into()).into()
}

pub(super) fn engine(error: EngineError) -> ReadError {
    match error {
        EngineError::Failed(what) => ReadError::Engine(what),
        EngineError::Damaged(what) => ReadError::Corrupt(what),
    }
}
