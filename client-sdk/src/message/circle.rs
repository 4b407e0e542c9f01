//! The life of a patient circle (cercle de soins): it begins, its identity is corrected, it is closed.
//!
//! Members and consent have files of their own; what all of it adds up to is in `thread::circle`.

use serde::{Deserialize, Serialize};

use super::{
    CircleConsent, CircleMember, Kind, Language, Patient,
    kind::{Wire, at_most, bounded, hidden},
    wire,
};
use crate::{error::Error, limits};

/// A circle begins; sent again as a summary by whoever adds a member, who cannot read what was before.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircleOpened {
    /// Whom it is about.
    pub patient: Patient,
    /// Who may be in it.
    pub audience: CircleAudience,
    /// Who takes part.
    pub members: Vec<CircleMember>,
    /// What the patient said about sharing.
    pub consents: Vec<CircleConsent>,
    /// It sums up a circle that exists.
    pub summary: bool,
}

/// Who may be in a circle's group. What is shown to professionals only must never reach a relative, so that
/// a patient's relatives and professionals talk in a group of their own, beside that of the professionals:
/// two groups of MLS, two sets of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircleAudience {
    /// Professionals and verified others.
    #[default]
    Professionals,
    /// Relatives too.
    WithRelatives,
}

/// The identity traits of a circle's patient are corrected.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircleIdentity {
    /// As they are right.
    pub patient: Patient,
    /// Why; may be empty.
    pub reason: String,
}

/// A circle is closed, archived or opened again.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircleStatus {
    /// What it becomes.
    pub standing: CircleStanding,
    /// Why; may be empty.
    pub reason: String,
}

/// Whether a circle is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircleStanding {
    /// In use.
    #[default]
    Open,
    /// Care has ended: it can be read, and opened again.
    Closed,
    /// It was exported and is kept elsewhere.
    Archived,
}

hidden!(CircleOpened, CircleIdentity, CircleStatus);

impl CircleStanding {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Open => language.pick("ouvert", "open"),
            Self::Closed => language.pick("clos", "closed"),
            Self::Archived => language.pick("archivé", "archived"),
        }
    }
}

impl CircleAudience {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Professionals => language.pick("professionnels", "professionals"),
            Self::WithRelatives => language.pick("avec les proches", "with relatives"),
        }
    }
}

impl Kind for CircleOpened {
    fn check(&self) -> Result<(), Error> {
        self.patient.check()?;
        at_most("members", &self.members, limits::CIRCLE_MEMBERS_MAX)?;
        at_most("consents", &self.consents, limits::CIRCLE_CONSENTS_MAX)?;
        self.members.iter().try_for_each(Kind::check)?;
        self.consents.iter().try_for_each(Kind::check)
    }

    fn render(&self, language: Language) -> String {
        let what = if self.summary {
            language.pick("Cercle de soins", "Patient circle")
        } else {
            language.pick("Cercle de soins ouvert", "Patient circle opened")
        };
        format!("{what} ({}) : {}", self.audience.label(language), self.patient.traits(language))
    }

    fn patients(&self) -> Vec<&Patient> {
        vec![&self.patient]
    }
}

impl Kind for CircleIdentity {
    fn check(&self) -> Result<(), Error> {
        self.patient.check()?;
        bounded("reason", &self.reason, limits::TOPIC_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let what = language.pick("Identité corrigée", "Identity corrected");
        format!("{what} : {}{}", self.patient.traits(language), because(&self.reason))
    }

    fn patients(&self) -> Vec<&Patient> {
        vec![&self.patient]
    }
}

impl Kind for CircleStatus {
    fn check(&self) -> Result<(), Error> {
        bounded("reason", &self.reason, limits::TOPIC_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let what = language.pick("Cercle de soins", "Patient circle");
        format!("{what} {}{}", self.standing.label(language), because(&self.reason))
    }
}

/// A reason in parentheses, if there is one.
pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

impl Wire for CircleOpened {
    type Message = wire::CircleOpened;

    fn to_wire(&self) -> wire::CircleOpened {
        let audience = match self.audience {
            CircleAudience::Professionals => wire::CircleAudience::Unspecified,
            CircleAudience::WithRelatives => wire::CircleAudience::WithRelatives,
        };
        wire::CircleOpened {
            patient: Some(self.patient.to_wire()),
            audience: audience.into(),
            members: self.members.iter().map(Wire::to_wire).collect(),
            consents: self.consents.iter().map(Wire::to_wire).collect(),
            summary: self.summary,
        }
    }

    fn from_wire(message: wire::CircleOpened) -> Option<Self> {
        let audience = match message.audience() {
            wire::CircleAudience::Unspecified => CircleAudience::Professionals,
            wire::CircleAudience::WithRelatives => CircleAudience::WithRelatives,
        };
        Some(Self {
            patient: Patient::from_wire(message.patient?),
            audience,
            members: message.members.into_iter().map(Wire::from_wire).collect::<Option<_>>()?,
            consents: message.consents.into_iter().map(Wire::from_wire).collect::<Option<_>>()?,
            summary: message.summary,
        })
    }
}

impl Wire for CircleIdentity {
    type Message = wire::CircleIdentity;

    fn to_wire(&self) -> wire::CircleIdentity {
        wire::CircleIdentity { patient: Some(self.patient.to_wire()), reason: self.reason.clone() }
    }

    fn from_wire(message: wire::CircleIdentity) -> Option<Self> {
        Some(Self { patient: Patient::from_wire(message.patient?), reason: message.reason })
    }
}

impl Wire for CircleStatus {
    type Message = wire::CircleStatus;

    fn to_wire(&self) -> wire::CircleStatus {
        let standing = match self.standing {
            CircleStanding::Open => wire::CircleStanding::Open,
            CircleStanding::Closed => wire::CircleStanding::Closed,
            CircleStanding::Archived => wire::CircleStanding::Archived,
        };
        wire::CircleStatus { standing: standing.into(), reason: self.reason.clone() }
    }

    fn from_wire(message: wire::CircleStatus) -> Option<Self> {
        let standing = match message.standing() {
            wire::CircleStanding::Open => CircleStanding::Open,
            wire::CircleStanding::Closed => CircleStanding::Closed,
            wire::CircleStanding::Archived => CircleStanding::Archived,
            wire::CircleStanding::Unspecified => return None,
        };
        Some(Self { standing, reason: message.reason })
    }
}
