//! What is asked for, with the fields that each kind of request must have (functions 12 to 14, 18, 20, 33,
//! 40 of the domain).

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    limits,
    message::{
        Language,
        kind::{at_most, bounded, hidden, required},
        moment,
        wire::{self, request::Purpose as Wire},
    },
};

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Purpose {
    /// Adressage: a patient is to be seen by somebody else.
    Referral {
        /// Recours: 1 (first), 2 or 3.
        recourse: u8,
        /// Profession or savoir-faire code that is asked for.
        speciality: String,
    },
    /// Téléexpertise: a question to an expert.
    TeleExpertise {
        /// The question.
        question: String,
        /// Profession or savoir-faire code that is asked for; may be empty.
        #[serde(default)]
        speciality: String,
    },
    /// Soins non programmés: an act, somewhere, soon.
    UnscheduledCare {
        /// Profession code (TRE_G15) that is asked for.
        profession: String,
        /// What is to be done.
        act: String,
        /// INSEE code of the commune.
        commune: String,
        /// Within this many hours; at least 1.
        delay_hours: u32,
    },
    /// Patient sans médecin traitant.
    PatientWithoutGp {
        /// INSEE code of the commune.
        commune: String,
        /// What he needs.
        needs: String,
    },
    /// Retour à domicile. Its tasks are requests of their own, with `part_of`.
    Discharge {
        /// Hospital and service.
        facility: String,
        /// `YYYY-MM-DD`.
        date: String,
        /// What is needed at home; at least one.
        needs: Vec<Need>,
    },
    /// Ordonnance to be prepared; the request's documents hold it.
    Prescription {
        /// Pharmacy or other structure that is to prepare it.
        #[serde(default)]
        structure: String,
        /// Who prescribes.
        #[serde(default)]
        prescriber: String,
        /// Of the prescription, `YYYY-MM-DD`.
        #[serde(default)]
        date: String,
    },
    /// Tâche.
    Task,
}

/// What is needed after a discharge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Profession code (TRE_G15); empty for material and help at home.
    #[serde(default)]
    pub profession: String,
    /// What.
    pub what: String,
}

hidden!(Purpose, Need);

/// The kind of a request, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurposeKind {
    /// Adressage.
    Referral,
    /// Téléexpertise.
    TeleExpertise,
    /// Soins non programmés.
    UnscheduledCare,
    /// Patient sans médecin traitant.
    PatientWithoutGp,
    /// Retour à domicile.
    Discharge,
    /// Ordonnance.
    Prescription,
    /// Tâche.
    Task,
}

impl PurposeKind {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Referral => "referral",
            Self::TeleExpertise => "tele_expertise",
            Self::UnscheduledCare => "unscheduled_care",
            Self::PatientWithoutGp => "patient_without_gp",
            Self::Discharge => "discharge",
            Self::Prescription => "prescription",
            Self::Task => "task",
        }
    }

    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Referral => language.pick("adressage", "referral"),
            Self::TeleExpertise => language.pick("téléexpertise", "tele-expertise"),
            Self::UnscheduledCare => language.pick("soins non programmés", "unscheduled care"),
            Self::PatientWithoutGp => {
                language.pick("patient sans médecin traitant", "patient without a general practitioner")
            }
            Self::Discharge => language.pick("retour à domicile", "discharge"),
            Self::Prescription => language.pick("ordonnance", "prescription"),
            Self::Task => language.pick("tâche", "task"),
        }
    }
}

impl Purpose {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> PurposeKind {
        match self {
            Self::Referral { .. } => PurposeKind::Referral,
            Self::TeleExpertise { .. } => PurposeKind::TeleExpertise,
            Self::UnscheduledCare { .. } => PurposeKind::UnscheduledCare,
            Self::PatientWithoutGp { .. } => PurposeKind::PatientWithoutGp,
            Self::Discharge { .. } => PurposeKind::Discharge,
            Self::Prescription { .. } => PurposeKind::Prescription,
            Self::Task => PurposeKind::Task,
        }
    }

    /// What a person reads of its fields; empty for a task.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        match self {
            Self::Referral { recourse, speciality } => {
                let word = language.pick("recours", "recourse");
                format!("{word} {recourse}, {speciality}")
            }
            Self::TeleExpertise { question, speciality } => with_code(question, speciality),
            Self::UnscheduledCare { profession, act, commune, delay_hours } => {
                let within = language.pick("sous", "within");
                format!("{act} ({profession}), {commune}, {within} {delay_hours} h")
            }
            Self::PatientWithoutGp { commune, needs } => format!("{commune} : {needs}"),
            Self::Discharge { facility, date, needs } => {
                let needs: Vec<String> =
                    needs.iter().map(|need| with_code(&need.what, &need.profession)).collect();
                format!("{facility}, {} : {}", moment::day(date, language), needs.join(", "))
            }
            Self::Prescription { structure, prescriber, date } => {
                let date = moment::day(date, language);
                let parts = [prescriber.as_str(), &date, structure];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
            }
            Self::Task => String::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Referral { recourse, speciality } => {
                if !(1..=3).contains(recourse) {
                    return Err(Error::Field { field: "recourse", problem: "is not 1, 2 or 3".into() });
                }
                required("speciality", speciality, limits::CODE_BYTES_MAX)
            }
            Self::TeleExpertise { question, speciality } => {
                required("question", question, limits::TEXT_BYTES_MAX)?;
                bounded("speciality", speciality, limits::CODE_BYTES_MAX)
            }
            Self::UnscheduledCare { profession, act, commune, delay_hours } => {
                required("profession", profession, limits::CODE_BYTES_MAX)?;
                required("act", act, limits::TOPIC_BYTES_MAX)?;
                required("commune", commune, limits::CODE_BYTES_MAX)?;
                if *delay_hours == 0 {
                    return Err(Error::Field { field: "delay_hours", problem: "is missing".into() });
                }
                Ok(())
            }
            Self::PatientWithoutGp { commune, needs } => {
                required("commune", commune, limits::CODE_BYTES_MAX)?;
                required("needs", needs, limits::TOPIC_BYTES_MAX)
            }
            Self::Discharge { facility, date, needs } => {
                required("facility", facility, limits::NAME_BYTES_MAX)?;
                required("date", date, limits::CODE_BYTES_MAX)?;
                at_most("needs", needs, limits::NEEDS_MAX)?;
                if needs.is_empty() {
                    return Err(Error::Field { field: "needs", problem: "is missing".into() });
                }
                for need in needs {
                    required("needs.what", &need.what, limits::TOPIC_BYTES_MAX)?;
                    bounded("needs.profession", &need.profession, limits::CODE_BYTES_MAX)?;
                }
                Ok(())
            }
            Self::Prescription { structure, prescriber, date } => {
                bounded("structure", structure, limits::NAME_BYTES_MAX)?;
                bounded("prescriber", prescriber, limits::NAME_BYTES_MAX)?;
                moment::optional_day("date", date)
            }
            Self::Task => Ok(()),
        }
    }

    /// What is asked for when it is asked, beyond [`Purpose::check`].
    pub(super) fn check_asked(&self) -> Result<(), Error> {
        match self {
            Self::Discharge { date, .. } => moment::required_day("date", date),
            Self::Prescription { structure, prescriber, date } => {
                required("structure", structure, limits::NAME_BYTES_MAX)?;
                required("prescriber", prescriber, limits::NAME_BYTES_MAX)?;
                moment::required_day("date", date)
            }
            Self::Referral { .. }
            | Self::TeleExpertise { .. }
            | Self::UnscheduledCare { .. }
            | Self::PatientWithoutGp { .. }
            | Self::Task => Ok(()),
        }
    }

    pub(super) fn to_wire(&self) -> Wire {
        match self.clone() {
            Self::Referral { recourse, speciality } => {
                Wire::Referral(wire::Referral { recourse: recourse.into(), speciality })
            }
            Self::TeleExpertise { question, speciality } => {
                Wire::TeleExpertise(wire::TeleExpertise { question, speciality })
            }
            Self::UnscheduledCare { profession, act, commune, delay_hours } => {
                Wire::UnscheduledCare(wire::UnscheduledCare { profession, act, commune, delay_hours })
            }
            Self::PatientWithoutGp { commune, needs } => {
                Wire::PatientWithoutGp(wire::PatientWithoutGp { commune, needs })
            }
            Self::Discharge { facility, date, needs } => {
                let need = |need: Need| wire::Need { profession: need.profession, what: need.what };
                let needs = needs.into_iter().map(need).collect();
                Wire::Discharge(wire::Discharge { facility, date, needs })
            }
            Self::Prescription { structure, prescriber, date } => {
                Wire::Prescription(wire::PrescriptionRequest { structure, prescriber, date })
            }
            Self::Task => Wire::Task(wire::Task {}),
        }
    }

    pub(super) fn from_wire(purpose: Wire) -> Option<Self> {
        Some(match purpose {
            Wire::Referral(wire::Referral { recourse, speciality }) => {
                Self::Referral { recourse: recourse.try_into().ok()?, speciality }
            }
            Wire::TeleExpertise(wire::TeleExpertise { question, speciality }) => {
                Self::TeleExpertise { question, speciality }
            }
            Wire::UnscheduledCare(wire::UnscheduledCare { profession, act, commune, delay_hours }) => {
                Self::UnscheduledCare { profession, act, commune, delay_hours }
            }
            Wire::PatientWithoutGp(wire::PatientWithoutGp { commune, needs }) => {
                Self::PatientWithoutGp { commune, needs }
            }
            Wire::Discharge(wire::Discharge { facility, date, needs }) => {
                let need = |need: wire::Need| Need { profession: need.profession, what: need.what };
                Self::Discharge { facility, date, needs: needs.into_iter().map(need).collect() }
            }
            Wire::Prescription(wire::PrescriptionRequest { structure, prescriber, date }) => {
                Self::Prescription { structure, prescriber, date }
            }
            Wire::Task(wire::Task {}) => Self::Task,
        })
    }
}

/// What is asked for, and whom by code, if that is said.
fn with_code(what: &str, code: &str) -> String {
    if code.is_empty() { what.to_owned() } else { format!("{what} ({code})") }
}
