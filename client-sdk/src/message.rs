//! Typed messages inside MLS: versioned, unknown kinds are kept and shown as such.
//!
//! One kind of content is one file of `proto/cercle/content/v1`, one module here, and one variant of
//! [`Body`]. Nothing below (store, sync, MLS) knows kinds; nothing outside this module reads protobuf.
//!
//! To add a kind: its message in a `.proto` file, a number in `Envelope.body`, a module here with a type
//! that implements [`Kind`] and `Wire`, and its line in the table of kinds below.
//!
//! Every kind has a constructor that refuses incomplete input and names the field, a rendering in French
//! and English ([`Body::render`]), and a JSON form (`serde`, tag `kind`).

use cercle_proto::id::{BlobId, MessageId, TimestampMs};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::{error::Error, limits};

pub mod adverse_event;
pub mod agenda_event;
pub mod assessment;
pub mod availability;
pub mod bulletin;
pub mod cap;
pub mod care_plan;
pub mod circle;
pub mod circle_member;
pub mod consent;
pub mod crisis_alert;
pub mod directory_card;
pub mod document;
pub mod edit;
pub mod education_step;
pub mod event_alert;
mod field;
pub mod form;
pub mod group_profile;
pub mod guard;
pub mod handover;
pub mod history;
pub mod kind;
pub mod language;
pub mod library;
pub mod meeting_link;
pub mod moment;
pub mod own_state;
pub mod patient;
pub mod pin;
pub mod reaction;
pub mod receipt;
pub mod request;
pub mod retract;
pub mod template;
pub mod text;
pub mod transition;
pub mod typing;
mod wire;

pub use adverse_event::{AdverseEvent, AdverseEventReference};
pub use agenda_event::{AgendaEvent, Rsvp, RsvpAnswer};
pub use assessment::Assessment;
pub use availability::Availability;
pub use bulletin::Bulletin;
pub use care_plan::{CarePlan, CarePlanValidation};
pub use crisis_alert::{AlertAnswer, AlertId, AnswerKind, CrisisAlert};
pub use directory_card::DirectoryCard;
/// The archive of a history as it is encoded; read and written by `history` alone.
pub(crate) mod archive {
    use super::{GroupProfile, kind::Wire as _, wire};

    pub(crate) use super::wire::{
        ArchivedMessage, HistoryArchive, SignedArchive, VaultChunkContent, VaultChunkEntry,
        VaultDeviceChange, VaultGroup, VaultHeader, VaultManifest,
    };

    /// A profile as the vault holds it.
    pub(crate) fn profile_to_wire(profile: &GroupProfile) -> wire::GroupProfile {
        profile.to_wire()
    }

    /// And back.
    pub(crate) fn profile_from_wire(profile: wire::GroupProfile) -> Option<GroupProfile> {
        GroupProfile::from_wire(profile)
    }
}

pub use circle::{CircleAudience, CircleIdentity, CircleOpened, CircleStanding, CircleStatus};
pub use circle_member::{CircleBasis, CircleClass, CircleMember};
pub use consent::{CircleConsent, ConsentDecision, ConsentMode};
pub use document::{Document, DocumentType};
pub use edit::Edit;
pub use education_step::EducationStep;
pub use event_alert::{EventAlert, EventAlertAck};
pub use form::{Form, FormAnswer};
pub use group_profile::{GroupProfile, HistoryPolicy, ThreadKind};
pub use handover::Handover;
pub use history::{HistoryHandedOver, OwnHistory};
pub use kind::Kind;
pub use language::Language;
pub use library::LibraryEntry;
pub use meeting_link::MeetingLink;
pub use own_state::{OwnDraft, OwnState};
pub use patient::Patient;
pub use pin::Pin;
pub use reaction::Reaction;
pub use receipt::{Receipt, ReceiptState};
pub use request::{Request, RequestId};
pub use retract::Retract;
pub use text::Text;
pub use transition::Transition;
pub use typing::Typing;

kind::table! {
    /// Something a person wrote.
    Text(Text) = "text";
    /// What the group says about itself: title, topic, what it is for.
    GroupProfile(GroupProfile) = "group_profile";
    /// A sign under a message.
    Reaction(Reaction) = "reaction";
    /// Another text for a text.
    Edit(Edit) = "edit";
    /// A message is withdrawn.
    Retract(Retract) = "retract";
    /// How far the sender has received or read.
    Receipt(Receipt) = "receipt";
    /// A message is to stay in view.
    Pin(Pin) = "pin";
    /// Somebody is writing: never stored.
    Typing(Typing) = "typing";
    /// A file: its bytes are on the hub, encrypted.
    Document(Document) = "document";
    /// Something happened to a patient.
    EventAlert(EventAlert) = "event_alert";
    /// Somebody has read an alert, and perhaps takes over.
    EventAlertAck(EventAlertAck) = "event_alert_ack";
    /// Veille.
    Bulletin(Bulletin) = "bulletin";
    /// A version of a protocol or document of a library.
    LibraryEntry(LibraryEntry) = "library_entry";
    /// When somebody can see patients.
    Availability(Availability) = "availability";
    /// A meeting, training or other event.
    AgendaEvent(AgendaEvent) = "event";
    /// Who comes to an event.
    Rsvp(Rsvp) = "rsvp";
    /// Questions to all members.
    Form(Form) = "form";
    /// Answers to a form.
    FormAnswer(FormAnswer) = "form_answer";
    /// A scale that was filled in.
    Assessment(Assessment) = "assessment";
    /// PPS: objectives and steps.
    CarePlan(CarePlan) = "care_plan";
    /// A role approves or refuses a version of a care plan.
    CarePlanValidation(CarePlanValidation) = "care_plan_validation";
    /// A step of therapeutic education.
    EducationStep(EducationStep) = "education_step";
    /// Draft of a declaration of an adverse event.
    AdverseEvent(AdverseEvent) = "adverse_event";
    /// The number that the portal gave to a declaration.
    AdverseEventReference(AdverseEventReference) = "adverse_event_reference";
    /// Where to meet on the screen.
    MeetingLink(MeetingLink) = "meeting_link";
    /// A professional or structure to get in touch with.
    DirectoryCard(DirectoryCard) = "directory_card";
    /// Something is asked of others, until one of them owns and handles it.
    Request(Box<Request>) = "request";
    /// A step in the life of a request.
    Transition(Box<Transition>) = "transition";
    /// Whom a request is about, for its owner.
    Handover(Box<Handover>) = "handover";
    /// A circle about a patient begins, or is summed up for newcomers.
    CircleOpened(CircleOpened) = "circle_opened";
    /// Somebody takes part in a circle for a time.
    CircleMember(CircleMember) = "circle_member";
    /// What the patient said about sharing.
    CircleConsent(CircleConsent) = "circle_consent";
    /// The identity traits of a circle's patient are corrected.
    CircleIdentity(CircleIdentity) = "circle_identity";
    /// A circle is closed, archived or opened again.
    CircleStatus(CircleStatus) = "circle_status";
    /// Earlier messages for people who joined.
    HistoryHandedOver(HistoryHandedOver) = "history_handed_over";
    /// What the devices of one user tell each other.
    OwnState(OwnState) = "own_state";
    /// A crisis alert, an update or the end of one.
    CrisisAlert(CrisisAlert) = "crisis_alert";
    /// What a recipient of an alert can do.
    AlertAnswer(AlertAnswer) = "alert_answer";
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it says.
    pub body: Body,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
}

impl From<Body> for Draft {
    fn from(body: Body) -> Self {
        Self { body, in_reply_to: None }
    }
}

/// An application message's plaintext, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// The sender's clock when it was written.
    pub(crate) sent_at_ms: TimestampMs,
    /// First bytes of the sender's epoch authenticator; `None` if he gave none.
    pub(crate) authenticator: Option<[u8; 8]>,
    /// The message that it answers.
    pub(crate) in_reply_to: Option<MessageId>,
    /// What it says.
    pub(crate) body: Body,
}

impl Content {
    /// Reads a plaintext. Kinds and fields of newer versions are no error.
    ///
    /// Returns `None` when it is too long or not an envelope.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > limits::ENVELOPE_BYTES_MAX {
            return None;
        }
        let envelope = wire::Envelope::decode(bytes).ok()?;
        Some(Self {
            sent_at_ms: envelope.sent_at_ms,
            authenticator: envelope.epoch_authenticator.as_slice().try_into().ok(),
            in_reply_to: MessageId::try_from(envelope.in_reply_to.as_slice()).ok(),
            body: Body::from_wire(envelope.body, envelope.fallback),
        })
    }

    /// Reads a stored plaintext; what does not decode is shown as an unknown kind without words.
    pub(crate) fn decode_stored(bytes: &[u8]) -> Self {
        let unreadable = Body::Unknown { fallback: String::new() };
        let nothing = Self { sent_at_ms: 0, authenticator: None, in_reply_to: None, body: unreadable };
        Self::decode(bytes).unwrap_or(nothing)
    }
}

/// Writes the envelope of a message, without the epoch authenticator, which is known when it is encrypted.
///
/// # Errors
/// When the body breaks a rule of its kind (the error names the field), or is of an unknown kind.
pub(crate) fn compose(draft: &Draft, now_ms: TimestampMs) -> Result<Vec<u8>, Error> {
    let envelope = wire::Envelope {
        sent_at_ms: now_ms,
        epoch_authenticator: Vec::new(),
        fallback: draft.body.fallback(),
        in_reply_to: draft.in_reply_to.map_or_else(Vec::new, |message| message.as_bytes().to_vec()),
        body: Some(draft.body.to_wire()?),
    };
    let bytes = envelope.encode_to_vec();
    if bytes.len() > limits::CONTENT_BYTES_MAX {
        return Err(Error::Invalid("a message has at most 64 KiB; attach a document instead"));
    }
    Ok(bytes)
}

/// Writes the envelope of something that is never stored.
///
/// # Errors
/// As [`compose`].
pub(crate) fn compose_ephemeral(typing: &Typing, now_ms: TimestampMs) -> Result<Vec<u8>, Error> {
    compose(&Body::Typing(*typing).into(), now_ms)
}

/// Adds the epoch authenticator to a composed envelope. Protobuf fields may come in any order, so the
/// field is appended.
pub(crate) fn with_authenticator(envelope: &[u8], authenticator: [u8; 8]) -> Vec<u8> {
    let field = wire::Envelope { epoch_authenticator: authenticator.to_vec(), ..wire::Envelope::default() };
    [envelope, &field.encode_to_vec()].concat()
}

impl Body {
    /// A text without anything else.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into(), ..Text::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(body: Body) -> Result<Vec<u8>, Error> {
        compose(&Draft::from(body), 77)
    }

    #[test]
    fn a_text_round_trips_with_its_authenticator_and_what_it_answers() {
        let body = Body::text("Bonjour à tous");
        let in_reply_to = Some(MessageId::new([4; 16]));
        let draft = Draft { body: body.clone(), in_reply_to };
        let envelope = with_authenticator(&compose(&draft, 77).unwrap(), [9; 8]);
        let expected = Content { sent_at_ms: 77, authenticator: Some([9; 8]), in_reply_to, body };
        assert_eq!(Content::decode(&envelope), Some(expected));
    }

    #[test]
    fn a_kind_of_a_newer_version_is_shown_by_its_fallback() {
        let mut bytes = wire::Envelope { fallback: "Sondage".into(), ..Default::default() }.encode_to_vec();
        bytes.extend([0xfa, 0x0f, 2, 1, 1]); // field 255, a message this version does not know
        let content = Content::decode(&bytes).unwrap();
        assert_eq!(content.body, Body::Unknown { fallback: "Sondage".into() });
    }

    #[test]
    fn empty_and_oversize_bodies_are_refused_and_the_field_is_named() {
        let long = "é".repeat(limits::TEXT_BYTES_MAX / 2 + 1);
        for text in [String::new(), long] {
            let refused = composed(Body::text(text)).unwrap_err();
            assert!(refused.to_string().starts_with("text: "), "{refused}");
        }
        let profile = GroupProfile::titled("x".repeat(limits::TITLE_BYTES_MAX + 1));
        assert!(composed(Body::GroupProfile(profile)).is_err());
    }

    #[test]
    fn what_is_no_envelope_is_refused_without_panic() {
        assert_eq!(Content::decode(&[0xff; 40]), None);
        assert_eq!(Content::decode(&vec![0; limits::ENVELOPE_BYTES_MAX + 1]), None);
    }

    #[test]
    fn the_json_form_names_the_kind_and_round_trips() {
        let body = Body::text("Bonjour");
        let json = serde_json::to_value(&body).unwrap();
        assert_eq!(json, serde_json::json!({ "kind": "text", "text": "Bonjour" }));
        assert_eq!(serde_json::from_value::<Body>(json).unwrap(), body);
    }
}
