//! What a patient said, as a Consent: to a request, whose `ServiceRequest` names it among its supporting information;
//! to a circle, in whose bundle it lies.

use serde_json::{Value, json};

use super::{FhirError, Problem, instant, node::Node, system, tidy, user};
use crate::message::{
    CircleConsent, ConsentDecision, ConsentMode, Language, moment,
    request::{RequestConsent, RequestConsentMode},
};

/// The rule that asks for it (ppc-1 of R4 wants one named).
const RULE: &str = "CSP L1110-4";

/// Who heard what a patient said; FHIR R4 has an element for who agrees only.
const COLLECTOR: &str = "urn:cercle:extension:consent-collector";

const DECISIONS: [(ConsentDecision, &str); 3] = [
    (ConsentDecision::Consent, "consent"),
    (ConsentDecision::Objection, "objection"),
    (ConsentDecision::Withdrawal, "withdrawal"),
];

const MODES: [(ConsentMode, &str); 3] =
    [(ConsentMode::Oral, "oral"), (ConsentMode::Written, "written"), (ConsentMode::Electronic, "electronic")];

/// What was said to a request.
pub(super) fn export(said: &RequestConsent, patient_url: Option<&str>) -> Value {
    let (status, provision) = match said.mode {
        RequestConsentMode::Oral | RequestConsentMode::Written => ("active", "permit"),
        RequestConsentMode::NotRequired => ("inactive", ""),
        RequestConsentMode::Refused => ("rejected", "deny"),
    };
    tidy(json!({
        "resourceType": "Consent",
        "status": status,
        "scope": scope(),
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

fn scope() -> Value {
    let privacy = "http://terminology.hl7.org/CodeSystem/consentscope";
    json!({ "coding": [{ "system": privacy, "code": "patient-privacy" }] })
}

/// What was said to a circle; `counts`: nothing was said about the same since.
pub(super) fn export_said(said: &CircleConsent, counts: bool, patient_url: &str) -> Value {
    let (status, provision) = match said.decision {
        ConsentDecision::Consent => ("active", "permit"),
        ConsentDecision::Objection => ("rejected", "deny"),
        ConsentDecision::Withdrawal | ConsentDecision::Unspecified => ("inactive", ""),
    };
    let decision = DECISIONS.iter().find(|row| row.0 == said.decision).map_or("", |row| row.1);
    let mode = MODES.iter().find(|row| row.0 == said.mode).map_or("", |row| row.1);
    let category = |code: &str, label: &str| {
        (!code.is_empty())
            .then(|| json!({ "coding": [{ "system": system::LOCAL, "code": code }], "text": label }))
    };
    let receiver = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
    let person = (!said.person.is_empty()).then(|| {
        json!({
            "role": { "coding": [{ "system": receiver, "code": "IRCP" }] },
            "reference": user(&said.person, ""),
        })
    });
    let collector =
        (!said.collector.is_empty()).then(|| json!({ "url": COLLECTOR, "valueString": said.collector }));
    tidy(json!({
        "resourceType": "Consent",
        "extension": [collector],
        "status": if counts { status } else { "inactive" },
        "scope": scope(),
        "category": [
            category(decision, said.decision.label(Language::French)),
            category(mode, said.mode.label(Language::French)),
        ],
        "patient": { "reference": patient_url },
        "dateTime": instant(said.date_ms),
        "policyRule": { "text": RULE },
        "provision": { "type": provision, "actor": [person], "code": [{ "text": said.scope }] },
    }))
}

/// What was said to a circle. What the file does not say is a problem, and left for a person to fill in.
pub(super) fn import_said(node: &Node<'_>, problems: &mut Vec<Problem>) -> Result<CircleConsent, FhirError> {
    let mut said = CircleConsent::default();
    for category in node.list("category")? {
        let code = category.code_of(system::LOCAL)?;
        if let Some((decision, _)) = DECISIONS.iter().find(|row| row.1 == code) {
            said.decision = *decision;
        }
        if let Some((mode, _)) = MODES.iter().find(|row| row.1 == code) {
            said.mode = *mode;
        }
    }
    if said.decision == ConsentDecision::Unspecified {
        said.decision = match node.text_of("status")?.as_str() {
            "active" => ConsentDecision::Consent,
            "rejected" => ConsentDecision::Objection,
            _ => ConsentDecision::Unspecified,
        };
    }
    let date = node.text_of("dateTime")?;
    let begin = if moment::is_day(&date) { format!("{date}T00:00:00Z") } else { date };
    said.date_ms = moment::at_ms(&begin).unwrap_or_default();
    said.collector =
        node.extension(COLLECTOR)?.map(|one| one.text_of("valueString")).transpose()?.unwrap_or_default();
    if let Some(provision) = node.get("provision")? {
        for code in provision.list("code")? {
            said.scope = [said.scope, code.text_of("text")?].concat();
        }
        for actor in provision.list("actor")? {
            if actor.text_at(&["reference", "identifier", "system"])? == system::USER {
                said.person = actor.text_at(&["reference", "identifier", "value"])?;
            } else {
                let problem = "is no user on a hub of Cercle: say yourself whom it concerns";
                problems.push(Problem::new(actor.path(), problem));
            }
        }
    }
    let missing = [
        ("category", said.decision == ConsentDecision::Unspecified, "does not say what the patient decided"),
        ("category", said.mode == ConsentMode::Unspecified, "does not say how it was said: note it yourself"),
        ("dateTime", said.date_ms == 0, "does not say when it was said: note it yourself"),
        ("extension", said.collector.is_empty(), "does not say who heard it: note it yourself"),
    ];
    for (element, _, problem) in missing.into_iter().filter(|row| row.1) {
        problems.push(Problem::new(format!("{}.{element}", node.path()), problem));
    }
    Ok(said)
}

/// What was said to a request. `None`, and a problem, if it does not say how it was given.
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
