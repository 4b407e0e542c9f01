//! The clock of a run: microseconds since it began, never going back.

use std::time::{Duration, Instant};

/// Started once for each run and copied to everybody who measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "the one clock of the load generator")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since an earlier reading of [`Self::now_us`].
    pub(crate) fn ms_since(self, earlier_us: u64) -> f64 {
        ms(self.now_us().saturating_sub(earlier_us))
    }

    /// Waits until then; not at all if it has passed.
    pub(crate) async fn until(self, due_us: u64) {
        let wait_us = due_us.saturating_sub(self.now_us());
        if wait_us > 0 {
            tokio::time::sleep(Duration::from_micros(wait_us)).await;
        }
    }
}

/// Microseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}
