//! The commands of conversation: answering, reacting, editing, reading, searching, naming a thread.

use cercle_sdk::message::{GroupProfile, ThreadKind};
use clap::{Args, Subcommand, ValueEnum};

/// What to do in a conversation.
#[derive(Debug, Subcommand)]
pub(crate) enum Talk {
    /// Répond à un message.
    Reply {
        /// Message : début de son identifiant, ou groupe:numéro (cercle thread).
        #[arg(value_name = "MESSAGE")]
        message: String,
        /// Texte ; - ou rien : l'entrée standard.
        #[arg(value_name = "TEXTE")]
        text: Option<String>,
        /// Personne à interpeller.
        #[arg(long, value_name = "PERSONNE")]
        mention: Vec<String>,
    },
    /// Réagit à un message.
    React {
        /// Message : début de son identifiant, ou groupe:numéro (cercle thread).
        #[arg(value_name = "MESSAGE")]
        message: String,
        /// Un émoji, par exemple 👍.
        #[arg(value_name = "ÉMOJI")]
        emoji: String,
        /// Retire la réaction.
        #[arg(long)]
        remove: bool,
    },
    /// Remplace le texte d'un de vos messages.
    Edit {
        /// Message : début de son identifiant, ou groupe:numéro (cercle thread).
        #[arg(value_name = "MESSAGE")]
        message: String,
        /// Texte ; - ou rien : l'entrée standard.
        #[arg(value_name = "TEXTE")]
        text: Option<String>,
    },
    /// Retire un de vos messages ; les administrateurs d'un groupe, tout message.
    Retract {
        /// Message : début de son identifiant, ou groupe:numéro (cercle thread).
        #[arg(value_name = "MESSAGE")]
        message: String,
        /// Pourquoi, visible de tous.
        #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Épingle un message.
    Pin {
        /// Message : début de son identifiant, ou groupe:numéro (cercle thread).
        #[arg(value_name = "MESSAGE")]
        message: String,
        /// Ne l'épingle plus.
        #[arg(long)]
        remove: bool,
    },
    /// Montre un fil tel qu'il est : modifications, réactions, messages épinglés, lectures.
    Thread {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Nombre de messages, les plus récents.
        #[arg(long, value_name = "NOMBRE", default_value_t = 50)]
        last: usize,
    },
    /// Marque un fil comme lu ; les autres le savent là où le fil le demande.
    Read {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Montre ce que vous avez commencé à écrire dans un fil, sur tous vos appareils, ou le note.
    Draft {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Texte à noter ; vide, il efface le brouillon.
        #[arg(value_name = "TEXTE")]
        text: Option<String>,
    },
    /// Cherche des mots, ou leur début, dans les messages de cet appareil.
    Search {
        /// Mots, sans souci des majuscules ni des accents.
        #[arg(value_name = "MOT", required = true)]
        words: Vec<String>,
        /// Seulement dans ce groupe.
        #[arg(long, value_name = "GROUPE")]
        group: Option<String>,
        /// Nombre de messages au plus.
        #[arg(long, value_name = "NOMBRE", default_value_t = 20)]
        limit: usize,
    },
    /// Ouvre le fil direct avec une personne, ou le retrouve.
    Direct {
        /// Identifiant, par exemple claire.martin.
        #[arg(value_name = "PERSONNE")]
        user: String,
    },
    /// Change le titre, le sujet, le type ou l'historique des nouveaux d'un fil (administrateurs).
    SetProfile {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Nouveau titre.
        #[arg(long, value_name = "TITRE")]
        title: Option<String>,
        #[command(flatten)]
        profile: ProfileArguments,
    },
}

/// What a thread is for.
#[derive(Debug, Default, Args)]
pub(crate) struct ProfileArguments {
    /// Type : conversation, theme, territory, structure, library, coordination.
    #[arg(long, value_name = "TYPE", hide_possible_values = true)]
    kind: Option<Kind>,
    /// Sujet, en quelques lignes.
    #[arg(long, value_name = "TEXTE")]
    topic: Option<String>,
    /// Code INSEE d'une commune concernée.
    #[arg(long, value_name = "CODE")]
    commune: Vec<String>,
    /// Code d'une profession concernée (TRE_G15).
    #[arg(long, value_name = "CODE")]
    profession: Vec<String>,
    #[arg(long, value_name = "CODE", help = "Identifiant de la structure (FINESS ou idNat_Struct).")]
    structure: Option<String>,
    /// Accusés de lecture : on ou off ; sinon selon le type.
    #[arg(long, value_name = "ON|OFF", hide_possible_values = true)]
    receipts: Option<Switch>,
    /// Ce que lit un nouveau membre : none, all, ou un nombre de jours.
    #[arg(long, value_name = "HISTORIQUE")]
    pub(crate) history: Option<String>,
}

/// What a thread is for, as an argument. Direct threads are opened with `cercle direct`, circles with
/// `cercle circle new`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Conversation,
    Theme,
    Territory,
    Structure,
    Library,
    Coordination,
}

/// Yes or no, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl ProfileArguments {
    /// Whether the thread is one that only publishers write in.
    pub(crate) fn is_library(&self) -> bool {
        matches!(self.kind, Some(Kind::Library))
    }

    /// Puts what was said over a profile; what was not said stays. The history is read by the command.
    pub(crate) fn apply_to(self, profile: &mut GroupProfile) {
        if let Some(kind) = self.kind {
            profile.thread = thread_kind(kind);
            profile.read_receipts = profile.thread.asks_for_receipts();
        }
        if let Some(topic) = self.topic {
            profile.topic = topic;
        }
        if !self.commune.is_empty() {
            profile.communes = self.commune;
        }
        if !self.profession.is_empty() {
            profile.professions = self.profession;
        }
        if let Some(structure) = self.structure {
            profile.structure = structure;
        }
        if let Some(receipts) = self.receipts {
            profile.read_receipts = matches!(receipts, Switch::On);
        }
    }
}

const fn thread_kind(kind: Kind) -> ThreadKind {
    match kind {
        Kind::Conversation => ThreadKind::Conversation,
        Kind::Theme => ThreadKind::Theme,
        Kind::Territory => ThreadKind::Territory,
        Kind::Structure => ThreadKind::Structure,
        Kind::Library => ThreadKind::Library,
        Kind::Coordination => ThreadKind::Coordination,
    }
}

/// Command, argument (empty: the command itself), English sentence.
pub(super) const SENTENCES: &[(&str, &str, &str)] = &[
    ("new", "kind", KIND),
    ("new", "topic", TOPIC),
    ("new", "commune", COMMUNE),
    ("new", "profession", PROFESSION),
    ("new", "structure", STRUCTURE),
    ("new", "receipts", RECEIPTS),
    ("new", "history", HISTORY),
    ("send", "mention", "Person to call by name."),
    ("reply", "", "Answers a message."),
    ("reply", "message", MESSAGE),
    ("reply", "text", "Text; - or nothing: standard input."),
    ("reply", "mention", "Person to call by name."),
    ("react", "", "Reacts to a message."),
    ("react", "message", MESSAGE),
    ("react", "emoji", "An emoji, for example 👍."),
    ("react", "remove", "Takes the reaction back."),
    ("edit", "", "Replaces the text of a message of yours."),
    ("edit", "message", MESSAGE),
    ("edit", "text", "Text; - or nothing: standard input."),
    ("retract", "", "Withdraws a message of yours; administrators of a group, any message."),
    ("retract", "message", MESSAGE),
    ("retract", "reason", "Why, for everybody to see."),
    ("pin", "", "Pins a message."),
    ("pin", "message", MESSAGE),
    ("pin", "remove", "Unpins it."),
    ("thread", "", "Shows a thread as it is by now: edits, reactions, pinned messages, who has read."),
    ("thread", "group", GROUP),
    ("thread", "last", "How many messages, the newest."),
    ("read", "", "Marks a thread as read; the others are told where the thread asks for it."),
    ("read", "group", GROUP),
    ("draft", "", "Shows what you have begun to write in a thread, on all your devices, or notes it."),
    ("draft", "group", GROUP),
    ("draft", "text", "Text to note; empty, it deletes the draft."),
    ("search", "", "Looks for words, or their beginnings, in the messages of this device."),
    ("search", "words", "Words; case and accents do not matter."),
    ("search", "group", "Only in this group."),
    ("search", "limit", "How many messages at most."),
    ("direct", "", "Opens the direct thread with a person, or finds it again."),
    ("direct", "user", "Id, for example claire.martin."),
    ("set-profile", "", "Changes title, topic, kind, or what newcomers read of a thread (administrators)."),
    ("set-profile", "group", GROUP),
    ("set-profile", "title", "New title."),
    ("set-profile", "kind", KIND),
    ("set-profile", "topic", TOPIC),
    ("set-profile", "commune", COMMUNE),
    ("set-profile", "profession", PROFESSION),
    ("set-profile", "structure", STRUCTURE),
    ("set-profile", "receipts", RECEIPTS),
    ("set-profile", "history", HISTORY),
];

const MESSAGE: &str = "Message: the beginning of its id, or group:number (cercle thread).";
const GROUP: &str = "Title or id of the group, or its beginning.";
const KIND: &str = "Kind: conversation, theme, territory, structure, library, coordination.";
const TOPIC: &str = "Topic, a few lines.";
const COMMUNE: &str = "INSEE code of a commune that it is about.";
const PROFESSION: &str = "Code of a profession that it is for (TRE_G15).";
const STRUCTURE: &str = "Id of the structure (FINESS or idNat_Struct).";
const HISTORY: &str = "What a newcomer reads: none, all, or a number of days.";
const RECEIPTS: &str = "Read receipts: on or off; else what is usual for the kind.";
