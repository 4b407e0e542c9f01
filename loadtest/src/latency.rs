//! Latencies of one kind, and what is shown of them.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    clock::ms,
    limits::{LATENCY_DIGITS, LATENCY_US_MAX},
};

/// Latencies, recorded in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

/// What is shown of them, milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS);
        Self(histogram.expect("the bounds are in order and the digits at most five"))
    }
}

impl Latency {
    /// Adds one.
    pub(crate) fn record(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency that this share of all does not exceed, microseconds.
    pub(crate) fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// What is shown.
    pub(crate) fn distribution(&self) -> Distribution {
        let at = |quantile| ms(self.at(quantile));
        Distribution {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(self.0.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_latencies_give_the_quantiles_of_all() {
        let (mut all, mut late) = (Latency::default(), Latency::default());
        for _ in 0..99 {
            all.record(1_000);
        }
        late.record(500_000);
        all.add(&late);
        let shown = all.distribution();
        assert_eq!(shown.count, 100);
        assert!((shown.p50_ms - 1.0).abs() < 0.01, "{shown:?}");
        assert!((shown.max_ms - 500.0).abs() < 1.0, "{shown:?}");
    }
}
