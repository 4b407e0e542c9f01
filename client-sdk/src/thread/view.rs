//! A part of a thread as an app shows it: stored messages with what became of them.

use cercle_proto::id::{GroupId, MessageId, Seq, TimestampMs, UserId};

use super::chat::{Chat, Line, Place, Reactions, Retraction};
use crate::{
    event::Message,
    message::{Body, GroupProfile},
};

/// Which messages of a thread are wanted: the newest ones between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Only messages after this place.
    pub after: Seq,
    /// Only messages before this place.
    pub before: Seq,
    /// At most so many: the newest. Also at most
    /// [`MESSAGES_PER_QUERY_MAX`](crate::limits::MESSAGES_PER_QUERY_MAX).
    pub limit: usize,
}

impl Range {
    /// The newest messages.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { after: 0, before: Seq::MAX, limit }
    }
}

/// A part of a thread. `Debug` shows no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadView {
    /// The group.
    pub group: GroupId,
    /// Title, topic, kind, and whether readers tell that they have read.
    pub profile: GroupProfile,
    /// The wanted messages, in the order of the log.
    pub messages: Vec<MessageView>,
    /// Pinned messages, in the order in which they were pinned; they may be outside the range.
    pub pinned: Vec<MessageId>,
    /// How far each user who tells has read.
    pub read: Vec<(UserId, Place)>,
    /// How far messages were delivered to users whose gateway tells.
    pub delivered: Vec<(UserId, Place)>,
    /// What this user has not read.
    pub unread: Unread,
}

/// What this user has not read in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread {
    /// He has read up to this place.
    pub read_up_to: Seq,
    /// Messages of others after it.
    pub messages: u64,
    /// Those among them that call him by name.
    pub mentions: u64,
}

/// A message as it is by now. `Debug` shows no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// The message, with the text of its last edit. Withdrawn, it is of an unknown kind and says nothing.
    pub message: Message,
    /// When its last edit was accepted.
    pub edited_at_ms: Option<TimestampMs>,
    /// It was withdrawn.
    pub retracted: Option<Retraction>,
    /// Signs under it, in the order in which they came up.
    pub reactions: Vec<Reactions>,
    /// Messages that answer it, in order.
    pub replies: Vec<MessageId>,
    /// It is pinned.
    pub pinned: bool,
}

impl MessageView {
    /// Puts together what is stored and what became of it.
    pub(crate) fn new(mut message: Message, line: &Line, chat: &Chat) -> Self {
        if line.retracted.is_some() {
            message.body = Body::Unknown { fallback: String::new() };
        } else if let Some(edited) = &line.edited {
            message.body = Body::Text(edited.text.clone());
        }
        Self {
            edited_at_ms: line.edited.as_ref().map(|edited| edited.at_ms),
            retracted: line.retracted.as_deref().cloned(),
            reactions: line.reactions.clone(),
            replies: line.replies.clone(),
            pinned: chat.pinned().contains(&message.id),
            message,
        }
    }
}
