//! The device's clock: the one place of the SDK that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use cercle_proto::id::TimestampMs;

/// Milliseconds since the Unix epoch, UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the shell's one clock; everything else is given the time")]
pub fn now_ms() -> TimestampMs {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(passed.as_millis()).unwrap_or(TimestampMs::MAX)
}

/// An evenly distributed number, for jitter only.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| now_ms())
}
