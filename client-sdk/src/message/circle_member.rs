//! Who takes part in a patient circle, as what, why, and for how long (CareTeam.participant).

use cercle_proto::{
    id::{TimestampMs, UserId},
    v1::MemberClass,
};
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    circle::because,
    kind::{Wire, bounded, hidden, required},
    moment::day_of,
    wire,
};
use crate::{error::Error, limits};

/// Somebody takes part for a time. The newest entry about a user counts: coming back is another entry, and
/// so is an end.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircleMember {
    /// User id; required.
    pub user: String,
    /// Name to show.
    pub display_name: String,
    /// Must be that of the user's certificate; required.
    pub class: CircleClass,
    /// What the person does in the circle; required.
    pub role: String,
    /// Why the person may take part; required.
    pub basis: CircleBasis,
    /// Milliseconds since the Unix epoch; 0: when the entry is written.
    pub starts_at_ms: TimestampMs,
    /// End of the period; the person is removed from the group then. `None`: open.
    pub ends_at_ms: Option<TimestampMs>,
    /// Why it ends, or another remark; may be empty.
    pub note: String,
}

hidden!(CircleMember);

/// Class of member, as certificates name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircleClass {
    /// Not said.
    #[default]
    Unspecified,
    /// Health professional.
    Professional,
    /// Of the categories of CSP R1110-2, verified: social worker, coordinator and so on.
    VerifiedOther,
    /// Relative, trusted person, caregiver.
    Relative,
}

/// Why somebody may take part (CSP L1110-4, L1110-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircleBasis {
    /// None: refused.
    #[default]
    None,
    /// Of the same care team.
    SameTeam,
    /// Named by the patient.
    ChosenByPatient,
    /// The patient consented to sharing outside the team.
    Consent,
}

impl CircleClass {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Unspecified => language.pick("classe inconnue", "unknown class"),
            Self::Professional => language.pick("professionnel", "professional"),
            Self::VerifiedOther => language.pick("intervenant vérifié", "verified other"),
            Self::Relative => language.pick("proche", "relative"),
        }
    }
}

impl From<MemberClass> for CircleClass {
    fn from(class: MemberClass) -> Self {
        match class {
            MemberClass::Unspecified => Self::Unspecified,
            MemberClass::Professional => Self::Professional,
            MemberClass::VerifiedOther => Self::VerifiedOther,
            MemberClass::Relative => Self::Relative,
        }
    }
}

impl CircleBasis {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::None => language.pick("sans base", "no basis"),
            Self::SameTeam => language.pick("même équipe de soins", "same care team"),
            Self::ChosenByPatient => language.pick("choisi par le patient", "chosen by the patient"),
            Self::Consent => language.pick("consentement du patient", "consent of the patient"),
        }
    }
}

impl Kind for CircleMember {
    fn check(&self) -> Result<(), Error> {
        let unfit = |field, problem: &'static str| Err(Error::Field { field, problem: problem.into() });
        if UserId::parse(&self.user).is_err() {
            return unfit("user", "is no user id");
        }
        bounded("display_name", &self.display_name, limits::NAME_BYTES_MAX)?;
        if self.class == CircleClass::Unspecified {
            return unfit("class", "is missing: professional, verified_other or relative");
        }
        required("role", &self.role, limits::NAME_BYTES_MAX)?;
        bounded("note", &self.note, limits::TITLE_BYTES_MAX)?;
        if self.ends_at_ms.is_some_and(|end| end < self.starts_at_ms) {
            return unfit("ends_at_ms", "is before the start");
        }
        Ok(())
    }

    fn render(&self, language: Language) -> String {
        let name = if self.display_name.is_empty() { &self.user } else { &self.display_name };
        let (class, basis) = (self.class.label(language), self.basis.label(language));
        let until = match self.ends_at_ms {
            // A period that ends with a day ends where the next begins.
            Some(end) => {
                format!(", {} {}", language.pick("jusqu'au", "until"), day_of(end.saturating_sub(1)))
            }
            None => String::new(),
        };
        let what = language.pick("Membre du cercle", "Member of the circle");
        format!("{what} : {name}, {} ({class}, {basis}{until}){}", self.role, because(&self.note))
    }
}

impl Wire for CircleMember {
    type Message = wire::CircleMember;

    fn to_wire(&self) -> wire::CircleMember {
        wire::CircleMember {
            user: self.user.clone(),
            display_name: self.display_name.clone(),
            class: match self.class {
                CircleClass::Unspecified => wire::CircleClass::Unspecified,
                CircleClass::Professional => wire::CircleClass::Professional,
                CircleClass::VerifiedOther => wire::CircleClass::VerifiedOther,
                CircleClass::Relative => wire::CircleClass::Relative,
            }
            .into(),
            role: self.role.clone(),
            basis: match self.basis {
                CircleBasis::None => wire::CircleBasis::Unspecified,
                CircleBasis::SameTeam => wire::CircleBasis::SameTeam,
                CircleBasis::ChosenByPatient => wire::CircleBasis::ChosenByPatient,
                CircleBasis::Consent => wire::CircleBasis::Consent,
            }
            .into(),
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms.unwrap_or(0),
            note: self.note.clone(),
        }
    }

    fn from_wire(message: wire::CircleMember) -> Option<Self> {
        Some(Self {
            class: match message.class() {
                wire::CircleClass::Unspecified => CircleClass::Unspecified,
                wire::CircleClass::Professional => CircleClass::Professional,
                wire::CircleClass::VerifiedOther => CircleClass::VerifiedOther,
                wire::CircleClass::Relative => CircleClass::Relative,
            },
            basis: match message.basis() {
                wire::CircleBasis::Unspecified => CircleBasis::None,
                wire::CircleBasis::SameTeam => CircleBasis::SameTeam,
                wire::CircleBasis::ChosenByPatient => CircleBasis::ChosenByPatient,
                wire::CircleBasis::Consent => CircleBasis::Consent,
            },
            user: message.user,
            display_name: message.display_name,
            role: message.role,
            starts_at_ms: message.starts_at_ms,
            ends_at_ms: (message.ends_at_ms != 0).then_some(message.ends_at_ms),
            note: message.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_entry_is_refused_and_the_field_named() {
        let whole = CircleMember {
            user: "ines.durand@cpts.example".into(),
            class: CircleClass::Professional,
            role: "infirmière".into(),
            basis: CircleBasis::SameTeam,
            starts_at_ms: 10,
            ..CircleMember::default()
        };
        whole.check().unwrap();
        let refused = |entry: CircleMember| entry.check().unwrap_err().to_string();
        assert!(refused(CircleMember { user: "ines".into(), ..whole.clone() }).starts_with("user: "));
        assert!(refused(CircleMember { role: " ".into(), ..whole.clone() }).starts_with("role: "));
        assert!(
            refused(CircleMember { class: CircleClass::Unspecified, ..whole.clone() }).starts_with("class: ")
        );
        assert!(refused(CircleMember { ends_at_ms: Some(9), ..whole }).starts_with("ends_at_ms: "));
    }
}
