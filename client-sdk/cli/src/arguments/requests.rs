//! The commands about requests: ask, take on, handle.

use std::path::PathBuf;

use cercle_sdk::message::{
    request::{Priority, PurposeKind, RequestConsentMode},
    transition::PrescriptionStep,
};
use clap::{Args, Subcommand, ValueEnum};

/// What to do about requests.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Demande quelque chose aux membres d'un ou de plusieurs groupes.
    Ask(Box<AskArguments>),
    /// Montre les demandes : qui demande, qui s'en charge, où elles en sont.
    Board(BoardArguments),
    /// Montre une demande et tout ce qui a été fait.
    Show {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
    },
    /// Prend une demande en charge : le premier l'a.
    Claim {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Rend une demande : d'autres peuvent la prendre.
    Release(ReasonArguments),
    /// Décline une demande.
    Decline(ReasonArguments),
    /// Demande une précision à qui a fait la demande.
    AskInfo {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Texte ; - ou rien : l'entrée standard.
        #[arg(value_name = "TEXTE")]
        text: Option<String>,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Donne la précision demandée.
    GiveInfo(TextArguments),
    /// Répond à une demande.
    Answer(TextArguments),
    /// Fixe un rendez-vous.
    Schedule {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Début : 2h, 3d, 2026-11-23 ou 2026-11-23T14:30.
        #[arg(long, value_name = "QUAND")]
        from: String,
        /// Fin.
        #[arg(long, value_name = "QUAND")]
        to: Option<String>,
        /// Lieu.
        #[arg(long, value_name = "LIEU", default_value = "", hide_default_value = true)]
        place: String,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Dit qu'une demande est traitée.
    Complete {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Compte rendu.
        #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
        report: String,
        /// Document joint.
        #[arg(long, value_name = "FICHIER")]
        attach: Vec<PathBuf>,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Annule une demande que vous avez faite.
    Cancel(ReasonArguments),
    /// Adresse votre demande à d'autres groupes.
    Widen {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(long, value_name = "GROUPE", required = true, num_args = 1..)]
        to: Vec<String>,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Confie une demande à quelqu'un d'autre.
    Reassign {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Identifiant, par exemple claire.martin.
        #[arg(long, value_name = "PERSONNE")]
        to: String,
        #[command(flatten)]
        situation: SituationArguments,
    },
    /// Dit où en est une ordonnance : received, prepared, dispensed.
    Progress {
        /// Identifiant de la demande, ou son début (cercle board).
        #[arg(value_name = "DEMANDE")]
        request: String,
        /// Étape.
        #[arg(value_name = "ÉTAPE", hide_possible_values = true)]
        step: ProgressStep,
        #[command(flatten)]
        situation: SituationArguments,
    },
}

/// A request, and perhaps why.
#[derive(Debug, Args)]
pub(crate) struct ReasonArguments {
    /// Identifiant de la demande, ou son début (cercle board).
    #[arg(value_name = "DEMANDE")]
    pub(crate) request: String,
    /// Raison.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) situation: SituationArguments,
}

/// A request, what is said, and files that go with it.
#[derive(Debug, Args)]
pub(crate) struct TextArguments {
    /// Identifiant de la demande, ou son début (cercle board).
    #[arg(value_name = "DEMANDE")]
    pub(crate) request: String,
    /// Texte ; - ou rien : l'entrée standard.
    #[arg(value_name = "TEXTE")]
    pub(crate) text: Option<String>,
    /// Document joint.
    #[arg(long, value_name = "FICHIER")]
    pub(crate) attach: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) situation: SituationArguments,
}

/// In which situation somebody acts; his profession is in his certificate.
#[derive(Debug, Args)]
pub(crate) struct SituationArguments {
    #[arg(
        long,
        value_name = "CODE",
        default_value = "",
        hide_default_value = true,
        env = "CERCLE_ACTING_STRUCTURE",
        hide_env = true,
        help = "Structure dans laquelle vous agissez : FINESS ou idNat_Struct (sinon CERCLE_ACTING_STRUCTURE)."
    )]
    pub(crate) acting_structure: String,
}

/// What is asked, of whom.
#[derive(Debug, Args)]
pub(crate) struct AskArguments {
    /// Nature : referral, tele-expertise, unscheduled-care, patient-without-gp, discharge, prescription, task.
    #[arg(value_name = "NATURE", hide_possible_values = true)]
    pub(crate) kind: AskKind,
    /// Titre ou identifiant du groupe, ou leur début ; plusieurs : le premier qui prend la demande l'a pour tous.
    #[arg(long, value_name = "GROUPE", required = true, num_args = 1..)]
    pub(crate) to: Vec<String>,
    /// Une ligne, sans identité du patient.
    #[arg(long, value_name = "TITRE")]
    pub(crate) title: String,
    /// Motif, description.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Urgence : routine, urgent, asap, stat.
    #[arg(
        long,
        value_name = "URGENCE",
        default_value = "routine",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) priority: AskPriority,
    /// À faire avant : 2h, 3d, 2026-11-23 ou 2026-11-23T14:30.
    #[arg(long, value_name = "QUAND")]
    pub(crate) due: Option<String>,
    /// Personne ne peut plus la prendre après.
    #[arg(long, value_name = "QUAND")]
    pub(crate) expires: Option<String>,
    /// Élargir à un groupe si personne ne l'a prise : QUAND=GROUPE.
    #[arg(long, value_name = "QUAND=GROUPE")]
    pub(crate) widen: Vec<String>,
    /// La seule personne à qui elle s'adresse.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) assignee: Option<String>,
    /// La demande dont celle-ci est une partie.
    #[arg(long, value_name = "DEMANDE")]
    pub(crate) part_of: Option<String>,
    /// Document joint.
    #[arg(long, value_name = "FICHIER")]
    pub(crate) attach: Vec<PathBuf>,
    /// Ce que le patient en a dit : oral, written, not-required, refused (alors il n'est pas nommé).
    #[arg(long, value_name = "CONSENTEMENT", hide_possible_values = true)]
    pub(crate) consent: Option<AskConsent>,
    /// Jour du consentement, AAAA-MM-JJ ; sinon aujourd'hui.
    #[arg(long, value_name = "DATE", requires = "consent")]
    pub(crate) consent_date: Option<String>,
    #[arg(
        long,
        value_name = "NUMÉRO",
        default_value = "",
        hide_default_value = true,
        help = "Numéro de la même affaire dans un autre outil, par exemple ViaTrajectoire."
    )]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) situation: SituationArguments,
    #[command(flatten)]
    pub(crate) patient: PatientArguments,
    #[command(flatten)]
    pub(crate) details: DetailArguments,
}

/// Whom a request is about.
#[derive(Debug, Args)]
pub(crate) struct PatientArguments {
    /// Nom de naissance du patient ; dit seulement à qui prend la demande, hors cercle et conversation à deux.
    #[arg(long, value_name = "NOM", requires_all = ["patient_given", "patient_born"])]
    pub(crate) patient_name: Option<String>,
    /// Prénoms de naissance du patient.
    #[arg(long, value_name = "PRÉNOM", requires = "patient_name")]
    pub(crate) patient_given: Vec<String>,
    /// Date de naissance du patient, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE", requires = "patient_name")]
    pub(crate) patient_born: Option<String>,
    /// Traits d'identité du patient dans un fichier JSON.
    #[arg(long, value_name = "FICHIER", conflicts_with = "patient_name")]
    pub(crate) patient_file: Option<PathBuf>,
}

/// What single kinds of request need.
#[derive(Debug, Args)]
pub(crate) struct DetailArguments {
    /// referral : recours, 1 à 3.
    #[arg(long, value_name = "1-3", default_value_t = 2, hide_default_value = true)]
    pub(crate) recourse: u8,
    /// referral, tele-expertise : code de profession ou de savoir-faire demandé.
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    pub(crate) speciality: String,
    /// tele-expertise : la question.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) question: String,
    /// unscheduled-care : code de profession TRE_G15 demandé.
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    pub(crate) profession: String,
    /// unscheduled-care : l'acte.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) act: String,
    /// unscheduled-care, patient-without-gp : code INSEE de la commune.
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    pub(crate) commune: String,
    /// unscheduled-care : délai en heures.
    #[arg(long, value_name = "HEURES", default_value_t = 0, hide_default_value = true)]
    pub(crate) delay: u32,
    /// patient-without-gp, discharge : besoin ; discharge en prend plusieurs, CODE:besoin nomme la profession.
    #[arg(long, value_name = "TEXTE")]
    pub(crate) need: Vec<String>,
    /// discharge : hôpital et service.
    #[arg(long, value_name = "NOM", default_value = "", hide_default_value = true)]
    pub(crate) facility: String,
    /// discharge : jour du retour ; prescription : sa date. AAAA-MM-JJ.
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    pub(crate) date: String,
    /// prescription : officine ou structure destinataire.
    #[arg(long, value_name = "NOM", default_value = "", hide_default_value = true)]
    pub(crate) structure: String,
    /// prescription : qui prescrit.
    #[arg(long, value_name = "NOM", default_value = "", hide_default_value = true)]
    pub(crate) prescriber: String,
}

/// Which requests to show.
#[derive(Debug, Args)]
pub(crate) struct BoardArguments {
    /// Celles que vous avez faites.
    #[arg(long, conflicts_with = "todo")]
    pub(crate) mine: bool,
    /// Celles que vous devez traiter.
    #[arg(long)]
    pub(crate) todo: bool,
    /// Celles dont l'échéance est passée.
    #[arg(long)]
    pub(crate) overdue: bool,
    /// Aussi celles qui sont terminées.
    #[arg(long)]
    pub(crate) closed: bool,
    /// Celles de cette nature.
    #[arg(long, value_name = "NATURE", hide_possible_values = true)]
    pub(crate) kind: Option<AskKind>,
    /// Celles d'un patient : début de son nom ou de son INS.
    #[arg(long, value_name = "NOM")]
    pub(crate) patient: Option<String>,
    /// Celles que cette personne a faites, prises ou reçues.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) person: Option<String>,
    /// Faites depuis ce jour, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<String>,
    /// Faites avant ce jour.
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// En CSV, avec une ligne de titres.
    #[arg(long)]
    pub(crate) csv: bool,
}

/// Kind of request, as an argument; French names too.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AskKind {
    #[value(alias = "adressage")]
    Referral,
    #[value(alias = "téléexpertise", alias = "teleexpertise")]
    TeleExpertise,
    #[value(alias = "snp")]
    UnscheduledCare,
    #[value(alias = "sans-mt")]
    PatientWithoutGp,
    #[value(alias = "retour-domicile")]
    Discharge,
    #[value(alias = "ordonnance")]
    Prescription,
    #[value(alias = "tâche", alias = "tache")]
    Task,
}

impl From<AskKind> for PurposeKind {
    fn from(kind: AskKind) -> Self {
        match kind {
            AskKind::Referral => Self::Referral,
            AskKind::TeleExpertise => Self::TeleExpertise,
            AskKind::UnscheduledCare => Self::UnscheduledCare,
            AskKind::PatientWithoutGp => Self::PatientWithoutGp,
            AskKind::Discharge => Self::Discharge,
            AskKind::Prescription => Self::Prescription,
            AskKind::Task => Self::Task,
        }
    }
}

/// Urgency, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AskPriority {
    Routine,
    Urgent,
    Asap,
    Stat,
}

impl From<AskPriority> for Priority {
    fn from(priority: AskPriority) -> Self {
        match priority {
            AskPriority::Routine => Self::Routine,
            AskPriority::Urgent => Self::Urgent,
            AskPriority::Asap => Self::Asap,
            AskPriority::Stat => Self::Stat,
        }
    }
}

/// What the patient said, as an argument; French names too.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AskConsent {
    Oral,
    #[value(alias = "écrit")]
    Written,
    #[value(alias = "non-requis")]
    NotRequired,
    #[value(alias = "refusé")]
    Refused,
}

impl From<AskConsent> for RequestConsentMode {
    fn from(consent: AskConsent) -> Self {
        match consent {
            AskConsent::Oral => Self::Oral,
            AskConsent::Written => Self::Written,
            AskConsent::NotRequired => Self::NotRequired,
            AskConsent::Refused => Self::Refused,
        }
    }
}

/// How far a prescription is, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProgressStep {
    #[value(alias = "reçue")]
    Received,
    #[value(alias = "préparée")]
    Prepared,
    #[value(alias = "délivrée")]
    Dispensed,
}

impl From<ProgressStep> for PrescriptionStep {
    fn from(step: ProgressStep) -> Self {
        match step {
            ProgressStep::Received => Self::Received,
            ProgressStep::Prepared => Self::Prepared,
            ProgressStep::Dispensed => Self::Dispensed,
        }
    }
}
