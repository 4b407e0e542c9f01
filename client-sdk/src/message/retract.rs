//! A message is withdrawn: by its author, or by an administrator of the group.

use cercle_proto::id::MessageId;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, bounded, hidden},
    wire,
};
use crate::{error::Error, limits};

/// A message is withdrawn for good. Counts from its author, and from whoever administers the group when it
/// comes into the log; who did it is shown in its place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retract {
    /// The message; it is before this one in the log.
    #[serde(with = "super::kind::hex_message")]
    pub message: MessageId,
    /// Why, for the others; at most 256 bytes of UTF-8, may be empty.
    pub reason: String,
}

hidden!(Retract);

impl Kind for Retract {
    fn check(&self) -> Result<(), Error> {
        bounded("reason", &self.reason, limits::REASON_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let what = language.pick("retire un message", "withdraws a message");
        if self.reason.is_empty() { what.to_owned() } else { format!("{what} ({})", self.reason) }
    }
}

impl Wire for Retract {
    type Message = wire::Retract;

    fn to_wire(&self) -> wire::Retract {
        wire::Retract { message: self.message.as_bytes().to_vec(), reason: self.reason.clone() }
    }

    fn from_wire(message: wire::Retract) -> Option<Self> {
        let id = MessageId::try_from(message.message.as_slice()).ok()?;
        Some(Self { message: id, reason: message.reason })
    }
}
