//! What can be done with a request.

use cercle_proto::{
    id::{GroupId, RegisterId, TimestampMs, UserId, from_hex, to_hex},
    v1,
};
use prost::Message as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    error::Error,
    limits,
    message::{
        Document, Kind as _, Language,
        kind::{Wire as _, at_most, bounded, hidden, required},
        request::{
            audience::{groups_from_wire, groups_to_wire},
            documents_from_wire, text_id,
        },
        wire::{self, transition::Action as Wire},
    },
};

/// What is done with a request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// The sender takes it on; or the requester says in another group who has it.
    Claim {
        /// The hub's word that this claim was the first, if the request has a register.
        #[serde(default)]
        receipt: Option<Receipt>,
        /// From the requester: name of the owner; else empty.
        #[serde(default)]
        owner_name: String,
    },
    /// The owner lets go: others may take it on.
    Release {
        /// May be empty.
        #[serde(default)]
        reason: String,
    },
    /// Not by the sender. Ends the request if he was the only one asked.
    Decline {
        /// May be empty.
        #[serde(default)]
        reason: String,
    },
    /// The owner asks back.
    AskInfo {
        /// What.
        text: String,
    },
    /// The requester answers that.
    GiveInfo {
        /// What he says.
        text: String,
        /// Files that go with it.
        #[serde(default)]
        documents: Vec<Document>,
    },
    /// The owner's answer, to a téléexpertise for example.
    Answer {
        /// What he says.
        text: String,
        /// Files that go with it.
        #[serde(default)]
        documents: Vec<Document>,
    },
    /// The owner has a time for it.
    Schedule {
        /// Begin, milliseconds since the Unix epoch.
        from_ms: TimestampMs,
        /// End.
        #[serde(default)]
        to_ms: Option<TimestampMs>,
        /// Where; may be empty.
        #[serde(default)]
        place: String,
    },
    /// It is done.
    Complete {
        /// May be empty.
        #[serde(default)]
        report: String,
        /// Files that go with it.
        #[serde(default)]
        documents: Vec<Document>,
    },
    /// The requester takes it back.
    Cancel {
        /// May be empty.
        #[serde(default)]
        reason: String,
    },
    /// The requester asks more groups.
    Widen {
        /// Which.
        #[serde(with = "text_id::list")]
        groups: Vec<GroupId>,
    },
    /// The requester lets others claim it again, under a fresh register.
    Reopen {
        /// The register.
        #[serde(with = "text_id")]
        register: RegisterId,
    },
    /// Somebody else is asked.
    Reassign {
        /// Who.
        #[serde(with = "text_id")]
        to: UserId,
    },
    /// The owner says how far a prescription is.
    Progress {
        /// How far.
        step: PrescriptionStep,
    },
}

hidden!(Action);

/// How far a prescription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrescriptionStep {
    /// Reçue.
    Received,
    /// Préparée.
    Prepared,
    /// Délivrée: the request is completed.
    Dispensed,
}

impl PrescriptionStep {
    /// Its name for a person.
    #[must_use]
    pub const fn label(self, language: Language) -> &'static str {
        match self {
            Self::Received => language.pick("ordonnance reçue", "prescription received"),
            Self::Prepared => language.pick("ordonnance préparée", "prescription prepared"),
            Self::Dispensed => language.pick("ordonnance délivrée", "prescription dispensed"),
        }
    }
}

/// The hub's signed word about a register, as it came ([`cercle_proto::receipt`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt(Vec<u8>);

impl Receipt {
    /// Keeps what the hub answered.
    #[must_use]
    pub fn new(receipt: &v1::ClaimReceipt) -> Self {
        Self(receipt.encode_to_vec())
    }

    /// What the hub answered; `None` if these are other bytes.
    #[must_use]
    pub fn read(&self) -> Option<v1::ClaimReceipt> {
        v1::ClaimReceipt::decode(self.0.as_slice()).ok()
    }
}

hidden!(Receipt);

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Receipt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = from_hex(&String::deserialize(deserializer)?);
        bytes.map(Self).ok_or_else(|| D::Error::custom("a receipt is an even number of hexadecimal digits"))
    }
}

impl Action {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Release { .. } => "release",
            Self::Decline { .. } => "decline",
            Self::AskInfo { .. } => "ask_info",
            Self::GiveInfo { .. } => "give_info",
            Self::Answer { .. } => "answer",
            Self::Schedule { .. } => "schedule",
            Self::Complete { .. } => "complete",
            Self::Cancel { .. } => "cancel",
            Self::Widen { .. } => "widen",
            Self::Reopen { .. } => "reopen",
            Self::Reassign { .. } => "reassign",
            Self::Progress { .. } => "progress",
        }
    }

    /// Files that go with it.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        match self {
            Self::GiveInfo { documents, .. }
            | Self::Answer { documents, .. }
            | Self::Complete { documents, .. } => documents,
            _ => &[],
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        let what = match self {
            Self::Claim { .. } => language.pick("prise en charge", "taken on"),
            Self::Release { .. } => language.pick("rendue", "released"),
            Self::Decline { .. } => language.pick("déclinée", "declined"),
            Self::AskInfo { .. } => language.pick("question", "question"),
            Self::GiveInfo { .. } => language.pick("précision", "further information"),
            Self::Answer { .. } => language.pick("réponse", "answer"),
            Self::Schedule { .. } => language.pick("rendez-vous fixé", "scheduled"),
            Self::Complete { .. } => language.pick("traitée", "completed"),
            Self::Cancel { .. } => language.pick("annulée", "cancelled"),
            Self::Widen { .. } => language.pick("élargie à d'autres groupes", "widened to more groups"),
            Self::Reopen { .. } => language.pick("de nouveau ouverte", "open again"),
            Self::Reassign { .. } => language.pick("réorientée", "reassigned"),
            Self::Progress { step } => step.label(language),
        };
        let text = match self {
            Self::Claim { owner_name, .. } => owner_name,
            Self::Release { reason } | Self::Decline { reason } | Self::Cancel { reason } => reason,
            Self::AskInfo { text } | Self::GiveInfo { text, .. } | Self::Answer { text, .. } => text,
            Self::Schedule { place, .. } => place,
            Self::Complete { report, .. } => report,
            Self::Reassign { to } => to.as_str(),
            Self::Widen { .. } | Self::Reopen { .. } | Self::Progress { .. } => "",
        };
        let line = if text.is_empty() { format!("[{what}]") } else { format!("[{what}] {text}") };
        let documents = self.documents().iter().map(|document| document.render(language));
        [line].into_iter().chain(documents).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        at_most("documents", self.documents(), limits::DOCUMENTS_PER_MESSAGE_MAX)?;
        self.documents().iter().try_for_each(Document::check)?;
        match self {
            Self::Claim { receipt, owner_name } => {
                at_most("receipt", receipt.as_ref().map_or(&[], |r| &r.0), limits::RECEIPT_BYTES_MAX)?;
                bounded("owner_name", owner_name, limits::NAME_BYTES_MAX)
            }
            Self::Release { reason } | Self::Decline { reason } | Self::Cancel { reason } => {
                bounded("reason", reason, limits::TOPIC_BYTES_MAX)
            }
            Self::AskInfo { text } | Self::Answer { text, .. } | Self::GiveInfo { text, .. } => {
                required("text", text, limits::TEXT_BYTES_MAX)
            }
            Self::Schedule { from_ms, to_ms, place } => {
                if *from_ms == 0 {
                    return Err(Error::Field { field: "from_ms", problem: "is missing".into() });
                }
                if to_ms.is_some_and(|to_ms| to_ms < *from_ms) {
                    return Err(Error::Field { field: "to_ms", problem: "is before the begin".into() });
                }
                bounded("place", place, limits::TOPIC_BYTES_MAX)
            }
            Self::Complete { report, .. } => bounded("report", report, limits::TEXT_BYTES_MAX),
            Self::Widen { groups } => {
                if groups.is_empty() {
                    return Err(Error::Field { field: "groups", problem: "is missing".into() });
                }
                at_most("groups", groups, limits::AUDIENCE_GROUPS_MAX)
            }
            Self::Reopen { .. } | Self::Reassign { .. } | Self::Progress { .. } => Ok(()),
        }
    }

    pub(super) fn to_wire(&self) -> Wire {
        let files = |documents: Vec<Document>| documents.iter().map(Document::to_wire).collect();
        match self.clone() {
            Self::Claim { receipt, owner_name } => {
                let receipt = receipt.map_or_else(Vec::new, |receipt| receipt.0);
                Wire::Claim(wire::Claim { receipt, owner_name })
            }
            Self::Release { reason } => Wire::Release(wire::Release { reason }),
            Self::Decline { reason } => Wire::Decline(wire::Decline { reason }),
            Self::AskInfo { text } => Wire::AskInfo(wire::AskInfo { text }),
            Self::GiveInfo { text, documents } => {
                Wire::GiveInfo(wire::GiveInfo { text, documents: files(documents) })
            }
            Self::Answer { text, documents } => {
                Wire::Answer(wire::Answer { text, documents: files(documents) })
            }
            Self::Schedule { from_ms, to_ms, place } => {
                Wire::Schedule(wire::Schedule { from_ms, to_ms: to_ms.unwrap_or(0), place })
            }
            Self::Complete { report, documents } => {
                Wire::Complete(wire::Complete { report, documents: files(documents) })
            }
            Self::Cancel { reason } => Wire::Cancel(wire::Cancel { reason }),
            Self::Widen { groups } => Wire::Widen(wire::Widen { groups: groups_to_wire(&groups) }),
            Self::Reopen { register } => {
                Wire::Reopen(wire::Reopen { register: register.as_bytes().to_vec() })
            }
            Self::Reassign { to } => Wire::Reassign(wire::Reassign { to: to.as_str().to_owned() }),
            Self::Progress { step } => {
                let step = match step {
                    PrescriptionStep::Received => wire::PrescriptionStep::Received,
                    PrescriptionStep::Prepared => wire::PrescriptionStep::Prepared,
                    PrescriptionStep::Dispensed => wire::PrescriptionStep::Dispensed,
                };
                Wire::Progress(wire::PrescriptionProgress { step: step.into() })
            }
        }
    }

    pub(super) fn from_wire(action: Wire) -> Option<Self> {
        Some(match action {
            Wire::Claim(wire::Claim { receipt, owner_name }) => {
                let receipt = Some(receipt).filter(|receipt| !receipt.is_empty()).map(Receipt);
                Self::Claim { receipt, owner_name }
            }
            Wire::Release(wire::Release { reason }) => Self::Release { reason },
            Wire::Decline(wire::Decline { reason }) => Self::Decline { reason },
            Wire::AskInfo(wire::AskInfo { text }) => Self::AskInfo { text },
            Wire::GiveInfo(wire::GiveInfo { text, documents }) => {
                Self::GiveInfo { text, documents: documents_from_wire(documents)? }
            }
            Wire::Answer(wire::Answer { text, documents }) => {
                Self::Answer { text, documents: documents_from_wire(documents)? }
            }
            Wire::Schedule(wire::Schedule { from_ms, to_ms, place }) => {
                Self::Schedule { from_ms, to_ms: Some(to_ms).filter(|to_ms| *to_ms > 0), place }
            }
            Wire::Complete(wire::Complete { report, documents }) => {
                Self::Complete { report, documents: documents_from_wire(documents)? }
            }
            Wire::Cancel(wire::Cancel { reason }) => Self::Cancel { reason },
            Wire::Widen(wire::Widen { groups }) => Self::Widen { groups: groups_from_wire(&groups)? },
            Wire::Reopen(wire::Reopen { register }) => {
                Self::Reopen { register: RegisterId::try_from(register.as_slice()).ok()? }
            }
            Wire::Reassign(wire::Reassign { to }) => Self::Reassign { to: UserId::parse(&to).ok()? },
            Wire::Progress(progress) => Self::Progress {
                step: match progress.step() {
                    wire::PrescriptionStep::Received => PrescriptionStep::Received,
                    wire::PrescriptionStep::Prepared => PrescriptionStep::Prepared,
                    wire::PrescriptionStep::Dispensed => PrescriptionStep::Dispensed,
                    wire::PrescriptionStep::Unspecified => return None,
                },
            },
        })
    }
}
