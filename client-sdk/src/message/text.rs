//! Something a person wrote.

use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// Something a person wrote.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// 1 to 16384 bytes of UTF-8.
    pub text: String,
}

hidden!(Text);

impl Kind for Text {
    fn check(&self) -> Result<(), Error> {
        required("text", &self.text, limits::TEXT_BYTES_MAX)
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
        wire::Text { text: self.text.clone() }
    }

    fn from_wire(message: wire::Text) -> Option<Self> {
        Some(Self { text: message.text })
    }
}
