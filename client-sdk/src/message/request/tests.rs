//! Requests and their steps over the wire and in JSON, and what is refused.

use cercle_proto::id::{BlobId, GroupId, RegisterId, UserId};

use super::{
    Audience, Need, Priority, Purpose, Request, RequestConsent, RequestConsentMode, RequestId, Several,
    Situation, Widening,
};
use crate::{
    error::Error,
    message::{
        Body, Content, Document, DocumentType, Draft, Handover, Kind as _, Language, Patient, ThreadKind,
        Transition, compose, guard,
        kind::Wire as _,
        transition::{Action, PrescriptionStep, Receipt},
    },
};

const ID: RequestId = RequestId::new([7; 16]);

fn text(text: &str) -> String {
    text.to_owned()
}

fn document() -> Document {
    Document {
        blob: BlobId::new([3; 16]),
        key: [0; 32],
        size: 5,
        sha256: [6; 32],
        name: text("ordonnance.pdf"),
        media_type: text("application/pdf"),
        document_type: DocumentType::Prescription,
        title: text(""),
        confidentiality: Vec::new(),
        thumbnail: Vec::new(),
    }
}

fn patient() -> Patient {
    Patient {
        birth_name: text("Pirineoz"),
        birth_given_names: vec![text("Zénobie")],
        birth_date: text("1941-02-03"),
        ..Patient::default()
    }
}

fn purposes() -> Vec<Purpose> {
    vec![
        Purpose::Referral { recourse: 3, speciality: text("SM05") },
        Purpose::TeleExpertise { question: text("Naevus ?"), speciality: text("SM15") },
        Purpose::UnscheduledCare {
            profession: text("60"),
            act: text("Pansement"),
            commune: text("65440"),
            delay_hours: 24,
        },
        Purpose::PatientWithoutGp { commune: text("65440"), needs: text("Renouvellement") },
        Purpose::Discharge {
            facility: text("CH fictif"),
            date: text("2026-11-24"),
            needs: vec![Need { profession: text("70"), what: text("Kinésithérapie") }],
        },
        prescription("Officine fictive", "Dr Claire Martin", "2026-11-24"),
        Purpose::Task,
    ]
}

fn prescription(structure: &str, prescriber: &str, date: &str) -> Purpose {
    Purpose::Prescription { structure: text(structure), prescriber: text(prescriber), date: text(date) }
}

fn actions() -> Vec<Action> {
    let (reason, documents) = (text("Parce que"), vec![document()]);
    let receipt = Receipt::new(&cercle_proto::v1::ClaimReceipt { at_ms: 5, ..Default::default() });
    vec![
        Action::Claim { receipt: Some(receipt), owner_name: text("Dr Bruno") },
        Action::Claim { receipt: None, owner_name: text("") },
        Action::Release { reason: reason.clone() },
        Action::Decline { reason: reason.clone() },
        Action::AskInfo { text: reason.clone() },
        Action::GiveInfo { text: reason.clone(), documents: documents.clone() },
        Action::Answer { text: reason.clone(), documents: documents.clone() },
        Action::Schedule { from_ms: 5, to_ms: Some(6), place: text("Cabinet") },
        Action::Complete { report: text(""), documents },
        Action::Cancel { reason },
        Action::Widen { groups: vec![GroupId::new([1; 16])] },
        Action::Reopen { register: RegisterId::new([2; 16]) },
        Action::Reassign { to: UserId::parse("claire@cpts.example").unwrap() },
        Action::Progress { step: PrescriptionStep::Prepared },
    ]
}

fn request(purpose: Purpose) -> Request {
    let mut request = Request::new(ID, purpose, "Une demande");
    request.documents = vec![document()];
    request
}

/// Over the wire, and through JSON.
fn round_trip(body: Body) {
    let bytes = compose(&Draft::from(body.clone()), 1).unwrap();
    let read = Content::decode(&bytes).unwrap().body;
    assert!(read == body, "{} over the wire", body.name());
    let json = serde_json::to_string(&body).unwrap();
    assert!(serde_json::from_str::<Body>(&json).unwrap() == body, "{json}");
    for language in [Language::French, Language::English] {
        assert!(!body.render(language).is_empty(), "{}", body.name());
    }
}

#[test]
fn every_kind_and_every_step_goes_over_the_wire_and_through_json_unchanged() {
    for purpose in purposes() {
        let mut full = request(purpose);
        full.reason = text("Depuis lundi");
        full.priority = Priority::Asap;
        (full.due_ms, full.expires_ms) = (Some(5), Some(6));
        full.assignee = Some(UserId::parse("claire@cpts.example").unwrap());
        full.part_of = Some(RequestId::new([8; 16]));
        full.situation = Situation { profession: text("10"), structure: text("65000") };
        full.consent = Some(RequestConsent { mode: RequestConsentMode::Oral, date: text("2026-11-20") });
        full.reference = text("VT-2026-0042");
        let mut named = full.clone();
        named.patient = Some(patient());
        round_trip(Body::Request(Box::new(named)));
        let groups = vec![GroupId::new([1; 16]), GroupId::new([2; 16])];
        let widening = vec![Widening { at_ms: 9, groups: vec![GroupId::new([3; 16])] }];
        let register = RegisterId::new([4; 16]);
        full.audience = Audience::Several(Several { register, groups, widening });
        round_trip(Body::Request(Box::new(full)));
    }
    for action in actions() {
        round_trip(Body::Transition(Box::new(Transition {
            request: ID,
            action,
            situation: Situation::default(),
        })));
    }
    round_trip(Body::Handover(Box::new(Handover { request: ID, patient: patient() })));
}

#[test]
fn what_was_written_without_a_situation_is_read_as_before() {
    let mut asked = request(Purpose::Task).to_wire();
    asked.situation = None;
    assert!(Request::from_wire(asked) == Some(request(Purpose::Task)));
    let action = Action::Claim { receipt: None, owner_name: String::new() };
    let step = Transition { request: ID, action, situation: Situation::default() };
    let mut written = step.to_wire();
    written.situation = None;
    assert!(Transition::from_wire(written) == Some(step));
}

#[test]
fn a_missing_field_is_named() {
    let refused = |purpose: Purpose| match request(purpose).check() {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Purpose::Referral { recourse: 4, speciality: text("x") }), "recourse");
    assert_eq!(refused(Purpose::Referral { recourse: 1, speciality: text("") }), "speciality");
    assert_eq!(refused(Purpose::TeleExpertise { question: text(" "), speciality: text("") }), "question");
    let care = |profession: &str, act: &str, commune: &str, delay_hours| Purpose::UnscheduledCare {
        profession: text(profession),
        act: text(act),
        commune: text(commune),
        delay_hours,
    };
    assert_eq!(refused(care("", "a", "c", 1)), "profession");
    assert_eq!(refused(care("p", "", "c", 1)), "act");
    assert_eq!(refused(care("p", "a", "", 1)), "commune");
    assert_eq!(refused(care("p", "a", "c", 0)), "delay_hours");
    assert_eq!(refused(Purpose::PatientWithoutGp { commune: text("c"), needs: text("") }), "needs");
    let discharge = Purpose::Discharge { facility: text("CH"), date: text("2026-11-24"), needs: vec![] };
    assert_eq!(refused(discharge), "needs");
    let mut bare = request(prescription("", "", ""));
    bare.documents.clear();
    assert!(matches!(bare.check(), Err(Error::Field { field: "documents", .. })));
}

#[test]
fn what_earlier_versions_did_not_ask_for_is_asked_for_now_and_still_read_without() {
    let refused = |purpose: Purpose, named| match request(purpose).check_asked(named) {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(prescription("", "Dr Claire Martin", "2026-11-24"), true), "structure");
    assert_eq!(refused(prescription("Officine", "", "2026-11-24"), true), "prescriber");
    assert_eq!(refused(prescription("Officine", "Dr Claire Martin", ""), true), "date");
    assert_eq!(refused(prescription("Officine", "Dr Claire Martin", "2026-11-24"), false), "patient");
    let without_gp = Purpose::PatientWithoutGp { commune: text("65440"), needs: text("Renouvellement") };
    assert_eq!(refused(without_gp.clone(), false), "patient");
    request(without_gp).check_asked(true).unwrap();
    request(Purpose::Task).check_asked(false).unwrap();
    round_trip(Body::Request(Box::new(request(prescription("Officine", "", "")))));
}

#[test]
fn a_consent_has_its_day_and_who_refuses_is_not_named() {
    let said = |mode, date: &str| {
        let consent = Some(RequestConsent { mode, date: text(date) });
        Request { consent, patient: Some(patient()), ..request(Purpose::Task) }.check()
    };
    said(RequestConsentMode::Written, "2026-11-20").unwrap();
    said(RequestConsentMode::NotRequired, "").unwrap();
    let field = |checked: Result<(), Error>| match checked {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(said(RequestConsentMode::Oral, "")), "consent.date");
    assert_eq!(field(said(RequestConsentMode::Oral, "hier")), "consent.date");
    assert_eq!(field(said(RequestConsentMode::Refused, "2026-11-20")), "patient");
}

#[test]
fn a_wide_request_cannot_hold_an_identity_and_one_that_does_is_not_read() {
    let mut wide = request(Purpose::Task);
    let register = RegisterId::new([4; 16]);
    wide.audience =
        Audience::Several(Several { register, groups: vec![GroupId::new([1; 16])], widening: vec![] });
    wide.patient = Some(patient());
    assert!(matches!(wide.check(), Err(Error::Field { field: "patient", .. })));
    let body = Body::Request(Box::new(wide));
    for thread in [ThreadKind::Territory, ThreadKind::Conversation, ThreadKind::Structure] {
        assert!(guard::check(&body, thread).is_err());
    }
    assert!(guard::check(&body, ThreadKind::PatientCircle).is_ok());
    let handover = Body::Handover(Box::new(Handover { request: ID, patient: patient() }));
    assert!(guard::check(&handover, ThreadKind::Coordination).is_err());
    assert!(guard::check(&handover, ThreadKind::Direct).is_ok());
}
