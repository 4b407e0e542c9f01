//! A message is to stay in view.

use cercle_proto::id::MessageId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, hidden},
    wire,
};
use crate::error::Error;

/// A message is to stay in view, or no longer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The message; it is before this one in the log.
    #[serde(with = "super::kind::hex_message")]
    pub message: MessageId,
    /// It is taken out of view again.
    pub removed: bool,
}

hidden!(Pin);

impl Kind for Pin {
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let what = if self.removed {
            language.pick("n'épingle plus un message", "unpins a message")
        } else {
            language.pick("épingle un message", "pins a message")
        };
        what.to_owned()
    }
}

impl Wire for Pin {
    type Message = wire::Pin;

    fn to_wire(&self) -> wire::Pin {
        wire::Pin { message: self.message.as_bytes().to_vec(), removed: self.removed }
    }

    fn from_wire(message: wire::Pin) -> Option<Self> {
        let id = MessageId::try_from(message.message.as_slice()).ok()?;
        Some(Self { message: id, removed: message.removed })
    }
}
