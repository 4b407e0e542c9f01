//! What wakes one session: rung by whoever has something for it, and by its connection when something can be read
//! there; heard by its actor alone.
//!
//! Ringing a bell that is rung already costs one atomic operation, so a session that is behind is not woken
//! for every message. The connection has a mark of its own, so that a session that was woken to be told something
//! does not go down through TLS to find that the device has said nothing.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// A bell with one listener.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    /// Something may be read from the connection.
    spoken: AtomicBool,
    listener: AtomicWaker,
}

/// What to poll a connection with: notes in the bell that it can be read, then wakes the listener.
#[derive(Debug)]
pub struct Ear {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Bell {
    /// Rings. What was written before is seen by the listener after it has heard.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.listener.wake();
        }
    }

    /// Whoever polls is woken from now on. Comes before [`Bell::has_rung`] and [`Ear::poll`], or what happens in
    /// between is missed.
    pub fn listen(&self, cx: &Context<'_>) {
        self.listener.register(cx.waker());
    }

    /// True once for any number of rings since the last time.
    pub fn has_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Returns when it has rung. Cancel-safe: a ring that nobody waited for is kept.
    pub async fn rung(&self) {
        poll_fn(|cx| {
            self.listen(cx);
            if self.has_rung() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.spoken.swap(true, Ordering::AcqRel) {
            self.listener.wake();
        }
    }
}

impl Ear {
    /// An ear at a connection of which nothing is known yet.
    #[must_use]
    pub fn new(bell: Arc<Bell>) -> Self {
        bell.spoken.store(true, Ordering::Release);
        Self { waker: Waker::from(bell.clone()), bell }
    }

    /// Polls the connection if there may be something; [`Bell::listen`] comes before.
    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if !self.bell.spoken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            // Only what is pending promises to wake.
            self.bell.spoken.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_that_nobody_heard_count_once_and_are_not_lost() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.rung().await;
        assert!(!bell.has_rung());
    }

    #[tokio::test]
    async fn a_connection_is_polled_after_it_was_ready_or_has_woken_and_not_else() {
        let bell = Arc::<Bell>::default();
        let ear = Ear::new(bell.clone());
        let polls = std::cell::Cell::new(0);
        let kept = std::cell::RefCell::new(None);
        let hear = |answer: Poll<()>| {
            ear.poll(|cx| {
                polls.set(polls.get() + 1);
                *kept.borrow_mut() = Some(cx.waker().clone());
                answer
            })
        };
        assert!(hear(Poll::Ready(())).is_ready() && hear(Poll::Pending).is_pending());
        assert!(hear(Poll::Ready(())).is_pending());
        bell.ring();
        assert!(hear(Poll::Ready(())).is_pending(), "a ring says nothing about the connection");
        assert_eq!(polls.get(), 2);
        // The listener is woken by its connection as well, and the bell tells the two apart.
        bell.rung().await;
        let waker = kept.borrow().clone().unwrap();
        let woken = tokio::spawn(async move { waker.wake() });
        poll_fn(|cx| {
            bell.listen(cx);
            hear(Poll::Ready(()))
        })
        .await;
        woken.await.unwrap();
        assert!(!bell.has_rung() && polls.get() == 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_change_is_seen_however_ringing_and_listening_meet() {
        let (bell, count) = (Arc::new(Bell::default()), Arc::new(std::sync::atomic::AtomicU32::new(0)));
        let (ringer, changes) = (bell.clone(), count.clone());
        let ringing = tokio::spawn(async move {
            for _ in 0..20_000 {
                changes.fetch_add(1, Ordering::Relaxed);
                ringer.ring();
                tokio::task::yield_now().await;
            }
        });
        while count.load(Ordering::Relaxed) < 20_000 {
            bell.rung().await;
        }
        ringing.await.unwrap();
    }
}
