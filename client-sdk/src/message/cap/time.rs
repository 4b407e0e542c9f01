//! Times of CAP (section 3.2, `dateTime`): `2026-11-22T00:15:00+01:00`, and back.

use cercle_proto::id::TimestampMs;

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
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && (hour < 24 && minute < 60 && second < 60);
    if !in_range || date.next().is_some() || clock.next().is_some() {
        return None;
    }
    let local = (days_since_epoch(year, month, day) * 24 + hour) * 3_600 + minute * 60 + second;
    u64::try_from((local - offset_s(zone)?).checked_mul(1_000)?).ok()
}

/// A time of CAP, in UTC.
#[must_use]
pub fn from_ms(at: TimestampMs) -> String {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}-00:00")
}

fn number(text: &str, digits: usize) -> Option<i64> {
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
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, with years that begin in March so that the leap day is the last.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The other way round.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
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
