//! The sender has everything up to a place in the log.

use cercle_proto::id::Seq;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, hidden},
    wire,
};
use crate::error::Error;

/// The sender has everything up to a place. Receipts are cumulative: the furthest of a user counts, with
/// whichever device he was.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Delivered or read.
    pub state: ReceiptState,
    /// Place in the group's log; before that of the receipt.
    pub up_to: Seq,
}

hidden!(Receipt);

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// It is on a device, or was handed on by a gateway. Devices do not send it: the hub's cursors tell the
    /// same without a message ([`Client::delivery_status`](crate::client::Client::delivery_status)).
    Delivered,
    /// A person has read it.
    Read,
}

impl Kind for Receipt {
    fn check(&self) -> Result<(), Error> {
        if self.up_to == 0 {
            return Err(Error::Field { field: "up_to", problem: "is missing".into() });
        }
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let what = match self.state {
            ReceiptState::Delivered => language.pick("a reçu jusqu'à", "has received up to"),
            ReceiptState::Read => language.pick("a lu jusqu'à", "has read up to"),
        };
        format!("{what} {}", self.up_to)
    }

    fn fallback(&self) -> String {
        String::new()
    }
}

impl Wire for Receipt {
    type Message = wire::Receipt;

    fn to_wire(&self) -> wire::Receipt {
        let state = match self.state {
            ReceiptState::Delivered => wire::receipt::State::Delivered,
            ReceiptState::Read => wire::receipt::State::Read,
        };
        wire::Receipt { state: state.into(), up_to: self.up_to }
    }

    fn from_wire(message: wire::Receipt) -> Option<Self> {
        let state = match message.state() {
            wire::receipt::State::Unspecified => return None,
            wire::receipt::State::Delivered => ReceiptState::Delivered,
            wire::receipt::State::Read => ReceiptState::Read,
        };
        Some(Self { state, up_to: message.up_to })
    }
}
