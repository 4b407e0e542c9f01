//! What goes out comes back, what the national examples say is read, and damaged files are answered by the name of
//! the element.

use std::collections::BTreeMap;

use cercle_proto::id::{BlobId, DeviceId, GroupId, MessageId, UserId};
use serde_json::{Value, json};

use super::{circle, document, export, import, request, request::Contents};
use crate::{
    event::Message,
    message::{
        Body, CircleAudience, CircleBasis, CircleClass, CircleMember, CircleStanding, Document, Patient,
        Request, RequestId,
        patient::{Gender, Reliability},
        request::{Need, Priority, Purpose, RequestConsent, RequestConsentMode, Situation},
        template,
        transition::Action,
    },
    thread::{
        Circle,
        requests::{Course, Owner, Standing, State, Step},
    },
};

mod circles;
mod requests;

const CARE_TEAM: &str = include_str!("samples/careteam.json");
const ROLE: &str = include_str!("samples/practitioner_role.json");
const EVENT: &str = include_str!("samples/event.json");

fn message(body: Body) -> Message {
    Message {
        group: GroupId::new([1; 16]),
        seq: 1,
        id: MessageId::new([7; 16]),
        sender: UserId::new("ines.durand", "cpts.example").unwrap(),
        device: DeviceId::new([2; 16]),
        display_name: "Inès Durand".to_owned(),
        own: true,
        expired_certificate: false,
        by_administrator: false,
        at_ms: 1_795_250_000_000,
        sent_at_ms: 1_795_250_000_000,
        in_reply_to: None,
        exported_by: None,
        body,
    }
}

fn filled(kind: &str) -> Body {
    serde_json::from_str(template::of(kind).unwrap()).unwrap()
}

fn patient() -> Patient {
    Patient {
        birth_name: "THOBOIS".to_owned(),
        birth_given_names: vec!["Jacques".to_owned(), "Marie".to_owned()],
        used_name: "MARTIN".to_owned(),
        used_given_name: "Jacques".to_owned(),
        birth_date: "1984-10-02".to_owned(),
        gender: Gender::Male,
        birth_place: "29064".to_owned(),
        reliability: Reliability::Validated,
        ins: "184102906401234".to_owned(),
        ins_oid: "1.2.250.1.213.1.4.8".to_owned(),
        phone: "0602143212".to_owned(),
        address: "12 rue de la Paix, 75004 Paris".to_owned(),
    }
}

/// The only draft of an exported resource, which has nothing to look at.
fn back(exported: &Value) -> Body {
    let drafts = import(&exported.to_string()).unwrap();
    let [draft] = drafts.as_slice() else { panic!("{} drafts", drafts.len()) };
    assert_eq!(draft.problems, []);
    serde_json::from_value(draft.content.clone()).unwrap()
}

fn course(purpose: Purpose) -> Course {
    let mut asked = Request::new(RequestId::new([5; 16]), purpose, "Avis sur une lésion");
    asked.reason = "Lésion pigmentée, évolution en 3 mois".to_owned();
    asked.priority = Priority::Urgent;
    asked.due_ms = Some(1_795_300_000_000);
    Course {
        request: asked,
        group: GroupId::new([1; 16]),
        requester: UserId::new("claire.martin", "cpts.example").unwrap(),
        requester_name: "Dr Claire MARTIN".to_owned(),
        asked_at_ms: 1_795_250_000_000,
        seq: 1,
        standing: Standing {
            state: State::Open,
            owner: None,
            assignee: None,
            register: None,
            declined_by: Vec::new(),
            progress: None,
        },
        history: Vec::new(),
    }
}

#[test]
fn an_alert_and_a_card_come_back_as_they_went() {
    for kind in ["event_alert", "directory_card"] {
        let body = filled(kind);
        let exported = export(&message(body.clone()), None).unwrap();
        assert_eq!(back(&exported), body, "{kind}");
    }
    assert!(export(&message(filled("bulletin")), None).is_none());
}

#[test]
fn an_alert_has_what_the_national_profile_requires() {
    let exported = export(&message(filled("event_alert")), None).unwrap();
    for element in ["subject", "requester", "payload", "authoredOn", "status", "medium", "contained"] {
        assert!(exported.get(element).is_some(), "{element}");
    }
    assert!(exported["authoredOn"].as_str().unwrap().starts_with("2026-11-2"));
    assert_eq!(exported["recipient"][0]["identifier"]["value"], "claire.martin@cpts.example");
}

#[test]
fn an_identity_keeps_its_traits_and_its_ins_only_when_it_is_validated() {
    let exported = super::patient::export(&patient());
    let node = super::Resources::of(&exported).unwrap().nodes.remove(0);
    let mut problems = Vec::new();
    assert!(super::patient::import(&node, &mut problems).unwrap() == patient());
    assert_eq!(problems, []);
    let doubtful = Patient { reliability: Reliability::Retrieved, ..patient() };
    assert!(!super::patient::export(&doubtful).to_string().contains(&doubtful.ins));
    let mut stolen = exported.clone();
    stolen["extension"][0]["extension"][0]["valueCoding"]["code"] = "PROV".into();
    let node = super::Resources::of(&stolen).unwrap().nodes.remove(0);
    let read = super::patient::import(&node, &mut problems).unwrap();
    assert_eq!(
        (read.ins.as_str(), problems.len()),
        ("", 1),
        "an INS without a validated identity is left out"
    );
}

#[test]
fn every_kind_of_request_comes_back_as_it_went() {
    let text = |text: &str| text.to_owned();
    let purposes = [
        Purpose::Referral { recourse: 2, speciality: text("SM15") },
        Purpose::TeleExpertise { question: text("Biopsie ?"), speciality: text("SM15") },
        Purpose::UnscheduledCare {
            profession: text("60"),
            act: text("pansement"),
            commune: text("29064"),
            delay_hours: 24,
        },
        Purpose::PatientWithoutGp { commune: text("29064"), needs: text("renouvellement") },
        Purpose::Discharge {
            facility: text("CH de Brest"),
            date: text("2026-11-24"),
            needs: vec![
                Need { profession: text("60"), what: text("perfusion | matin") },
                Need { profession: text(""), what: text("lit") },
            ],
        },
        Purpose::Task,
    ];
    for purpose in purposes {
        let mut course = course(purpose);
        course.request.reference = text("VT-2026-0042");
        course.request.situation = Situation { profession: text("10"), structure: text("1750000123") };
        let consent = RequestConsent { mode: RequestConsentMode::Oral, date: text("2026-11-20") };
        course.request.consent = Some(consent);
        let Body::Request(read) = back(&request::export(&course, Some(&patient()), &Contents::new(), 0))
        else {
            panic!("a request")
        };
        assert!(read.patient == Some(patient()));
        assert!(Request { patient: None, ..*read } == course.request, "{:?}", course.request.purpose.kind());
    }
}

#[test]
fn a_request_without_known_patient_names_none_and_says_so_when_it_is_read() {
    let course = course(Purpose::Referral { recourse: 1, speciality: "SM15".to_owned() });
    let exported = request::export(&course, None, &Contents::new(), 0);
    assert_eq!(exported["entry"].as_array().unwrap().len(), 2, "no Patient");
    let drafts = import(&exported.to_string()).unwrap();
    assert_eq!(drafts[0].problems[0].element, "entry[0].resource(ServiceRequest).subject");
}

#[test]
fn the_standing_of_a_request_is_the_status_of_its_task() {
    let now = 1_795_250_000_001;
    for (state, service, task) in [
        (State::Open, "active", "requested"),
        (State::Claimed, "active", "accepted"),
        (State::Scheduled, "active", "in-progress"),
        (State::Completed, "completed", "completed"),
        (State::Cancelled, "revoked", "cancelled"),
        (State::Declined, "revoked", "rejected"),
    ] {
        let mut course = course(Purpose::Task);
        course.standing.state = state;
        let exported = request::export(&course, None, &Contents::new(), now);
        assert_eq!(exported["entry"][0]["resource"]["status"], service);
        assert_eq!(exported["entry"][1]["resource"]["status"], task);
        assert_eq!(exported["entry"][1]["resource"]["businessStatus"]["coding"][0]["code"], state.name());
    }
}

#[test]
fn the_task_of_an_opinion_has_the_trace_of_the_act_and_the_answer() {
    let (claire, nadia) = ("Dr Claire MARTIN", "Dr Nadia ROSSI");
    let mut course =
        course(Purpose::TeleExpertise { question: "Biopsie ?".to_owned(), speciality: String::new() });
    let steps = [
        (nadia, Action::Claim { receipt: None, owner_name: String::new() }),
        (nadia, Action::AskInfo { text: "Depuis quand ?".to_owned() }),
        (claire, Action::GiveInfo { text: "Trois mois.".to_owned(), documents: Vec::new() }),
        (nadia, Action::Answer { text: "Pas de biopsie.".to_owned(), documents: Vec::new() }),
    ];
    for (seq, (name, action)) in (2..).zip(steps) {
        course.history.push(Step {
            message: MessageId::new([9; 16]),
            seq,
            at_ms: 1_795_250_000_000 + seq,
            by: UserId::new(if name == nadia { "nadia.rossi" } else { "claire.martin" }, "cpts.example")
                .unwrap(),
            name: name.to_owned(),
            device: DeviceId::new([2; 16]),
            situation: Situation::default(),
            action,
            state: State::Claimed,
        });
    }
    let task = &request::export(&course, None, &Contents::new(), 0)["entry"][1]["resource"];
    let notes = task["note"].as_array().unwrap();
    assert_eq!(notes.len(), 4);
    assert_eq!(notes[1]["authorReference"]["identifier"]["value"], "nadia.rossi@cpts.example");
    assert_eq!(notes[3]["time"], "2026-11-21T08:33:20.005Z");
    assert!(notes[2]["text"].as_str().unwrap().contains("Trois mois."));
    let output = task["output"].as_array().unwrap();
    let [answer] = output.as_slice() else { panic!("{output:?}") };
    assert_eq!(
        (&answer["type"]["coding"][0]["code"], &answer["valueString"]),
        (&json!("answer"), &json!("Pas de biopsie."))
    );
}

#[test]
fn a_circle_comes_back_with_its_periods_and_asks_for_the_basis() {
    let member = |user: &str, class: CircleClass, start: u64, end: Option<u64>| CircleMember {
        user: format!("{user}@cpts.example"),
        display_name: user.to_owned(),
        class,
        role: "infirmière".to_owned(),
        basis: CircleBasis::SameTeam,
        starts_at_ms: start,
        ends_at_ms: end,
        note: String::new(),
    };
    let members = [
        vec![
            member("ann", CircleClass::Professional, 1_000, Some(2_000)),
            member("ann", CircleClass::Professional, 3_000, None),
        ],
        vec![member("bob", CircleClass::Relative, 1_000, None)],
        vec![member("zoe", CircleClass::VerifiedOther, 1_000, None)],
    ];
    let circle = Circle {
        patient: patient(),
        audience: CircleAudience::default(),
        standing: CircleStanding::Open,
        members: members
            .into_iter()
            .map(|entries| (entries[0].user.clone(), entries))
            .collect::<BTreeMap<_, _>>(),
        consents: Vec::new(),
        summary: false,
    };
    let exported = circle::export(GroupId::new([9; 16]), "Cercle de M. Thobois", &circle);
    let drafts = import(&exported.to_string()).unwrap();
    let [draft] = drafts.as_slice() else { panic!("{} drafts", drafts.len()) };
    let Body::CircleOpened(read) = serde_json::from_value(draft.content.clone()).unwrap() else { panic!() };
    assert!(read.patient == patient());
    let expected: Vec<CircleMember> = circle
        .members
        .into_values()
        .flatten()
        .map(|member| CircleMember { basis: CircleBasis::None, ..member })
        .collect();
    assert!(read.members == expected);
    assert_eq!(draft.problems.len(), 4, "the basis of each participation is for a person to say");
}

#[test]
fn a_document_goes_without_key_and_with_its_content_if_it_is_at_hand() {
    let attached = Document {
        blob: BlobId::new([3; 16]),
        key: [4; 32],
        size: 5,
        sha256: [6; 32],
        name: "ordonnance.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        document_type: crate::message::DocumentType::Prescription,
        title: "Ordonnance".to_owned(),
        confidentiality: vec!["MASQUE_PS".to_owned()],
        thumbnail: Vec::new(),
    };
    let message = message(Body::Document(attached.clone()));
    let alone = export(&message, None).unwrap();
    assert_eq!(alone["type"]["coding"][0]["code"], "57833-6");
    assert!(alone["content"][0]["attachment"].get("url").is_none());
    let whole = document::export(&message, &attached, None, Some(b"%PDF-"));
    let [reference, binary] = [0, 1].map(|at| &whole["entry"][at]);
    assert_eq!(reference["resource"]["content"][0]["attachment"]["url"], binary["fullUrl"]);
    assert_eq!(binary["resource"]["data"], "JVBERi0=");
    let text = whole.to_string();
    for secret in ["0303030303", "0404040404", "0606060606"] {
        assert!(!text.contains(secret), "neither blob, key nor hash");
    }
}

#[test]
fn the_national_examples_are_read() {
    let circle = &import(CARE_TEAM).unwrap()[0];
    assert_eq!(circle.content["patient"]["birth_name"], "Thobois");
    assert_eq!(circle.content["patient"]["ins"], "123456789012244");
    assert_eq!(circle.content["patient"]["birth_place"], "29064");
    assert_eq!(circle.content["members"][0]["display_name"], "CHIBOUT Lamine");
    assert_eq!(circle.content["members"][0]["class"], "relative");
    let named: Vec<&str> = circle.problems.iter().map(|problem| problem.element.as_str()).collect();
    let team = "entry[0].resource(CareTeam)";
    assert!(named.contains(&format!("{team}.participant[1].member").as_str()), "a structure: {named:?}");

    let card = &import(ROLE).unwrap()[0];
    assert_eq!(card.problems, []);
    assert_eq!(card.content["name"], "Arthur Saucier");
    assert_eq!(card.content["profession"], "10");
    assert_eq!(card.content["structure"], "CABINET SAINT ANTOINE");
    assert_eq!(card.content["mailbox"], "jeromebonnet@pro.mssante.fr");
    assert_eq!(card.content["identifiers"].as_array().unwrap().len(), 2);

    let event = &import(EVENT).unwrap()[0];
    assert_eq!(event.content["alert_type"], "discharge");
    assert_eq!(event.content["emitter"], "Service de pneumologie, Hôpital Test");
    assert_eq!(event.content["date"], "2019-01-01T00:00:00Z");
    assert_eq!(event.problems.len(), 1, "recipients are missing: {:?}", event.problems);
}

#[test]
fn what_cercle_wrote_from_an_example_says_the_same_when_it_is_read_again() {
    let card = import(ROLE).unwrap().remove(0);
    let body: Body = serde_json::from_value(card.content.clone()).unwrap();
    assert_eq!(back(&export(&message(body.clone()), None).unwrap()), body);

    // Somebody completes the alert, as its draft says.
    let mut event = import(EVENT).unwrap().remove(0).content;
    event["recipients"] = json!(["claire.martin@cpts.example"]);
    event["location"] = json!("Domicile");
    event["priority"] = json!("urgent");
    let body: Body = serde_json::from_value(event).unwrap();
    assert_eq!(back(&export(&message(body.clone()), None).unwrap()), body);

    // And gives each member of the circle a basis: what FHIR does not know is asked for again.
    let team = import(CARE_TEAM).unwrap().remove(0);
    let Body::CircleOpened(opened) = serde_json::from_value(team.content).unwrap() else {
        panic!("a circle")
    };
    let members = opened.members.iter().fold(BTreeMap::<_, Vec<_>>::new(), |mut members, member| {
        members.entry(member.user.clone()).or_default().push(member.clone());
        members
    });
    let circle = Circle {
        patient: opened.patient.clone(),
        audience: opened.audience,
        standing: CircleStanding::Open,
        members,
        consents: Vec::new(),
        summary: false,
    };
    let exported = circle::export(GroupId::new([9; 16]), "Cercle", &circle);
    let again = import(&exported.to_string()).unwrap().remove(0);
    let Body::CircleOpened(read) = serde_json::from_value(again.content).unwrap() else { panic!("a circle") };
    assert!(read.patient == opened.patient && read.members.len() == opened.members.len());
}

/// Puts a value in the place of an element, or removes it.
fn damaged(sample: &str, pointer: &str, value: Option<Value>) -> String {
    let mut json: Value = serde_json::from_str(sample).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = json.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match value {
        Some(value) => parent[name] = value,
        None => drop(parent.as_object_mut().unwrap().remove(name).unwrap_or_else(|| panic!("{pointer}"))),
    }
    json.to_string()
}

#[test]
fn twenty_damaged_files_are_answered_by_the_name_of_the_element() {
    let team = |pointer: &str, value: Option<Value>| damaged(CARE_TEAM, pointer, value);
    let files = [
        (String::new(), "file"),
        ("{".to_owned(), "file"),
        ("[]".to_owned(), "file"),
        ("null".to_owned(), ""),
        ("{}".to_owned(), "resourceType"),
        (json!({ "resourceType": 7 }).to_string(), "resourceType"),
        (json!({ "resourceType": "Observation" }).to_string(), "resourceType"),
        (json!({ "resourceType": "../etc" }).to_string(), "resourceType"),
        (json!({ "resourceType": "Bundle", "entry": {} }).to_string(), "entry"),
        (json!({ "resourceType": "Bundle", "entry": [{}] }).to_string(), "entry[0].resource"),
        (team("/entry/0/fullUrl", Some(json!(3))), "entry[0].fullUrl"),
        (team("/entry/0/resource/status", None), "CareTeam).status"),
        (team("/entry/0/resource/subject", None), "CareTeam).subject"),
        (team("/entry/0/resource/subject", Some(json!("Patient/1"))), "CareTeam).subject"),
        (team("/entry/0/resource/participant", Some(json!("tous"))), "CareTeam).participant"),
        (team("/entry/0/resource/participant/0/member", None), "participant[0].member"),
        (
            team("/entry/0/resource/participant/0/period/start", Some(json!("hier"))),
            "participant[0].period.start",
        ),
        (team("/entry/2/resource/gender", Some(json!("m"))), "Patient).gender"),
        (team("/entry/2/resource/name", Some(json!([["Thobois"]]))), "Patient).name[0]"),
        (team("/entry/2/resource/birthDate", Some(json!(1984))), "Patient).birthDate"),
        (damaged(ROLE, "/entry/1/resource/telecom", Some(json!([null]))), "Practitioner).telecom[0]"),
        (damaged(EVENT, "/payload", Some(json!([{ "contentString": {} }]))), "payload[0].contentString"),
    ];
    assert!(files.len() >= 20);
    for (file, element) in files {
        let error = import(&file).unwrap_err();
        assert!(error.element.contains(element), "{element}: {error}");
        assert!(!error.problem.is_empty() && !error.to_string().contains("Thobois"), "{error}");
    }
}
