//! What can be asked of the `cercle` command.
//!
//! The help is French in the help attributes below, which clap shows; [`english`] holds the same sentences in
//! English, and a test keeps the two complete. Usage errors are answered by [`answer`].

pub(crate) mod alert;
mod answer;
pub(crate) mod circle;
pub(crate) mod devices;
pub(crate) mod directory;
pub(crate) mod documents;
mod english;
pub(crate) mod join;
mod kinds;
mod requests;
pub(crate) mod rule;
pub(crate) mod talk;

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use answer::Answer;
pub(crate) use kinds::{
    AvailabilityArguments, CalendarArguments, ExportArguments, ImportArguments, RsvpArguments,
};
pub(crate) use requests::{
    AskArguments, BoardArguments, DetailArguments, PatientArguments, ReasonArguments, RequestCommand,
    SituationArguments, TextArguments,
};

use crate::{language::Language, limits::PATIENCE_SECONDS};

/// Cercle : messagerie chiffrée de bout en bout pour les professionnels de santé.
#[derive(Debug, Parser)]
#[command(
    name = "cercle",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Common {
    /// Identité à utiliser, s'il y en a plusieurs sur cette machine.
    #[arg(
        long,
        global = true,
        value_name = "NOM",
        default_value = "default",
        env = "CERCLE_PROFILE",
        hide_env = true
    )]
    profile: String,
    #[arg(
        long,
        global = true,
        value_name = "DOSSIER",
        help = "Dossier des profils (sinon CERCLE_HOME, puis le dossier de données habituel)."
    )]
    home: Option<PathBuf>,
    /// Un objet JSON par ligne au lieu de phrases.
    #[arg(long, global = true)]
    json: bool,
    #[arg(
        long,
        global = true,
        value_name = "LANGUE",
        help = "Langue : fr ou en (sinon CERCLE_LANG, puis la langue du système si c'est l'anglais)."
    )]
    lang: Option<String>,
    /// Secondes pendant lesquelles attendre le hub.
    #[arg(long, global = true, overrides_with = "timeout", value_name = "SECONDES", default_value_t = PATIENCE_SECONDS, value_parser = clap::value_parser!(u64).range(0..=3600))]
    timeout: u64,
    /// Ne pas chercher à joindre le hub.
    #[arg(long, global = true)]
    offline: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Inscrit cet appareil avec une invitation.
    Enrol {
        /// Lien cercle://… reçu de la coordination, ou code montré par un autre appareil à vous ; - pour l'entrée
        /// standard.
        #[arg(value_name = "LIEN")]
        link: String,
        /// Protège le profil par une phrase de passe.
        #[arg(long)]
        passphrase: bool,
        /// Ne donne pas de code de récupération (cercle recovery rotate en donne un plus tard).
        #[arg(long)]
        no_recovery: bool,
    },
    /// Montre qui vous êtes sur ce hub.
    Whoami,
    /// Liste vos groupes.
    Groups,
    /// Crée un groupe.
    New {
        /// Titre, visible des seuls membres.
        #[arg(value_name = "TITRE")]
        title: String,
        /// Seuls les administrateurs écrivent, ajoutent et retirent.
        #[arg(long)]
        announcements: bool,
        #[command(flatten)]
        profile: talk::ProfileArguments,
    },
    /// Ajoute des personnes à un groupe.
    Invite {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Identifiants, par exemple claire.martin, ou clés de l'annuaire (ps:…, inbox:…).
        #[arg(value_name = "PERSONNE", required = true)]
        users: Vec<String>,
    },
    /// Retire des personnes d'un groupe.
    Remove {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Identifiants, par exemple claire.martin.
        #[arg(value_name = "PERSONNE", required = true)]
        users: Vec<String>,
    },
    /// Liste les membres d'un groupe.
    Members {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Envoie un message et attend que le hub l'ait.
    Send {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Texte ; - ou rien : l'entrée standard.
        #[arg(value_name = "TEXTE")]
        text: Option<String>,
        /// Personne à interpeller.
        #[arg(long, value_name = "PERSONNE")]
        mention: Vec<String>,
    },
    #[command(flatten)]
    Talk(talk::Talk),
    /// Envoie un message typé (alerte, formulaire, plan…) écrit en JSON.
    Post {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Fichier JSON, ou - pour l'entrée standard ; exemples : cercle template.
        #[arg(value_name = "FICHIER")]
        file: String,
        /// Demande un accusé de lecture de l'alerte à chaque membre : le hub relance et compte.
        #[arg(long)]
        ask_ack: bool,
    },
    /// Montre un exemple JSON complet d'un genre de message, ou la liste des genres.
    Template {
        #[arg(value_name = "GENRE", help = "Genre, par exemple event_alert.")]
        kind: Option<String>,
    },
    /// Montre où en sont les alertes, formulaires, plans, évènements, protocoles d'un groupe.
    State {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        #[arg(
            long,
            value_name = "GENRE",
            help = "Seulement ce genre : event_alert, library_entry, availability, event, form, care_plan, adverse_event."
        )]
        kind: Option<String>,
    },
    /// Répond à l'invitation à un évènement.
    Rsvp(RsvpArguments),
    /// Dit aux membres d'un groupe quand vous êtes disponible.
    Availability(AvailabilityArguments),
    /// Écrit les évènements et disponibilités d'un groupe pour un agenda (iCalendar).
    Calendar(CalendarArguments),
    /// Écrit un cercle de soins, une demande ou un message en FHIR R4 (JSON).
    Export(ExportArguments),
    #[command(about = "Lit un fichier FHIR R4 (CareTeam, ServiceRequest…) et en fait des brouillons.")]
    Import(ImportArguments),
    /// Montre les messages reçus depuis la dernière fois.
    Recv {
        /// Titre ou identifiant du groupe, ou leur début ; sinon tous les groupes.
        #[arg(value_name = "GROUPE")]
        group: Option<String>,
        /// Reste et montre les messages à leur arrivée (Ctrl-C pour finir).
        #[arg(long)]
        follow: bool,
        /// Remontre tout ce que l'appareil a gardé, y compris ses propres messages.
        #[arg(long, conflicts_with = "follow")]
        all: bool,
    },
    /// Lit et écrit dans un groupe à la fois : une ligne, un message.
    Chat {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Envoie un document à un groupe, chiffré, et attend que le hub l'ait.
    Attach(documents::Attach),
    /// Télécharge le document d'un message.
    Get(documents::Get),
    /// Termine les envois de documents en cours, et les liste.
    Transfers(documents::Transfers),
    /// Quitte un groupe.
    Leave {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Membre qui administre le groupe à votre place.
        #[arg(long, value_name = "PERSONNE")]
        successor: Option<String>,
    },
    /// Montre l'état de la connexion, des groupes, et ce que chaque appareil d'un groupe a reçu.
    Status {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: Option<String>,
    },
    /// Liste les appareils d'une personne.
    Devices {
        /// Identifiant ; sinon vous-même.
        #[arg(value_name = "PERSONNE")]
        user: Option<String>,
    },
    /// Révoque un appareil pour toujours : il sort de tous ses groupes.
    Revoke {
        /// Identifiant de l'appareil, ou son début (cercle devices).
        #[arg(value_name = "APPAREIL")]
        device: String,
        /// À qui est l'appareil ; sinon à vous.
        #[arg(long, value_name = "PERSONNE")]
        user: Option<String>,
    },
    #[command(flatten)]
    OwnDevices(devices::OwnDevices),
    /// Crée une invitation ; sans identifiant, pour un autre appareil à vous.
    Invitation(InvitationArguments),
    #[command(flatten)]
    Request(RequestCommand),
    /// Renouvelle vos clés dans un groupe.
    UpdateKeys {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Alertes de crise : envoyer, acquitter, suivre.
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// Réveils de cet appareil, sans contenu.
    #[command(subcommand)]
    Push(alert::PushCommand),
    /// Cercles de soins : qui y participe, sur quelle base, jusqu'à quand.
    Circle {
        #[command(subcommand)]
        command: circle::Circle,
    },
    /// Vérifie un export, sans profil et sans hub.
    VerifyExport(circle::VerifyExport),
    /// Groupes dont les membres suivent l'annuaire.
    Rule {
        #[command(subcommand)]
        command: rule::RuleCommand,
    },
    /// Groupes que l'on peut demander à rejoindre, et demandes.
    Join {
        #[command(subcommand)]
        command: join::JoinCommand,
    },
    /// Annuaire : chercher, montrer une fiche, tenir la vôtre.
    Directory {
        #[command(subcommand)]
        command: directory::DirectoryCommand,
    },
    /// Montre Cercle sur cette seule machine : un hub, une CPTS fictive, des messages chiffrés.
    Demo {
        /// Joue une fois et s'arrête.
        #[arg(long)]
        once: bool,
        /// Garde les données dans ce dossier (sinon elles disparaissent à la fin).
        #[arg(long, value_name = "DOSSIER")]
        keep: Option<PathBuf>,
    },
}

impl Command {
    /// Whether Ctrl-C is the usual way to end the command, which it then does by itself, in good order.
    pub(crate) fn ends_by_interrupt(&self) -> bool {
        matches!(
            self,
            Self::Recv { follow: true, .. }
                | Self::Chat { .. }
                | Self::Demo { .. }
                | Self::Alert(alert::AlertCommand::Watch { .. })
        )
    }
}

/// Whom an invitation is for.
#[derive(Debug, Args)]
pub(crate) struct InvitationArguments {
    /// Identifiant à créer, par exemple claire.martin ou un numéro RPPS.
    #[arg(value_name = "PERSONNE")]
    pub(crate) user: Option<String>,
    /// Nom affiché.
    #[arg(long, value_name = "NOM", requires = "user")]
    pub(crate) name: Option<String>,
    /// Code de profession TRE_G15 (10 médecin, 21 pharmacien, 60 infirmier, 70 kinésithérapeute…).
    #[arg(long, value_name = "CODE", requires = "user")]
    pub(crate) profession: Option<String>,
    /// Classe : professional, verified-other, relative.
    #[arg(
        long,
        value_name = "CLASSE",
        default_value = "professional",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) class: Class,
    /// Rôle sur le hub : member, moderator, coordinator, crisis-publisher, directory-admin, bot.
    #[arg(long, value_name = "RÔLE", hide_possible_values = true)]
    pub(crate) role: Vec<Role>,
    /// La personne a perdu tous ses appareils : ils sont exclus aussitôt, le nouveau prend leur place dans tous ses
    /// groupes.
    #[arg(long, requires = "user")]
    pub(crate) lost_devices: bool,
}

/// Class of member, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Class {
    Professional,
    VerifiedOther,
    Relative,
}

/// Role on the hub, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Member,
    Moderator,
    Coordinator,
    CrisisPublisher,
    DirectoryAdmin,
    Bot,
}

/// A command line that makes sense.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) profile: String,
    pub(crate) home: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) language: Language,
    pub(crate) timeout_seconds: u64,
    pub(crate) offline: bool,
    pub(crate) command: Command,
}

/// Reads the command line, or gives what to answer instead: help, version, or what is wrong with it.
pub(crate) fn parse(arguments: &[OsString], language: Language) -> Result<Invocation, Answer> {
    let cli = definition(language)
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| Answer::new(error, language))?;
    let Common { profile, home, json, lang: _, timeout, offline } = cli.common;
    Ok(Invocation { profile, home, json, language, timeout_seconds: timeout, offline, command: cli.command })
}

/// The command with its help in this language.
fn definition(language: Language) -> clap::Command {
    let (help, version) = match language {
        Language::French => ("Affiche cette aide.", "Affiche la version."),
        Language::English => ("Shows this help.", "Shows the version."),
    };
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true).help(help);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help(version);
    let command = Cli::command().arg(help).arg(version);
    let translated = match language {
        Language::French => command,
        Language::English => english::translate(command),
    };
    headings(translated, language)
}

fn headings(command: clap::Command, language: Language) -> clap::Command {
    let (usage, commands) = match language {
        Language::French => ("Utilisation :", "Commandes"),
        Language::English => ("Usage:", "Commands"),
    };
    let template = format!("{{about-with-newline}}\n{usage} {{usage}}\n\n{{all-args}}");
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.help_template(template).subcommand_help_heading(commands);
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |sub| headings(sub, language)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Invocation, Answer> {
        let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
        parse(&arguments, Language::French)
    }

    #[test]
    fn the_definition_is_consistent_in_both_languages() {
        definition(Language::French).debug_assert();
        definition(Language::English).debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for line in ["cercle --json --profile p groups", "cercle groups --profile p --json"] {
            let invocation = parse_line(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(invocation.json && invocation.profile == "p", "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_answered_with_the_usage_code() {
        for line in [
            "cercle",
            "cercle sned x",
            "cercle invite g",
            "cercle groups --nope",
            "cercle groups --timeout x",
        ] {
            let Err(answer) = parse_line(line) else { panic!("{line}") };
            assert_eq!(answer.exit(), crate::exit::Exit::Usage, "{line}");
        }
        let Err(answer) = parse_line("cercle --help") else { panic!("help") };
        assert_eq!(answer.exit(), crate::exit::Exit::Done);
    }
}
