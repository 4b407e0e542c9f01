//! Who a message is about: identity traits and INS, inside MLS only.
//!
//! A part of other kinds (circle, referral, alert), never a message by itself. Doubts about the traits are
//! [`warning`]s and stop nobody; what is refused is an INS without a validated identity (fr-core-patient-ins)
//! and, in production, the identities of tests.

use serde::{Deserialize, Serialize};

use super::{
    Language,
    kind::{at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

pub mod warning;

/// OIDs under which an INS is no person's: test and demonstration (INS guide, 1.2.250.1.213.1.4).
const TEST_OIDS: [&str; 2] = ["1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"];

/// Identity traits of a patient (fr-core-patient, fr-core-patient-ins).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// Nom de naissance; required.
    pub birth_name: String,
    /// Prénoms de l'acte de naissance, in order; at least one.
    pub birth_given_names: Vec<String>,
    /// Nom utilisé, if it differs.
    pub used_name: String,
    /// Prénom utilisé, if it differs.
    pub used_given_name: String,
    /// `YYYY-MM-DD`; required.
    pub birth_date: String,
    /// Required.
    pub gender: Gender,
    /// INSEE code of the commune or country of birth; required with an INS.
    pub birth_place: String,
    /// How sure the identity is.
    pub reliability: Reliability,
    /// INS matricule: 15 digits with its key, only of a validated identity; else empty.
    pub ins: String,
    /// OID of the INS; else empty.
    pub ins_oid: String,
    /// Telephone; may be empty.
    pub phone: String,
    /// Address; may be empty.
    pub address: String,
}

hidden!(Patient);

/// Administrative gender of the identity traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    /// Not said.
    #[default]
    Unspecified,
    /// Masculin.
    Male,
    /// Féminin.
    Female,
    /// Indéterminé.
    Unknown,
}

/// How sure an identity is (identitovigilance).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// As the person or a relative said it (PROV).
    #[default]
    Provisional,
    /// INS retrieved, identity papers not seen (RECUP).
    Retrieved,
    /// Identity papers seen (VALI).
    Validated,
}

impl Patient {
    /// Checks required traits and bounds.
    ///
    /// # Errors
    /// [`Error::Field`] with the first trait that breaks a rule.
    pub fn check(&self) -> Result<(), Error> {
        required("patient.birth_name", &self.birth_name, limits::NAME_BYTES_MAX)?;
        at_most("patient.birth_given_names", &self.birth_given_names, limits::GIVEN_NAMES_MAX)?;
        let first = self.birth_given_names.first().map_or("", String::as_str);
        required("patient.birth_given_names", first, limits::NAME_BYTES_MAX)?;
        for name in &self.birth_given_names {
            bounded("patient.birth_given_names", name, limits::NAME_BYTES_MAX)?;
        }
        required("patient.birth_date", &self.birth_date, limits::CODE_BYTES_MAX)?;
        bounded("patient.used_name", &self.used_name, limits::NAME_BYTES_MAX)?;
        bounded("patient.used_given_name", &self.used_given_name, limits::NAME_BYTES_MAX)?;
        bounded("patient.birth_place", &self.birth_place, limits::CODE_BYTES_MAX)?;
        bounded("patient.ins", &self.ins, limits::CODE_BYTES_MAX)?;
        bounded("patient.ins_oid", &self.ins_oid, limits::CODE_BYTES_MAX)?;
        if !self.ins.is_empty() && self.reliability != Reliability::Validated {
            let problem = "may only go with a validated identity".into();
            return Err(Error::Field { field: "patient.ins", problem });
        }
        bounded("patient.phone", &self.phone, limits::NAME_BYTES_MAX)?;
        bounded("patient.address", &self.address, limits::TOPIC_BYTES_MAX)
    }

    /// Refuses the identities of tests, for a device that is in production.
    ///
    /// # Errors
    /// [`Error::Field`] for an INS under a test or demonstration OID.
    pub fn check_for_production(&self) -> Result<(), Error> {
        if TEST_OIDS.contains(&self.ins_oid.trim()) {
            let problem = "is that of a test or demonstration identity".into();
            return Err(Error::Field { field: "patient.ins_oid", problem });
        }
        Ok(())
    }

    /// Whether two descriptions are surely or probably of one person: the same INS, or, if one of them has
    /// none, the same birth name, first given name, birth date and gender, without regard to case, dashes
    /// and spaces. Birth places count if both are known.
    #[must_use]
    pub fn same_person(&self, other: &Self) -> bool {
        let (own, theirs) = (warning::digits_of(&self.ins), warning::digits_of(&other.ins));
        if !own.is_empty() && !theirs.is_empty() {
            return own == theirs;
        }
        let first = |patient: &Self| folded(patient.birth_given_names.first().map_or("", String::as_str));
        let places = (self.birth_place.trim(), other.birth_place.trim());
        folded(&self.birth_name) == folded(&other.birth_name)
            && first(self) == first(other)
            && self.birth_date.trim() == other.birth_date.trim()
            && self.gender == other.gender
            && (places.0.is_empty() || places.1.is_empty() || places.0.eq_ignore_ascii_case(places.1))
    }

    /// The five traits and the status of the identity in one line, always in clear, so that nobody takes
    /// one patient for another (INS guide).
    #[must_use]
    pub fn traits(&self, language: Language) -> String {
        let name = self.birth_name.to_uppercase();
        let given = self.birth_given_names.join(" ");
        let date = warning::readable_date(&self.birth_date);
        let gender = match self.gender {
            Gender::Male => language.pick("sexe M", "male"),
            Gender::Female => language.pick("sexe F", "female"),
            Gender::Unknown => language.pick("sexe indéterminé", "gender undetermined"),
            Gender::Unspecified => language.pick("sexe non renseigné", "gender not given"),
        };
        let place = if self.birth_place.is_empty() {
            language.pick("lieu de naissance inconnu", "birth place unknown").to_owned()
        } else {
            format!("{} {}", language.pick("lieu de naissance", "birth place"), self.birth_place)
        };
        let status = match self.reliability {
            Reliability::Provisional => language.pick("identité provisoire", "provisional identity"),
            Reliability::Retrieved => language.pick("identité récupérée", "retrieved identity"),
            Reliability::Validated => language.pick("identité validée", "validated identity"),
        };
        let used = if self.used_name.is_empty() && self.used_given_name.is_empty() {
            String::new()
        } else {
            let (name, given) = (self.used_name.to_uppercase(), &self.used_given_name);
            format!(" ({} {})", language.pick("utilise", "uses"), format!("{name} {given}").trim())
        };
        let born = language.pick("né(e) le", "born");
        let ins = if self.ins.is_empty() { String::new() } else { format!(", INS {}", self.ins) };
        format!("{name} {given}{used}, {born} {date}, {gender}, {place}, {status}{ins}")
    }

    pub(super) fn to_wire(&self) -> wire::Patient {
        wire::Patient {
            birth_name: self.birth_name.clone(),
            birth_given_names: self.birth_given_names.clone(),
            used_name: self.used_name.clone(),
            used_given_name: self.used_given_name.clone(),
            birth_date: self.birth_date.clone(),
            gender: match self.gender {
                Gender::Unspecified => wire::Gender::Unspecified,
                Gender::Male => wire::Gender::Male,
                Gender::Female => wire::Gender::Female,
                Gender::Unknown => wire::Gender::Unknown,
            }
            .into(),
            birth_place: self.birth_place.clone(),
            reliability: match self.reliability {
                Reliability::Provisional => wire::IdentityReliability::Provisional,
                Reliability::Retrieved => wire::IdentityReliability::Retrieved,
                Reliability::Validated => wire::IdentityReliability::Validated,
            }
            .into(),
            ins: self.ins.clone(),
            ins_oid: self.ins_oid.clone(),
            phone: self.phone.clone(),
            address: self.address.clone(),
        }
    }

    pub(super) fn from_wire(message: wire::Patient) -> Self {
        Self {
            gender: match message.gender() {
                wire::Gender::Unspecified => Gender::Unspecified,
                wire::Gender::Male => Gender::Male,
                wire::Gender::Female => Gender::Female,
                wire::Gender::Unknown => Gender::Unknown,
            },
            reliability: match message.reliability() {
                wire::IdentityReliability::Retrieved => Reliability::Retrieved,
                wire::IdentityReliability::Validated => Reliability::Validated,
                wire::IdentityReliability::Unspecified | wire::IdentityReliability::Provisional => {
                    Reliability::Provisional
                }
            },
            birth_name: message.birth_name,
            birth_given_names: message.birth_given_names,
            used_name: message.used_name,
            used_given_name: message.used_given_name,
            birth_date: message.birth_date,
            birth_place: message.birth_place,
            ins: message.ins,
            ins_oid: message.ins_oid,
            phone: message.phone,
            address: message.address,
        }
    }
}

/// A name without case, spaces, dashes and apostrophes.
fn folded(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
