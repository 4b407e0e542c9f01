//! A request as a `ServiceRequest`, and what became of it as a Task (téléexpertise, and by the same elements the
//! other kinds).
//!
//! The profile asks for `status=draft`, `intent=proposal` while it is prepared; Cercle exports what was sent:
//! `active`, `order`.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Draft, FhirError, Problem, Resources,
    attached::{self, Attached},
    bundle, consent,
    document::{self, DraftDocument},
    instant,
    node::Node,
    part_url, patient,
    role::{self, Roles},
    system, tidy, user,
};
use crate::{
    limits,
    message::{
        Body, Language, Patient, Request, RequestId, moment,
        request::{Need, Priority, Purpose, Situation},
        transition::Action,
    },
    thread::requests::{Course, State, Step},
};

pub use attached::Contents;

/// The role of who took a step. `Annotation.author` of R4 may be a person, and no `PractitionerRole`.
const ACTING_ROLE: &str = "urn:cercle:extension:acting-role";

const PRIORITIES: [(Priority, &str); 4] = [
    (Priority::Routine, "routine"),
    (Priority::Urgent, "urgent"),
    (Priority::Asap, "asap"),
    (Priority::Stat, "stat"),
];

/// A request and its standing at a time: a bundle of `ServiceRequest`, Task, what the patient said, the patient
/// if this device may know whom it is about, and the documents of the request and of its steps.
#[must_use]
pub fn export(course: &Course, patient: Option<&Patient>, contents: &Contents, now_ms: u64) -> Value {
    let request = &course.request;
    let id = request.id.as_bytes();
    let [service_url, task_url, patient_url, consent_url] =
        ["service", "task", "patient", "consent"].map(|part| part_url(id, part));
    let patient = patient.or(request.patient.as_ref());
    let subject = patient.map(|_| patient_url.as_str());
    let consent = request.consent.as_ref().map(|said| (consent_url.clone(), consent::export(said, subject)));
    let documents = attached::all(course, subject, contents);
    let consented = consent.as_ref().map(|_| json!({ "reference": consent_url }));
    let informing = documents.iter().filter(|document| informs(course, document));
    let supporting = consented.into_iter().chain(informing.map(|document| document.reference.clone()));
    let mut entries = vec![
        (service_url.clone(), service(course, subject, supporting.collect(), now_ms)),
        (task_url, task(course, &service_url, &documents, now_ms)),
    ];
    entries.extend(consent);
    entries.extend(patient.map(|patient| (patient_url.clone(), patient::export(patient))));
    entries.extend(documents.into_iter().flat_map(|document| document.resources));
    bundle(entries)
}

/// Whether a document came from who asks: with the request, or when he was asked back.
fn informs(course: &Course, document: &Attached) -> bool {
    let step = document.step.and_then(|at| course.history.get(at));
    step.is_none_or(|step| matches!(step.action, Action::GiveInfo { .. }))
}

fn service(course: &Course, patient_url: Option<&str>, supporting: Vec<Value>, now_ms: u64) -> Value {
    let request = &course.request;
    let kind = request.purpose.kind();
    let status = match course.state_at(now_ms) {
        State::Completed => "completed",
        State::Cancelled | State::Declined | State::Expired => "revoked",
        _ => "active",
    };
    let priority = PRIORITIES.iter().find(|row| row.0 == request.priority).map_or("", |row| row.1);
    let reference = (!request.reference.is_empty())
        .then(|| json!({ "system": system::REFERENCE, "value": request.reference }));
    let (performer_type, details) = details(&request.purpose);
    let mut roles = Roles::default();
    let requester = roles.reference(&course.requester, &course.requester_name, &request.situation);
    tidy(json!({
        "resourceType": "ServiceRequest",
        "contained": roles.contained(),
        "identifier": [{ "system": system::MESSAGE, "value": request.id.to_hex() }, reference],
        "status": status,
        "intent": "order",
        "category": [{
            "coding": [{ "system": system::LOCAL, "code": kind.name() }],
            "text": kind.label(Language::French),
        }],
        "priority": priority,
        "code": { "text": request.title },
        "orderDetail": details.iter().map(|(code, text)| json!({
            "coding": [{ "system": system::LOCAL, "code": code }], "text": text,
        })).collect::<Vec<_>>(),
        "subject": patient_url.map_or_else(
            || json!({ "display": "transmis à qui prend la demande en charge" }),
            |url| json!({ "reference": url }),
        ),
        "occurrencePeriod": { "end": request.due_ms.map(instant) },
        "authoredOn": instant(course.asked_at_ms),
        "requester": requester,
        "performerType": { "coding": [{ "system": system::PROFESSION, "code": performer_type }] },
        "performer": [request.assignee.as_ref().map(|assignee| user(assignee.as_str(), ""))],
        "reasonCode": [{ "text": request.reason }],
        "supportingInfo": supporting,
    }))
}

/// Who is asked for, and the fields of a purpose that FHIR has no element for.
fn details(purpose: &Purpose) -> (&str, Vec<(&'static str, String)>) {
    match purpose {
        Purpose::Referral { recourse, speciality } => (speciality, vec![("recourse", recourse.to_string())]),
        Purpose::TeleExpertise { question, speciality } => (speciality, vec![("question", question.clone())]),
        Purpose::UnscheduledCare { profession, act, commune, delay_hours } => {
            let delay = delay_hours.to_string();
            (profession, vec![("act", act.clone()), ("commune", commune.clone()), ("delay_hours", delay)])
        }
        Purpose::PatientWithoutGp { commune, needs } => {
            ("", vec![("commune", commune.clone()), ("needs", needs.clone())])
        }
        Purpose::Discharge { facility, date, needs } => {
            let mut details = vec![("facility", facility.clone()), ("date", date.clone())];
            details.extend(needs.iter().map(|need| ("need", format!("{}|{}", need.profession, need.what))));
            ("", details)
        }
        Purpose::Prescription { structure, prescriber, date } => {
            let said = [("structure", structure), ("prescriber", prescriber), ("date", date)];
            ("", said.into_iter().map(|(code, text)| (code, text.clone())).collect())
        }
        Purpose::Task => ("", Vec::new()),
    }
}

/// Where a request stands: Task.status, with our state as business status.
fn task(course: &Course, service_url: &str, documents: &[Attached], now_ms: u64) -> Value {
    let state = course.state_at(now_ms);
    let status = match state {
        State::Open => "requested",
        State::Claimed => "accepted",
        State::InfoRequested => "on-hold",
        State::Answered | State::Scheduled => "in-progress",
        State::Completed => "completed",
        State::Declined => "rejected",
        State::Cancelled => "cancelled",
        State::Expired => "failed",
    };
    let last = course.history.last().map_or(course.asked_at_ms, |step| step.at_ms);
    let mut roles = Roles::default();
    let requester = roles.reference(&course.requester, &course.requester_name, &course.request.situation);
    let owner = course.standing.owner.as_ref().map(|owner| {
        let own = course.history.iter().rfind(|step| step.by == owner.user);
        let situation = own.map_or_else(Situation::default, |step| step.situation.clone());
        roles.reference(&owner.user, &owner.name, &situation)
    });
    let notes: Vec<Value> = course.history.iter().map(|step| note(step, &mut roles)).collect();
    let steps = course.history.iter().enumerate();
    let outcomes: Vec<Value> = steps.flat_map(|(at, step)| outcomes(step, at, documents)).collect();
    tidy(json!({
        "resourceType": "Task",
        "contained": roles.contained(),
        "identifier": [{ "system": system::MESSAGE, "value": course.request.id.to_hex() }],
        "status": status,
        "businessStatus": { "coding": [{ "system": system::LOCAL, "code": state.name() }] },
        "intent": "order",
        "focus": { "reference": service_url },
        "authoredOn": instant(course.asked_at_ms),
        "lastModified": instant(last),
        "requester": requester,
        "owner": owner,
        "restriction": { "period": { "end": course.request.due_ms.map(instant) } },
        "note": notes,
        "output": outcomes,
    }))
}

/// A step that counted: who, in which situation, when, what. All of them are the trace of the act.
fn note(step: &Step, roles: &mut Roles) -> Value {
    let role = roles.place(&step.by, &step.name, &step.situation);
    json!({
        "extension": [{ "url": ACTING_ROLE, "valueReference": { "reference": role } }],
        "authorReference": user(step.by.as_str(), &step.name),
        "time": instant(step.at_ms),
        "text": step.action.render(Language::French),
    })
}

/// What came of it: the expert's answer, the report, the documents that came with them.
fn outcomes(step: &Step, at: usize, documents: &[Attached]) -> Vec<Value> {
    let (code, text) = match &step.action {
        Action::Answer { text, .. } => ("answer", text),
        Action::Complete { report, .. } => ("report", report),
        _ => return Vec::new(),
    };
    let kind = json!({ "coding": [{ "system": system::LOCAL, "code": code }] });
    let said = (!text.is_empty()).then(|| json!({ "type": kind, "valueString": text }));
    let came = documents.iter().filter(|document| document.step == Some(at));
    let attached = came.map(|document| json!({ "type": kind, "valueReference": document.reference }));
    said.into_iter().chain(attached).collect()
}

/// A `ServiceRequest` as a request that can be asked: its id follows from the identifier, so that an import
/// twice is the same request.
pub(crate) fn import(node: &Node<'_>, resources: &Resources<'_>) -> Result<Draft, FhirError> {
    let mut problems = Vec::new();
    let purpose = purpose(node, &mut problems)?;
    let mut request = Request::new(id(node, &mut problems)?, purpose, title(node)?);
    for reason in node.list("reasonCode")? {
        let text = reason.text_of("text")?;
        request.reason =
            [request.reason, text].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    }
    let priority = node.text_of("priority")?;
    request.priority = match PRIORITIES.iter().find(|row| row.1 == priority) {
        Some((ours, _)) => *ours,
        None if priority.is_empty() => Priority::Routine,
        None => return Err(FhirError::new(format!("{}.priority", node.path()), "must be a code of FHIR")),
    };
    request.due_ms = due(node)?;
    if let Some(subject) = node.get("subject")? {
        match resources.resolve(node, &subject)? {
            Some(person) => request.patient = Some(patient::import(&person, &mut problems)?),
            None => {
                problems.push(Problem::new(subject.path(), "is not in this file: name the patient yourself"))
            }
        }
    }
    let documents = supporting(node, resources, &mut request, &mut problems)?;
    for identifier in node.list("identifier")? {
        if identifier.text_of("system")? == system::REFERENCE {
            request.reference = identifier.text_of("value")?;
        }
    }
    if let Some(requester) = node.get("requester")? {
        request.situation = role::import(node, &requester, resources)?;
    }
    if let Err(error) = request.check_asked(true) {
        problems.push(Problem::new(node.path(), error.to_string()));
    }
    request.documents = documents.iter().map(DraftDocument::stand_in).collect();
    let draft = Draft::of(&Body::Request(Box::new(request)), problems);
    let mut content = draft.content;
    content["documents"] = json!([]);
    Ok(Draft { content, documents, problems: draft.problems })
}

/// What informs whoever is asked: the patient's consent, and documents, as far as the file holds them.
fn supporting<'a>(
    node: &Node<'a>,
    resources: &Resources<'a>,
    request: &mut Request,
    problems: &mut Vec<Problem>,
) -> Result<Vec<DraftDocument>, FhirError> {
    let mut documents = Vec::new();
    for attached in node.list("supportingInfo")? {
        let found = resources.resolve(node, &attached)?;
        if let Some(said) = found.as_ref().filter(|found| found.is("Consent")) {
            request.consent = consent::import(said, problems)?;
            continue;
        }
        let read = match found.filter(|found| found.is("DocumentReference")) {
            // Each is read into memory: a short file can name one of them many times.
            Some(_) if documents.len() >= limits::DOCUMENTS_PER_MESSAGE_MAX => {
                Err("is one more than a message can name: attach the document yourself")
            }
            Some(found) => document::import(&found, request.patient.as_ref(), resources)?,
            None => Err("attach the document yourself"),
        };
        match read {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(Problem::new(attached.path(), problem)),
        }
    }
    Ok(documents)
}

fn title(node: &Node<'_>) -> Result<String, FhirError> {
    let Some(code) = node.get("code")? else { return Ok(String::new()) };
    let text = code.text_of("text")?;
    if !text.is_empty() {
        return Ok(text);
    }
    let first = code.list("coding")?.first().map(|coding| coding.text_of("display")).transpose()?;
    Ok(first.unwrap_or_default())
}

fn due(node: &Node<'_>) -> Result<Option<u64>, FhirError> {
    let mut text = node.text_at(&["occurrencePeriod", "end"])?;
    if text.is_empty() {
        text = node.text_of("occurrenceDateTime")?;
    }
    if text.is_empty() {
        return Ok(None);
    }
    // A day alone means its end, in UTC.
    let text = if moment::is_day(&text) { format!("{text}T23:59:59Z") } else { text };
    let wrong = || {
        FhirError::new(format!("{}.occurrence", node.path()), "must be a day, or a moment with its offset")
    };
    moment::at_ms(&text).map(Some).ok_or_else(wrong)
}

fn id(node: &Node<'_>, problems: &mut Vec<Problem>) -> Result<RequestId, FhirError> {
    let identifiers = node.list("identifier")?;
    let Some(first) = identifiers.first() else {
        problems.push(Problem::new(
            format!("{}.identifier", node.path()),
            "is missing: a second import would ask twice",
        ));
        return Ok(hashed(&node.value().to_string()));
    };
    let (system, value) = (first.text_of("system")?, first.text_of("value")?);
    let ours = (system == system::MESSAGE).then(|| RequestId::from_hex(&value)).flatten();
    Ok(ours.unwrap_or_else(|| hashed(&format!("{system}|{value}"))))
}

fn hashed(text: &str) -> RequestId {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    RequestId::new(id)
}

/// What is asked for, from the category and the order details.
fn purpose(node: &Node<'_>, problems: &mut Vec<Problem>) -> Result<Purpose, FhirError> {
    let mut kind = String::new();
    for category in node.list("category")? {
        let code = category.code_of(system::LOCAL)?;
        if !code.is_empty() {
            kind = code;
        }
    }
    let mut details = Vec::new();
    for detail in node.list("orderDetail")? {
        details.push((detail.code_of(system::LOCAL)?, detail.text_of("text")?));
    }
    let get = |name: &str| {
        let found = details.iter().find(|(code, _)| code == name);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let asked = node.get("performerType")?.map(|asked| asked.code_of(system::PROFESSION)).transpose()?;
    let speciality = asked.unwrap_or_default();
    Ok(match kind.as_str() {
        "referral" => Purpose::Referral { recourse: get("recourse").parse().unwrap_or(1), speciality },
        "tele_expertise" => Purpose::TeleExpertise { question: get("question"), speciality },
        "unscheduled_care" => Purpose::UnscheduledCare {
            profession: speciality,
            act: get("act"),
            commune: get("commune"),
            delay_hours: get("delay_hours").parse().unwrap_or(0),
        },
        "patient_without_gp" => Purpose::PatientWithoutGp { commune: get("commune"), needs: get("needs") },
        "discharge" => Purpose::Discharge {
            facility: get("facility"),
            date: get("date"),
            needs: details.iter().filter(|(code, _)| code == "need").map(|(_, text)| need(text)).collect(),
        },
        "prescription" => Purpose::Prescription {
            structure: get("structure"),
            prescriber: get("prescriber"),
            date: get("date"),
        },
        "task" => Purpose::Task,
        _ => {
            let element = format!("{}.category", node.path());
            problems.push(Problem::new(element, "has no code that is known; it was read as a referral"));
            Purpose::Referral { recourse: 1, speciality }
        }
    })
}

fn need(text: &str) -> Need {
    let (profession, what) = text.split_once('|').unwrap_or(("", text));
    Need { profession: profession.to_owned(), what: what.to_owned() }
}
