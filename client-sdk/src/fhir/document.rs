//! A document as a `DocumentReference`, with a Binary if its content is at hand.
//!
//! The key, the id of the encrypted bytes and the SHA-256 stay here: FHIR R4 knows SHA-1 only, and whoever has
//! the key can read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{bundle, instant, part_url, patient, system, tidy, user};
use crate::{
    event::Message,
    message::{Document, Language, Patient},
};

/// A document that the hub has accepted: a `DocumentReference` that contains the patient of its circle, or with
/// its content a bundle of that and a Binary.
#[must_use]
pub fn export(
    message: &Message,
    document: &Document,
    patient: Option<&Patient>,
    content: Option<&[u8]>,
) -> Value {
    let sent = Sent {
        identifier: json!({ "system": system::MESSAGE, "value": message.id.to_hex() }),
        at_ms: message.at_ms,
        author: user(message.sender.as_str(), &message.display_name),
        subject: patient.map(|_| json!({ "reference": "#patient" })),
        contained: patient.map(patient::contained).into_iter().collect(),
    };
    let urls = ["reference", "binary"].map(|part| part_url(message.id.as_bytes(), part));
    let mut resources = resources(urls, document, sent, content);
    if resources.len() > 1 { bundle(resources) } else { resources.remove(0).1 }
}

/// Who sent a document, when, about whom.
pub(super) struct Sent {
    /// What names it among all documents.
    pub(super) identifier: Value,
    pub(super) at_ms: u64,
    pub(super) author: Value,
    pub(super) subject: Option<Value>,
    /// What author and subject point at, if it lies in the document's own resource.
    pub(super) contained: Vec<Value>,
}

/// The `DocumentReference` at the first URL, and if its content is at hand the Binary at the second.
pub(super) fn resources(
    [url, binary_url]: [String; 2],
    document: &Document,
    sent: Sent,
    content: Option<&[u8]>,
) -> Vec<(String, Value)> {
    let coding = |(code, display)| json!({ "system": system::LOINC, "code": code, "display": display });
    let label = |flag: &String| json!({ "coding": [{ "system": system::LOCAL, "code": flag }] });
    let reference = tidy(json!({
        "resourceType": "DocumentReference",
        "contained": sent.contained,
        "masterIdentifier": sent.identifier,
        "status": "current",
        "type": {
            "coding": [document.document_type.code().map(coding)],
            "text": document.document_type.label(Language::French),
        },
        "subject": sent.subject,
        "date": instant(sent.at_ms),
        "author": [sent.author],
        "description": document.title,
        "securityLabel": document.confidentiality.iter().map(label).collect::<Vec<_>>(),
        "content": [{ "attachment": {
            "contentType": document.media_type,
            "url": if content.is_some() { binary_url.as_str() } else { "" },
            "size": document.size,
            "title": document.name,
        } }],
    }));
    let binary = content.map(|content| {
        json!({
            "resourceType": "Binary",
            "contentType": document.media_type,
            "data": STANDARD.encode(content),
        })
    });
    let binary = binary.map(|binary| (binary_url, binary));
    [(url, reference)].into_iter().chain(binary).collect()
}
