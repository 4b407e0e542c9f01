//! An alert about a patient as a `CommunicationRequest` (notification d'évènements, flux 3).
//!
//! The profile has no place for where it happened: a contained Location is named by an extension of ours.

use serde_json::{Value, json};

use super::{Draft, FhirError, Problem, Resources, instant, node::Node, patient, system, tidy, user};
use crate::{
    event::Message,
    message::{
        Body, EventAlert, Language,
        event_alert::{EventAlertPriority, EventAlertType},
    },
};

const EVENT_TYPE: &str = "https://interop.esante.gouv.fr/ig/fhir/nde/StructureDefinition/event-type";
const EVENT_TIME: &str = "https://interop.esante.gouv.fr/ig/fhir/nde/StructureDefinition/event-time";
const LOCATION: &str = "urn:cercle:extension:event-location";
/// Codes of `JDV_J46` (type d'évènement de notification).
const NATIONAL_TYPES: &str =
    "https://mos.esante.gouv.fr/NOS/TRE_R254-TypeEvenement/FHIR/TRE-R254-TypeEvenement";

/// Types that the national list has, with their codes; the others are codes of ours.
const TYPES: [(EventAlertType, &str, &str); 8] = [
    (EventAlertType::Admission, NATIONAL_TYPES, "ADM"),
    (EventAlertType::Discharge, NATIONAL_TYPES, "SOR"),
    (EventAlertType::Document, NATIONAL_TYPES, "DOC"),
    (EventAlertType::Note, NATIONAL_TYPES, "NOT"),
    (EventAlertType::Fall, system::LOCAL, "fall"),
    (EventAlertType::CareRefusal, system::LOCAL, "care-refusal"),
    (EventAlertType::Decompensation, system::LOCAL, "decompensation"),
    (EventAlertType::Other, system::LOCAL, "other"),
];

const PRIORITIES: [(EventAlertPriority, &str); 4] = [
    (EventAlertPriority::Routine, "routine"),
    (EventAlertPriority::Urgent, "urgent"),
    (EventAlertPriority::Asap, "asap"),
    (EventAlertPriority::Stat, "stat"),
];

/// An alert that the hub has accepted.
#[must_use]
pub fn export(message: &Message, alert: &EventAlert) -> Value {
    let (_, type_system, type_code) =
        TYPES.iter().find(|row| row.0 == alert.alert_type).copied().unwrap_or((alert.alert_type, "", ""));
    let priority = PRIORITIES.iter().find(|row| row.0 == alert.priority).map_or("", |row| row.1);
    let emitter = user(message.sender.as_str(), &alert.emitter);
    let recipient = |name: &String| {
        if name.contains('@') { user(name, name) } else { json!({ "display": name }) }
    };
    tidy(json!({
        "resourceType": "CommunicationRequest",
        "contained": [
            alert.patient.as_ref().map(patient::contained),
            { "resourceType": "Location", "id": "location", "name": alert.location },
        ],
        "extension": [
            { "url": EVENT_TYPE, "valueCodeableConcept": {
                "coding": [{ "system": type_system, "code": type_code }],
                "text": alert.alert_type.label(Language::French),
            } },
            { "url": EVENT_TIME, "valueDateTime": alert.date },
            { "url": LOCATION, "valueReference": { "reference": "#location" } },
        ],
        "identifier": [{ "system": system::MESSAGE, "value": message.id.to_hex() }],
        "status": "active",
        "priority": priority,
        "medium": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode", "code": "ELECTRONIC",
        }] }],
        "subject": { "reference": "#patient" },
        "payload": [{ "contentString": alert.text }],
        "authoredOn": instant(message.at_ms),
        "requester": emitter,
        "recipient": alert.recipients.iter().map(recipient).collect::<Vec<_>>(),
    }))
}

pub(crate) fn import(node: &Node<'_>, resources: &Resources<'_>) -> Result<Draft, FhirError> {
    let mut problems = Vec::new();
    let subject = node.required("subject")?;
    let person = resources.resolve(node, &subject)?.map(|person| patient::import(&person, &mut problems));
    if person.is_none() {
        problems.push(Problem::new(subject.path(), "is not in this file"));
    }
    let coded =
        node.extension(EVENT_TYPE)?.map(|found| found.get("valueCodeableConcept")).transpose()?.flatten();
    let mut alert_type = EventAlertType::Unspecified;
    if let Some(coded) = &coded {
        for (ours, system, code) in TYPES {
            if coded.code_of(system)? == code {
                alert_type = ours;
            }
        }
        if alert_type == EventAlertType::Unspecified {
            alert_type = EventAlertType::Other;
            problems
                .push(Problem::new(coded.path(), "has no code that is known; it was read as another event"));
        }
    }
    let date = node.extension(EVENT_TIME)?.map(|found| found.text_of("valueDateTime")).transpose()?;
    let mut location = String::new();
    if let Some(place) =
        node.extension(LOCATION)?.map(|found| found.get("valueReference")).transpose()?.flatten()
    {
        let found = resources.resolve(node, &place)?;
        location = found.map(|found| found.text_of("name")).transpose()?.unwrap_or_default();
    }
    let mut recipients = Vec::new();
    for recipient in node.list("recipient")? {
        recipients.push(name_of(&recipient, resources, node)?);
    }
    let mut texts = Vec::new();
    for payload in node.list("payload")? {
        texts.push(payload.text_of("contentString")?);
        texts.push(payload.text_at(&["contentAttachment", "title"])?);
    }
    texts.retain(|text| !text.is_empty());
    let requester = node.get("requester")?;
    let emitter = requester.map(|one| shown_name(&one, resources, node)).transpose()?;
    let priority = node.text_of("priority")?;
    let alert = EventAlert {
        emitter: emitter.unwrap_or_default(),
        patient: person.transpose()?,
        recipients,
        date: date.unwrap_or_default(),
        location,
        alert_type,
        priority: PRIORITIES.iter().find(|row| row.1 == priority).map(|row| row.0).unwrap_or_default(),
        text: texts.join("\n"),
        hub_alert: None,
    };
    Ok(Draft::of(&Body::EventAlert(alert), problems))
}

/// A user id of Cercle, else the name.
fn name_of<'a>(
    reference: &Node<'a>,
    resources: &Resources<'a>,
    holder: &Node<'a>,
) -> Result<String, FhirError> {
    if reference.text_at(&["identifier", "system"])? == system::USER {
        return reference.text_at(&["identifier", "value"]);
    }
    shown_name(reference, resources, holder)
}

/// The name that a reference shows, else the name of what it points at.
fn shown_name<'a>(
    reference: &Node<'a>,
    resources: &Resources<'a>,
    holder: &Node<'a>,
) -> Result<String, FhirError> {
    let shown = reference.text_of("display")?;
    if !shown.is_empty() {
        return Ok(shown);
    }
    let target = resources.resolve(holder, reference)?;
    Ok(target.and_then(|target| target.text_of("name").ok()).unwrap_or_default())
}
