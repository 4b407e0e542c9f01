//! Arguments of `circle …` and `verify-export`, with their help in English.

use std::path::PathBuf;

use cercle_sdk::message::{
    CircleBasis, CircleClass, ConsentDecision, ConsentMode,
    patient::{Gender, Reliability},
};
use clap::{Args, Subcommand, ValueEnum};

/// What to do with patient circles.
#[derive(Debug, Subcommand)]
pub(crate) enum Circle {
    /// Ouvre un cercle de soins.
    New(Box<New>),
    /// Montre le patient, les membres et leurs périodes, les consentements.
    Members {
        /// Titre ou identifiant du cercle, ou leur début.
        #[arg(value_name = "CERCLE")]
        group: String,
    },
    /// Corrige les traits d'identité du patient ; les autres restent.
    Identity(Box<Identity>),
    /// Ajoute une personne, avec sa base légale.
    Add(Add),
    /// Met fin à la participation d'une personne et la retire du groupe.
    Remove {
        /// Titre ou identifiant du cercle, ou leur début.
        #[arg(value_name = "CERCLE")]
        group: String,
        /// Identifiant, par exemple claire.martin.
        #[arg(value_name = "PERSONNE")]
        user: String,
        /// Motif.
        #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Montre la ligne de vie.
    Timeline(Timeline),
    /// Enregistre un consentement, une opposition ou un retrait du patient.
    Consent(Consent),
    /// Clôt, archive ou rouvre le cercle.
    Close(Close),
    /// Exporte un groupe dans un dossier : JSON signé, page à lire, documents.
    Export {
        /// Titre ou identifiant du cercle, ou leur début.
        #[arg(value_name = "CERCLE")]
        group: String,
        /// Dossier à créer, ou vide.
        #[arg(value_name = "DOSSIER")]
        folder: PathBuf,
    },
    /// Liste les ajouts que cet appareil a refusés.
    Refusals {
        /// Titre ou identifiant du cercle, ou leur début ; sinon tous.
        #[arg(value_name = "CERCLE")]
        group: Option<String>,
    },
}

/// A circle to be made.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Titre, visible des seuls membres ; n'y mettez pas le nom du patient.
    #[arg(value_name = "TITRE")]
    pub(crate) title: String,
    /// Traits d'identité dans un fichier JSON, aussi celui de cercle import --fhir.
    #[arg(
        long,
        value_name = "FICHIER",
        conflicts_with_all = ["birth_name", "given", "birth_date", "gender", "birth_place", "ins"]
    )]
    pub(crate) patient_file: Option<PathBuf>,
    /// Nom de naissance.
    #[arg(long, value_name = "NOM", required_unless_present = "patient_file")]
    pub(crate) birth_name: Option<String>,
    /// Prénoms de naissance, dans l'ordre, séparés par des espaces.
    #[arg(long, value_name = "PRÉNOMS", required_unless_present = "patient_file")]
    pub(crate) given: Option<String>,
    /// Date de naissance, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE", required_unless_present = "patient_file")]
    pub(crate) birth_date: Option<String>,
    /// Sexe : female, male, unknown.
    #[arg(long, value_name = "SEXE", hide_possible_values = true, required_unless_present = "patient_file")]
    pub(crate) gender: Option<GenderArgument>,
    /// Code INSEE du lieu de naissance.
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    pub(crate) birth_place: String,
    /// Statut de l'identité : provisional, retrieved, validated.
    #[arg(
        long,
        value_name = "STATUT",
        default_value = "provisional",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) reliability: ReliabilityArgument,
    /// Matricule INS, 15 chiffres ; seulement d'une identité validée.
    #[arg(long, value_name = "MATRICULE", default_value = "", hide_default_value = true)]
    pub(crate) ins: String,
    /// OID du matricule INS.
    #[arg(long, value_name = "OID", default_value = "1.2.250.1.213.1.4.8", hide_default_value = true)]
    pub(crate) ins_oid: String,
    /// Votre rôle dans le cercle.
    #[arg(long, value_name = "RÔLE")]
    pub(crate) role: String,
    /// Votre base : team, chosen, consent.
    #[arg(
        long,
        value_name = "BASE",
        default_value = "team",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) basis: Basis,
    /// Ce que lit un nouveau membre : none, all, ou un nombre de jours.
    #[arg(long, value_name = "HISTORIQUE", default_value = "all", hide_default_value = true)]
    pub(crate) history: String,
    /// Admet des proches : un groupe distinct de celui des professionnels.
    #[arg(long)]
    pub(crate) with_relatives: bool,
    /// Ouvre le cercle même s'il en existe un pour ce patient.
    #[arg(long)]
    pub(crate) despite_duplicate: bool,
}

/// Traits to be corrected; what is not named stays.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Titre ou identifiant du cercle, ou leur début.
    #[arg(value_name = "CERCLE")]
    pub(crate) group: String,
    /// Nom de naissance.
    #[arg(long, value_name = "NOM")]
    pub(crate) birth_name: Option<String>,
    /// Prénoms de naissance, dans l'ordre, séparés par des espaces.
    #[arg(long, value_name = "PRÉNOMS")]
    pub(crate) given: Option<String>,
    /// Nom utilisé ; vide : aucun.
    #[arg(long, value_name = "NOM")]
    pub(crate) used_name: Option<String>,
    /// Prénom utilisé ; vide : aucun.
    #[arg(long, value_name = "PRÉNOM")]
    pub(crate) used_given_name: Option<String>,
    /// Date de naissance, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE")]
    pub(crate) birth_date: Option<String>,
    /// Sexe : female, male, unknown.
    #[arg(long, value_name = "SEXE", hide_possible_values = true)]
    pub(crate) gender: Option<GenderArgument>,
    /// Code INSEE du lieu de naissance ; vide : aucun.
    #[arg(long, value_name = "CODE")]
    pub(crate) birth_place: Option<String>,
    /// Statut de l'identité : provisional, retrieved, validated ; hors validated, l'INS est retirée.
    #[arg(long, value_name = "STATUT", hide_possible_values = true)]
    pub(crate) reliability: Option<ReliabilityArgument>,
    /// Matricule INS, 15 chiffres ; seulement d'une identité validée ; vide : aucun.
    #[arg(long, value_name = "MATRICULE")]
    pub(crate) ins: Option<String>,
    /// OID du matricule INS.
    #[arg(long, value_name = "OID", default_value = "1.2.250.1.213.1.4.8", hide_default_value = true)]
    pub(crate) ins_oid: String,
    /// Motif.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
}

/// Somebody to be added.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Titre ou identifiant du cercle, ou leur début.
    #[arg(value_name = "CERCLE")]
    pub(crate) group: String,
    /// Identifiant, par exemple claire.martin.
    #[arg(value_name = "PERSONNE")]
    pub(crate) user: String,
    /// Rôle dans le cercle.
    #[arg(long, value_name = "RÔLE")]
    pub(crate) role: String,
    /// Base : team (même équipe de soins), chosen (choisi par le patient), consent (consentement).
    #[arg(long, value_name = "BASE", hide_possible_values = true)]
    pub(crate) basis: Option<Basis>,
    /// Classe : professional, verified-other, relative.
    #[arg(
        long,
        value_name = "CLASSE",
        default_value = "professional",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) class: ClassArgument,
    /// Nom affiché.
    #[arg(long, value_name = "NOM", default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// Dernier jour, AAAA-MM-JJ ; la personne est retirée ensuite.
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Remarque.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// Which lines of a timeline.
#[derive(Debug, Args)]
pub(crate) struct Timeline {
    /// Titre ou identifiant du cercle, ou leur début.
    #[arg(value_name = "CERCLE")]
    pub(crate) group: String,
    #[arg(
        long,
        value_name = "GENRE",
        help = "Seulement ce genre de message, par exemple circle_consent ou text (plusieurs fois possible)."
    )]
    pub(crate) kind: Vec<String>,
    /// Seulement de cette personne.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) author: Option<String>,
    /// À partir de ce jour, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<String>,
    /// Jusqu'à ce jour compris, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
}

/// What the patient said.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Titre ou identifiant du cercle, ou leur début.
    #[arg(value_name = "CERCLE")]
    pub(crate) group: String,
    /// Décision : consent, objection, withdrawal.
    #[arg(value_name = "DÉCISION", hide_possible_values = true)]
    pub(crate) decision: Decision,
    /// Mode : oral, written, electronic.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "oral",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) mode: Mode,
    /// Jour, AAAA-MM-JJ ; sinon maintenant.
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<String>,
    /// Qui l'a recueilli ; sinon vous.
    #[arg(long, value_name = "NOM")]
    pub(crate) collector: Option<String>,
    /// Portée, en quelques mots.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) scope: String,
    /// Concerne seulement cette personne ; sinon tout le cercle.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) person: Option<String>,
}

/// How a circle goes on.
#[derive(Debug, Args)]
pub(crate) struct Close {
    /// Titre ou identifiant du cercle, ou leur début.
    #[arg(value_name = "CERCLE")]
    pub(crate) group: String,
    /// Motif.
    #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Archive : le cercle a été exporté.
    #[arg(long, conflicts_with = "reopen")]
    pub(crate) archive: bool,
    /// Rouvre le cercle.
    #[arg(long)]
    pub(crate) reopen: bool,
}

/// An export to check.
#[derive(Debug, Args)]
pub(crate) struct VerifyExport {
    /// Dossier de l'export, ou un de ses fichiers.
    #[arg(value_name = "CHEMIN")]
    pub(crate) path: PathBuf,
    /// Empreinte de la racine attendue (cercle whoami --json) ; sinon celle de l'export est montrée.
    #[arg(long, value_name = "EMPREINTE")]
    pub(crate) root: Option<String>,
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident -> $target:ident { $($variant:ident => $value:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, ValueEnum)]
        pub(crate) enum $name { $($variant),+ }

        impl From<$name> for $target {
            fn from(choice: $name) -> Self {
                match choice { $($name::$variant => Self::$value),+ }
            }
        }
    };
}

choices! {
    /// Gender, as an argument.
    GenderArgument -> Gender { Female => Female, Male => Male, Unknown => Unknown }
}
choices! {
    /// How sure an identity is, as an argument.
    ReliabilityArgument -> Reliability {
        Provisional => Provisional, Retrieved => Retrieved, Validated => Validated,
    }
}
choices! {
    /// Why somebody may take part, as an argument.
    Basis -> CircleBasis { Team => SameTeam, Chosen => ChosenByPatient, Consent => Consent }
}
choices! {
    /// Class of member, as an argument.
    ClassArgument -> CircleClass {
        Professional => Professional, VerifiedOther => VerifiedOther, Relative => Relative,
    }
}
choices! {
    /// What a patient decides, as an argument.
    Decision -> ConsentDecision { Consent => Consent, Objection => Objection, Withdrawal => Withdrawal }
}
choices! {
    /// How a patient said it, as an argument.
    Mode -> ConsentMode { Oral => Oral, Written => Written, Electronic => Electronic }
}

const CIRCLE: &str = "Title or id of the circle, or its beginning.";

/// Command, argument (empty: the command itself), English sentence.
pub(super) const SENTENCES: &[(&str, &str, &str)] = &[
    ("circle new", "", "Opens a patient circle."),
    ("circle new", "title", "Title, seen by members only; leave the patient's name out of it."),
    ("circle new", "patient_file", "Identity traits in a JSON file, also that of cercle import --fhir."),
    ("circle new", "birth_name", "Birth name."),
    ("circle new", "given", "Given names at birth, in order, separated by spaces."),
    ("circle new", "birth_date", "Birth date, YYYY-MM-DD."),
    ("circle new", "gender", "Gender: female, male, unknown."),
    ("circle new", "birth_place", "INSEE code of the birth place."),
    ("circle new", "reliability", "Status of the identity: provisional, retrieved, validated."),
    ("circle new", "ins", "INS, 15 digits; only of a validated identity."),
    ("circle new", "ins_oid", "OID of the INS."),
    ("circle new", "role", "Your role in the circle."),
    ("circle new", "basis", "Your basis: team, chosen, consent."),
    ("circle new", "history", "What a newcomer reads: none, all, or a number of days."),
    ("circle new", "with_relatives", "Admits relatives: a group apart from that of the professionals."),
    ("circle new", "despite_duplicate", "Opens the circle even if there is one for this patient."),
    ("circle members", "", "Shows the patient, the members with their periods, the consents."),
    ("circle members", "group", CIRCLE),
    ("circle identity", "", "Corrects identity traits of the patient; the others stay."),
    ("circle identity", "group", CIRCLE),
    ("circle identity", "birth_name", "Birth name."),
    ("circle identity", "given", "Given names at birth, in order, separated by spaces."),
    ("circle identity", "used_name", "Name in use; empty: none."),
    ("circle identity", "used_given_name", "Given name in use; empty: none."),
    ("circle identity", "birth_date", "Birth date, YYYY-MM-DD."),
    ("circle identity", "gender", "Gender: female, male, unknown."),
    ("circle identity", "birth_place", "INSEE code of the birth place; empty: none."),
    (
        "circle identity",
        "reliability",
        "Status of the identity: provisional, retrieved, validated; without validated the INS goes.",
    ),
    ("circle identity", "ins", "INS, 15 digits; only of a validated identity; empty: none."),
    ("circle identity", "ins_oid", "OID of the INS."),
    ("circle identity", "reason", "Why."),
    ("circle add", "", "Adds a person, with the legal basis."),
    ("circle add", "group", CIRCLE),
    ("circle add", "user", "Id, for example claire.martin."),
    ("circle add", "role", "Role in the circle."),
    ("circle add", "basis", "Basis: team (same care team), chosen (by the patient), consent."),
    ("circle add", "class", "Class: professional, verified-other, relative."),
    ("circle add", "name", "Name to show."),
    ("circle add", "until", "Last day, YYYY-MM-DD; the person is removed after it."),
    ("circle add", "note", "Remark."),
    ("circle remove", "", "Ends a person's part in the circle and removes the person from the group."),
    ("circle remove", "group", CIRCLE),
    ("circle remove", "user", "Id, for example claire.martin."),
    ("circle remove", "note", "Why."),
    ("circle timeline", "", "Shows the timeline."),
    ("circle timeline", "group", CIRCLE),
    (
        "circle timeline",
        "kind",
        "Only this kind of message, for example circle_consent or text (may be repeated).",
    ),
    ("circle timeline", "author", "Only of this person."),
    ("circle timeline", "from", "From this day, YYYY-MM-DD."),
    ("circle timeline", "until", "Up to and including this day, YYYY-MM-DD."),
    ("circle consent", "", "Records a consent, an objection or a withdrawal of the patient."),
    ("circle consent", "group", CIRCLE),
    ("circle consent", "decision", "Decision: consent, objection, withdrawal."),
    ("circle consent", "mode", "Mode: oral, written, electronic."),
    ("circle consent", "date", "Day, YYYY-MM-DD; else at this moment."),
    ("circle consent", "collector", "Who heard it; else you."),
    ("circle consent", "scope", "Scope, in a few words."),
    ("circle consent", "person", "Concerns this person only; else the whole circle."),
    ("circle close", "", "Closes, archives or reopens the circle."),
    ("circle close", "group", CIRCLE),
    ("circle close", "reason", "Why."),
    ("circle close", "archive", "Archives: the circle was exported."),
    ("circle close", "reopen", "Opens the circle again."),
    ("circle export", "", "Exports a group into a folder: signed JSON, a page to read, documents."),
    ("circle export", "group", CIRCLE),
    ("circle export", "folder", "Folder to make, or an empty one."),
    ("circle refusals", "", "Lists the additions that this device has refused."),
    ("circle refusals", "group", "Title or id of the circle, or its beginning; else all."),
];
