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

/// A time written as 2026-11-22T20:00, in the time zone of this machine.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let then = text.trim().parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::system()).ok()?;
    u64::try_from(then.timestamp().as_millisecond()).ok()
}

/// So many days from now, by the clock of the SDK.
pub(crate) fn in_days(days: u64) -> u64 {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    cercle_sdk::client::now_ms() + days * DAY_MS
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
