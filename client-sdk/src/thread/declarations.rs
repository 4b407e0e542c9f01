//! Drafts of declarations of adverse events, and the numbers that the portal gave.

use cercle_proto::id::{MessageId, TimestampMs, UserId};
use serde::Serialize;

use super::state::{self, Projected};
use crate::{
    event::Message,
    message::{AdverseEvent, AdverseEventReference, Body, Kind as _, Language},
};

/// The drafts of a thread, oldest first.
#[derive(Debug, Default)]
pub struct Declarations {
    drafts: Vec<DeclarationState>,
}

/// A draft, and its number once it was filed.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DeclarationState {
    /// Message id.
    #[serde(serialize_with = "state::id")]
    pub id: MessageId,
    /// Who wrote it.
    #[serde(serialize_with = "state::user")]
    pub author: UserId,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// What it says.
    pub draft: AdverseEvent,
    /// The newest number that was recorded; none: not declared yet.
    pub filed: Option<AdverseEventReference>,
}

crate::message::kind::hidden!(DeclarationState);

impl Declarations {
    pub(super) fn apply(&mut self, message: &Message) {
        match &message.body {
            Body::AdverseEvent(draft) => self.drafts.push(DeclarationState {
                id: message.id,
                author: message.sender.clone(),
                at_ms: message.at_ms,
                draft: draft.clone(),
                filed: None,
            }),
            Body::AdverseEventReference(reference) => {
                let draft = self.drafts.iter_mut().rev().find(|draft| Some(draft.id) == reference.draft);
                if let Some(draft) = draft {
                    draft.filed = Some(reference.clone());
                }
            }
            _ => {}
        }
    }

    /// All of them, in the order of the log.
    #[must_use]
    pub fn all(&self) -> &[DeclarationState] {
        &self.drafts
    }
}

impl Projected for DeclarationState {
    fn render(&self, language: Language) -> String {
        let filed = self.filed.as_ref().map_or_else(
            || language.pick("Pas encore déclaré.", "Not declared yet.").to_owned(),
            |reference| reference.render(language),
        );
        format!("{}\n{filed}", self.draft.render(language))
    }
}
