//! The one thread that writes: it turns concurrent operations into few durable commits.
//!
//! It takes the first operation, drains what is queued up to the batch limits, runs each against one
//! transaction, commits once, then answers all. Nobody is answered before the commit: even a refusal may
//! rest on a neighbour's change. The answers of a batch are given on the runtime of the callers. After any failed commit the store is poisoned: what the engine holds is no
//! longer certain, and a repeated sync proves nothing.
//!
//! In a simulation there is no such thread: whoever asks carries out what is queued ([`Writer::on_callers`]),
//! so that the order of commits depends on the order of the tasks and on nothing else.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{mpsc, oneshot},
};

use super::{rows, transaction::Transaction};
use crate::{
    engine::{ApplyError, Engine},
    limits,
    store::WriteError,
};

/// The way to write. Dropping it finishes what the thread has queued and joins it.
pub(super) struct Writer {
    by: By,
    healthy: Arc<AtomicBool>,
}

/// Who writes.
enum By {
    Thread {
        /// `None` only while dropping.
        queue: Option<mpsc::Sender<Box<dyn Job>>>,
        /// How many operations the thread waits for.
        wanted: Arc<AtomicUsize>,
        thread: Option<JoinHandle<()>>,
    },
    Callers {
        engine: Arc<dyn Engine>,
        queue: Mutex<VecDeque<Box<dyn Job>>>,
    },
}

impl Writer {
    /// Lets callers do it: for simulations.
    pub(super) fn on_callers(engine: Arc<dyn Engine>) -> Self {
        let by = By::Callers { engine, queue: Mutex::default() };
        Self { by, healthy: Arc::new(AtomicBool::new(true)) }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(engine: Arc<dyn Engine>) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(limits::QUEUE_OPERATIONS_MAX);
        let healthy = Arc::new(AtomicBool::new(true));
        let health = PoisonOnPanic(Arc::clone(&healthy));
        // A runtime of one thread runs tasks only while somebody blocks on it.
        let carries_on = |runtime: &Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        let callers = Handle::try_current().ok().filter(carries_on);
        let wanted = Arc::new(AtomicUsize::new(NONE_WANTED));
        let waiting = Waiting { queue: waiting, wanted: Arc::clone(&wanted) };
        let thread = std::thread::Builder::new()
            .name("cercle-store".into())
            .spawn(move || write_until_closed(&*engine, waiting, &health, callers.as_ref()))?;
        Ok(Self { by: By::Thread { queue: Some(queue), wanted, thread: Some(thread) }, healthy })
    }

    /// Whether it is one of [`Writer::on_callers`].
    pub(super) const fn is_on_callers(&self) -> bool {
        matches!(self.by, By::Callers { .. })
    }

    /// Whether no commit has failed.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// Queues an operation, waiting for a place, and returns its verdict after the commit. `bytes`: about
    /// how large its bodies are. If the caller goes away meanwhile, the operation still happens.
    pub(super) async fn write<T, E>(
        &self,
        bytes: usize,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
    {
        let (reply, verdict) = oneshot::channel();
        let job = Box::new(Pending { bytes, operation: Some(operation), verdict: None, reply });
        match &self.by {
            By::Thread { queue, wanted, thread } => {
                let queue = queue.as_ref().expect("the queue is there until the writer is dropped");
                if queue.send(job).await.is_err() {
                    return Err(WriteError::Unavailable("the store's writer has ended".into()).into());
                }
                if queue.max_capacity() - queue.capacity() >= wanted.load(Ordering::SeqCst)
                    && let Some(thread) = thread
                {
                    thread.thread().unpark();
                }
            }
            By::Callers { engine, queue } => {
                queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
                // Whoever is ready to write as well gets into the same batch. A task of its own stands in the
                // queue of tasks; what yields stands behind threads, whose time is not that of the simulation.
                let _ = tokio::spawn(async {}).await;
                let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
                let count = waiting.len().min(engine.batch_operations_max());
                let jobs: Vec<_> = waiting.drain(..count).collect();
                drop(waiting);
                drop(carry_out(&**engine, jobs, &PoisonOnPanic(Arc::clone(&self.healthy))));
            }
        }
        verdict.await.unwrap_or_else(|_| {
            Err(WriteError::OutcomeUnknown("the store's writer ended before it answered".into()).into())
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let By::Thread { queue, thread, .. } = &mut self.by {
            drop(queue.take());
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the store's writer thread panicked");
            }
        }
    }
}

/// An operation of any type, as the writer sees it.
trait Job: Send {
    /// About how large its bodies are.
    fn bytes(&self) -> usize;
    /// Runs it against the open transaction and keeps the verdict.
    fn run(&mut self, tx: &mut Transaction<'_>);
    /// Answers: with the verdict if the commit succeeded, else with its failure.
    fn answer(self: Box<Self>, commit: Result<(), WriteError>);
}

struct Pending<T, E, F> {
    bytes: usize,
    operation: Option<F>,
    verdict: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Pending<T, E, F>
where
    T: Send,
    E: From<WriteError> + Send,
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, tx: &mut Transaction<'_>) {
        self.verdict = self.operation.take().map(|operation| tx.attempt(operation));
    }

    fn answer(self: Box<Self>, commit: Result<(), WriteError>) {
        let verdict = match (commit, self.verdict) {
            (Ok(()), Some(verdict)) => verdict,
            (Ok(()), None) => Err(WriteError::Unavailable("the operation was not run".into()).into()),
            (Err(error), _) => Err(error.into()),
        };
        // A caller that has gone away does not want to know.
        drop(self.reply.send(verdict));
    }
}

/// Poisons the store if the writer thread panics.
struct PoisonOnPanic(Arc<AtomicBool>);

impl PoisonOnPanic {
    fn poison(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poison();
        }
    }
}

/// `callers`: the runtime that most of them run on.
fn write_until_closed(
    engine: &dyn Engine,
    mut waiting: Waiting,
    health: &PoisonOnPanic,
    callers: Option<&Handle>,
) {
    let operations_max = engine.batch_operations_max();
    let mut before = Before { jobs: 0, took: Duration::ZERO };
    while let Some(first) = waiting.queue.blocking_recv() {
        let jobs = waiting.gather(first, operations_max, before);
        let (count, began) = (jobs.len(), now());
        let answers = carry_out(engine, jobs, health);
        match callers.filter(|_| count > 1) {
            // To wake a task from outside costs a call of the system each, from inside nearly nothing.
            Some(callers) => drop(callers.spawn(async move { drop(answers) })),
            None => drop(answers),
        }
        before = Before { jobs: count, took: began.elapsed() };
    }
}

/// Operations whose commit is decided. Dropping it answers each, wherever that happens: a runtime that ends
/// before it runs the task drops it as well.
struct Answers {
    jobs: Vec<Box<dyn Job>>,
    outcome: Result<(), WriteError>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        for job in self.jobs.drain(..) {
            job.answer(self.outcome.clone());
        }
    }
}

/// Commits these operations together.
fn carry_out(engine: &dyn Engine, mut jobs: Vec<Box<dyn Job>>, health: &PoisonOnPanic) -> Answers {
    let outcome = if health.0.load(Ordering::Acquire) {
        commit(engine, &mut jobs, health)
    } else {
        Err(WriteError::Unavailable("an earlier commit failed: the store has to be opened again".into()))
    };
    Answers { jobs, outcome }
}

/// The commit before.
#[derive(Clone, Copy)]
struct Before {
    jobs: usize,
    took: Duration,
}

/// More than can be queued: the thread waits for nothing in particular.
const NONE_WANTED: usize = usize::MAX;

/// The thread's end of the queue.
struct Waiting {
    queue: mpsc::Receiver<Box<dyn Job>>,
    wanted: Arc<AtomicUsize>,
}

impl Waiting {
    /// Drains the queue up to the batch limits. The callers of the commit before were just answered and may be
    /// about to come back: sleeps a moment for them, and is woken when all are here.
    fn gather(&mut self, first: Box<dyn Job>, operations_max: usize, before: Before) -> Vec<Box<dyn Job>> {
        let patience = limits::BATCH_GATHER_MAX.min(before.took);
        let mut bytes = first.bytes();
        let mut jobs = vec![first];
        let mut opened = None;
        while jobs.len() < operations_max && bytes < limits::BATCH_BYTES_MAX {
            if let Ok(job) = self.queue.try_recv() {
                bytes += job.bytes();
                jobs.push(job);
                continue;
            }
            let left = patience.saturating_sub(opened.get_or_insert_with(now).elapsed());
            if jobs.len() >= before.jobs || left.is_zero() {
                break;
            }
            let missing = before.jobs - jobs.len();
            self.wanted.store(missing, Ordering::SeqCst);
            // Who queues after this sees what is wanted; who queued before is seen here.
            if self.queue.len() < missing {
                std::thread::park_timeout(left);
            }
            self.wanted.store(NONE_WANTED, Ordering::SeqCst);
        }
        jobs
    }
}

#[expect(clippy::disallowed_methods, reason = "bounds a wait; nothing that is stored depends on it")]
fn now() -> Instant {
    Instant::now()
}

fn commit(engine: &dyn Engine, jobs: &mut [Box<dyn Job>], health: &PoisonOnPanic) -> Result<(), WriteError> {
    let batch = {
        let snapshot = engine.snapshot().map_err(|error| WriteError::from(rows::engine(error)))?;
        let mut tx = Transaction::new(&*snapshot);
        for job in jobs {
            job.run(&mut tx);
        }
        tx.finish()?
    };
    if batch.is_empty() {
        return Ok(());
    }
    engine.apply(&batch).map_err(|error| {
        health.poison();
        tracing::error!(%error, "a commit of the store failed: no more writes until it is opened again");
        match error {
            ApplyError::NotStored(what) => WriteError::Unavailable(what),
            ApplyError::Unknown(what) => WriteError::OutcomeUnknown(what),
        }
    })
}
