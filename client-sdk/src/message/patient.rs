//! Who a message is about: identity traits and INS, inside MLS only.
//!
//! A part of other kinds (circle, referral, alert), never a message by itself.

use serde::{Deserialize, Serialize};

use super::{
    kind::{at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

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
        bounded("patient.phone", &self.phone, limits::NAME_BYTES_MAX)?;
        bounded("patient.address", &self.address, limits::TOPIC_BYTES_MAX)
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
