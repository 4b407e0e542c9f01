//! Requests of one session that wait for something: one task carries all of them on, and goes when none is left.
//!
//! The store answers many at once. One task sees all their answers in one turn, so that the session is rung once
//! and answers them in one write; a task for each would cost that many wake-ups and half as many writes.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio_util::task::TaskTracker;

use crate::fanout::bell::Bell;

/// A request that was polled at least once.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a session leaves to its task.
#[derive(Debug)]
pub(super) struct Background {
    given: Mutex<Given>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Given {
    work: Vec<Work>,
    /// The task, if there is one.
    task: Option<Waker>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("work", &self.work.len()).finish_non_exhaustive()
    }
}

impl Background {
    /// Nothing to do yet. `bell` is rung when something is done.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { given: Mutex::default(), bell }
    }

    /// Something was done at once.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Carries this on to its end, whatever becomes of the session.
    pub(super) fn go_on_with(self: &Arc<Self>, work: Work, tracker: &TaskTracker) {
        let mut given = self.given();
        given.work.push(work);
        match &given.task {
            Some(task) => task.wake_by_ref(),
            None => {
                // Until it runs, it needs no waking.
                given.task = Some(Waker::noop().clone());
                drop(given);
                let this = self.clone();
                tracker.spawn(async move {
                    let mut under_way = FuturesUnordered::new();
                    poll_fn(|cx| this.poll(&mut under_way, cx)).await;
                });
            }
        }
    }

    /// One turn; ready when nothing is left.
    fn poll(&self, under_way: &mut FuturesUnordered<Work>, cx: &mut Context<'_>) -> Poll<()> {
        let mut given = self.given();
        if !given.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            given.task = Some(cx.waker().clone());
        }
        under_way.extend(given.work.drain(..));
        drop(given);
        let mut done = 0;
        let left = loop {
            match under_way.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => done += 1,
                Poll::Ready(None) => break false,
                Poll::Pending => break true,
            }
        };
        let over = !left && {
            let mut given = self.given();
            let over = given.work.is_empty();
            if over {
                given.task = None;
            }
            over
        };
        if done > 0 {
            self.bell.ring();
        }
        if over {
            return Poll::Ready(());
        }
        if !left {
            // More came while the last was finished.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // Every change of it is whole before anything can fail.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    async fn pass(gate: Arc<Semaphore>, done: Arc<AtomicUsize>) {
        drop(gate.acquire().await);
        done.fetch_add(1, Ordering::SeqCst);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everything_given_is_done_and_rung_for_although_the_task_comes_and_goes() {
        let (bell, tracker) = (Arc::<Bell>::default(), TaskTracker::new());
        let background = Arc::new(Background::new(bell.clone()));
        let done = Arc::new(AtomicUsize::new(0));
        for round in 1..=300 {
            let gate = Arc::new(Semaphore::new(0));
            for _ in 0..10 {
                background.go_on_with(Box::pin(pass(gate.clone(), done.clone())), &tracker);
            }
            gate.add_permits(10);
            while done.load(Ordering::SeqCst) < round * 10 {
                bell.rung().await;
            }
        }
        tracker.close();
        tracker.wait().await;
        assert_eq!(done.load(Ordering::SeqCst), 3_000);
        assert!(background.given().task.is_none() && background.given().work.is_empty());
    }

    #[tokio::test]
    async fn what_is_answered_together_is_rung_for_once() {
        let (bell, tracker) = (Arc::<Bell>::default(), TaskTracker::new());
        let background = Arc::new(Background::new(bell.clone()));
        let mut answers = Vec::new();
        for _ in 0..20 {
            let (answer, answered) = oneshot::channel::<()>();
            answers.push(answer);
            background.go_on_with(Box::pin(async { drop(answered.await) }), &tracker);
        }
        tokio::task::yield_now().await;
        assert!(!bell.has_rung());
        drop(answers);
        tracker.close();
        tracker.wait().await;
        assert!(bell.has_rung() && !bell.has_rung());
    }
}
