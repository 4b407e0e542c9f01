//! Another text for a text that was sent.

use cercle_proto::id::MessageId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language, Text,
    kind::{Wire, hidden},
    wire,
};
use crate::error::Error;

/// Another text for a text. Counts only from its author, and not after it was withdrawn.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The message; it is before this one in the log.
    #[serde(with = "super::kind::hex_message")]
    pub message: MessageId,
    /// What it says from here.
    #[serde(flatten)]
    pub text: Text,
}

hidden!(Edit);

impl Kind for Edit {
    fn check(&self) -> Result<(), Error> {
        self.text.check()
    }

    fn render(&self, language: Language) -> String {
        format!("{} {}", language.pick("(modifié)", "(edited)"), self.text.text)
    }
}

impl Wire for Edit {
    type Message = wire::Edit;

    fn to_wire(&self) -> wire::Edit {
        wire::Edit { message: self.message.as_bytes().to_vec(), text: Some(self.text.to_wire()) }
    }

    fn from_wire(message: wire::Edit) -> Option<Self> {
        let id = MessageId::try_from(message.message.as_slice()).ok()?;
        Some(Self { message: id, text: Text::from_wire(message.text?)? })
    }
}
