//! What the messages of one group add up to.
//!
//! A [`Thread`] is a pure function of the group's messages in the order of its log: every device that has the
//! same messages has the same thread. It is kept in memory, made from the store when it is first asked for,
//! and goes on message by message. Each theme has a file here.

pub mod alerts;

use crate::event::Message;
use alerts::Alerts;

/// What the messages of one group add up to.
#[derive(Debug, Default)]
pub struct Thread {
    messages: u64,
    alerts: Alerts,
}

impl Thread {
    /// Takes the next message of the log.
    pub(crate) fn apply(&mut self, message: &Message) {
        self.messages += 1;
        self.alerts.apply(message);
    }

    /// The alerts: which hold, which are over, what was answered.
    #[must_use]
    pub const fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// How many messages there are.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }
}
