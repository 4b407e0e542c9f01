//! Times as a person reads them, in the time zone of this machine.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{exit::Exit, failure::Failure};

/// The time of day; with the day, and the year, if that is not today's, by the clock of the SDK.
pub(crate) fn time(at_ms: u64) -> String {
    let (then, now) = (local(at_ms), local(cercle_sdk::client::now_ms()));
    let form = match then.date() == now.date() {
        true => "%H:%M",
        false if then.year() == now.year() => "%d/%m %H:%M",
        false => "%d/%m/%Y %H:%M",
    };
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

/// How long, in the largest unit that says it.
pub(crate) fn age(ms: u64) -> String {
    match ms / 60_000 {
        minutes @ 0..60 => format!("{minutes} min"),
        minutes @ 60..2_880 => format!("{} h", minutes / 60),
        minutes => format!("{} j", minutes / 1_440),
    }
}

/// Reads a time: from the present on (`30m`, `2h`, `3d`), a day, or a day with a time of day, in the time zone
/// of this machine.
pub(crate) fn when(text: &str) -> Result<u64, Failure> {
    from_the_present(text).or_else(|| parse(text)).ok_or_else(|| {
        Failure::new(Exit::Usage, text!("« {text} » n'est pas un moment."; "\"{text}\" is not a time.")).mend(
            text!(
                "Par exemple : 30m, 2h, 3d, 2026-11-23, 2026-11-23T14:30";
                "For example: 30m, 2h, 3d, 2026-11-23, 2026-11-23T14:30"
            ),
        )
    })
}

fn from_the_present(text: &str) -> Option<u64> {
    let unit_ms: u64 = match text.chars().last()? {
        'm' => 60_000,
        'h' => 3_600_000,
        'd' | 'j' => 86_400_000,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    cercle_sdk::client::now_ms().checked_add(count.checked_mul(unit_ms)?)
}

/// A day, or a day with a time of day (2026-11-22T20:00), in the time zone of this machine.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let at: DateTime = text.trim().parse().ok()?;
    let at = at.to_zoned(TimeZone::system()).ok()?;
    u64::try_from(at.timestamp().as_millisecond()).ok()
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
        assert!(end_of_day("2026-12-31").unwrap().starts_with("2026-12-31T23:59:59"));
        assert_eq!(end_of_day("demain"), None);
        assert_eq!(time(0).len(), "01/01/1970 00:00".len());
    }

    #[test]
    fn times_are_read_from_the_present_on_or_as_a_day_and_nothing_else() {
        assert!(when("2h").unwrap() > when("30m").unwrap());
        assert_eq!(when("2026-11-23T00:30").unwrap() - when("2026-11-23").unwrap(), 1_800_000);
        for bad in ["", "h", "2x", "99999999999999999999d", "é", "23/11/2026"] {
            assert!(when(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_age_is_said_in_minutes_hours_or_days() {
        assert_eq!([age(59_000), age(7_200_000), age(200_000_000)], ["0 min", "2 h", "2 j"]);
    }
}
