//! What a member says of himself: what is shown, whether he takes new people on, when he is on duty, when he wants
//! quiet, who stands in for him. And what a shared inbox is.

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::limits;

/// A member's card.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// A line for colleagues.
    pub note: String,
    /// Telephones are not shown.
    pub hide_phone: bool,
    /// Streets are not shown; communes are.
    pub hide_street: bool,
    /// Mailboxes are not shown.
    pub hide_mailboxes: bool,
    /// Nothing is shown: nobody finds the member.
    pub unlisted: bool,
    /// Takes new people on until this time, ms; 0: does not.
    pub accepting_until_ms: u64,
    /// When nobody should be woken for him.
    pub quiet_hours: Vec<QuietHours>,
    /// User id of who stands in for him; empty: nobody.
    pub delegate: String,
    /// When he is on duty.
    pub on_duty: Vec<Period>,
}

/// A daily time without pushes, in the local time of the member's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuietHours {
    /// Days on which it begins: bit 0 is Monday, bit 6 Sunday.
    pub weekdays: u32,
    /// Beginning, minutes after midnight.
    pub from_minute: u32,
    /// End, minutes after midnight; before the beginning: on the next day.
    pub to_minute: u32,
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Period {
    /// First millisecond.
    pub from_ms: u64,
    /// First millisecond after it.
    pub to_ms: u64,
}

/// One address with several people behind it: a practice, a role.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inbox {
    /// Key; empty: a new one.
    pub key: String,
    /// Name that everybody sees.
    pub name: String,
    /// User ids behind it; none: the inbox is given up.
    pub users: Vec<String>,
    /// Commune (INSEE code), or empty.
    pub commune: String,
}

macro_rules! hide {
    ($($name:ident),*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}
hide!(Card, Inbox);

impl Card {
    /// Whether the member takes new people on.
    #[must_use]
    pub fn is_accepting(&self, now_ms: u64) -> bool {
        now_ms < self.accepting_until_ms
    }

    /// Whether the member is on duty.
    #[must_use]
    pub fn is_on_duty(&self, now_ms: u64) -> bool {
        self.on_duty.iter().any(|period| period.from_ms <= now_ms && now_ms < period.to_ms)
    }

    /// Checks the bounds; the error names the field.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn check(&self) -> Result<(), Error> {
        if self.note.chars().count() > limits::CARD_NOTE_CHARS_MAX {
            return Err(Error::Field("card.note is longer than 280 characters"));
        }
        if self.quiet_hours.len() > limits::CARD_QUIET_HOURS_MAX {
            return Err(Error::TooMany("card.quiet_hours has too many items"));
        }
        if self.on_duty.len() > limits::CARD_PERIODS_MAX {
            return Err(Error::TooMany("card.on_duty has too many items"));
        }
        let is_hours = |hours: &QuietHours| {
            (1..128).contains(&hours.weekdays)
                && hours.from_minute < 1440
                && hours.to_minute < 1440
                && hours.from_minute != hours.to_minute
        };
        if !self.quiet_hours.iter().all(is_hours) {
            return Err(Error::Field("card.quiet_hours must name days, and minutes below 1440"));
        }
        if self.on_duty.iter().any(|period| period.from_ms >= period.to_ms) {
            return Err(Error::Field("card.on_duty must end after it begins"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_holds_its_beginning_and_not_its_end() {
        let card = Card { on_duty: vec![Period { from_ms: 10, to_ms: 20 }], ..Card::default() };
        let at: Vec<bool> = [9, 10, 19, 20].iter().map(|now| card.is_on_duty(*now)).collect();
        assert_eq!(at, [false, true, true, false]);
    }

    #[test]
    fn a_card_out_of_bounds_is_refused_by_field() {
        let long = Card { note: "x".repeat(281), ..Card::default() };
        assert!(long.check().unwrap_err().to_string().contains("card.note"));
        let hours = QuietHours { weekdays: 0, from_minute: 0, to_minute: 1 };
        let days = Card { quiet_hours: vec![hours], ..Card::default() };
        assert!(days.check().unwrap_err().to_string().contains("card.quiet_hours"));
        let backwards = Card { on_duty: vec![Period { from_ms: 2, to_ms: 1 }], ..Card::default() };
        assert!(backwards.check().unwrap_err().to_string().contains("card.on_duty"));
    }
}
