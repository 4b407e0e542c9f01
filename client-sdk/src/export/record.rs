//! What an export says: the circle, who was in it, and every message with its sender, device and hub time.

use cercle_proto::id::{MessageId, UserId};
use serde::Serialize;

use crate::{
    core::{Identity, RefusalRecord},
    event::Message,
    message::{
        Body, CircleAudience, CircleConsent, CircleMember, CircleStanding, Document, Language, Patient,
        kind::hidden,
    },
    thread::{Circle, timeline::is_event},
};

/// Content of `circle.json`; fields are added, never renamed or removed.
#[derive(Clone, Serialize)]
pub struct ExportRecord {
    /// Version of this form.
    pub format: u32,
    /// The group, hexadecimal.
    pub group: String,
    /// Its title.
    pub title: String,
    /// When it was exported, by the exporter's clock.
    pub exported_at_ms: u64,
    /// Who exported it.
    pub exporter: Exporter,
    /// The circle that the group is, if it is one.
    pub circle: Option<ExportedCircle>,
    /// What the exporter's device has refused in this group.
    pub refusals: Vec<ExportedRefusal>,
    /// Documents of the messages.
    pub documents: Vec<ExportedDocument>,
    /// Every message that the exporter's device has, in the order of the log.
    pub messages: Vec<ExportedMessage>,
}

/// Who exported a group, as his certificate says.
#[derive(Clone, Serialize)]
pub struct Exporter {
    /// User id.
    pub user: String,
    /// Device, hexadecimal.
    pub device: String,
    /// Name.
    pub display_name: String,
    /// Profession code (TRE_G15), or empty.
    pub profession: String,
}

/// A circle as it stands at its export.
#[derive(Clone, Serialize)]
pub struct ExportedCircle {
    /// Whom it is about.
    pub patient: Patient,
    /// Who may be in it.
    pub audience: CircleAudience,
    /// Whether it is in use.
    pub standing: CircleStanding,
    /// Every entry about every person, oldest first.
    pub members: Vec<CircleMember>,
    /// What the patient said, oldest first.
    pub consents: Vec<CircleConsent>,
}

/// Somebody was not added.
#[derive(Clone, Serialize)]
pub struct ExportedRefusal {
    /// Who.
    pub user: String,
    /// Why.
    pub reason: &'static str,
    /// When.
    pub at_ms: u64,
}

/// A document of a message.
#[derive(Clone, Serialize)]
pub struct ExportedDocument {
    /// Where it lies in the export.
    pub path: String,
    /// The message that carries it, hexadecimal.
    pub message: String,
    /// Its file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal, as its sender said.
    pub sha256: String,
    /// It could not be fetched: the hub no longer has it, or there was no connection.
    pub missing: bool,
}

/// One message.
#[derive(Clone, Serialize)]
pub struct ExportedMessage {
    /// Place in the log.
    pub seq: u64,
    /// Id, hexadecimal.
    pub id: String,
    /// User who sent it.
    pub sender: String,
    /// Device that sent it, hexadecimal.
    pub device: String,
    /// Name of the sender, as his certificate said.
    pub display_name: String,
    /// The sender's certificate had expired when it was read.
    pub expired_certificate: bool,
    /// When the hub accepted it.
    pub at_ms: u64,
    /// The sender's clock when it was written.
    pub sent_at_ms: u64,
    /// The message that it answers, hexadecimal.
    pub in_reply_to: Option<String>,
    /// Who handed it to the exporter, who was not a member then.
    pub exported_by: Option<String>,
    /// It is an event of the timeline.
    pub event: bool,
    /// As a person reads it, in French.
    pub text: String,
    /// Field by field.
    pub content: Body,
}

hidden!(ExportRecord, Exporter, ExportedCircle, ExportedRefusal, ExportedDocument, ExportedMessage);

impl Exporter {
    /// From the identity of a device.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Self {
            user: identity.user.as_str().to_owned(),
            device: identity.device.to_hex(),
            display_name: identity.display_name.clone(),
            profession: identity.profession.clone(),
        }
    }
}

impl ExportedCircle {
    /// From what the messages add up to.
    #[must_use]
    pub fn new(circle: &Circle) -> Self {
        Self {
            patient: circle.patient.clone(),
            audience: circle.audience,
            standing: circle.standing,
            members: circle.members.values().flatten().cloned().collect(),
            consents: circle.consents.clone(),
        }
    }
}

impl ExportedRefusal {
    /// From a line of the journal.
    #[must_use]
    pub fn new(record: &RefusalRecord) -> Self {
        Self { user: record.user.clone(), reason: record.refusal.name(), at_ms: record.at_ms }
    }
}

impl ExportedMessage {
    /// From a stored message.
    #[must_use]
    pub fn new(message: &Message) -> Self {
        Self {
            seq: message.seq,
            id: message.id.to_hex(),
            sender: message.sender.as_str().to_owned(),
            device: message.device.to_hex(),
            display_name: message.display_name.clone(),
            expired_certificate: message.expired_certificate,
            at_ms: message.at_ms,
            sent_at_ms: message.sent_at_ms,
            in_reply_to: message.in_reply_to.map(MessageId::to_hex),
            exported_by: message.exported_by.as_ref().map(UserId::as_str).map(str::to_owned),
            event: is_event(&message.body),
            text: message.body.render(Language::French),
            content: message.body.clone(),
        }
    }
}

impl ExportedDocument {
    /// The documents of a message, each with its place in an export.
    #[must_use]
    pub fn of(message: &Message) -> Vec<(Self, Document)> {
        let exported = |(number, document): (usize, &Document)| {
            let path = format!(
                "{}/{:06}-{}-{}",
                super::DOCUMENTS_FOLDER,
                message.seq,
                number + 1,
                plain_name(&document.name)
            );
            let entry = Self {
                path,
                message: message.id.to_hex(),
                name: document.name.clone(),
                size: document.size,
                sha256: cercle_proto::id::to_hex(&document.sha256),
                missing: false,
            };
            (entry, document.clone())
        };
        message.body.documents().into_iter().enumerate().map(exported).collect()
    }
}

/// A file name that every file system and every browser takes.
fn plain_name(name: &str) -> String {
    let plain = |letter: char| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let start = name.len().saturating_sub(crate::limits::EXPORT_NAME_BYTES_MAX);
    // The end is kept: it says the type.
    name[name.ceil_char_boundary(start)..].to_owned()
}
