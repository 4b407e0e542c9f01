//! A document as a `DocumentReference`, with a Binary if its content is at hand.
//!
//! The key, the id of the encrypted bytes and the SHA-256 stay here: FHIR R4 knows SHA-1 only, and whoever has
//! the key can read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{bundle, instant, part_url, system, tidy, user};
use crate::{
    event::Message,
    message::{Document, DocumentType, Language},
};

/// LOINC code of a type of document; empty if it has none that fits.
const fn loinc(kind: DocumentType) -> &'static str {
    match kind {
        DocumentType::Prescription => "57833-6",
        DocumentType::Report => "11488-4",
        DocumentType::DischargeLetter => "34105-7",
        DocumentType::Laboratory => "11502-2",
        DocumentType::Photo => "72170-4",
        DocumentType::Other | DocumentType::History => "",
    }
}

/// A document that the hub has accepted: a `DocumentReference`, or with its content a bundle of that and a
/// Binary.
#[must_use]
pub fn export(message: &Message, document: &Document, content: Option<&[u8]>) -> Value {
    let binary_url = part_url(message.id.as_bytes(), "binary");
    let code = loinc(document.document_type);
    let coding = if code.is_empty() { Value::Null } else { json!({ "system": system::LOINC, "code": code }) };
    let label = |flag: &String| json!({ "coding": [{ "system": system::LOCAL, "code": flag }] });
    let reference = tidy(json!({
        "resourceType": "DocumentReference",
        "masterIdentifier": { "system": system::MESSAGE, "value": message.id.to_hex() },
        "status": "current",
        "type": { "coding": [coding], "text": document.document_type.label(Language::French) },
        "date": instant(message.at_ms),
        "author": [user(message.sender.as_str(), &message.display_name)],
        "description": document.title,
        "securityLabel": document.confidentiality.iter().map(label).collect::<Vec<_>>(),
        "content": [{ "attachment": {
            "contentType": document.media_type,
            "url": if content.is_some() { binary_url.as_str() } else { "" },
            "size": document.size,
            "title": document.name,
        } }],
    }));
    let Some(content) = content else { return reference };
    let binary = json!({
        "resourceType": "Binary",
        "contentType": document.media_type,
        "data": STANDARD.encode(content),
    });
    bundle(vec![(part_url(message.id.as_bytes(), "reference"), reference), (binary_url, binary)])
}
