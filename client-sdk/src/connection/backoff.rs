//! How long to wait before the next attempt: full-jitter exponential backoff.
//!
//! Each delay is drawn evenly between a small floor and a bound that doubles with every failure in a row, so
//! that thousands of devices that lost the same hub do not come back in the same instant. Used by
//! [`super::state`]; pure.

use cercle_proto::id::TimestampMs;

use super::limits::{BACKOFF_FIRST_MS, BACKOFF_FLOOR_MS, BACKOFF_MAX_MS, STABLE_AFTER_MS};

/// Failures in a row, and since when the connection is up.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
    open_since: Option<TimestampMs>,
}

impl Backoff {
    /// Notes that a connection was made. It counts as good only once it has lasted.
    pub fn opened(&mut self, now: TimestampMs) {
        self.open_since = Some(now);
    }

    /// Notes that an attempt failed or a connection was lost; returns the delay before the next attempt, ms.
    /// `random` is any evenly distributed number.
    pub fn failed(&mut self, now: TimestampMs, random: u64) -> u64 {
        let lasted_ms = self.open_since.take().map(|since| now.saturating_sub(since));
        if lasted_ms.is_some_and(|ms| ms >= STABLE_AFTER_MS) {
            self.failures = 0;
        }
        let bound = BACKOFF_FIRST_MS.saturating_mul(1 << self.failures.min(20)).min(BACKOFF_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        BACKOFF_FLOOR_MS + random % (bound - BACKOFF_FLOOR_MS + 1)
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest delay that the next failure can give.
    fn longest(backoff: &Backoff, now: TimestampMs) -> u64 {
        (0..=BACKOFF_MAX_MS).step_by(10).map(|random| backoff.clone().failed(now, random)).max().unwrap()
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let mut backoff = Backoff::default();
        let mut bounds = Vec::new();
        for _ in 0..10 {
            bounds.push(longest(&backoff, 0));
            backoff.failed(0, 7);
        }
        assert_eq!(bounds[..4], [250, 500, 1_000, 2_000]);
        assert_eq!(bounds[9], BACKOFF_MAX_MS);
    }

    #[test]
    fn a_connection_that_lasted_starts_over_and_one_that_did_not_goes_on() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.failed(0, 0);
        }
        backoff.opened(1_000);
        assert!(longest(&backoff, 1_000 + STABLE_AFTER_MS - 1) > BACKOFF_FIRST_MS);
        assert_eq!(longest(&backoff, 1_000 + STABLE_AFTER_MS), BACKOFF_FIRST_MS);
    }

    #[test]
    fn a_clock_that_jumps_back_is_survived() {
        let mut backoff = Backoff::default();
        backoff.opened(5_000);
        assert!(backoff.failed(0, u64::MAX) <= BACKOFF_FIRST_MS);
    }

    proptest::proptest! {
        #[test]
        fn every_delay_lies_between_floor_and_maximum(randoms: Vec<u64>) {
            let mut backoff = Backoff::default();
            for random in randoms {
                let delay = backoff.failed(0, random);
                proptest::prop_assert!((BACKOFF_FLOOR_MS..=BACKOFF_MAX_MS).contains(&delay));
            }
        }
    }
}
