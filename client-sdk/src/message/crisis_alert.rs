//! Crisis alerts and the answers to them (plan blanc, situation sanitaire exceptionnelle). What an alert says
//! is CAP 1.2 ([`Cap`]); over the wire it travels as the standard's own XML, so that nothing of an imported
//! alert is lost. The mode stands in words before everything else, wherever an alert is shown.

use serde::{Deserialize, Serialize};

use super::{
    Language,
    cap::{Cap, MsgType, ResponseType, Status, time},
    kind::{Kind, Wire, at_most, bounded, hidden, required},
    wire,
};
use crate::{error::Error, limits};

/// Number of an alert on the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub [u8; 16]);

/// An alert, an update, or the end of one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrisisAlert {
    /// Its number on the hub.
    pub alert: AlertId,
    /// What it says.
    pub cap: Box<Cap>,
    /// Until when recipients should acknowledge, ms since the Unix epoch; 0: not said.
    #[serde(default)]
    pub ack_by_ms: u64,
    /// User ids of those who may update or end it besides the sender.
    #[serde(default)]
    pub deputies: Vec<String>,
}

/// What a recipient can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// He is available.
    Available,
    /// He is there already.
    OnSite,
    /// He cannot.
    NotAvailable,
    /// He needs help himself.
    Need,
}

/// A recipient's answer; his last one counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAnswer {
    /// Which alert.
    pub alert: AlertId,
    /// What he can do.
    pub answer: AnswerKind,
    /// From when, ms since the Unix epoch; 0: at once.
    #[serde(default)]
    pub from_ms: u64,
    /// Until when; 0: without end.
    #[serde(default)]
    pub to_ms: u64,
    /// What he adds; may be empty.
    #[serde(default)]
    pub note: String,
}

hidden!(CrisisAlert, AlertAnswer);

impl AlertId {
    /// 32 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        cercle_proto::id::to_hex(&self.0)
    }

    /// From 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        cercle_proto::id::from_hex(text)?.try_into().ok().map(Self)
    }
}

impl Serialize for AlertId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("must be 32 hexadecimal digits"))
    }
}

impl AnswerKind {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Available => language.pick("disponible", "available"),
            Self::OnSite => language.pick("sur place", "on site"),
            Self::NotAvailable => language.pick("indisponible", "not available"),
            Self::Need => language.pick("besoin d'aide", "needs help"),
        }
    }
}

impl CrisisAlert {
    /// The mode, for a person: never by colour alone.
    #[must_use]
    pub const fn mode_label(&self, language: Language) -> &'static str {
        match self.cap.status {
            Status::Actual => language.pick("ALERTE RÉELLE", "ACTUAL ALERT"),
            Status::Exercise => language.pick("EXERCICE", "EXERCISE"),
            Status::System | Status::Test | Status::Draft => language.pick("TEST", "TEST"),
        }
    }

    /// It ends what it refers to: taken back, or all clear.
    #[must_use]
    pub fn is_end(&self) -> bool {
        let clear = |response: &ResponseType| *response == ResponseType::AllClear;
        let all_clear = self.cap.infos.iter().any(|info| info.response_types.iter().any(clear));
        self.cap.msg_type == MsgType::Cancel || all_clear
    }

    /// Until when it holds, ms since the Unix epoch; `None`: not said.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.cap.infos.iter().filter_map(|info| time::to_ms(&info.expires)).max()
    }
}

impl Kind for CrisisAlert {
    fn check(&self) -> Result<(), Error> {
        self.cap.check().map_err(|problem| Error::Field { field: "cap", problem: problem.into() })?;
        if !matches!(self.cap.status, Status::Actual | Status::Exercise | Status::Test) {
            return Err(Error::Field {
                field: "cap.status",
                problem: "must be Actual, Exercise or Test".into(),
            });
        }
        let refers = !self.cap.references.is_empty();
        match self.cap.msg_type {
            MsgType::Alert => {}
            MsgType::Update | MsgType::Cancel if refers => {}
            MsgType::Update | MsgType::Cancel => {
                let problem = "must name what is updated or cancelled".into();
                return Err(Error::Field { field: "cap.references", problem });
            }
            MsgType::Ack | MsgType::Error => {
                let problem = "must be Alert, Update or Cancel".into();
                return Err(Error::Field { field: "cap.msg_type", problem });
            }
        }
        if self.cap.infos.is_empty() && self.cap.msg_type != MsgType::Cancel {
            return Err(Error::Field { field: "cap.infos", problem: "is missing".into() });
        }
        at_most("deputies", &self.deputies, limits::ALERT_DEPUTIES_MAX)?;
        for user in &self.deputies {
            required("deputies", user, limits::NAME_BYTES_MAX)?;
        }
        bounded("cap", &self.cap.to_xml(), limits::CAP_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let mode = self.mode_label(language);
        let what = match self.cap.msg_type {
            _ if self.is_end() => language.pick("fin d'alerte", "end of alert"),
            MsgType::Update => language.pick("mise à jour", "update"),
            _ => language.pick("alerte", "alert"),
        };
        let mut lines = vec![format!("[{mode} - {what}]")];
        for info in &self.cap.infos {
            let headline = if info.headline.is_empty() { &info.event } else { &info.headline };
            lines[0].push(' ');
            lines[0].push_str(headline);
            let instruction = language.pick("Consigne : ", "Instruction: ");
            let contact = language.pick("Contact : ", "Contact: ");
            for (label, text) in
                [("", &info.description), (instruction, &info.instruction), (contact, &info.contact)]
            {
                if !text.is_empty() {
                    lines.push(format!("{label}{text}"));
                }
            }
        }
        if self.cap.infos.is_empty() && !self.cap.note.is_empty() {
            lines.push(self.cap.note.clone());
        }
        lines.join("\n")
    }
}

impl Wire for CrisisAlert {
    type Message = wire::CrisisAlert;

    fn to_wire(&self) -> wire::CrisisAlert {
        wire::CrisisAlert {
            alert: self.alert.0.to_vec(),
            cap: self.cap.to_xml(),
            ack_by_ms: self.ack_by_ms,
            deputies: self.deputies.clone(),
        }
    }

    fn from_wire(message: wire::CrisisAlert) -> Option<Self> {
        Some(Self {
            alert: AlertId(message.alert.as_slice().try_into().ok()?),
            cap: Box::new(Cap::from_xml(message.cap.as_bytes()).ok()?),
            ack_by_ms: message.ack_by_ms,
            deputies: message.deputies,
        })
    }
}

impl Kind for AlertAnswer {
    fn check(&self) -> Result<(), Error> {
        if self.to_ms != 0 && self.to_ms <= self.from_ms {
            return Err(Error::Field { field: "to_ms", problem: "must be after from_ms".into() });
        }
        bounded("note", &self.note, limits::TITLE_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let label = language.pick("Réponse à l'alerte : ", "Answer to the alert: ");
        let mut text = format!("{label}{}", self.answer.label(language));
        for (word, at) in [
            (language.pick("à partir de", "from"), self.from_ms),
            (language.pick("jusqu'à", "until"), self.to_ms),
        ] {
            if at != 0 {
                text.push_str(&format!(", {word} {}", time::from_ms(at)));
            }
        }
        if !self.note.is_empty() {
            text.push_str(&format!(" - {}", self.note));
        }
        text
    }
}

impl Wire for AlertAnswer {
    type Message = wire::AlertAnswer;

    fn to_wire(&self) -> wire::AlertAnswer {
        let kind = match self.answer {
            AnswerKind::Available => wire::AnswerKind::Available,
            AnswerKind::OnSite => wire::AnswerKind::OnSite,
            AnswerKind::NotAvailable => wire::AnswerKind::NotAvailable,
            AnswerKind::Need => wire::AnswerKind::Need,
        };
        wire::AlertAnswer {
            alert: self.alert.0.to_vec(),
            kind: kind.into(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            note: self.note.clone(),
        }
    }

    fn from_wire(message: wire::AlertAnswer) -> Option<Self> {
        Some(Self {
            answer: match message.kind() {
                wire::AnswerKind::Available => AnswerKind::Available,
                wire::AnswerKind::OnSite => AnswerKind::OnSite,
                wire::AnswerKind::NotAvailable => AnswerKind::NotAvailable,
                wire::AnswerKind::Need => AnswerKind::Need,
                wire::AnswerKind::Unspecified => return None,
            },
            alert: AlertId(message.alert.as_slice().try_into().ok()?),
            from_ms: message.from_ms,
            to_ms: message.to_ms,
            note: message.note,
        })
    }
}
