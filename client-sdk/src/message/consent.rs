//! What a patient said about sharing: consent, objection, withdrawal (CSP L1110-4).

use cercle_proto::id::{TimestampMs, UserId};
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, bounded, hidden, required},
    moment::day_of,
    wire,
};
use crate::{error::Error, limits};

/// What the patient said about sharing. The newest about a person, or about the circle, counts.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircleConsent {
    /// Required.
    pub decision: ConsentDecision,
    /// When the patient said it; required.
    pub date_ms: TimestampMs,
    /// Who heard it; required.
    pub collector: String,
    /// How it was said; required.
    pub mode: ConsentMode,
    /// What it covers, in words; may be empty.
    pub scope: String,
    /// User id of whom alone it concerns; empty: the circle as a whole.
    pub person: String,
}

hidden!(CircleConsent);

/// What a patient decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentDecision {
    /// Not said.
    #[default]
    Unspecified,
    /// Agrees to sharing outside the care team.
    Consent,
    /// Objects to sharing.
    Objection,
    /// Takes an earlier consent or objection back.
    Withdrawal,
}

/// How a patient said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentMode {
    /// Not said.
    #[default]
    Unspecified,
    /// By word of mouth.
    Oral,
    /// On paper.
    Written,
    /// Electronically.
    Electronic,
}

impl ConsentDecision {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Unspecified => language.pick("Décision inconnue", "Unknown decision"),
            Self::Consent => language.pick("Consentement", "Consent"),
            Self::Objection => language.pick("Opposition", "Objection"),
            Self::Withdrawal => language.pick("Retrait", "Withdrawal"),
        }
    }
}

impl ConsentMode {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Unspecified => language.pick("mode inconnu", "unknown mode"),
            Self::Oral => language.pick("oral", "oral"),
            Self::Written => language.pick("écrit", "written"),
            Self::Electronic => language.pick("électronique", "electronic"),
        }
    }
}

impl Kind for CircleConsent {
    fn check(&self) -> Result<(), Error> {
        let missing = |field| Err(Error::Field { field, problem: "is missing".into() });
        if self.decision == ConsentDecision::Unspecified {
            return missing("decision");
        }
        if self.date_ms == 0 {
            return missing("date_ms");
        }
        if self.mode == ConsentMode::Unspecified {
            return missing("mode");
        }
        required("collector", &self.collector, limits::NAME_BYTES_MAX)?;
        bounded("scope", &self.scope, limits::TOPIC_BYTES_MAX)?;
        if !self.person.is_empty() && UserId::parse(&self.person).is_err() {
            return Err(Error::Field { field: "person", problem: "is no user id".into() });
        }
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let (decision, mode) = (self.decision.label(language), self.mode.label(language));
        let (on, by) = (language.pick("le", "on"), language.pick("recueilli par", "collected by"));
        let (date, collector) = (day_of(self.date_ms), &self.collector);
        let person = match self.person.as_str() {
            "" if self.decision == ConsentDecision::Objection => {
                language.pick(" (concerne tout le cercle)", " (concerns the whole circle)").to_owned()
            }
            "" => String::new(),
            person => format!(" ({} {person})", language.pick("concerne", "concerns")),
        };
        let scope = if self.scope.is_empty() { String::new() } else { format!(" : {}", self.scope) };
        format!("{decision}{person} {on} {date}, {mode}, {by} {collector}{scope}")
    }
}

impl Wire for CircleConsent {
    type Message = wire::CircleConsent;

    fn to_wire(&self) -> wire::CircleConsent {
        wire::CircleConsent {
            decision: match self.decision {
                ConsentDecision::Unspecified => wire::ConsentDecision::Unspecified,
                ConsentDecision::Consent => wire::ConsentDecision::Consent,
                ConsentDecision::Objection => wire::ConsentDecision::Objection,
                ConsentDecision::Withdrawal => wire::ConsentDecision::Withdrawal,
            }
            .into(),
            date_ms: self.date_ms,
            collector: self.collector.clone(),
            mode: match self.mode {
                ConsentMode::Unspecified => wire::ConsentMode::Unspecified,
                ConsentMode::Oral => wire::ConsentMode::Oral,
                ConsentMode::Written => wire::ConsentMode::Written,
                ConsentMode::Electronic => wire::ConsentMode::Electronic,
            }
            .into(),
            scope: self.scope.clone(),
            person: self.person.clone(),
        }
    }

    fn from_wire(message: wire::CircleConsent) -> Option<Self> {
        Some(Self {
            decision: match message.decision() {
                wire::ConsentDecision::Unspecified => ConsentDecision::Unspecified,
                wire::ConsentDecision::Consent => ConsentDecision::Consent,
                wire::ConsentDecision::Objection => ConsentDecision::Objection,
                wire::ConsentDecision::Withdrawal => ConsentDecision::Withdrawal,
            },
            mode: match message.mode() {
                wire::ConsentMode::Unspecified => ConsentMode::Unspecified,
                wire::ConsentMode::Oral => ConsentMode::Oral,
                wire::ConsentMode::Written => ConsentMode::Written,
                wire::ConsentMode::Electronic => ConsentMode::Electronic,
            },
            date_ms: message.date_ms,
            collector: message.collector,
            scope: message.scope,
            person: message.person,
        })
    }
}
