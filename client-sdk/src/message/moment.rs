//! Days and moments in messages: text, as the author's clock and calendar said it.
//!
//! A day is `YYYY-MM-DD`. A moment is RFC 3339 with its offset (`2026-11-21T14:30:00+01:00`), the form of FHIR
//! and of the health hub, so that a message says the same to a reader in another time zone and no device needs
//! to know the zones of others.

use cercle_proto::id::TimestampMs;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
};

use super::{
    Language,
    field::{missing, wrong},
};
use crate::{error::Error, limits};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// When a moment is, milliseconds since the Unix epoch; `None` if the text is none.
#[must_use]
pub fn at_ms(moment: &str) -> Option<TimestampMs> {
    if moment.len() > limits::CODE_BYTES_MAX || !moment.is_ascii() || moment.contains('[') {
        return None;
    }
    let at: Timestamp = moment.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

/// Whether the text is a day.
#[must_use]
pub fn is_day(text: &str) -> bool {
    date(text).is_some()
}

/// The date that a day names.
pub(crate) fn date(text: &str) -> Option<Date> {
    if text.len() == 10 && text.as_bytes()[4] == b'-' { text.parse().ok() } else { None }
}

/// Calendar and clock of a time, UTC; a time after the year 9999 has those of its end.
pub(crate) fn civil(at_ms: TimestampMs) -> DateTime {
    let since = i64::try_from(at_ms).ok().map(SignedDuration::from_millis);
    since.and_then(|since| EPOCH.checked_add(since).ok()).unwrap_or(DateTime::MAX)
}

/// Seconds since the Unix epoch of calendar and clock, UTC.
pub(crate) fn utc_seconds(civil: DateTime) -> i64 {
    civil.duration_since(EPOCH).as_secs()
}

/// The day of a time, UTC.
pub(crate) fn day_of(at_ms: TimestampMs) -> String {
    civil(at_ms).date().to_string()
}

/// Checks a required day.
pub(crate) fn required_day(field: &'static str, text: &str) -> Result<(), Error> {
    if text.is_empty() { Err(missing(field)) } else { optional_day(field, text) }
}

/// Checks a day that may be empty.
pub(crate) fn optional_day(field: &'static str, text: &str) -> Result<(), Error> {
    if text.is_empty() || is_day(text) {
        return Ok(());
    }
    Err(wrong(field, "must be a day: YYYY-MM-DD"))
}

/// Checks a required moment.
pub(crate) fn required_moment(field: &'static str, text: &str) -> Result<(), Error> {
    if text.is_empty() { Err(missing(field)) } else { optional_moment(field, text) }
}

/// Checks a moment that may be empty.
pub(crate) fn optional_moment(field: &'static str, text: &str) -> Result<(), Error> {
    if text.is_empty() || at_ms(text).is_some() {
        return Ok(());
    }
    Err(wrong(field, "must be a moment with its offset: 2026-11-21T14:30:00+01:00"))
}

/// Checks that an end is after its start; both were checked.
pub(crate) fn ordered(field: &'static str, start: &str, end: &str) -> Result<(), Error> {
    if at_ms(start) < at_ms(end) { Ok(()) } else { Err(wrong(field, "must be after the start")) }
}

/// A day as a person reads it.
pub(crate) fn day(text: &str, language: Language) -> String {
    match (language, text.get(..4), text.get(5..7), text.get(8..10)) {
        (Language::French, Some(year), Some(month), Some(day)) => format!("{day}/{month}/{year}"),
        _ => text.to_owned(),
    }
}

/// A moment as a person reads it, by its author's clock.
pub(crate) fn shown(text: &str, language: Language) -> String {
    match (text.get(..10), text.get(11..16)) {
        (Some(date), Some(time)) => format!("{} {time}", day(date, language)),
        _ => text.to_owned(),
    }
}

/// A start and an end as a person reads them.
pub(crate) fn span(start: &str, end: &str, language: Language) -> String {
    let same_day = start.get(..10) == end.get(..10);
    let end = if same_day { end.get(11..16).unwrap_or(end).to_owned() } else { shown(end, language) };
    format!("{} – {end}", shown(start, language))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_needs_its_offset_and_says_the_same_everywhere() {
        assert_eq!(at_ms("2026-11-21T14:30:00+01:00"), at_ms("2026-11-21T13:30:00Z"));
        assert_eq!(at_ms("1970-01-01T00:00:01Z"), Some(1_000));
        for wrong in ["2026-11-21T14:30:00", "2026-11-21", "demain", "", "2026-13-01T00:00:00Z", "é"] {
            assert_eq!(at_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        assert!(is_day("2028-02-29"));
        for wrong in ["2026-02-29", "2026-2-9", "20260209", "29/02/2028", ""] {
            assert!(!is_day(wrong), "{wrong}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (at_ms, expected) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_795_219_200_000, "2026-11-21"),
            (4_107_542_400_000, "2100-03-01"),
        ] {
            assert_eq!(day_of(at_ms), expected);
        }
        assert_eq!(day_of(u64::MAX), "9999-12-31");
    }

    #[test]
    fn a_person_reads_the_authors_clock() {
        let moment = "2026-11-21T14:30:00+01:00";
        assert_eq!(shown(moment, Language::French), "21/11/2026 14:30");
        assert_eq!(shown(moment, Language::English), "2026-11-21 14:30");
        assert_eq!(span(moment, "2026-11-21T15:00:00+01:00", Language::French), "21/11/2026 14:30 – 15:00");
    }
}
