//! The connection as a state machine: `(event, now, random) -> what to do`.
//!
//! [`super::driver`] feeds it and does what it says; a test feeds it with a clock of its own. It promises:
//! at most one connection or attempt at a time; never a busy loop; never another attempt after a reason
//! that trying again cannot mend, until somebody asks for one.

use cercle_proto::id::TimestampMs;

use super::{backoff::Backoff, limits::RETRY_AFTER_MAX_MS};

/// What the device may expect from its connection at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody asked for a connection.
    Idle,
    /// An attempt is under way.
    Connecting,
    /// The socket is open. Whether the session is authenticated and caught up is the core's to say.
    Connected,
    /// The next attempt starts at this time.
    Waiting {
        /// When, ms since the Unix epoch.
        until: TimestampMs,
        /// Attempts that failed in a row.
        failures: u32,
    },
    /// Trying again cannot help: the device is revoked or unknown, another session of it is open, or the
    /// versions do not fit. What exactly, the core's events say.
    Stopped,
}

/// What a lost connection says about the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Lost, for whatever reason: back off.
    Backoff,
    /// The hub said that it restarts: it will be back at once, so the failures before do not count.
    Soon,
    /// The hub asked for this much patience, ms.
    After(u64),
    /// Do not try again.
    Never,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants a connection, again if it was given up.
    Wanted,
    /// Nobody wants one any more.
    Unwanted,
    /// The socket is open.
    Opened,
    /// The attempt failed, or the connection ended.
    Lost(Retry),
    /// The time of [`Machine::wake_at`] has come.
    Tick,
}

/// What the driver must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open a connection; answer with [`Event::Opened`] or [`Event::Lost`].
    Dial,
    /// End the connection or the attempt; no answer.
    HangUp,
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    status: Status,
    backoff: Backoff,
}

impl Default for Machine {
    fn default() -> Self {
        Self { status: Status::Idle, backoff: Backoff::default() }
    }
}

impl Machine {
    /// Takes one event. `random` is any evenly distributed number.
    #[must_use]
    pub fn on(&mut self, event: Event, now: TimestampMs, random: u64) -> Option<Action> {
        match (event, self.status) {
            (Event::Wanted, Status::Idle | Status::Stopped | Status::Waiting { .. }) => self.dial(),
            (Event::Wanted, Status::Connecting | Status::Connected) => None,
            (Event::Unwanted, status) => {
                self.status = Status::Idle;
                self.backoff = Backoff::default();
                matches!(status, Status::Connecting | Status::Connected).then_some(Action::HangUp)
            }
            (Event::Opened, Status::Connecting) => {
                self.status = Status::Connected;
                self.backoff.opened(now);
                None
            }
            (Event::Lost(retry), Status::Connecting | Status::Connected) => {
                self.status = self.after_loss(retry, now, random);
                None
            }
            (Event::Tick, Status::Waiting { until, .. }) if now >= until => self.dial(),
            (Event::Opened | Event::Lost(_) | Event::Tick, _) => None,
        }
    }

    /// What to tell.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// When [`Event::Tick`] is due; ask again after every event.
    #[must_use]
    pub fn wake_at(&self) -> Option<TimestampMs> {
        match self.status {
            Status::Waiting { until, .. } => Some(until),
            Status::Idle | Status::Connecting | Status::Connected | Status::Stopped => None,
        }
    }

    fn dial(&mut self) -> Option<Action> {
        self.status = Status::Connecting;
        Some(Action::Dial)
    }

    fn after_loss(&mut self, retry: Retry, now: TimestampMs, random: u64) -> Status {
        if retry == Retry::Soon {
            self.backoff = Backoff::default();
        }
        let delay_ms = self.backoff.failed(now, random);
        let delay_ms = match retry {
            Retry::Backoff | Retry::Soon => delay_ms,
            // The jitter comes on top: whoever was told the same wait must not return at the same time.
            Retry::After(ms) => ms.min(RETRY_AFTER_MAX_MS) + delay_ms,
            Retry::Never => return Status::Stopped,
        };
        Status::Waiting { until: now + delay_ms, failures: self.backoff.failures() }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::limits::BACKOFF_FIRST_MS, *};

    fn connected() -> Machine {
        let mut machine = Machine::default();
        assert_eq!(machine.on(Event::Wanted, 0, 0), Some(Action::Dial));
        assert_eq!(machine.on(Event::Opened, 0, 0), None);
        assert_eq!(machine.status(), Status::Connected);
        machine
    }

    #[test]
    fn a_lost_connection_is_dialled_again_when_its_time_has_come_and_not_before() {
        let mut machine = connected();
        assert_eq!(machine.on(Event::Lost(Retry::Backoff), 100, 99), None);
        let due = machine.wake_at().unwrap();
        assert!(due > 100);
        assert_eq!(machine.on(Event::Tick, due - 1, 0), None);
        assert_eq!(machine.on(Event::Tick, due, 0), Some(Action::Dial));
        assert_eq!(machine.wake_at(), None);
    }

    #[test]
    fn a_restarting_hub_is_dialled_soon_whatever_failed_before() {
        let mut machine = Machine::default();
        let _ = machine.on(Event::Wanted, 0, 0);
        for _ in 0..10 {
            let _ = machine.on(Event::Lost(Retry::Backoff), 0, u64::MAX);
            let _ = machine.on(Event::Tick, u64::MAX, 0);
        }
        let _ = machine.on(Event::Lost(Retry::Soon), 0, u64::MAX);
        assert!(machine.wake_at().unwrap() <= BACKOFF_FIRST_MS);
    }

    #[test]
    fn a_revoked_or_replaced_device_stays_away_until_somebody_asks() {
        let mut machine = connected();
        let _ = machine.on(Event::Lost(Retry::Never), 0, 0);
        assert_eq!(machine.status(), Status::Stopped);
        assert_eq!((machine.wake_at(), machine.on(Event::Tick, u64::MAX, 0)), (None, None));
        assert_eq!(machine.on(Event::Wanted, 0, 0), Some(Action::Dial));
    }

    #[test]
    fn the_hub_decides_how_long_to_stay_away_within_reason() {
        for (asked, least) in [(5_000, 5_000), (u64::MAX, RETRY_AFTER_MAX_MS)] {
            let mut machine = connected();
            let _ = machine.on(Event::Lost(Retry::After(asked)), 0, 3);
            let due = machine.wake_at().unwrap();
            assert!((least..=least + BACKOFF_FIRST_MS).contains(&due), "{due}");
        }
    }

    #[test]
    fn an_unwanted_connection_ends_and_what_it_still_reports_changes_nothing() {
        let mut machine = connected();
        assert_eq!(machine.on(Event::Unwanted, 0, 0), Some(Action::HangUp));
        assert_eq!(machine.on(Event::Lost(Retry::Backoff), 0, 0), None);
        assert_eq!((machine.status(), machine.wake_at()), (Status::Idle, None));
    }

    #[test]
    fn wanting_cuts_a_wait_short() {
        let mut machine = connected();
        let _ = machine.on(Event::Lost(Retry::Backoff), 0, 9);
        assert_eq!(machine.on(Event::Wanted, 1, 0), Some(Action::Dial));
    }

    proptest::proptest! {
        /// Whatever happens in whatever order, a dial is never asked for while one is under way.
        #[test]
        fn there_is_never_more_than_one_attempt(steps in proptest::collection::vec((0..6_u8, 0..100_000_u64), 0..200)) {
            let (mut machine, mut now, mut busy) = (Machine::default(), 0, false);
            for (what, passed) in steps {
                now += passed;
                let event = match what {
                    0 => Event::Wanted,
                    1 => Event::Unwanted,
                    2 => Event::Opened,
                    3 => Event::Lost(Retry::Backoff),
                    4 => Event::Lost(Retry::Never),
                    _ => Event::Tick,
                };
                match machine.on(event, now, passed) {
                    Some(Action::Dial) => {
                        proptest::prop_assert!(!busy);
                        busy = true;
                    }
                    Some(Action::HangUp) => busy = false,
                    None => {}
                }
                if matches!(event, Event::Lost(_)) {
                    busy = false;
                }
            }
        }
    }
}
