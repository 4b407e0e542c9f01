//! A document as a `DocumentReference`, with a Binary if its content is at hand; and one that a file holds, to be
//! uploaded.
//!
//! The key, the id of the encrypted bytes and the SHA-256 stay here: FHIR R4 knows SHA-1 only, and whoever has
//! the key can read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use cercle_proto::id::BlobId;

use super::{FhirError, Resources, bundle, instant, node::Node, part_url, patient, system, tidy, user};
use crate::{
    event::Message,
    message::{Document, DocumentType, Language, Patient, kind::hidden},
    transfer::confidentiality::FLAGS,
};

/// Confidentiality as FHIR says it (v3); `N`, normal, asks for nothing.
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// Types that a code names. Files of earlier versions have another code for a lettre de liaison.
const TYPES: [DocumentType; 5] = [
    DocumentType::Prescription,
    DocumentType::Report,
    DocumentType::DischargeLetter,
    DocumentType::Laboratory,
    DocumentType::Photo,
];
const FORMER_DISCHARGE_LETTER: &str = "34105-7";

/// A document that a file holds: to be uploaded, and named by the message that it goes with.
#[derive(Clone, PartialEq, Eq)]
pub struct DraftDocument {
    /// File name to propose.
    pub name: String,
    /// What it is; `None`: the file has no code that says it.
    pub document_type: Option<DocumentType>,
    /// What a person wrote about it; may be empty.
    pub title: String,
    /// Confidentiality flags, of those that Cercle knows.
    pub confidentiality: Vec<String>,
    /// What it holds.
    pub content: Vec<u8>,
}

hidden!(DraftDocument);

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

impl DraftDocument {
    /// In the place of the document that it becomes once it is uploaded, for the rules of a message.
    pub(super) fn stand_in(&self) -> Document {
        Document {
            blob: BlobId::new([0; 16]),
            key: [0; 32],
            size: self.content.len() as u64,
            sha256: [0; 32],
            name: "document".to_owned(),
            media_type: "application/octet-stream".to_owned(),
            document_type: self.document_type.unwrap_or_default(),
            title: self.title.clone(),
            confidentiality: self.confidentiality.clone(),
            thumbnail: Vec::new(),
        }
    }
}

/// The document of a `DocumentReference`, for a message about this patient; or why a person must attach it.
pub(super) fn import<'a>(
    node: &Node<'a>,
    patient: Option<&Patient>,
    resources: &Resources<'a>,
) -> Result<Result<DraftDocument, &'static str>, FhirError> {
    if !is_about(node, patient, resources)? {
        return Ok(Err(
            "is not about the patient of the request: attach the document yourself if it belongs here",
        ));
    }
    let Some(confidentiality) = confidentiality(node)? else {
        return Ok(Err("is confidential in a way that Cercle does not know: attach the document yourself"));
    };
    let contents = node.list("content")?;
    let [content] = contents.as_slice() else {
        return Ok(Err("has not exactly one content: attach the document yourself"));
    };
    let attachment = content.required("attachment")?;
    let data = match attachment.get("data")? {
        Some(data) => Some(data),
        None => {
            let binary = resources.at(node, &attachment.text_of("url")?)?;
            binary.filter(|found| found.is("Binary")).map(|binary| binary.get("data")).transpose()?.flatten()
        }
    };
    let Some(data) = data.filter(|data| data.text().is_ok_and(|text| !text.is_empty())) else {
        return Ok(Err("has no content in this file: attach the document yourself"));
    };
    let text: String = data.text()?.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|_| FhirError::new(data.path(), "must be base64"))?;
    let code = node.get("type")?.map(|kind| kind.code_of(system::LOINC)).transpose()?.unwrap_or_default();
    let of_code = TYPES.into_iter().find(|kind| kind.code().is_some_and(|(known, _)| known == code));
    let former = (code == FORMER_DISCHARGE_LETTER).then_some(DocumentType::DischargeLetter);
    let name = attachment.text_of("title")?;
    Ok(Ok(DraftDocument {
        name: if name.is_empty() { "document".to_owned() } else { name },
        document_type: of_code.or(former),
        title: node.text_of("description")?,
        confidentiality,
        content: bytes,
    }))
}

/// Whether a document is about this patient, or says of nobody that it is about him.
fn is_about<'a>(
    node: &Node<'a>,
    patient: Option<&Patient>,
    resources: &Resources<'a>,
) -> Result<bool, FhirError> {
    let Some(subject) = node.get("subject")? else { return Ok(true) };
    match resources.resolve(node, &subject)? {
        // Doubts about the traits are said where the request names its patient.
        Some(person) => Ok(patient == Some(&patient::import(&person, &mut Vec::new())?)),
        None => Ok(subject.get("reference")?.is_none()),
    }
}

/// The flags of a document; `None` if it has a label that is not known.
fn confidentiality(node: &Node<'_>) -> Result<Option<Vec<String>>, FhirError> {
    let mut flags = Vec::new();
    for label in node.list("securityLabel")? {
        let flag = label.code_of(system::LOCAL)?;
        if FLAGS.iter().any(|known| known.code == flag) {
            flags.push(flag);
        } else if label.code_of(CONFIDENTIALITY)? != "N" {
            return Ok(None);
        }
    }
    flags.dedup();
    Ok(Some(flags))
}
