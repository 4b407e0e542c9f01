//! One step in the life of a request: a message of the person who takes it.
//!
//! Whether it counts is decided by [`crate::thread::requests`], on every device alike.

use serde::{Deserialize, Serialize};

use super::{
    Document, Kind, Language, RequestId,
    kind::{Wire, hidden},
    request::Situation,
    wire,
};
use crate::error::Error;

mod action;

pub use action::{Action, PrescriptionStep, Receipt};

/// One step in the life of a request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The request.
    pub request: RequestId,
    /// What is done.
    pub action: Action,
    /// In which situation.
    #[serde(default)]
    pub situation: Situation,
}

hidden!(Transition);

impl Kind for Transition {
    fn check(&self) -> Result<(), Error> {
        self.situation.check()?;
        self.action.check()
    }

    fn render(&self, language: Language) -> String {
        self.action.render(language)
    }

    fn documents(&self) -> Vec<&Document> {
        self.action.documents().iter().collect()
    }
}

impl Wire for Transition {
    type Message = wire::Transition;

    fn to_wire(&self) -> wire::Transition {
        wire::Transition {
            request: self.request.as_bytes().to_vec(),
            situation: Some(self.situation.to_wire()),
            action: Some(self.action.to_wire()),
        }
    }

    fn from_wire(message: wire::Transition) -> Option<Self> {
        Some(Self {
            request: RequestId::from_slice(&message.request)?,
            action: Action::from_wire(message.action?)?,
            situation: Situation::from_wire(message.situation),
        })
    }
}
