//! The embedded store: all operations over a byte-level engine, in this process.
//!
//! Writes go through one thread that commits them in groups (`writer`); reads of more than a few rows run on
//! threads of their own. Each read has a snapshot that is dropped at once. Every operation is a plain function over a
//! transaction or a snapshot; the trait implementations only carry arguments there and verdicts back.

mod account;
mod audit;
mod blob;
mod copies;
mod expire;
mod group;
mod inbox;
mod key_package;
mod log;
mod register;
mod rows;
#[cfg(test)]
mod tests;
mod timer;
mod transaction;
mod writer;

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use self::{transaction::Transaction, writer::Writer};
use crate::{
    engine::{Engine, MemoryEngine, Snapshot},
    format::{self, FormatError},
    limits,
    store::{Caps, Copies, ExpirePolicy, Expired, Maintenance, ReadError, Restore, WriteError},
};

/// All operations over an engine. Must be used from within a tokio runtime, because reads run on its
/// threads for blocking work. Dropping it finishes the queued writes and joins the writer thread.
pub struct Embedded {
    // First, so that the writer has ended before the engine is let go.
    writer: Writer,
    engine: Arc<dyn Engine>,
    reads: Arc<Semaphore>,
    incarnation: [u8; 16],
    restores: Vec<Restore>,
    /// Where the next call of `expire` goes on.
    expire_from: Mutex<expire::Position>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("engine", &self.engine.caps().name).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Checks the format (writes it into an empty engine) and starts the writer.
    ///
    /// # Errors
    /// When the format is not ours to read, or the engine fails.
    pub fn start(engine: Arc<dyn Engine>) -> Result<Self, FormatError> {
        let incarnation = format::check_or_create(&*engine)?;
        let restores = copies::restores(&*engine)?;
        let writer = Writer::start(Arc::clone(&engine)).map_err(FormatError::Thread)?;
        Ok(Self::over(engine, writer, incarnation, restores))
    }

    /// As [`Embedded::start`], without threads: whoever writes commits what is queued, and whoever reads does
    /// so itself. For simulations, whose order must not depend on threads (ADR 0013).
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub fn start_on_callers(engine: Arc<dyn Engine>) -> Result<Self, FormatError> {
        let incarnation = format::check_or_create(&*engine)?;
        let restores = copies::restores(&*engine)?;
        let writer = Writer::on_callers(Arc::clone(&engine));
        Ok(Self::over(engine, writer, incarnation, restores))
    }

    fn over(engine: Arc<dyn Engine>, writer: Writer, incarnation: [u8; 16], restores: Vec<Restore>) -> Self {
        Self {
            writer,
            engine,
            reads: Arc::new(Semaphore::new(limits::READS_AT_ONCE_MAX)),
            incarnation,
            restores,
            expire_from: Mutex::new(expire::Position::default()),
        }
    }

    /// A store in memory, gone with the process.
    ///
    /// # Panics
    /// When the system gives no thread or no randomness.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::start(Arc::new(MemoryEngine::default()))
            .expect("an empty memory engine has no format to refuse; only a spent system gives no thread")
    }

    /// Runs an operation on the writer thread.
    async fn write<T, E>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
    {
        self.writer.write(0, operation).await
    }

    /// Runs a read of a few rows where it is asked for: the way to another thread and back costs several times
    /// the read itself. What may be many rows goes to [`Embedded::on_snapshot`].
    fn briefly<T>(&self, read: impl FnOnce(&dyn Snapshot) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let snapshot = self.engine.snapshot().map_err(rows::engine)?;
        read(&*snapshot)
    }

    /// Runs a read on a snapshot of its own.
    async fn on_snapshot<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Snapshot) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        if self.writer.is_on_callers() {
            // Its turn comes as that of a task does, not that of a thread.
            let _ = tokio::spawn(async {}).await;
            return self.briefly(read);
        }
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let engine = Arc::clone(&self.engine);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let snapshot = engine.snapshot().map_err(rows::engine)?;
            read(&*snapshot)
        });
        task.await.unwrap_or_else(|error| Err(ReadError::Engine(format!("the read did not finish: {error}"))))
    }
}

#[async_trait::async_trait]
impl Maintenance for Embedded {
    fn caps(&self) -> Caps {
        self.engine.caps()
    }

    fn incarnation(&self) -> [u8; 16] {
        self.incarnation
    }

    async fn expire(&self, policy: ExpirePolicy) -> Result<Expired, WriteError> {
        expire::expire(self, policy).await
    }

    fn is_healthy(&self) -> bool {
        self.writer.is_healthy() && self.engine.is_healthy()
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}
