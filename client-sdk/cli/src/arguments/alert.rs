//! `cercle alert` and `cercle push`: their arguments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Envoie une alerte à des groupes et la fait sonner jusqu'à ce qu'elle soit acquittée.
    Send(SendArguments),
    /// Met à jour une alerte : la nouvelle version sonne à son tour.
    Update {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        #[command(flatten)]
        says: ContentArguments,
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Lève une alerte : elle ne sonne plus.
    Cancel {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        /// Raison de la levée.
        #[arg(long, value_name = "TEXTE", default_value = "")]
        note: String,
    },
    /// Confirme l'alerte d'un autre responsable, si le hub demande deux personnes.
    Confirm {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
    },
    /// Acquitte une alerte : le hub sait que vous l'avez reçue, et quand.
    Ack {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        /// Vous vous en chargez (alerte concernant un patient).
        #[arg(long)]
        taking_over: bool,
    },
    /// Répond à une alerte, chiffré de bout en bout, et l'acquitte.
    Answer {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        /// Réponse : available, on-site, not-available, need.
        #[arg(value_name = "RÉPONSE", hide_possible_values = true)]
        answer: Answer,
        /// Disponible à partir de (2026-11-22T08:00:00+01:00).
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Disponible jusqu'à.
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
        /// Précision.
        #[arg(long, value_name = "TEXTE", default_value = "")]
        note: String,
    },
    /// Liste les alertes en cours.
    List {
        /// Aussi celles qui sont levées, remplacées ou passées.
        #[arg(long)]
        all: bool,
    },
    /// Suit une alerte : un compte à chaque changement (Ctrl-C pour finir).
    Watch {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        /// Compte aussi par profession ou par commune, à chaque changement ; peut être répété.
        #[arg(long, value_name = "CRITÈRE", hide_possible_values = true)]
        by: Vec<By>,
    },
    /// Montre qui a été atteint, a vu, a acquitté.
    Report {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
        /// En CSV, pour un tableur.
        #[arg(long)]
        csv: bool,
        /// Compte par profession ou par commune : profession, commune.
        #[arg(long, value_name = "CRITÈRE", conflicts_with = "csv", hide_possible_values = true)]
        by: Option<By>,
    },
    /// Montre, avant la crise, qui pourrait être atteint.
    Reach {
        /// Titre ou identifiant du groupe, ou leur début ; sinon tout le monde.
        #[arg(value_name = "GROUPE")]
        group: Option<String>,
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Envoie une alerte lue dans un fichier CAP 1.2 ou 1.1.
    Import {
        /// Fichier CAP.
        #[arg(value_name = "FICHIER")]
        file: PathBuf,
        /// Titres ou identifiants de groupes, ou leur début.
        #[arg(value_name = "GROUPE", required = true)]
        groups: Vec<String>,
        #[command(flatten)]
        rings: RingArguments,
        #[command(flatten)]
        target: TargetArguments,
    },
    /// Écrit une alerte en CAP 1.2 sur la sortie standard.
    Export {
        /// Identifiant de l'alerte, ou son début (cercle alert list).
        #[arg(value_name = "ALERTE")]
        alert: String,
    },
}

/// A new alert.
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    /// Titres ou identifiants de groupes, ou leur début.
    #[arg(value_name = "GROUPE", required = true)]
    pub(crate) groups: Vec<String>,
    /// Mode : actual, exercise, test.
    #[arg(long, value_name = "MODE", hide_possible_values = true)]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) says: ContentArguments,
    #[command(flatten)]
    pub(crate) rings: RingArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// Whom of the groups an alert rings, by the directory.
#[derive(Debug, Default, Args)]
pub(crate) struct TargetArguments {
    /// Ne fait sonner que cette profession (code TRE_G15) ; peut être répété.
    #[arg(long, value_name = "CODE")]
    pub(crate) for_profession: Vec<String>,
    /// Ne fait sonner que ceux qui exercent dans cette commune (code INSEE) ; peut être répété.
    #[arg(long, value_name = "CODE")]
    pub(crate) for_commune: Vec<String>,
    /// Ne fait sonner que ceux qui sont de garde, selon leur fiche.
    #[arg(long)]
    pub(crate) on_duty: bool,
}

/// What a report is counted by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum By {
    Profession,
    Commune,
}

/// What an alert says.
#[derive(Debug, Args)]
pub(crate) struct ContentArguments {
    /// Une ligne : ce qui se passe.
    #[arg(long, value_name = "TEXTE")]
    pub(crate) headline: String,
    /// Description.
    #[arg(long, value_name = "TEXTE", default_value = "")]
    pub(crate) description: String,
    /// Consigne.
    #[arg(long, value_name = "TEXTE", default_value = "")]
    pub(crate) instruction: String,
    /// À qui s'adresser.
    #[arg(long, value_name = "TEXTE", default_value = "")]
    pub(crate) contact: String,
    /// Zone, en toutes lettres.
    #[arg(long, value_name = "TEXTE", default_value = "")]
    pub(crate) area: String,
    /// Code INSEE de commune de la zone.
    #[arg(long, value_name = "CODE", requires = "area")]
    pub(crate) commune: Vec<String>,
    /// Fin d'alerte : rien d'autre n'est attendu.
    #[arg(long)]
    pub(crate) all_clear: bool,
    /// Durée de validité en heures.
    #[arg(long, value_name = "HEURES", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=720))]
    pub(crate) hours: u64,
}

/// What happens while acknowledgements are missing.
#[derive(Debug, Args)]
pub(crate) struct RingArguments {
    /// Délai d'acquittement souhaité, en minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 5)]
    pub(crate) ack_within: u64,
    /// Réveille à nouveau toutes les tant de minutes (0 : une seule fois).
    #[arg(long, value_name = "MINUTES", default_value_t = 2)]
    pub(crate) repeat_every: u64,
    /// Au plus tant de fois.
    #[arg(long, value_name = "FOIS", default_value_t = 10)]
    pub(crate) repeat_max: u32,
    /// Appelle le secours du hub (SMS, téléphone) après tant de minutes (0 : jamais).
    #[arg(long, value_name = "MINUTES", default_value_t = 5)]
    pub(crate) fallback_after: u64,
    /// Fait sonner le suivant de la liste toutes les tant de minutes (0 : jamais).
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    pub(crate) escalate_after: u64,
    /// Suivant de la liste : ne sonne qu'à son tour.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) next: Vec<String>,
    /// Nombre d'acquittements qui suffisent (0 : tous).
    #[arg(long, value_name = "NOMBRE", default_value_t = 0)]
    pub(crate) needed: u32,
    /// Peut aussi mettre à jour ou lever l'alerte.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) deputy: Vec<String>,
}

/// What to do with wake-ups of this device.
#[derive(Debug, Subcommand)]
pub(crate) enum PushCommand {
    /// Enregistre où réveiller cet appareil.
    Register(RegisterArguments),
    /// Réveille cet appareil, pour essayer.
    Test,
    /// Ne plus réveiller cet appareil.
    Off,
}

/// Where a device is woken.
#[derive(Debug, Args)]
pub(crate) struct RegisterArguments {
    /// Adresse https de l'abonnement (Web Push, ou UnifiedPush).
    #[arg(long, value_name = "URL", required_unless_present_any = ["apns", "fcm"])]
    pub(crate) endpoint: Option<String>,
    /// Clé publique de l'abonnement (base64url) ; sans elle : UnifiedPush sans chiffrement.
    #[arg(long, value_name = "CLÉ", requires_all = ["endpoint", "auth"])]
    pub(crate) p256dh: Option<String>,
    /// Secret de l'abonnement (base64url).
    #[arg(long, value_name = "SECRET", requires = "p256dh")]
    pub(crate) auth: Option<String>,
    /// Jeton d'appareil Apple.
    #[arg(long, value_name = "JETON", conflicts_with_all = ["endpoint", "fcm"])]
    pub(crate) apns: Option<String>,
    /// Jeton d'enregistrement Firebase.
    #[arg(long, value_name = "JETON", conflicts_with = "endpoint")]
    pub(crate) fcm: Option<String>,
}

/// How an alert is meant.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    Actual,
    Exercise,
    Test,
}

/// What a recipient can do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Answer {
    Available,
    OnSite,
    NotAvailable,
    Need,
}
