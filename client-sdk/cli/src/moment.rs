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

/// The end of a day by this machine's time zone, RFC 3339 with offset; `None` if it is no day.
pub(crate) fn end_of_day(day: &str) -> Option<String> {
    let end = day.parse::<jiff::civil::Date>().ok()?.at(23, 59, 59, 0).to_zoned(TimeZone::system()).ok()?;
    Some(end.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
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
        assert!(end_of_day("2026-12-31").unwrap().starts_with("2026-12-31T23:59:59"));
        assert_eq!(end_of_day("demain"), None);
        assert_eq!(time(0).len(), "01/01 00:00".len());
    }
}
