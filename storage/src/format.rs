//! The on-disk format number and the store's incarnation: written with the first open, checked at each.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    engine::{ApplyError, Batch, Change, Engine, EngineError},
    table::Table,
};

/// The format that this build writes. A store of an older one is migrated when it is opened.
pub const FORMAT: u32 = 1;

/// A step from one format to the next.
pub(crate) struct Migration {
    /// The format that it begins with.
    from: u32,
    /// Rewrites rows. It may have been interrupted anywhere and is then run again from its beginning.
    run: fn(&dyn Engine) -> Result<(), FormatError>,
}

/// Every step ever made, oldest first; none is ever taken out.
const MIGRATIONS: &[Migration] = &[];

// These two rows keep their shape for ever, so that any version can say what it found.
pub(crate) const FORMAT_KEY: &[u8] = b"format";
pub(crate) const INCARNATION_KEY: &[u8] = b"incarnation";

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
    /// No step leads on from it.
    #[error(
        "the store has format {found}, which this version cannot bring to format {FORMAT}: install the version between"
    )]
    NoWay {
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
        0 => return Err(FormatError::Damaged("format 0")),
        found if found > FORMAT => return Err(FormatError::Newer { found }),
        found => migrate(engine, found, FORMAT, MIGRATIONS)?,
    }
    let incarnation = incarnation.ok_or(FormatError::Damaged("no incarnation"))?;
    incarnation.try_into().map_err(|_| FormatError::Damaged("an incarnation of the wrong length"))
}

/// Takes the steps from one format to another, and notes each that is done.
fn migrate(engine: &dyn Engine, found: u32, wanted: u32, steps: &[Migration]) -> Result<(), FormatError> {
    for format in found..wanted {
        let step = steps.iter().find(|step| step.from == format).ok_or(FormatError::NoWay { found })?;
        tracing::info!(from = format, to = format + 1, "migrating the store");
        (step.run)(engine)?;
        let mut batch = Batch::default();
        batch.set(Table::Meta, FORMAT_KEY.to_vec(), Change::Put((format + 1).to_be_bytes().to_vec()));
        engine.apply(&batch)?;
    }
    Ok(())
}

fn create(engine: &dyn Engine) -> Result<[u8; 16], FormatError> {
    let incarnation = new_incarnation()?;
    let mut batch = Batch::default();
    batch.set(Table::Meta, FORMAT_KEY.to_vec(), Change::Put(FORMAT.to_be_bytes().to_vec()));
    batch.set(Table::Meta, INCARNATION_KEY.to_vec(), Change::Put(incarnation.to_vec()));
    engine.apply(&batch)?;
    tracing::info!(engine = engine.caps().name, format = FORMAT, "made a new store");
    Ok(incarnation)
}

/// The incarnation of a store that begins.
pub(crate) fn new_incarnation() -> Result<[u8; 16], FormatError> {
    let mut incarnation = [0; 16];
    SystemRandom::new().fill(&mut incarnation).map_err(|_| FormatError::Random)?;
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

    fn value(engine: &MemoryEngine, key: &[u8]) -> Option<Vec<u8>> {
        engine.snapshot().unwrap().get(Table::Meta, key).unwrap()
    }

    fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) -> Result<(), FormatError> {
        let mut batch = Batch::default();
        batch.set(Table::Meta, key.to_vec(), Change::Put(value.to_vec()));
        Ok(engine.apply(&batch)?)
    }

    #[test]
    fn an_older_store_takes_every_step_in_order_and_goes_on_where_it_stopped() {
        let broken = Migration { from: 2, run: |_| Err(FormatError::Random) };
        let first = Migration { from: 1, run: |engine| put(engine, b"first", b"done") };
        let second = Migration {
            from: 2,
            run: |engine| {
                assert_eq!(engine.snapshot()?.get(Table::Meta, b"first")?, Some(b"done".to_vec()));
                put(engine, b"second", b"done")
            },
        };
        let engine = engine_with(&1_u32.to_be_bytes());
        let stopped = migrate(&engine, 1, 3, &[first, broken]).unwrap_err();
        assert!(matches!(stopped, FormatError::Random));
        assert_eq!(value(&engine, FORMAT_KEY), Some(2_u32.to_be_bytes().to_vec()), "the first step is done");
        migrate(&engine, 2, 3, &[second]).unwrap();
        assert_eq!(value(&engine, FORMAT_KEY), Some(3_u32.to_be_bytes().to_vec()));
        assert_eq!(value(&engine, b"second"), Some(b"done".to_vec()));
        assert!(matches!(migrate(&engine, 3, 4, &[]), Err(FormatError::NoWay { found: 3 })));
        assert_eq!(value(&engine, FORMAT_KEY), Some(3_u32.to_be_bytes().to_vec()), "nothing has changed");
    }

    #[test]
    fn there_is_a_step_from_every_released_format() {
        let steps: Vec<u32> = MIGRATIONS.iter().map(|step| step.from).collect();
        assert_eq!(steps, (1..FORMAT).collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_format_is_refused() {
        for bytes in [&[][..], &[1, 2], &[0, 0, 0, 0], &[0, 0, 0, 1]] {
            let refused = check_or_create(&engine_with(bytes)).unwrap_err();
            assert!(matches!(refused, FormatError::Damaged(_)), "{bytes:?}");
        }
    }
}
