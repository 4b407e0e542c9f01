//! What the store does when its engine fails, when it is busy, and when it is let go.

use std::sync::{Arc, Condvar, Mutex};

use super::Embedded;
use crate::{
    engine::{ApplyError, Batch, Change, Engine, EngineError, Fault, FaultyEngine, MemoryEngine, Snapshot},
    limits,
    store::{
        Accounts, Audit, AuditEntry, Caps, Log, Maintenance, ReadError, ReadFrom, ReadLimit, WriteError,
    },
    table::{self, Table},
};

fn entry(number: usize) -> AuditEntry {
    AuditEntry { at: 1, actor: "hub".into(), action: format!("action {number}"), object: String::new() }
}

/// A store over a shared engine whose first batch after the creation fails.
fn failing(fault: Fault) -> (Embedded, Arc<FaultyEngine<MemoryEngine>>) {
    let engine = Arc::new(FaultyEngine::new(MemoryEngine::default(), 2, fault));
    (Embedded::start(Arc::<FaultyEngine<MemoryEngine>>::clone(&engine)).unwrap(), engine)
}

#[tokio::test]
async fn after_a_failed_commit_the_store_takes_no_more_writes_but_reads() {
    for (fault, unknown) in
        [(Fault::NotStored, false), (Fault::LostUnknown, true), (Fault::StoredUnknown, true)]
    {
        let (store, engine) = failing(fault);
        assert_eq!(store.record(entry(1)).await, Ok(1));
        assert!(store.is_healthy());
        let failed = store.record(entry(2)).await.unwrap_err();
        assert_eq!(matches!(failed, WriteError::OutcomeUnknown(_)), unknown, "{failed}");
        assert!(!store.is_healthy());
        let refused = store.record(entry(3)).await.unwrap_err();
        assert!(matches!(refused, WriteError::Unavailable(_)), "{refused}");
        let kept = if fault == Fault::StoredUnknown { 2 } else { 1 };
        assert_eq!(store.audit(0, 9).await.unwrap().len(), kept);
        drop(store);
        let opened_again = Embedded::start(engine).unwrap();
        assert_eq!(opened_again.record(entry(4)).await, Ok(kept as u64 + 1));
    }
}

/// An engine that holds every batch back until it is released, and counts them.
#[derive(Default)]
struct Gate {
    inner: MemoryEngine,
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    waiting: bool,
    batches: usize,
}

impl Gate {
    fn set_closed(&self, closed: bool) {
        self.state.lock().unwrap().closed = closed;
        self.changed.notify_all();
    }

    fn wait_for_a_batch(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.waiting).unwrap());
    }

    fn batches(&self) -> usize {
        self.state.lock().unwrap().batches
    }
}

impl Engine for Gate {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.inner.snapshot()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let mut state = self.state.lock().unwrap();
        state.batches += 1;
        state.waiting = true;
        self.changed.notify_all();
        state = self.changed.wait_while(state, |state| state.closed).unwrap();
        state.waiting = false;
        drop(state);
        self.inner.apply(batch)
    }
}

/// A store whose writer hangs in the commit of one record.
async fn held_back() -> (Arc<Embedded>, Arc<Gate>, tokio::task::JoinHandle<Result<u64, WriteError>>) {
    let gate = Arc::new(Gate::default());
    let store = Arc::new(Embedded::start(Arc::<Gate>::clone(&gate)).unwrap());
    gate.set_closed(true);
    let first = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.record(entry(0)).await }
    });
    let waits = Arc::clone(&gate);
    tokio::task::spawn_blocking(move || waits.wait_for_a_batch()).await.unwrap();
    (store, gate, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_that_wait_for_a_commit_share_the_next_one() {
    let (store, gate, first) = held_back().await;
    let before = gate.batches();
    let mut writes = Vec::new();
    for number in 1..=100 {
        let mut write = Box::pin({
            let store = Arc::clone(&store);
            async move { store.record(entry(number)).await }
        });
        // Queues it: the writer is busy, so it cannot be ready.
        assert!(is_pending(&mut write).await);
        writes.push(write);
    }
    gate.set_closed(false);
    assert_eq!(first.await.unwrap(), Ok(1));
    for (number, write) in writes.into_iter().enumerate() {
        assert_eq!(write.await, Ok(number as u64 + 2));
    }
    assert_eq!(gate.batches(), before + 1);
}

/// Polls once; true while the future is not ready.
async fn is_pending(future: &mut (impl Future<Output = Result<u64, WriteError>> + Unpin)) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[test]
fn callers_are_answered_when_the_runtime_is_gone_that_the_store_was_opened_on() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (opening, asking) = (runtime().unwrap(), runtime().unwrap());
    let (store, gate, first) = opening.block_on(held_back());
    asking.block_on(async {
        let mut writes = Vec::new();
        for number in 1..=9 {
            let store = Arc::clone(&store);
            let mut write = Box::pin(async move { store.record(entry(number)).await });
            assert!(is_pending(&mut write).await);
            writes.push(write);
        }
        opening.shutdown_background();
        gate.set_closed(false);
        for (number, write) in writes.into_iter().enumerate() {
            assert_eq!(write.await, Ok(number as u64 + 2));
        }
    });
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_callers_wait_and_drops_none() {
    let (store, gate, first) = held_back().await;
    let count = limits::QUEUE_OPERATIONS_MAX + 50;
    let write = |number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.record(entry(number)).await })
    };
    let writes: Vec<_> = (1..=count).map(write).collect();
    gate.set_closed(false);
    assert_eq!(first.await.unwrap(), Ok(1));
    for write in writes {
        assert!(write.await.unwrap().is_ok());
    }
    assert_eq!(store.audit(0, usize::MAX).await.unwrap().len(), count + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_let_go_finishes_what_is_queued() {
    let (store, gate, first) = held_back().await;
    let mut abandoned = Box::pin({
        let store = Arc::clone(&store);
        async move { store.record(entry(1)).await }
    });
    assert!(is_pending(&mut abandoned).await);
    drop(abandoned);
    gate.set_closed(false);
    assert_eq!(first.await.unwrap(), Ok(1));
    drop(store);
    let opened_again = Embedded::start(gate).unwrap();
    assert_eq!(opened_again.audit(0, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_damaged_record_is_named_and_never_served() {
    let engine = Arc::new(MemoryEngine::default());
    let store = Embedded::start(Arc::<MemoryEngine>::clone(&engine)).unwrap();
    for number in 1..=3 {
        store.record(entry(number)).await.unwrap();
    }
    let group = cercle_proto::id::GroupId::new([1; 16]);
    let mut damage = Batch::default();
    damage.set(Table::Audit, table::audit(3), Change::Delete);
    damage.set(Table::Groups, table::group(group), Change::Put(vec![1, 2, 3]));
    damage.set(Table::Users, b"a@b".to_vec(), Change::Put(vec![99]));
    engine.apply(&damage).unwrap();
    assert!(matches!(store.audit(0, 9).await, Err(ReadError::Corrupt(_))), "the log was cut off");
    assert_eq!(store.audit(0, 2).await.unwrap().len(), 2);
    let read = ReadFrom { group, after: 0, until: 9 };
    let limit = ReadLimit { entries: 9, bytes: 9 };
    let refused = store.read(vec![read], limit).await;
    assert_eq!(refused, Err(ReadError::Corrupt("table groups: a value cut short".into())));
    let users = store.users(None, 9).await;
    assert_eq!(users, Err(ReadError::Corrupt("table users: record version 99".into())));
    assert!(store.is_healthy(), "a damaged record concerns those who read it");
}
