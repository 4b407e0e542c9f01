//! The clock, as an argument: the wall clock of a running hub, or one that a test sets by hand.
//!
//! The server reads it once per request and passes the time down; nothing below asks for the time itself.

use std::{sync::Arc, time::Duration};

use cercle_proto::id::TimestampMs;
use tokio::sync::watch;

/// Tells the time. Cheap to clone; clones of a manual clock share its hands.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<watch::Sender<TimestampMs>>),
}

impl Clock {
    /// The wall clock of the machine, UTC.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(now: TimestampMs) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(now))))
    }

    /// Milliseconds since the Unix epoch; 0 if the machine believes to live before it.
    #[must_use]
    pub fn now(&self) -> TimestampMs {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(hands) => *hands.borrow(),
        }
    }

    /// Returns when the clock shows `at` or later, or after `longest` of real time on the wall clock, whichever
    /// comes first. Cancel-safe.
    pub async fn until(&self, at: TimestampMs, longest: Duration) {
        match &self.0 {
            Source::System => {
                let left = Duration::from_millis(at.saturating_sub(system_now()));
                tokio::time::sleep(left.min(longest)).await;
            }
            Source::Manual(hands) => {
                // The sender lives in `self`, so waiting cannot fail.
                let _ = hands.subscribe().wait_for(|now| *now >= at).await;
            }
        }
    }

    /// Moves a manual clock forward; the wall clock is not moved.
    pub fn advance(&self, by_ms: u64) {
        if let Source::Manual(hands) = &self.0 {
            hands.send_modify(|now| *now += by_ms);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the hub reads the wall clock")]
fn system_now() -> TimestampMs {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_for_all_its_clones() {
        let clock = Clock::manual(1_000);
        let clone = clock.clone();
        assert_eq!(clone.now(), 1_000);
        clock.advance(500);
        assert_eq!(clone.now(), 1_500);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_time_wakes_when_the_hands_reach_it() {
        let clock = Clock::manual(1_000);
        let (waiting, hands) = (clock.clone(), clock.clone());
        let waiter = tokio::spawn(async move { waiting.until(2_000, Duration::MAX).await });
        hands.advance(999);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        hands.advance(1);
        waiter.await.unwrap();
    }

    #[test]
    fn the_system_clock_is_past_the_year_2020() {
        assert!(Clock::system().now() > 1_577_836_800_000);
    }
}
