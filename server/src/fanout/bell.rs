//! What wakes one session: rung by whoever has something for it, heard by its actor alone.
//!
//! Ringing a bell that is rung already costs one atomic operation, so a session that is behind is not woken
//! for every message.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// A bell with one listener.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Rings. What was written before is seen by the listener after it has heard.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.listener.wake();
        }
    }

    /// Ready once for any number of rings since the last time.
    pub fn poll_rung(&self, cx: &Context<'_>) -> Poll<()> {
        if self.rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.listener.register(cx.waker());
        // It may have rung before it knew whom to wake.
        if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns when it has rung. Cancel-safe: a ring that nobody waited for is kept.
    pub async fn rung(&self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn rings_that_nobody_heard_count_once_and_are_not_lost() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.rung().await;
        let noop = Context::from_waker(std::task::Waker::noop());
        assert!(bell.poll_rung(&noop).is_pending());
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
