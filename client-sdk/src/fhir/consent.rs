//! What a patient said to a request, as a Consent that the `ServiceRequest` names among its supporting information.

use serde_json::{Value, json};

use super::{FhirError, Problem, node::Node, system, tidy};
use crate::message::{
    Language, moment,
    request::{RequestConsent, RequestConsentMode},
};

/// The rule that asks for it (ppc-1 of R4 wants one named).
const RULE: &str = "CSP L1110-4";

pub(super) fn export(said: &RequestConsent, patient_url: Option<&str>) -> Value {
    let (status, provision) = match said.mode {
        RequestConsentMode::Oral | RequestConsentMode::Written => ("active", "permit"),
        RequestConsentMode::NotRequired => ("inactive", ""),
        RequestConsentMode::Refused => ("rejected", "deny"),
    };
    tidy(json!({
        "resourceType": "Consent",
        "status": status,
        "scope": { "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy",
        }] },
        "category": [{
            "coding": [{ "system": system::LOCAL, "code": said.mode.name() }],
            "text": said.mode.label(Language::French),
        }],
        "patient": patient_url.map(|url| json!({ "reference": url })),
        "dateTime": said.date,
        "policyRule": { "text": RULE },
        "provision": { "type": provision },
    }))
}

/// `None`, and a problem, if it does not say how it was given.
pub(super) fn import(
    node: &Node<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Option<RequestConsent>, FhirError> {
    let mut mode = None;
    for category in node.list("category")? {
        mode = mode.or(RequestConsentMode::named(&category.code_of(system::LOCAL)?));
    }
    if mode.is_none() && node.text_of("status")? == "rejected" {
        mode = Some(RequestConsentMode::Refused);
    }
    let Some(mode) = mode else {
        problems.push(Problem::new(node.path(), "does not say how it was given: note it yourself"));
        return Ok(None);
    };
    let date = node.text_of("dateTime")?;
    // A moment is cut to its day; anything else is for a person to look at.
    let date = date.get(..10).filter(|day| moment::is_day(day)).unwrap_or_default().to_owned();
    Ok(Some(RequestConsent { mode, date }))
}
