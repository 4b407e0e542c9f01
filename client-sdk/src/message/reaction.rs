//! A sign under a message: seen, agreed, thanks.

use cercle_proto::id::MessageId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// A sign under a message, or the end of one. It counts once for each user, message and emoji.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message; it is before this one in the log.
    #[serde(with = "super::kind::hex_message")]
    pub message: MessageId,
    /// 1 to 32 bytes of UTF-8, without white space.
    pub emoji: String,
    /// The sign is taken back.
    pub removed: bool,
}

hidden!(Reaction);

impl Kind for Reaction {
    fn check(&self) -> Result<(), Error> {
        required("emoji", &self.emoji, limits::EMOJI_BYTES_MAX)?;
        if self.emoji.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::Field { field: "emoji", problem: "has white space".into() });
        }
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let what = if self.removed {
            language.pick("retire sa réaction", "takes back the reaction")
        } else {
            language.pick("réagit", "reacts")
        };
        format!("{what} {}", self.emoji)
    }
}

impl Wire for Reaction {
    type Message = wire::Reaction;

    fn to_wire(&self) -> wire::Reaction {
        let message = self.message.as_bytes().to_vec();
        wire::Reaction { message, emoji: self.emoji.clone(), removed: self.removed }
    }

    fn from_wire(message: wire::Reaction) -> Option<Self> {
        let id = MessageId::try_from(message.message.as_slice()).ok()?;
        Some(Self { message: id, emoji: message.emoji, removed: message.removed })
    }
}
