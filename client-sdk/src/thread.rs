//! What the messages of one group add up to.
//!
//! A [`Thread`] is a pure function of the group's messages in the order of its log: every device that has the
//! same messages has the same thread. It is kept in memory, made from the store when it is first asked for,
//! and goes on message by message. Each theme has a file here.

use cercle_proto::id::Seq;

use crate::event::Message;
use chat::{Chat, Effect};

pub mod chat;
pub mod requests;
pub mod view;

/// What the messages of one group add up to.
#[derive(Debug, Default)]
pub struct Thread {
    messages: u64,
    last: Seq,
    chat: Chat,
    /// What was asked in the group, and what became of it.
    pub requests: requests::Requests,
}

impl Thread {
    /// Takes the next message of the log, and says what it changed in the conversation.
    pub(crate) fn apply(&mut self, message: &Message) -> Effect {
        self.messages += 1;
        self.last = message.seq;
        self.requests.apply(message);
        self.chat.apply(message)
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
}
