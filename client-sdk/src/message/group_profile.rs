//! What a group says about itself to its members only: title, topic, what it is for.

use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// What a group says about itself. The newest one in the log counts.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupProfile {
    /// One line.
    pub title: String,
    /// A few lines; may be empty.
    pub topic: String,
    /// What the thread is for. Among kinds that [may become](ThreadKind::may_become) each other it can be changed.
    pub thread: ThreadKind,
    /// INSEE codes of the communes that it is about.
    pub communes: Vec<String>,
    /// Profession codes (TRE_G15) that it is for; empty: all.
    pub professions: Vec<String>,
    /// Structure that it belongs to, or empty.
    pub structure: String,
    /// Readers tell when they have read.
    pub read_receipts: bool,
    /// What a newcomer is given of what was said before he came.
    pub history: HistoryPolicy,
    /// Who is in the group follows the directory: devices of administrators add and remove whom the hub names.
    /// Never in patient circles and direct threads.
    pub follows_directory: bool,
}

hidden!(GroupProfile);

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadKind {
    /// A conversation of some people.
    #[default]
    Conversation,
    /// Two people.
    Direct,
    /// A theme.
    Theme,
    /// The professionals of some communes, perhaps of some professions.
    Territory,
    /// A practice, pharmacy, hospital service.
    Structure,
    /// Cercle de soins: the people who care for one patient.
    PatientCircle,
    /// Protocols and documents, written by publishers only.
    Library,
    /// The coordinators of the territory.
    Coordination,
}

/// What a newcomer is given of what was said before he came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryPolicy {
    /// Nothing.
    #[default]
    Nothing,
    /// The last days.
    Days(u32),
    /// Everything that the inviter has.
    All,
}

impl GroupProfile {
    /// A conversation with this title.
    #[must_use]
    pub fn titled(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A thread of this kind, with what is usual for the kind.
    #[must_use]
    pub fn of_kind(title: impl Into<String>, thread: ThreadKind) -> Self {
        let read_receipts = thread.asks_for_receipts();
        Self { title: title.into(), thread, read_receipts, ..Self::default() }
    }
}

impl ThreadKind {
    /// Whether readers usually tell that they have read: yes where somebody counts on it for a patient, no in
    /// wide groups, where it would press people and tell them nothing.
    #[must_use]
    pub const fn asks_for_receipts(self) -> bool {
        match self {
            Self::Direct | Self::PatientCircle | Self::Coordination => true,
            Self::Conversation | Self::Theme | Self::Territory | Self::Structure | Self::Library => false,
        }
    }
}

impl ThreadKind {
    /// Whether a thread of this kind may be made into one of the other. A patient circle and a direct thread are
    /// made as such and stay it, and nothing else becomes one: who reads about a patient is decided by rules that
    /// nobody may switch off by giving the thread another name.
    #[must_use]
    pub const fn may_become(self, other: Self) -> bool {
        match (self, other) {
            (Self::PatientCircle, Self::PatientCircle) | (Self::Direct, Self::Direct) => true,
            (Self::PatientCircle | Self::Direct, _) | (_, Self::PatientCircle | Self::Direct) => false,
            _ => true,
        }
    }

    /// Whether the directory may say who is in a thread of this kind: not where each member has a reason of his own.
    #[must_use]
    pub const fn may_follow_directory(self) -> bool {
        !matches!(self, Self::Direct | Self::PatientCircle)
    }
}

impl From<&str> for GroupProfile {
    fn from(title: &str) -> Self {
        Self::titled(title)
    }
}

impl Kind for GroupProfile {
    fn check(&self) -> Result<(), Error> {
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        bounded("topic", &self.topic, limits::TOPIC_BYTES_MAX)?;
        bounded("structure", &self.structure, limits::CODE_BYTES_MAX)?;
        if self.follows_directory && !self.thread.may_follow_directory() {
            let problem = "the members of this thread do not follow the directory".into();
            return Err(Error::Field { field: "follows_directory", problem });
        }
        at_most("communes", &self.communes, limits::CODES_MAX)?;
        at_most("professions", &self.professions, limits::CODES_MAX)?;
        for commune in &self.communes {
            required("communes", commune, limits::CODE_BYTES_MAX)?;
        }
        for profession in &self.professions {
            required("professions", profession, limits::CODE_BYTES_MAX)?;
        }
        Ok(())
    }

    fn render(&self, _language: Language) -> String {
        self.title.clone()
    }

    fn fallback(&self) -> String {
        String::new()
    }
}

impl Wire for GroupProfile {
    type Message = wire::GroupProfile;

    fn to_wire(&self) -> wire::GroupProfile {
        let (history, history_days) = match self.history {
            HistoryPolicy::Nothing => (wire::HistoryPolicy::Unspecified, 0),
            HistoryPolicy::Days(days) => (wire::HistoryPolicy::Days, days),
            HistoryPolicy::All => (wire::HistoryPolicy::All, 0),
        };
        wire::GroupProfile {
            title: self.title.clone(),
            topic: self.topic.clone(),
            kind: kind_to_wire(self.thread).into(),
            communes: self.communes.clone(),
            professions: self.professions.clone(),
            structure: self.structure.clone(),
            read_receipts: self.read_receipts,
            history: history.into(),
            history_days,
            follows_directory: self.follows_directory,
        }
    }

    fn from_wire(message: wire::GroupProfile) -> Option<Self> {
        let history = match message.history() {
            wire::HistoryPolicy::Unspecified => HistoryPolicy::Nothing,
            wire::HistoryPolicy::Days => HistoryPolicy::Days(message.history_days),
            wire::HistoryPolicy::All => HistoryPolicy::All,
        };
        Some(Self {
            thread: kind_from_wire(message.kind()),
            title: message.title,
            topic: message.topic,
            communes: message.communes,
            professions: message.professions,
            structure: message.structure,
            read_receipts: message.read_receipts,
            history,
            follows_directory: message.follows_directory,
        })
    }
}

const fn kind_to_wire(kind: ThreadKind) -> wire::ThreadKind {
    match kind {
        ThreadKind::Conversation => wire::ThreadKind::Unspecified,
        ThreadKind::Direct => wire::ThreadKind::Direct,
        ThreadKind::Theme => wire::ThreadKind::Theme,
        ThreadKind::Territory => wire::ThreadKind::Territory,
        ThreadKind::Structure => wire::ThreadKind::Structure,
        ThreadKind::PatientCircle => wire::ThreadKind::PatientCircle,
        ThreadKind::Library => wire::ThreadKind::Library,
        ThreadKind::Coordination => wire::ThreadKind::Coordination,
    }
}

const fn kind_from_wire(kind: wire::ThreadKind) -> ThreadKind {
    match kind {
        wire::ThreadKind::Unspecified => ThreadKind::Conversation,
        wire::ThreadKind::Direct => ThreadKind::Direct,
        wire::ThreadKind::Theme => ThreadKind::Theme,
        wire::ThreadKind::Territory => ThreadKind::Territory,
        wire::ThreadKind::Structure => ThreadKind::Structure,
        wire::ThreadKind::PatientCircle => ThreadKind::PatientCircle,
        wire::ThreadKind::Library => ThreadKind::Library,
        wire::ThreadKind::Coordination => ThreadKind::Coordination,
    }
}
