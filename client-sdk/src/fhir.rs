//! FHIR R4 JSON, so that a practice software (LGC) reads and writes what Cercle knows without double entry.
//!
//! | ours | FHIR R4 | profile that it follows |
//! |---|---|---|
//! | [`Patient`] | Patient | fr-core-patient, fr-core-patient-ins |
//! | `event_alert` | `CommunicationRequest` | notification d'évènements, flux 3 |
//! | document | `DocumentReference`, Binary | IHE MHD |
//! | `directory_card` | Practitioner, `PractitionerRole`, Organization | annuaire santé |
//! | request | `ServiceRequest`, Task, Consent, `DocumentReference` | téléexpertise |
//! | acting situation | `PractitionerRole` | situation d'exercice |
//! | `circle_opened`, [`Circle`](crate::thread::Circle) | `CareTeam`, Consent | cercle de soins |
//!
//! Export is complete for what Cercle knows; what it does not know (a structure's address) is left out, and a
//! key or the place of encrypted bytes never leaves. Import gives [`Draft`]s: the JSON form of a kind, with a
//! [`Problem`] for each field that a person must look at. Nothing is sent by reading a file.
//!
//! No crate of FHIR types is used: the complete ones generate thousands of structs for several releases and
//! weigh more in the build than the rest of this crate; Cercle writes six resources and reads some twenty
//! fields of each. A reader over the JSON tree also names the exact element that is wrong.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    event::Message,
    message::{Body, Patient},
};

pub mod alert;
mod attached;
pub mod circle;
mod consent;
pub mod directory;
pub mod document;
mod node;
pub mod patient;
pub mod request;
mod role;

pub use document::DraftDocument;
pub use node::FhirError;
use node::Node;

/// Largest JSON text that is read, bytes: a bundle with a document in it.
pub const TEXT_BYTES_MAX: usize = 8 << 20;
/// Resources of one bundle that are looked at: a record is far smaller, and references are looked up one by one.
const ENTRIES_MAX: usize = 1_000;

/// INS, RPPS, IDNPS, FINESS and others keep the system of the national directory.
pub(crate) mod system {
    /// Users of a hub of Cercle: `name@domain`.
    pub(crate) const USER: &str = "urn:cercle:user";
    /// Messages and requests of Cercle: 32 hexadecimal digits.
    pub(crate) const MESSAGE: &str = "urn:cercle:message";
    /// Documents of a request or step: which of the two, its id, the document's number in it.
    pub(crate) const DOCUMENT: &str = "urn:cercle:document";
    /// Numbers that another tool gave to the same matter.
    pub(crate) const REFERENCE: &str = "urn:cercle:reference";
    /// Codes that the national lists do not have.
    pub(crate) const LOCAL: &str = "urn:cercle:code";
    pub(crate) const PROFESSION: &str =
        "https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante";
    pub(crate) const COMMUNE: &str = "https://mos.esante.gouv.fr/NOS/TRE_R13-Commune/FHIR/TRE-R13-Commune";
    pub(crate) const LOINC: &str = "http://loinc.org";
    /// Structures: `idNat_Struct`.
    pub(crate) const STRUCTURE: &str = "urn:oid:1.2.250.1.71.4.2.2";
    pub(crate) const FINESS: &str = "https://finess.esante.gouv.fr";
}

/// A message in the JSON form of its kind, to be looked at and posted.
#[derive(Clone, PartialEq)]
pub struct Draft {
    /// The JSON form, with `kind`; empty fields where the resource says nothing.
    pub content: Value,
    /// Documents that the file holds for it: uploaded and named in it before it is posted.
    pub documents: Vec<DraftDocument>,
    /// What a person must look at; none: it can be posted as it is.
    pub problems: Vec<Problem>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// Something that a person must look at. Names elements, never values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where, for example `CareTeam.participant[1].period.start`.
    pub element: String,
    /// What.
    pub problem: String,
}

impl Problem {
    pub(crate) fn new(element: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { element: element.into(), problem: problem.into() }
    }
}

impl Draft {
    /// A draft of a kind; what its own check refuses is one more problem.
    pub(crate) fn of(body: &Body, mut problems: Vec<Problem>) -> Self {
        if let Err(error) = body.check_fields() {
            problems.push(Problem::new(body.name(), error.to_string()));
        }
        let content = serde_json::to_value(body).expect("content has text, numbers and lists only");
        Self { content, documents: Vec::new(), problems }
    }
}

/// Reads a resource or bundle: one draft for each `ServiceRequest`, `CareTeam` and `CommunicationRequest` in it, or
/// else for each `PractitionerRole`, or else for the first Practitioner.
///
/// # Errors
/// [`FhirError`] names the element that is missing or of the wrong type.
pub fn import(text: &str) -> Result<Vec<Draft>, FhirError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FhirError::new("", "is above 8 MiB"));
    }
    let json: Value =
        serde_json::from_str(text).map_err(|error| FhirError::new("", format!("is no JSON: {error}")))?;
    let resources = Resources::of(&json)?;
    let mut drafts = Vec::new();
    for node in &resources.nodes {
        match node.required("resourceType")?.text()? {
            "ServiceRequest" => drafts.push(request::import(node, &resources)?),
            "CareTeam" => drafts.push(circle::import(node, &resources)?),
            "CommunicationRequest" => drafts.push(alert::import(node, &resources)?),
            _ => {}
        }
    }
    // Beside these, a role or practitioner is a part of them.
    if drafts.is_empty() {
        for node in resources.nodes.iter().filter(|node| node.is("PractitionerRole")) {
            drafts.push(directory::import(node, &resources)?);
        }
    }
    if drafts.is_empty()
        && let Some(practitioner) = resources.first("Practitioner")
    {
        drafts.push(directory::import_practitioner(practitioner)?);
    }
    if drafts.is_empty() {
        let wanted = "holds no ServiceRequest, CareTeam, CommunicationRequest or PractitionerRole";
        return Err(FhirError::new("resourceType", wanted));
    }
    Ok(drafts)
}

/// A message as FHIR; `None` for a kind that has no resource. `patient`: of the circle that it was said in.
/// Requests and circles have more to say than their first message: see [`request::export`] and
/// [`circle::export`].
#[must_use]
pub fn export(message: &Message, patient: Option<&Patient>) -> Option<Value> {
    match &message.body {
        Body::EventAlert(alert) => Some(alert::export(message, alert)),
        Body::Document(document) => Some(document::export(message, document, patient, None)),
        Body::DirectoryCard(card) => Some(directory::export(message, card)),
        _ => None,
    }
}

/// The resources of a file, with what `Reference`s in them mean.
pub(crate) struct Resources<'a> {
    nodes: Vec<Node<'a>>,
    /// `fullUrl` of each entry, in the order of `nodes`; empty: none.
    urls: Vec<&'a str>,
}

impl<'a> Resources<'a> {
    fn of(json: &'a Value) -> Result<Self, FhirError> {
        let root = Node::root(json)?;
        if root.required("resourceType")?.text()? != "Bundle" {
            return Ok(Self { nodes: vec![root.renamed()?], urls: vec![""] });
        }
        let entries = root.list("entry")?;
        if entries.len() > ENTRIES_MAX {
            return Err(FhirError::new("Bundle.entry", "has more than 1000 elements"));
        }
        let (mut nodes, mut urls) = (Vec::new(), Vec::new());
        for entry in entries {
            let url = entry.get("fullUrl")?;
            nodes.push(entry.required("resource")?.renamed()?);
            urls.push(url.map_or(Ok(""), |url| url.text())?);
        }
        Ok(Self { nodes, urls })
    }

    fn first(&self, kind: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| node.is(kind))
    }

    /// What a `Reference` element points at, among the entries and what `holder` contains.
    pub(crate) fn resolve(
        &self,
        holder: &Node<'a>,
        reference: &Node<'a>,
    ) -> Result<Option<Node<'a>>, FhirError> {
        match reference.get("reference")? {
            Some(target) => self.at(holder, target.text()?),
            None => Ok(None),
        }
    }

    /// What an address means, among the entries and what `holder` contains.
    pub(crate) fn at(&self, holder: &Node<'a>, target: &str) -> Result<Option<Node<'a>>, FhirError> {
        if target.is_empty() {
            return Ok(None);
        }
        if let Some(id) = target.strip_prefix('#') {
            for inner in holder.list("contained")? {
                if inner.get("id")?.is_some_and(|found| found.text().is_ok_and(|found| found == id)) {
                    return Ok(Some(inner.renamed()?));
                }
            }
            return Ok(None);
        }
        for (node, url) in self.nodes.iter().zip(&self.urls) {
            let id = node.get("id")?.map(|id| id.text()).transpose()?;
            let (kind, name) = target.rsplit_once('/').unwrap_or(("", target));
            if *url == target || (id == Some(name) && (kind.is_empty() || node.is(kind))) {
                return Ok(Some(node.clone()));
            }
        }
        Ok(None)
    }
}

/// A bundle of resources; the first is what it is about.
pub(crate) fn bundle(entries: Vec<(String, Value)>) -> Value {
    let entry = |(url, resource)| json!({ "fullUrl": url, "resource": resource });
    json!({
        "resourceType": "Bundle",
        "type": "collection",
        "entry": entries.into_iter().map(entry).collect::<Vec<_>>(),
    })
}

/// A URL for a part of something of Cercle: the same each time, so that an import twice is an update.
pub(crate) fn part_url(id: &[u8], part: &str) -> String {
    let digest = Sha256::new().chain_update(id).chain_update(part.as_bytes()).finalize();
    let hex = cercle_proto::id::to_hex(&digest[..16]);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A time of the hub as FHIR writes it.
pub(crate) fn instant(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A user of a hub as a reference without resource.
pub(crate) fn user(user: &str, name: &str) -> Value {
    json!({ "identifier": { "system": system::USER, "value": user }, "display": name })
}

/// Without fields that say nothing: null, empty texts, lists and objects, which FHIR forbids.
pub(crate) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, value)| (name, tidy(value)));
            Value::Object(kept.filter(|(_, value)| !is_nothing(value)).collect())
        }
        Value::Array(list) => {
            Value::Array(list.into_iter().map(tidy).filter(|value| !is_nothing(value)).collect())
        }
        other => other,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
