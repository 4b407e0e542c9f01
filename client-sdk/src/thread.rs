//! What the messages of one group add up to.
//!
//! A [`Thread`] is a pure function of the group's messages in the order of its log: every device that has the
//! same messages has the same thread. It is kept in memory, made from the store when it is first asked for,
//! and goes on message by message. Each theme has a file here.

use cercle_proto::id::Seq;

use crate::event::Message;
use chat::{Chat, Effect};

pub mod chat;
pub mod view;

pub mod agenda;
pub mod alerts;
pub mod availability;
pub mod circle;
pub mod crisis;
pub mod declarations;
pub mod forms;
pub mod kinds;
pub mod library;
pub mod plans;
pub mod requests;
pub mod state;
pub mod timeline;

pub use circle::Circle;
use kinds::Kinds;

/// What the messages of one group add up to.
#[derive(Debug, Default)]
pub struct Thread {
    messages: u64,
    last: Seq,
    chat: Chat,
    kinds: Kinds,
    /// What was asked in the group, and what became of it.
    pub requests: requests::Requests,
    circle: Option<Circle>,
    crisis: crisis::Alerts,
}

impl Thread {
    /// Takes the next message of the log, and says what it changed in the conversation.
    pub(crate) fn apply(&mut self, message: &Message) -> Effect {
        self.messages += 1;
        self.last = message.seq;
        self.kinds.apply(message);
        self.requests.apply(message);
        Circle::apply(&mut self.circle, message);
        self.crisis.apply(message);
        let effect = self.chat.apply(message);
        if let Effect::Removed(withdrawn) = effect {
            self.kinds.withdraw(withdrawn);
        }
        effect
    }

    /// How many messages there are.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Place of the last message.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// The conversation.
    #[must_use]
    pub const fn chat(&self) -> &Chat {
        &self.chat
    }

    /// What alerts, forms, plans and the other typed messages add up to.
    #[must_use]
    pub const fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The patient circle that the group is, if it is one.
    #[must_use]
    pub const fn circle(&self) -> Option<&Circle> {
        self.circle.as_ref()
    }

    /// The crisis alerts: which hold, which are over, what was answered.
    #[must_use]
    pub const fn crisis(&self) -> &crisis::Alerts {
        &self.crisis
    }
}
