//! The on-disk format number and the store's incarnation: written with the first open, checked at each.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    engine::{ApplyError, Batch, Change, Engine, EngineError},
    table::Table,
};

/// The format that this build writes. It reads this one and none other; a change comes with a migration.
pub const FORMAT: u32 = 1;

// These two rows keep their shape for ever, so that any version can say what it found.
const FORMAT_KEY: &[u8] = b"format";
const INCARNATION_KEY: &[u8] = b"incarnation";

/// Why an engine's content cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version wrote it.
    #[error(
        "the store has format {found}, this version reads format {FORMAT}: install the newer version again"
    )]
    Newer {
        /// Format of the store.
        found: u32,
    },
    /// The rows that say what it is do not.
    #[error("the store does not say what it is ({0}): restore it from a backup")]
    Damaged(&'static str),
    /// It could not be read.
    #[error("the store cannot be read: {0}")]
    Read(#[from] EngineError),
    /// A new store could not be written.
    #[error("the store cannot be written: {0}")]
    Write(#[from] ApplyError),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The system gave no thread to write with.
    #[error("the system gives no thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Checks the format, or makes an empty engine a store. Returns the incarnation.
pub(crate) fn check_or_create(engine: &dyn Engine) -> Result<[u8; 16], FormatError> {
    let (format, incarnation) = {
        let snapshot = engine.snapshot()?;
        (snapshot.get(Table::Meta, FORMAT_KEY)?, snapshot.get(Table::Meta, INCARNATION_KEY)?)
    };
    let Some(format) = format else { return create(engine) };
    let format = format.try_into().map(u32::from_be_bytes);
    match format.map_err(|_| FormatError::Damaged("no format number"))? {
        FORMAT => {}
        0 => return Err(FormatError::Damaged("format 0")),
        found => return Err(FormatError::Newer { found }),
    }
    let incarnation = incarnation.ok_or(FormatError::Damaged("no incarnation"))?;
    incarnation.try_into().map_err(|_| FormatError::Damaged("an incarnation of the wrong length"))
}

fn create(engine: &dyn Engine) -> Result<[u8; 16], FormatError> {
    let mut incarnation = [0; 16];
    SystemRandom::new().fill(&mut incarnation).map_err(|_| FormatError::Random)?;
    let mut batch = Batch::default();
    batch.set(Table::Meta, FORMAT_KEY.to_vec(), Change::Put(FORMAT.to_be_bytes().to_vec()));
    batch.set(Table::Meta, INCARNATION_KEY.to_vec(), Change::Put(incarnation.to_vec()));
    engine.apply(&batch)?;
    tracing::info!(engine = engine.caps().name, format = FORMAT, "made a new store");
    Ok(incarnation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;

    fn engine_with(format: &[u8]) -> MemoryEngine {
        let engine = MemoryEngine::default();
        let mut batch = Batch::default();
        batch.set(Table::Meta, FORMAT_KEY.to_vec(), Change::Put(format.to_vec()));
        engine.apply(&batch).unwrap();
        engine
    }

    #[test]
    fn a_store_keeps_its_incarnation() {
        let engine = MemoryEngine::default();
        let first = check_or_create(&engine).unwrap();
        assert_eq!(check_or_create(&engine).unwrap(), first);
        assert_ne!(check_or_create(&MemoryEngine::default()).unwrap(), first);
    }

    #[test]
    fn a_newer_format_is_refused_by_number() {
        let refused = check_or_create(&engine_with(&2_u32.to_be_bytes())).unwrap_err();
        assert!(matches!(refused, FormatError::Newer { found: 2 }));
        assert!(refused.to_string().contains("format 2"));
    }

    #[test]
    fn a_damaged_format_is_refused() {
        for bytes in [&[][..], &[1, 2], &[0, 0, 0, 0], &[0, 0, 0, 1]] {
            let refused = check_or_create(&engine_with(bytes)).unwrap_err();
            assert!(matches!(refused, FormatError::Damaged(_)), "{bytes:?}");
        }
    }
}
