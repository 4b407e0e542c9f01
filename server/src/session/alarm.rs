//! Wakes a session at the time it asks for. The time mostly moves away with every frame, so the alarm stays set
//! for an earlier one and looks again when that has come: the runtime's timer is not touched for each frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The alarm of one session.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// Set for the first time that will be asked for.
    pub(super) fn new(at: Instant) -> Self {
        Self(Box::pin(sleep_until(at)))
    }

    /// Ready when `at` has come.
    pub(super) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if at < self.0.deadline() {
            self.0.as_mut().reset(at);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if self.0.deadline() >= at {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_newest_time_whether_that_is_later_or_earlier() {
        let hour = Duration::from_secs(3_600);
        let mut alarm = Alarm::new(Instant::now());
        for milliseconds in [20, 1, 10] {
            // Asked for a later time first, as by a session that was woken by a frame in between.
            let later = Instant::now() + hour;
            poll_fn(|cx| {
                assert!(alarm.poll(later, cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let at = Instant::now() + Duration::from_millis(milliseconds);
            poll_fn(|cx| alarm.poll(at, cx)).await;
            assert!(Instant::now() >= at);
        }
    }
}
