//! Somebody is writing: only ever an ephemeral message, never stored.

use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, hidden},
    wire,
};
use crate::error::Error;

/// Somebody is writing, or has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// He has stopped.
    pub stopped: bool,
}

hidden!(Typing);

impl Kind for Typing {
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let what = if self.stopped {
            language.pick("n'écrit plus", "has stopped writing")
        } else {
            language.pick("écrit…", "is writing…")
        };
        what.to_owned()
    }

    fn fallback(&self) -> String {
        String::new()
    }
}

impl Wire for Typing {
    type Message = wire::Typing;

    fn to_wire(&self) -> wire::Typing {
        wire::Typing { stopped: self.stopped }
    }

    fn from_wire(message: wire::Typing) -> Option<Self> {
        Some(Self { stopped: message.stopped })
    }
}
