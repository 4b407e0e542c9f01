//! Quiet hours of members' cards: when somebody is left in peace, in the time zone of the hub.
//!
//! Asked by push and alerts through [`crate::push::quiet::QuietHours`]. Cards say minutes of the local day; the
//! zone is that of the territory, with its summer time.

use cercle_proto::id::{TimestampMs, UserId};
use jiff::{Timestamp, civil::Date, civil::Weekday, tz::TimeZone};

use super::{Directory, card::QuietHours};
use crate::{error::Chain, push::quiet};

/// Rules of the French territories in POSIX form, for machines without a time zone database.
const FRENCH: &[(&str, &str)] = &[
    ("Europe/Paris", "CET-1CEST,M3.5.0,M10.5.0/3"),
    ("America/Cayenne", "<-03>3"),
    ("America/Guadeloupe", "AST4"),
    ("America/Martinique", "AST4"),
    ("America/Miquelon", "<-03>3<-02>,M3.2.0,M11.1.0"),
    ("Indian/Mayotte", "EAT-3"),
    ("Indian/Reunion", "<+04>-4"),
    ("Pacific/Noumea", "<+11>-11"),
    ("Pacific/Tahiti", "<-10>10"),
    ("Pacific/Wallis", "<+12>-12"),
];

/// The time zone of a name of the IANA database, or of a POSIX rule; `None` if it is neither.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let known = FRENCH.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule);
    if let Some(rule) = known {
        return TimeZone::posix(rule).ok();
    }
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).ok()
}

/// Until when one of these hours lasts that has begun; the latest end counts.
#[must_use]
pub fn quiet_until(hours: &[QuietHours], now: TimestampMs, zone: &TimeZone) -> Option<TimestampMs> {
    let now = Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?;
    let today = now.to_zoned(zone.clone()).date();
    // Hours over midnight began on the day before.
    let days = [today.yesterday().ok()?, today];
    let ends = hours.iter().flat_map(|hours| days.map(|day| end(hours, day, now, zone)));
    ends.flatten().max().and_then(|end| u64::try_from(end.as_millisecond()).ok())
}

/// The end of the hours that begin on a day, if they last at a moment.
fn end(hours: &QuietHours, day: Date, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if hours.weekdays & (1 << weekday(day)) == 0 {
        return None;
    }
    let end_day = if hours.to_minute > hours.from_minute { day } else { day.tomorrow().ok()? };
    let (from, to) = (moment(day, hours.from_minute, zone)?, moment(end_day, hours.to_minute, zone)?);
    (from <= now && now < to).then_some(to)
}

/// A minute of a day; one that the summer time leaves out is the one after it.
fn moment(day: Date, minute: u32, zone: &TimeZone) -> Option<Timestamp> {
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(day.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.timestamp())
}

/// 0: Monday, as on the cards.
fn weekday(day: Date) -> u32 {
    match day.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

/// The cards of a directory, read as quiet hours.
#[derive(Debug, Clone)]
pub struct CardHours {
    directory: Directory,
    zone: TimeZone,
}

impl CardHours {
    /// The hours of the cards of a directory, in a time zone.
    #[must_use]
    pub fn new(directory: Directory, zone: TimeZone) -> Self {
        Self { directory, zone }
    }
}

#[async_trait::async_trait]
impl quiet::QuietHours for CardHours {
    async fn quiet_until(&self, user: &UserId, now: TimestampMs) -> Option<TimestampMs> {
        match self.directory.card(user, now).await {
            Ok(card) => quiet_until(&card?.quiet_hours, now, &self.zone),
            Err(error) => {
                tracing::warn!(cause = %Chain(&error), "quiet hours cannot be read: members are woken");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> TimestampMs {
        let at: Timestamp = text.parse().unwrap();
        u64::try_from(at.as_millisecond()).unwrap()
    }

    fn nights() -> Vec<QuietHours> {
        vec![QuietHours { weekdays: 0b001_1111, from_minute: 22 * 60, to_minute: 7 * 60 }]
    }

    #[test]
    fn a_night_lasts_over_midnight_in_local_time_summer_and_winter() {
        let paris = time_zone("Europe/Paris").unwrap();
        // Wednesday evening in winter (UTC + 1), and in summer (UTC + 2).
        for (evening, before, morning) in [
            ("2026-11-25T21:00:00Z", "2026-11-25T20:59:59Z", "2026-11-26T06:00:00Z"),
            ("2026-07-15T20:00:00Z", "2026-07-15T19:59:59Z", "2026-07-16T05:00:00Z"),
        ] {
            assert_eq!(quiet_until(&nights(), at(evening), &paris), Some(at(morning)));
            assert_eq!(quiet_until(&nights(), at(before), &paris), None);
            assert_eq!(quiet_until(&nights(), at(morning), &paris), None);
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let paris = time_zone("Europe/Paris").unwrap();
        // Friday's night lasts into Saturday; Saturday's is none of Monday to Friday.
        assert!(quiet_until(&nights(), at("2026-11-28T03:00:00Z"), &paris).is_some());
        assert!(quiet_until(&nights(), at("2026-11-28T23:00:00Z"), &paris).is_none());
    }

    #[test]
    fn the_latest_of_two_ends_counts() {
        let reunion = time_zone("Indian/Reunion").unwrap();
        let noon = |from_minute, to_minute| QuietHours { weekdays: 127, from_minute, to_minute };
        let hours = [noon(720, 780), noon(700, 900)];
        let until = quiet_until(&hours, at("2026-11-26T08:30:00Z"), &reunion);
        assert_eq!(until, Some(at("2026-11-26T11:00:00Z")));
    }

    #[test]
    fn a_zone_is_a_name_or_a_rule() {
        assert!(FRENCH.iter().all(|(name, _)| time_zone(name).is_some()));
        assert!(time_zone("CET-1CEST,M3.5.0,M10.5.0/3").is_some());
        assert!(time_zone("Europe/Atlantis").is_none());
    }
}
