//! Makes a sealed store out of one that is not: once, while no hub has it open.
//!
//! The rows are written anew into a store of another name, which takes the place of the old one when it is whole and
//! durable. A process that is killed on the way leaves the old store or the new one, and the next open tidies up.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crate::{
    engine::{Batch, Change, Engine, EngineError, sealed},
    format, limits,
    open::{EngineKind, OpenError, Unfinished, lock, remove, start_engine},
    seal::DataKey,
    table::{KeyRange, Table},
};

/// What the name of a store ends with while the sealed one takes its place.
const UNSEALED: &str = "unsealed";

/// Whether the store in a directory is sealed; `None` if there is none. Takes the store's lock for a moment.
///
/// # Errors
/// As [`OpenError`] says: among others when a hub has it open.
pub fn is_sealed(path: &Path) -> Result<Option<bool>, OpenError> {
    let Some(kind) = EngineKind::found_in(path) else { return Ok(None) };
    let _lock = lock(path)?;
    let engine = start_engine(path, kind.place(), kind)?;
    Ok(Some(sealed_by(path, &*engine)?.is_some()))
}

/// Seals the store in a directory. Returns how many rows were written anew; 0 if it was sealed with this key before.
///
/// # Errors
/// As [`OpenError`] says; then the store is as it was.
pub fn seal_store(path: &Path, key: &DataKey) -> Result<u64, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let _lock = lock(path)?;
    recover(path).map_err(io)?;
    let kind = EngineKind::found_in(path).unwrap_or_default();
    let engine = start_engine(path, kind.place(), kind)?;
    match sealed_by(path, &*engine)? {
        Some(found) if found == key.id() => return Ok(0),
        Some(_) => return Err(OpenError::OtherKey { path: path.to_owned() }),
        None => {}
    }
    format::check_or_create(&*engine)
        .map_err(|source| OpenError::Format { path: path.to_owned(), source })?;
    let sealed = Unfinished::begin(path, kind)?.sealed(Some(key))?;
    let rows = copy(&*engine, sealed.engine())
        .map_err(|reason| OpenError::Engine { path: path.to_owned(), reason })?;
    drop(engine);
    let (new, place) = sealed.close()?;
    let old = unsealed(path, kind);
    fs::rename(&place, &old).map_err(io)?;
    fs::rename(&new, &place).map_err(io)?;
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io)?;
    remove(&old).map_err(io)?;
    Ok(rows)
}

/// Finishes, or takes back, an exchange that was cut off. Called with the lock held.
pub(crate) fn recover(path: &Path) -> io::Result<()> {
    for kind in EngineKind::ALL {
        let (old, place) = (unsealed(path, kind), path.join(kind.place()));
        if !old.exists() {
            continue;
        }
        if place.exists() {
            // The sealed store had its name: it was whole and durable before.
            remove(&old)?;
        } else {
            fs::rename(&old, &place)?;
        }
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn unsealed(path: &Path, kind: EngineKind) -> PathBuf {
    path.join(format!("{}.{UNSEALED}", kind.place()))
}

fn sealed_by(path: &Path, engine: &dyn Engine) -> Result<Option<[u8; 16]>, OpenError> {
    let refuse = |error: EngineError| OpenError::Engine { path: path.to_owned(), reason: error.to_string() };
    sealed::sealed_by(engine).map_err(refuse)
}

/// Copies every row, a bounded batch at a time.
fn copy(from: &dyn Engine, to: &dyn Engine) -> Result<u64, String> {
    let snapshot = from.snapshot().map_err(|error| error.to_string())?;
    let (mut batch, mut rows, mut bytes, mut copied) = (Batch::default(), 0, 0, 0_u64);
    let mut failure = None;
    let flush = |batch: &mut Batch| to.apply(&std::mem::take(batch)).map_err(|error| error.to_string());
    for table in Table::ALL {
        let mut visit = |key: &[u8], value: &[u8]| {
            batch.set(table, key.to_vec(), Change::Put(value.to_vec()));
            (rows, bytes, copied) = (rows + 1, bytes + key.len() + value.len(), copied + 1);
            if rows < limits::IMPORT_ROWS_PER_WRITE_MAX && bytes < limits::IMPORT_BYTES_PER_WRITE_MAX {
                return ControlFlow::Continue(());
            }
            (rows, bytes) = (0, 0);
            match flush(&mut batch) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        snapshot.scan(table, &KeyRange::all(), &mut visit).map_err(|error| error.to_string())?;
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    if !batch.is_empty() {
        flush(&mut batch)?;
    }
    Ok(copied)
}
