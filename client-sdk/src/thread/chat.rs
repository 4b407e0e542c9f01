//! The conversation of a thread: what each message says by now, who reacted, what is pinned, who has read.
//!
//! Rules, all in the order of the log, so that every device comes to the same result:
//! - a reaction, edit, withdrawal or pin counts only if its message is before it in the log;
//! - only the author edits, and only a text; the last edit counts;
//! - the author withdraws, or whoever administers the group at that place; the first withdrawal counts, and
//!   nothing counts for the message after it;
//! - receipts are cumulative, and never reach beyond their own place;
//! - an answer to a form is no message of the conversation: it shows in the results of its form alone, which may
//!   leave names out ([`message::form`](crate::message::form)).
//!
//! It holds no texts but those of edits: a view is made of it and of the stored messages.

use std::collections::{BTreeMap, HashMap};

use cercle_proto::id::{MessageId, Seq, TimestampMs, UserId};

use crate::{
    event::Message,
    limits,
    message::{Body, Edit, Pin, Reaction, Receipt, ReceiptState, Retract, Text},
};

/// The conversation of a thread.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Chat {
    lines: Vec<Line>,
    index: HashMap<MessageId, usize>,
    pinned: Vec<MessageId>,
    read: BTreeMap<UserId, Place>,
    delivered: BTreeMap<UserId, Place>,
}

/// A message that stands by itself, without what it said at first.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) seq: Seq,
    pub(crate) id: MessageId,
    pub(crate) sender: UserId,
    /// Only texts can be edited.
    pub(crate) is_text: bool,
    /// It was said before this device came, and handed over.
    pub(crate) handed_over: bool,
    /// Whom it calls by name.
    pub(crate) mentions: Vec<UserId>,
    /// The last edit.
    pub(crate) edited: Option<Box<Edited>>,
    pub(crate) retracted: Option<Box<Retraction>>,
    pub(crate) reactions: Vec<Reactions>,
    /// Messages that answer it, in order.
    pub(crate) replies: Vec<MessageId>,
}

/// The last edit of a message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: Text,
    pub(crate) at_ms: TimestampMs,
}

/// A message was withdrawn.
#[derive(Clone, PartialEq, Eq)]
pub struct Retraction {
    /// Who did it: the author, else an administrator of the group.
    pub by: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// Why; may be empty.
    pub reason: String,
}

/// Who put the same sign under a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Reactions {
    /// The sign.
    pub emoji: String,
    /// In the order in which they did.
    pub users: Vec<UserId>,
}

/// How far somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Everything up to this entry of the log.
    pub up_to: Seq,
    /// When the hub accepted the receipt.
    pub at_ms: TimestampMs,
}

/// What a message changed in what a person can read and search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The message stands by itself.
    Added,
    /// This earlier message says what the edit says.
    Edited(MessageId),
    /// This earlier message is gone.
    Removed(MessageId),
}

impl Chat {
    /// Takes the next message of the log.
    pub(crate) fn apply(&mut self, message: &Message) -> Effect {
        match &message.body {
            Body::Reaction(reaction) => self.react(message, reaction),
            Body::Edit(edit) => return self.edit(message, edit),
            Body::Retract(retract) => return self.retract(message, retract),
            Body::Pin(pin) => self.pin(pin),
            Body::Receipt(receipt) => self.receipt(message, receipt),
            Body::GroupProfile(_) | Body::Typing(_) | Body::FormAnswer(_) => {}
            Body::Unknown { fallback } if fallback.is_empty() => {}
            _ => return self.add(message),
        }
        Effect::Nothing
    }

    /// Messages that stand by themselves, in order.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The message with this id, if it stands by itself.
    pub(crate) fn line(&self, message: MessageId) -> Option<&Line> {
        self.index.get(&message).map(|at| &self.lines[*at])
    }

    /// Pinned messages, in the order in which they were pinned.
    #[must_use]
    pub fn pinned(&self) -> &[MessageId] {
        &self.pinned
    }

    /// How far each user who tells has read.
    #[must_use]
    pub const fn read(&self) -> &BTreeMap<UserId, Place> {
        &self.read
    }

    /// How far messages were delivered to users whose gateway tells.
    #[must_use]
    pub const fn delivered(&self) -> &BTreeMap<UserId, Place> {
        &self.delivered
    }

    /// The newest message of others, not withdrawn, at or before a place; 0 if there is none.
    pub(crate) fn newest_of_others(&self, user: &UserId, up_to: Seq) -> Seq {
        let before = self.lines.partition_point(|line| line.seq <= up_to);
        let others = self.lines[..before].iter().rev();
        others.filter(|line| line.sender != *user).map(|line| line.seq).next().unwrap_or(0)
    }

    /// How many messages of others after a place are not withdrawn, and how many of them call the user. What was
    /// said before this device came is not for it to answer.
    pub(crate) fn unread(&self, user: &UserId, after: Seq) -> (u64, u64) {
        let from = self.lines.partition_point(|line| line.seq <= after);
        let counts = |line: &&Line| line.sender != *user && line.retracted.is_none() && !line.handed_over;
        let unread = self.lines[from..].iter().filter(counts);
        unread
            .fold((0, 0), |(count, calls), line| (count + 1, calls + u64::from(line.mentions.contains(user))))
    }

    fn add(&mut self, message: &Message) -> Effect {
        if self.index.contains_key(&message.id) {
            // A hub that was restored from an older copy takes the same message twice.
            return Effect::Nothing;
        }
        if let Some(answered) = message.in_reply_to.and_then(|id| self.index.get(&id)) {
            self.lines[*answered].replies.push(message.id);
        }
        let mentions = match &message.body {
            Body::Text(text) => text.mentions.clone(),
            _ => Vec::new(),
        };
        self.index.insert(message.id, self.lines.len());
        self.lines.push(Line {
            seq: message.seq,
            id: message.id,
            sender: message.sender.clone(),
            handed_over: message.exported_by.is_some(),
            is_text: matches!(message.body, Body::Text(_)),
            mentions,
            edited: None,
            retracted: None,
            reactions: Vec::new(),
            replies: Vec::new(),
        });
        Effect::Added
    }

    /// The message, if anything still counts for it.
    fn open(&mut self, message: MessageId) -> Option<&mut Line> {
        let at = *self.index.get(&message)?;
        Some(&mut self.lines[at]).filter(|line| line.retracted.is_none())
    }

    fn react(&mut self, message: &Message, reaction: &Reaction) {
        let Some(line) = self.open(reaction.message) else { return };
        let known = line.reactions.iter().position(|one| one.emoji == reaction.emoji);
        match (known, reaction.removed) {
            (Some(at), true) => {
                line.reactions[at].users.retain(|user| *user != message.sender);
                line.reactions.retain(|one| !one.users.is_empty());
            }
            (Some(at), false) if !line.reactions[at].users.contains(&message.sender) => {
                line.reactions[at].users.push(message.sender.clone());
            }
            (None, false) if line.reactions.len() < limits::EMOJI_PER_MESSAGE_MAX => {
                let users = vec![message.sender.clone()];
                line.reactions.push(Reactions { emoji: reaction.emoji.clone(), users });
            }
            _ => {}
        }
    }

    fn edit(&mut self, message: &Message, edit: &Edit) -> Effect {
        let own = |line: &&mut Line| line.is_text && line.sender == message.sender;
        let Some(line) = self.open(edit.message).filter(own) else { return Effect::Nothing };
        line.mentions.clone_from(&edit.text.mentions);
        line.edited = Some(Box::new(Edited { text: edit.text.clone(), at_ms: message.at_ms }));
        Effect::Edited(edit.message)
    }

    fn retract(&mut self, message: &Message, retract: &Retract) -> Effect {
        let may = |line: &&mut Line| line.sender == message.sender || message.by_administrator;
        let Some(line) = self.open(retract.message).filter(may) else { return Effect::Nothing };
        let by = message.sender.clone();
        let retraction = Retraction { by, at_ms: message.at_ms, reason: retract.reason.clone() };
        line.retracted = Some(Box::new(retraction));
        line.edited = None;
        line.reactions.clear();
        self.pinned.retain(|pinned| *pinned != retract.message);
        Effect::Removed(retract.message)
    }

    fn pin(&mut self, pin: &Pin) {
        if pin.removed {
            self.pinned.retain(|pinned| *pinned != pin.message);
        } else if self.open(pin.message).is_some()
            && !self.pinned.contains(&pin.message)
            && self.pinned.len() < limits::PINS_MAX
        {
            self.pinned.push(pin.message);
        }
    }

    fn receipt(&mut self, message: &Message, receipt: &Receipt) {
        if receipt.up_to >= message.seq {
            return;
        }
        let places = match receipt.state {
            ReceiptState::Delivered => &mut self.delivered,
            ReceiptState::Read => &mut self.read,
        };
        let place = Place { up_to: receipt.up_to, at_ms: message.at_ms };
        let known = places.entry(message.sender.clone()).or_insert(place);
        if known.up_to < place.up_to {
            *known = place;
        }
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Retraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retraction").field("at_ms", &self.at_ms).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Reactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactions").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
