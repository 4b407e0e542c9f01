//! Times of CAP (section 3.2, `dateTime`): `2026-11-22T00:15:00+01:00`, and back.

use cercle_proto::id::TimestampMs;
use jiff::civil::DateTime;

use crate::message::moment;

/// Milliseconds since the Unix epoch, UTC; `None` if it is no time of CAP. `Z` is taken too, which CAP
/// forbids and many write; fractions of a second are read and dropped.
#[must_use]
pub fn to_ms(text: &str) -> Option<TimestampMs> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (clock, zone) = rest.split_at_checked(8)?;
    let mut clock = clock.split(':');
    let (hour, minute, second) =
        (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => zone,
    };
    if year < 1970 || date.next().is_some() || clock.next().is_some() {
        return None;
    }
    let local = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        0,
    );
    u64::try_from((moment::utc_seconds(local.ok()?) - offset_s(zone)?).checked_mul(1_000)?).ok()
}

/// A time of CAP, in UTC.
#[must_use]
pub fn from_ms(at: TimestampMs) -> String {
    moment::civil(at).strftime("%Y-%m-%dT%H:%M:%S-00:00").to_string()
}

fn number(text: &str, digits: usize) -> Option<i16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn offset_s(zone: &str) -> Option<i64> {
    let sign = match zone.chars().next()? {
        'Z' => return (zone.len() == 1).then_some(0),
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours <= 14 && minutes < 60).then_some(sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_standard_are_read_and_written() {
        assert_eq!(to_ms("1970-01-01T00:00:00-00:00"), Some(0));
        assert_eq!(to_ms("2010-08-31T00:09:25-05:00"), Some(1_283_231_365_000));
        assert_eq!(to_ms("2026-11-22T01:15:00+01:00"), to_ms("2026-11-22T00:15:00Z"));
        assert_eq!(to_ms("2024-02-29T12:00:00.25+00:00"), to_ms("2024-02-29T12:00:00+00:00"));
        assert_eq!(from_ms(1_283_231_365_000), "2010-08-31T05:09:25-00:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T00:15:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+0100",
            "26-01-01T00:00:00Z",
            "2026-01-01T00:00:00Zx",
            "2026-01-01T00:00:00+15:00",
            "é026-01-01T00:00:00Z",
        ] {
            assert_eq!(to_ms(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_second_comes_back(second in 0_u64..100_000_000_000) {
            proptest::prop_assert_eq!(to_ms(&from_ms(second * 1_000)), Some(second * 1_000));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = to_ms(&text);
        }
    }
}
