//! Keeps a device below the hub's rate limit, so that no message is refused while a later one is accepted:
//! that would turn their order round.

use cercle_proto::id::TimestampMs;

use crate::limits;

/// A bucket of messages that may be sent; it fills with time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    per_second: u64,
    /// Thousandths of a message.
    filled: u64,
    at: TimestampMs,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = u64::from(per_second.max(1));
        Self { per_second, filled: per_second * limits::SEND_BURST_SECONDS * 1_000, at: 0 }
    }

    /// Takes one message out.
    ///
    /// # Errors
    /// When the bucket is empty: the time at which it will not be.
    pub(crate) fn take(&mut self, now: TimestampMs) -> Result<(), TimestampMs> {
        let full = self.per_second * limits::SEND_BURST_SECONDS * 1_000;
        let elapsed = now.saturating_sub(self.at);
        self.filled = self.filled.saturating_add(elapsed.saturating_mul(self.per_second)).min(full);
        self.at = now;
        match self.filled.checked_sub(1_000) {
            Some(rest) => {
                self.filled = rest;
                Ok(())
            }
            None => Err(now + (1_000 - self.filled).div_ceil(self.per_second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_messages_leave_at_the_steady_rate() {
        let mut pace = Pace::new(100);
        let mut now = 1_000_000;
        let burst = (0..10_000).take_while(|_| pace.take(now).is_ok()).count();
        assert_eq!(burst as u64, 100 * limits::SEND_BURST_SECONDS);
        for _ in 0..50 {
            now = pace.take(now).expect_err("empty");
            assert_eq!(pace.take(now), Ok(()), "at the time that it named");
        }
        assert_eq!(now, 1_000_500, "50 messages at 100 a second");
    }

    #[test]
    fn a_pause_fills_the_bucket_and_not_more() {
        let mut pace = Pace::new(10);
        while pace.take(5_000).is_ok() {}
        let hour_later = 5_000 + 3_600_000;
        let burst = (0..10_000).take_while(|_| pace.take(hour_later).is_ok()).count();
        assert_eq!(burst as u64, 10 * limits::SEND_BURST_SECONDS);
    }
}
