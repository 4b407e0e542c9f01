//! Stops tasks at once when the hub has waited long enough for their end.
//!
//! Each connection runs in [`Aborts::run`]. A cancellation token would do the same, but every task that waits
//! for one takes the token's lock at every wake-up, and all connections share it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use dashmap::DashMap;
use futures_util::future::{AbortHandle, Abortable};

/// Tasks that are stopped together. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Aborts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    aborted: AtomicBool,
    next: AtomicU64,
    running: DashMap<u64, AbortHandle>,
}

/// Takes a task out of the set, however it ends.
struct Leave<'a>(&'a Inner, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.running.remove(&self.1);
    }
}

impl Aborts {
    /// Runs a task until it ends or [`Aborts::abort`] is called.
    pub async fn run(&self, task: impl Future<Output = ()>) {
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.running.insert(number, handle);
        let _leave = Leave(&self.0, number);
        // Either this sees that it is over, or whoever says so sees the task in the set.
        if !self.0.aborted.load(Ordering::SeqCst) {
            // Stopped or ended by itself: the same to the caller.
            let _ = Abortable::new(task, registration).await;
        }
    }

    /// Stops the tasks that run, and those that are run from now on.
    pub fn abort(&self) {
        self.0.aborted.store(true, Ordering::SeqCst);
        for handle in &self.0.running {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn running_tasks_are_stopped_and_later_ones_do_not_start() {
        let aborts = Aborts::default();
        let (one, two) = (aborts.clone(), aborts.clone());
        let stuck = tokio::spawn(async move { one.run(pending()).await });
        two.run(async {}).await;
        while aborts.0.running.is_empty() {
            tokio::task::yield_now().await;
        }
        aborts.abort();
        stuck.await.unwrap();
        aborts.run(pending()).await;
        assert!(aborts.0.running.is_empty(), "nobody stays in the set");
    }
}
