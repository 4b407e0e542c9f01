//! What is kept of an alert, and when its next step is due: pure, the time comes in as an argument.
//!
//! Times of the plan count from the beginning of the ringing, not from the last step: a hub that was away
//! goes on where the plan is at that moment, and rounds that it missed are one round.

use cercle_proto::id::{GroupId, Seq, TimestampMs, UserId, to_hex};
use serde::{Deserialize, Serialize};

/// Number of an alert, random, chosen by the publisher's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertId(pub [u8; 16]);

impl AlertId {
    /// 32 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        to_hex(&self.0)
    }
}

/// Visibly different everywhere; quiet hours yield to actual alerts of high priority only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It happens.
    Actual,
    /// An exercise.
    Exercise,
    /// A test of the system.
    Test,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Priority {
    /// People should know.
    Normal,
    /// People should act.
    High,
}

/// What happens while acknowledgements are missing, in ms from the beginning of the ringing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Until when people should acknowledge; 0: not said.
    pub ack_within_ms: u64,
    /// How often devices without a session are woken again; 0: once only.
    pub repeat_every_ms: u64,
    /// How often at most, after the first time.
    pub repeat_max: u32,
    /// When the fallback hook is called; 0: never.
    pub fallback_after_ms: u64,
    /// After each such time the next in line is rung too; 0: never.
    pub escalate_after_ms: u64,
    /// Who is rung only in his turn.
    pub next_in_line: Vec<String>,
    /// Acknowledgements after which nobody else is rung; 0: of all.
    pub needed: u32,
}

/// An alert, as it is kept. The hub knows nothing of what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Groups and the places of the alert's messages in them.
    pub groups: Vec<([u8; 16], Seq)>,
    /// Visible everywhere.
    pub mode: Mode,
    /// How much it matters.
    pub priority: Priority,
    /// Until when it rings.
    pub expires_at: TimestampMs,
    /// What happens meanwhile.
    pub policy: Policy,
    /// Publisher who opened it.
    pub opened_by: String,
    /// When.
    pub opened_at: TimestampMs,
    /// Second publisher, where two are asked for.
    pub confirmed_by: Option<String>,
    /// When it began to ring.
    pub ringing_since: Option<TimestampMs>,
    /// When a publisher ended it.
    pub closed_at: Option<TimestampMs>,
    /// Rounds of wake-ups that the plan is past, the first included.
    pub rounds: u32,
    /// The fallback hook has been called for everybody it had to be called for.
    pub fell_back: bool,
    /// How many of the line have been rung.
    pub in_line: u32,
}

/// What is due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// A round of wake-ups.
    pub ring: bool,
    /// The fallback hook.
    pub fall_back: bool,
    /// So many of the line are to have been rung.
    pub in_line: u32,
}

/// Where an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A second publisher has to confirm it.
    Awaiting,
    /// It rings.
    Ringing,
    /// A publisher ended it.
    Closed,
    /// Its time is over.
    Expired,
}

impl AlertRecord {
    /// Where it is.
    #[must_use]
    pub fn phase(&self, now: TimestampMs) -> Phase {
        match (self.closed_at, self.ringing_since) {
            (Some(_), _) => Phase::Closed,
            _ if now >= self.expires_at => Phase::Expired,
            (None, Some(_)) => Phase::Ringing,
            (None, None) => Phase::Awaiting,
        }
    }

    /// Whether it rings in spite of quiet hours: it happens, and people should act.
    #[must_use]
    pub fn yields_to_nothing(&self) -> bool {
        self.mode == Mode::Actual && self.priority == Priority::High
    }

    /// Groups and places, typed.
    pub fn places(&self) -> impl Iterator<Item = (GroupId, Seq)> + '_ {
        self.groups.iter().map(|(group, seq)| (GroupId::new(*group), *seq))
    }

    /// Place of a user in the line, from 1; 0: rung from the beginning.
    #[must_use]
    pub fn place_in_line(&self, user: &UserId) -> u32 {
        let place = self.policy.next_in_line.iter().position(|name| name == user.as_str());
        place.map_or(0, |place| u32::try_from(place + 1).unwrap_or(u32::MAX))
    }

    /// What is due.
    #[must_use]
    pub fn due(&self, now: TimestampMs) -> Due {
        let (Phase::Ringing, Some(since)) = (self.phase(now), self.ringing_since) else {
            return Due { in_line: self.in_line, ..Due::default() };
        };
        let passed = now.saturating_sub(since);
        let Policy { fallback_after_ms, escalate_after_ms, next_in_line, .. } = &self.policy;
        let turn = passed.checked_div(*escalate_after_ms).unwrap_or(0);
        Due {
            ring: self.rounds < self.rounds_at(passed),
            fall_back: *fallback_after_ms > 0 && passed >= *fallback_after_ms && !self.fell_back,
            in_line: u32::try_from(turn.min(next_in_line.len() as u64)).unwrap_or(u32::MAX),
        }
    }

    /// The record once what was due at `now` is done.
    #[must_use]
    pub fn past(mut self, now: TimestampMs) -> Self {
        let due = self.due(now);
        if let (true, Some(since)) = (due.ring, self.ringing_since) {
            self.rounds = self.rounds_at(now.saturating_sub(since));
        }
        self.fell_back |= due.fall_back;
        self.in_line = due.in_line;
        self
    }

    /// When the next step is due; the last one is the end. `None` when it is closed.
    #[must_use]
    pub fn next_due(&self) -> Option<TimestampMs> {
        if self.closed_at.is_some() {
            return None;
        }
        let Some(since) = self.ringing_since else { return Some(self.expires_at) };
        let Policy {
            repeat_every_ms, repeat_max, fallback_after_ms, escalate_after_ms, next_in_line, ..
        } = &self.policy;
        let round = match self.rounds {
            0 => Some(0),
            rounds if *repeat_every_ms > 0 && rounds <= *repeat_max => {
                Some(u64::from(rounds).saturating_mul(*repeat_every_ms))
            }
            _ => None,
        };
        let fall_back = (*fallback_after_ms > 0 && !self.fell_back).then_some(*fallback_after_ms);
        let more_in_line = *escalate_after_ms > 0 && (self.in_line as usize) < next_in_line.len();
        let turn = more_in_line.then(|| (u64::from(self.in_line) + 1).saturating_mul(*escalate_after_ms));
        let first = [round, fall_back, turn].into_iter().flatten().min();
        Some(first.map_or(self.expires_at, |after| since.saturating_add(after).min(self.expires_at)))
    }

    /// Rounds that the plan has begun so long after the beginning.
    fn rounds_at(&self, passed_ms: u64) -> u32 {
        let repeats = passed_ms.checked_div(self.policy.repeat_every_ms).unwrap_or(0);
        let repeats = repeats.min(u64::from(self.policy.repeat_max));
        u32::try_from(repeats + 1).unwrap_or(u32::MAX)
    }
}

/// What is known of one recipient. Each time is set once and stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecipientRecord {
    /// Place in the line, from 1; 0: rung from the beginning.
    pub in_line: u32,
    /// The hub tried to reach a device: it had a session, or a push service took a wake-up.
    pub sent_at: Option<TimestampMs>,
    /// A device has the message, as its cursor says.
    pub delivered_at: Option<TimestampMs>,
    /// The recipient's client says that he has seen it.
    pub seen_at: Option<TimestampMs>,
    /// He acknowledged it.
    pub acknowledged_at: Option<TimestampMs>,
    /// Wake-ups that push services took.
    pub pushes: u32,
    /// When the fallback hook was called.
    pub fallback_at: Option<TimestampMs>,
}

impl RecipientRecord {
    /// Takes over what another state of the same recipient knows more.
    pub fn merge(&mut self, other: &Self) {
        self.sent_at = self.sent_at.or(other.sent_at);
        self.delivered_at = self.delivered_at.or(other.delivered_at);
        self.seen_at = self.seen_at.or(other.seen_at);
        self.acknowledged_at = self.acknowledged_at.or(other.acknowledged_at);
        self.fallback_at = self.fallback_at.or(other.fallback_at);
        self.pushes = self.pushes.max(other.pushes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ringing(policy: Policy) -> AlertRecord {
        AlertRecord {
            groups: vec![([1; 16], 7)],
            mode: Mode::Exercise,
            priority: Priority::High,
            expires_at: 1_000_000,
            policy,
            opened_by: "a@b.example".into(),
            opened_at: 1_000,
            confirmed_by: None,
            ringing_since: Some(1_000),
            closed_at: None,
            rounds: 0,
            fell_back: false,
            in_line: 0,
        }
    }

    /// Goes through the plan; returns the times of the rounds.
    fn rounds(mut record: AlertRecord) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(due) = record.next_due().filter(|due| *due < record.expires_at) {
            times.extend(record.due(due).ring.then_some(due));
            record = record.past(due);
        }
        times
    }

    #[test]
    fn it_rings_at_once_and_then_on_the_grid_until_the_last_repetition() {
        let policy = Policy { repeat_every_ms: 120_000, repeat_max: 3, ..Policy::default() };
        assert_eq!(rounds(ringing(policy)), [1_000, 121_000, 241_000, 361_000]);
        assert_eq!(rounds(ringing(Policy::default())), [1_000]);
    }

    #[test]
    fn rounds_that_were_missed_are_one_round_and_the_grid_stays() {
        let policy = Policy { repeat_every_ms: 100, repeat_max: 100, ..Policy::default() };
        let record = ringing(policy).past(1_000);
        assert_eq!(record.next_due(), Some(1_100));
        assert!(record.due(1_350).ring);
        let record = record.past(1_350);
        assert!(!record.due(1_350).ring);
        assert_eq!(record.next_due(), Some(1_400));
    }

    #[test]
    fn the_line_comes_one_by_one_and_the_fallback_once() {
        let next_in_line = vec!["x".into(), "y".into()];
        let policy =
            Policy { fallback_after_ms: 500, escalate_after_ms: 400, next_in_line, ..Policy::default() };
        let record = ringing(policy).past(1_000);
        assert_eq!(record.next_due(), Some(1_400));
        assert_eq!(record.due(1_400), Due { ring: false, fall_back: false, in_line: 1 });
        let record = record.past(1_400);
        assert_eq!(record.next_due(), Some(1_500));
        assert!(record.due(1_500).fall_back);
        let record = record.past(1_900);
        assert_eq!((record.in_line, record.fell_back, record.next_due()), (2, true, Some(1_000_000)));
    }

    #[test]
    fn what_is_closed_over_or_unconfirmed_rings_no_more() {
        let policy = Policy { repeat_every_ms: 100, repeat_max: 100, ..Policy::default() };
        let closed = AlertRecord { closed_at: Some(2_000), ..ringing(policy.clone()) };
        assert_eq!((closed.next_due(), closed.due(3_000)), (None, Due::default()));
        let awaiting = AlertRecord { ringing_since: None, ..ringing(policy.clone()) };
        assert_eq!((awaiting.next_due(), awaiting.due(3_000)), (Some(1_000_000), Due::default()));
        assert_eq!(ringing(policy).due(1_000_000), Due::default());
    }
}
