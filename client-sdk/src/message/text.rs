//! Something a person wrote.

use cercle_proto::id::UserId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, at_most, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// Something a person wrote.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// 1 to 16384 bytes of UTF-8.
    pub text: String,
    /// Users that it calls by name, so that their app can call them; at most 64.
    #[serde(default, with = "super::kind::users", skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

hidden!(Text);

impl Kind for Text {
    fn check(&self) -> Result<(), Error> {
        required("text", &self.text, limits::TEXT_BYTES_MAX)?;
        at_most("mentions", &self.mentions, limits::MENTIONS_MAX)
    }

    fn render(&self, _language: Language) -> String {
        self.text.clone()
    }

    fn fallback(&self) -> String {
        String::new()
    }
}

impl Wire for Text {
    type Message = wire::Text;

    fn to_wire(&self) -> wire::Text {
        let mentions = self.mentions.iter().map(|user| user.as_str().to_owned()).collect();
        wire::Text { text: self.text.clone(), mentions }
    }

    fn from_wire(message: wire::Text) -> Option<Self> {
        let mentions = message.mentions.iter().map(|user| UserId::parse(user).ok());
        Some(Self { text: message.text, mentions: mentions.collect::<Option<_>>()? })
    }
}
