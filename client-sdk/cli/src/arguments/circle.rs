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
    /// Nom de naissance.
    #[arg(long, value_name = "NOM")]
    pub(crate) birth_name: String,
    /// Prénoms de naissance, dans l'ordre, séparés par des espaces.
    #[arg(long, value_name = "PRÉNOMS")]
    pub(crate) given: String,
    /// Date de naissance, AAAA-MM-JJ.
    #[arg(long, value_name = "DATE")]
    pub(crate) birth_date: String,
    /// Sexe : female, male, unknown.
    #[arg(long, value_name = "SEXE", hide_possible_values = true)]
    pub(crate) gender: GenderArgument,
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

/// Command of `circle`, argument (empty: the command itself), English sentence.
const SENTENCES: &[(&str, &str, &str)] = &[
    ("new", "", "Opens a patient circle."),
    ("new", "title", "Title, seen by members only; leave the patient's name out of it."),
    ("new", "birth_name", "Birth name."),
    ("new", "given", "Given names at birth, in order, separated by spaces."),
    ("new", "birth_date", "Birth date, YYYY-MM-DD."),
    ("new", "gender", "Gender: female, male, unknown."),
    ("new", "birth_place", "INSEE code of the birth place."),
    ("new", "reliability", "Status of the identity: provisional, retrieved, validated."),
    ("new", "ins", "INS, 15 digits; only of a validated identity."),
    ("new", "ins_oid", "OID of the INS."),
    ("new", "role", "Your role in the circle."),
    ("new", "basis", "Your basis: team, chosen, consent."),
    ("new", "history", "What a newcomer reads: none, all, or a number of days."),
    ("new", "with_relatives", "Admits relatives: a group apart from that of the professionals."),
    ("new", "despite_duplicate", "Opens the circle even if there is one for this patient."),
    ("members", "", "Shows the patient, the members with their periods, the consents."),
    ("members", "group", CIRCLE),
    ("add", "", "Adds a person, with the legal basis."),
    ("add", "group", CIRCLE),
    ("add", "user", "Id, for example claire.martin."),
    ("add", "role", "Role in the circle."),
    ("add", "basis", "Basis: team (same care team), chosen (by the patient), consent."),
    ("add", "class", "Class: professional, verified-other, relative."),
    ("add", "name", "Name to show."),
    ("add", "until", "Last day, YYYY-MM-DD; the person is removed after it."),
    ("add", "note", "Remark."),
    ("remove", "", "Ends a person's part in the circle and removes the person from the group."),
    ("remove", "group", CIRCLE),
    ("remove", "user", "Id, for example claire.martin."),
    ("remove", "note", "Why."),
    ("timeline", "", "Shows the timeline."),
    ("timeline", "group", CIRCLE),
    ("timeline", "kind", "Only this kind of message, for example circle_consent or text (may be repeated)."),
    ("timeline", "author", "Only of this person."),
    ("timeline", "from", "From this day, YYYY-MM-DD."),
    ("timeline", "until", "Up to and including this day, YYYY-MM-DD."),
    ("consent", "", "Records a consent, an objection or a withdrawal of the patient."),
    ("consent", "group", CIRCLE),
    ("consent", "decision", "Decision: consent, objection, withdrawal."),
    ("consent", "mode", "Mode: oral, written, electronic."),
    ("consent", "date", "Day, YYYY-MM-DD; else at this moment."),
    ("consent", "collector", "Who heard it; else you."),
    ("consent", "scope", "Scope, in a few words."),
    ("consent", "person", "Concerns this person only; else the whole circle."),
    ("close", "", "Closes, archives or reopens the circle."),
    ("close", "group", CIRCLE),
    ("close", "reason", "Why."),
    ("close", "archive", "Archives: the circle was exported."),
    ("close", "reopen", "Opens the circle again."),
    ("export", "", "Exports a group into a folder: signed JSON, a page to read, documents."),
    ("export", "group", CIRCLE),
    ("export", "folder", "Folder to make, or an empty one."),
    ("refusals", "", "Lists the additions that this device has refused."),
    ("refusals", "group", "Title or id of the circle, or its beginning; else all."),
];

/// Replaces the French sentences of `circle …`.
pub(super) fn translate(command: clap::Command) -> clap::Command {
    command.mut_subcommand("circle", |circle| {
        SENTENCES.iter().fold(circle, |circle, (name, argument, sentence)| {
            circle.mut_subcommand(name, |sub| match *argument {
                "" => sub.about(*sentence),
                argument => sub.mut_arg(argument, |arg| arg.help(*sentence)),
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_argument_of_a_circle_has_an_english_sentence() {
        let circle = Circle::augment_subcommands(clap::Command::new("circle"));
        let has =
            |command: &str, argument: &str| SENTENCES.iter().any(|row| row.0 == command && row.1 == argument);
        for sub in circle.get_subcommands() {
            assert!(has(sub.get_name(), ""), "{}", sub.get_name());
            for argument in sub.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(has(sub.get_name(), id), "{} {id}", sub.get_name());
            }
        }
    }
}
