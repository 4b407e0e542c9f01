//! An engine that fails on purpose, for tests of what the store does then.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{ApplyError, Batch, Engine, EngineError, Snapshot};
use crate::store::Caps;

/// How a batch fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is stored, and the engine says so.
    NotStored,
    /// Nothing is stored, and the engine does not know.
    LostUnknown,
    /// All of it is stored, and the engine does not know.
    StoredUnknown,
}

/// Passes everything on to another engine, except the nth batch.
#[derive(Debug)]
pub struct FaultyEngine<E> {
    inner: E,
    fault: Fault,
    applies_left: AtomicU64,
}

impl<E: Engine> FaultyEngine<E> {
    /// Lets `applies` batches through; the next one fails.
    pub const fn new(inner: E, applies: u64, fault: Fault) -> Self {
        Self { inner, fault, applies_left: AtomicU64::new(applies) }
    }
}

impl<E: Engine> Engine for FaultyEngine<E> {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.inner.snapshot()
    }

    fn is_healthy(&self) -> bool {
        self.inner.is_healthy()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        if self.applies_left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return self.inner.apply(batch);
        }
        match self.fault {
            Fault::NotStored => Err(ApplyError::NotStored("the test disk is full".into())),
            Fault::LostUnknown => Err(ApplyError::Unknown("the test disk failed".into())),
            Fault::StoredUnknown => {
                self.inner.apply(batch)?;
                Err(ApplyError::Unknown("the test disk failed after it wrote".into()))
            }
        }
    }
}
