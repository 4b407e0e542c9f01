//! Arguments of the commands for single kinds of messages.

use std::path::PathBuf;

use cercle_sdk::message::{RsvpAnswer, availability::AvailabilityType};
use clap::{ArgAction, Args, ValueEnum};

use super::SituationArguments;

/// Whether one comes to an event.
#[derive(Debug, Args)]
pub(crate) struct RsvpArguments {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Identifiant de l'évènement, ou son début (cercle state).
    #[arg(value_name = "ÉVÈNEMENT")]
    pub(crate) event: String,
    /// Réponse : yes, no, maybe.
    #[arg(value_name = "RÉPONSE", hide_possible_values = true)]
    pub(crate) answer: Coming,
    /// Quelques mots.
    #[arg(long, value_name = "TEXTE")]
    pub(crate) comment: Option<String>,
}

/// When one can see patients.
#[derive(Debug, Args)]
pub(crate) struct AvailabilityArguments {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Quoi : new-patients (accepte de nouveaux patients), unavailable, on-duty.
    #[arg(value_name = "QUOI", hide_possible_values = true)]
    pub(crate) what: What,
    /// Jusqu'à quand : 2026-12-31 ou 2026-12-31T18:00:00+01:00.
    #[arg(value_name = "JUSQU'À")]
    pub(crate) until: String,
    /// Où.
    #[arg(long, value_name = "LIEU")]
    pub(crate) place: Option<String>,
    /// Quelques mots.
    #[arg(long, value_name = "TEXTE")]
    pub(crate) text: Option<String>,
    /// Retire ce qui avait été dit.
    #[arg(long)]
    pub(crate) withdraw: bool,
}

/// What to write as FHIR.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Identifiant d'une demande ou d'un message, ou son début ; sinon le cercle de soins lui-même.
    #[arg(value_name = "IDENTIFIANT")]
    pub(crate) id: Option<String>,
    /// En FHIR R4 (JSON).
    #[arg(long, required = true, action = ArgAction::SetTrue)]
    pub(crate) fhir: bool,
    /// Joint le contenu du document, ou de ceux de la demande (Binary), 5 Mo en tout au plus.
    #[arg(long, requires = "id")]
    pub(crate) content: bool,
    /// Fichier à écrire ; sinon la sortie standard.
    #[arg(short, long, value_name = "FICHIER")]
    pub(crate) output: Option<PathBuf>,
}

/// What to read as FHIR.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Fichier JSON, ou - pour l'entrée standard.
    #[arg(value_name = "FICHIER")]
    pub(crate) file: String,
    /// En FHIR R4 (JSON).
    #[arg(long, required = true, action = ArgAction::SetTrue)]
    pub(crate) fhir: bool,
    /// Envoie dans ce groupe ce qui est complet.
    #[arg(long, value_name = "GROUPE")]
    pub(crate) post: Option<String>,
    #[command(flatten)]
    pub(crate) situation: SituationArguments,
}

/// What to write as iCalendar.
#[derive(Debug, Args)]
pub(crate) struct CalendarArguments {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Fichier à écrire ; sinon la sortie standard.
    #[arg(short, long, value_name = "FICHIER")]
    pub(crate) output: Option<PathBuf>,
}

/// An answer to an event, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Coming {
    Yes,
    No,
    Maybe,
}

/// A type of availability without slots, as an argument; slots are written in JSON.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum What {
    NewPatients,
    Unavailable,
    OnDuty,
}

impl From<Coming> for RsvpAnswer {
    fn from(coming: Coming) -> Self {
        match coming {
            Coming::Yes => Self::Yes,
            Coming::No => Self::No,
            Coming::Maybe => Self::Maybe,
        }
    }
}

impl From<What> for AvailabilityType {
    fn from(what: What) -> Self {
        match what {
            What::NewPatients => Self::AcceptsNewPatients,
            What::Unavailable => Self::Unavailable,
            What::OnDuty => Self::OnDuty,
        }
    }
}
