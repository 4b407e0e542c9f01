//! Requests of one session that wait for something, usually for the store.
//!
//! The session's own task carries them on whenever it is awake or waits for anything: an answer of the store wakes
//! that task and no other, and what was answered together is sent in one write. When the session ends, what is
//! left goes over to a task of its own, so that nothing stops halfway.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt, future::ready, stream::FuturesUnordered};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A request that is being carried out.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a session has under way; `T` is what comes of each.
#[derive(Debug)]
pub(super) struct UnderWay<T: Send + 'static> {
    work: FuturesUnordered<Work<T>>,
    done: Vec<T>,
    /// Owns the task of what outlives the session.
    tracker: TaskTracker,
}

impl<T: Send + 'static> UnderWay<T> {
    /// Nothing yet.
    pub(super) fn new(tracker: TaskTracker) -> Self {
        Self { work: FuturesUnordered::new(), done: Vec::new(), tracker }
    }

    /// Begins at once, so that requests reach the store in the order in which they came.
    pub(super) fn start(&mut self, mut work: Work<T>) {
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => self.done.push(done),
            Poll::Pending => self.work.push(work),
        }
    }

    /// Goes on with what can go on, and wakes the session when more can.
    pub(super) fn carry_on(&mut self, cx: &mut Context<'_>) {
        if self.work.is_empty() {
            return;
        }
        while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
            self.done.push(done);
        }
    }

    /// Waits for something else and goes on meanwhile: others wait for what is under way.
    pub(super) fn beside<F: Future>(&mut self, mut other: Pin<&mut F>) -> impl Future<Output = F::Output> {
        poll_fn(move |cx| {
            self.carry_on(cx);
            other.as_mut().poll(cx)
        })
    }

    /// Whether [`UnderWay::take_done`] has something.
    pub(super) fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// What was done since the last call.
    pub(super) fn take_done(&mut self) -> Vec<T> {
        mem::take(&mut self.done)
    }
}

impl<T: Send + 'static> Drop for UnderWay<T> {
    fn drop(&mut self) {
        // Without a runtime nothing would carry it on: the process ends.
        if !self.work.is_empty() && Handle::try_current().is_ok() {
            self.tracker.spawn(mem::take(&mut self.work).for_each(|_| ready(())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::FutureExt;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    async fn pass(gate: Arc<Semaphore>, done: Arc<AtomicUsize>) -> usize {
        drop(gate.acquire().await);
        done.fetch_add(1, Ordering::SeqCst)
    }

    /// Waits as a session does.
    async fn done(under_way: &mut UnderWay<usize>) -> Vec<usize> {
        poll_fn(|cx| {
            under_way.carry_on(cx);
            if under_way.has_done() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        under_way.take_done()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everything_that_was_started_is_done_however_answers_and_starts_meet() {
        let mut under_way = UnderWay::new(TaskTracker::new());
        let count = Arc::new(AtomicUsize::new(0));
        let mut seen = 0;
        for round in 1..=300 {
            let gate = Arc::new(Semaphore::new(0));
            for _ in 0..10 {
                under_way.start(Box::pin(pass(gate.clone(), count.clone())));
            }
            tokio::spawn(async move { gate.add_permits(10) });
            while seen < round * 10 {
                seen += done(&mut under_way).await.len();
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 3_000);
    }

    #[tokio::test]
    async fn what_is_answered_together_comes_together_and_beside_another_wait() {
        let mut under_way = UnderWay::new(TaskTracker::new());
        let mut answers = Vec::new();
        for number in 0..20 {
            let (answer, answered) = oneshot::channel::<()>();
            answers.push(answer);
            under_way.start(Box::pin(async move {
                drop(answered.await);
                number
            }));
        }
        under_way.start(Box::pin(ready(20)));
        assert_eq!(under_way.take_done(), [20]);
        assert!(done(&mut under_way).now_or_never().is_none());
        let (_never, waits) = oneshot::channel::<()>();
        let mut waits = std::pin::pin!(waits);
        assert!(under_way.beside(waits.as_mut()).now_or_never().is_none());
        drop(answers);
        assert!(under_way.beside(waits.as_mut()).now_or_never().is_none());
        let mut numbers = under_way.take_done();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_left_when_the_session_ends_is_done_all_the_same() {
        let (tracker, gate) = (TaskTracker::new(), Arc::new(Semaphore::new(0)));
        let count = Arc::new(AtomicUsize::new(0));
        let mut under_way = UnderWay::new(tracker.clone());
        for _ in 0..3 {
            under_way.start(Box::pin(pass(gate.clone(), count.clone())));
        }
        drop(under_way);
        assert_eq!((tracker.len(), count.load(Ordering::SeqCst)), (1, 0));
        gate.add_permits(1);
        tracker.close();
        tracker.wait().await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}
