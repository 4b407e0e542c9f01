//! Times as a person reads them, in the time zone of this machine.

use jiff::{Timestamp, tz::TimeZone};

/// The time of day; with the day if that is not today's, by the clock of the SDK.
pub(crate) fn time(at_ms: u64) -> String {
    let (then, now) = (local(at_ms), local(cercle_sdk::client::now_ms()));
    let form = if then.date() == now.date() { "%H:%M" } else { "%d/%m %H:%M" };
    then.strftime(form).to_string()
}

/// The day, in the order of ISO 8601, which nobody misreads.
pub(crate) fn day(at_ms: u64) -> String {
    local(at_ms).strftime("%Y-%m-%d").to_string()
}

fn local(at_ms: u64) -> jiff::Zoned {
    let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(Timestamp::MAX).to_zoned(TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_year_first_and_absurd_times_do_not_panic() {
        assert!(day(1_790_000_000_000).starts_with("2026-09-2"));
        assert!(!day(u64::MAX).is_empty());
        assert_eq!(time(0).len(), "01/01 00:00".len());
    }
}
