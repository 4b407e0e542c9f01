//! What a patient said to a request, as the requester noted it (téléexpertise, adressage).

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    message::{
        Language,
        field::{missing, wrong},
        moment, wire,
    },
};

/// What the patient said to a request, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestConsent {
    /// How it was given, or not.
    pub mode: RequestConsentMode,
    /// `YYYY-MM-DD`; empty only where none is required.
    #[serde(default)]
    pub date: String,
}

/// How a patient agreed to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestConsentMode {
    /// By word of mouth.
    Oral,
    /// In writing.
    Written,
    /// The law asks for none: the same care team.
    NotRequired,
    /// The patient does not want it: who he is is not told.
    Refused,
}

impl RequestConsentMode {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oral => "oral",
            Self::Written => "written",
            Self::NotRequired => "not_required",
            Self::Refused => "refused",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Oral, Self::Written, Self::NotRequired, Self::Refused];
        all.into_iter().find(|mode| mode.name() == name)
    }

    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Oral => language.pick("consentement oral", "oral consent"),
            Self::Written => language.pick("consentement écrit", "written consent"),
            Self::NotRequired => language.pick("consentement non requis", "no consent required"),
            Self::Refused => language.pick("consentement refusé", "consent refused"),
        }
    }
}

impl RequestConsent {
    /// Whether the patient may be named to whoever takes the request on.
    #[must_use]
    pub const fn allows_naming(&self) -> bool {
        !matches!(self.mode, RequestConsentMode::Refused)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.date.is_empty() && self.mode != RequestConsentMode::NotRequired {
            return Err(missing("consent.date"));
        }
        moment::optional_day("consent.date", &self.date)
    }

    /// The refusal to name a patient who does not want it.
    pub(crate) fn objection() -> Error {
        wrong("patient", "must not be named: the consent is refused")
    }

    pub(super) fn render(&self, language: Language) -> String {
        let label = self.mode.label(language);
        match self.date.as_str() {
            "" => label.to_owned(),
            date => format!("{label}, {}", moment::day(date, language)),
        }
    }

    pub(super) fn to_wire(&self) -> wire::RequestConsent {
        let mode = match self.mode {
            RequestConsentMode::Oral => wire::RequestConsentMode::Oral,
            RequestConsentMode::Written => wire::RequestConsentMode::Written,
            RequestConsentMode::NotRequired => wire::RequestConsentMode::NotRequired,
            RequestConsentMode::Refused => wire::RequestConsentMode::Refused,
        };
        wire::RequestConsent { mode: mode.into(), date: self.date.clone() }
    }

    /// `None` if the mode is of a newer version.
    pub(super) fn from_wire(message: wire::RequestConsent) -> Option<Self> {
        let mode = match message.mode() {
            wire::RequestConsentMode::Unspecified => return None,
            wire::RequestConsentMode::Oral => RequestConsentMode::Oral,
            wire::RequestConsentMode::Written => RequestConsentMode::Written,
            wire::RequestConsentMode::NotRequired => RequestConsentMode::NotRequired,
            wire::RequestConsentMode::Refused => RequestConsentMode::Refused,
        };
        Some(Self { mode, date: message.date })
    }
}
