//! Every kind, from its template: complete, readable in both languages, the same after JSON and wire, and refused
//! by name when a required field is missing.

use proptest::prelude::*;
use serde_json::Value;

use super::{TEMPLATES, WITHOUT_TEMPLATE};
use crate::{
    error::Error,
    limits,
    message::{self, Body, Content, Draft, Language},
};

/// Required fields of each kind: where to remove them in the template, and the name in the error.
const REQUIRED: &[(&str, &[(&str, &str)])] = &[
    ("text", &[("/text", "text")]),
    (
        "event_alert",
        &[
            ("/emitter", "emitter"),
            ("/patient", "patient"),
            ("/patient/birth_name", "patient.birth_name"),
            ("/recipients", "recipients"),
            ("/date", "date"),
            ("/location", "location"),
            ("/alert_type", "alert_type"),
            ("/priority", "priority"),
            ("/text", "text"),
        ],
    ),
    ("event_alert_ack", &[("/alert", "alert")]),
    (
        "bulletin",
        &[
            ("/title", "title"),
            ("/text", "text"),
            ("/source", "source"),
            ("/reference", "reference"),
            ("/valid_until", "valid_until"),
            ("/audience", "audience"),
        ],
    ),
    (
        "library_entry",
        &[
            ("/entry", "entry"),
            ("/version", "version"),
            ("/title", "title"),
            ("/category", "category"),
            ("/audience", "audience"),
            ("/text", "text"),
        ],
    ),
    (
        "availability",
        &[
            ("/availability_type", "availability_type"),
            ("/until", "until"),
            ("/slots", "slots"),
            ("/slots/0/start", "slots.start"),
            ("/slots/0/end", "slots.end"),
            ("/slots/0/audience", "slots.audience"),
        ],
    ),
    (
        "event",
        &[
            ("/title", "title"),
            ("/start", "start"),
            ("/end", "end"),
            ("/place", "place"),
            ("/organiser", "organiser"),
        ],
    ),
    ("rsvp", &[("/event", "event"), ("/answer", "answer")]),
    (
        "form",
        &[
            ("/title", "title"),
            ("/questions", "questions"),
            ("/results", "results"),
            ("/questions/0/code", "questions.code"),
            ("/questions/0/text", "questions.text"),
            ("/questions/0/question_type", "questions.question_type"),
            ("/questions/1/choices", "questions.choices"),
        ],
    ),
    (
        "form_answer",
        &[
            ("/form", "form"),
            ("/answers", "answers"),
            ("/answers/0/question", "answers.question"),
            ("/answers/0/values", "answers.values"),
        ],
    ),
    (
        "assessment",
        &[
            ("/scale", "scale"),
            ("/items", "items"),
            ("/items/0", "items"),
            ("/score", "score"),
            ("/rater", "rater"),
            ("/date", "date"),
        ],
    ),
    (
        "care_plan",
        &[
            ("/plan", "plan"),
            ("/version", "version"),
            ("/title", "title"),
            ("/objectives", "objectives"),
            ("/objectives/0/code", "objectives.code"),
            ("/objectives/0/text", "objectives.text"),
            ("/objectives/0/state", "objectives.state"),
            ("/steps", "steps"),
            ("/steps/0/objective", "steps.objective"),
            ("/steps/0/text", "steps.text"),
            ("/steps/0/who", "steps.who"),
            ("/steps/0/state", "steps.state"),
            ("/validators", "validators"),
            ("/validators/0/role", "validators.role"),
        ],
    ),
    (
        "care_plan_validation",
        &[("/plan", "plan"), ("/version", "version"), ("/role", "role"), ("/decision", "decision")],
    ),
    (
        "education_step",
        &[
            ("/programme", "programme"),
            ("/step", "step"),
            ("/date", "date"),
            ("/educator", "educator"),
            ("/session", "session"),
        ],
    ),
    (
        "adverse_event",
        &[
            ("/event_type", "event_type"),
            ("/severity", "severity"),
            ("/date", "date"),
            ("/place", "place"),
            ("/text", "text"),
            ("/product", "product"),
        ],
    ),
    ("adverse_event_reference", &[("/draft", "draft"), ("/reference", "reference"), ("/date", "date")]),
    (
        "meeting_link",
        &[("/purpose", "purpose"), ("/url", "url"), ("/start", "start"), ("/end", "end"), ("/tool", "tool")],
    ),
    (
        "directory_card",
        &[
            ("/name", "name"),
            ("/identifiers/0/system", "identifiers.system"),
            ("/identifiers/0/value", "identifiers.value"),
        ],
    ),
];

fn parsed(kind: &str, json: &str) -> (Value, Body) {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{kind}: {error}"));
    let body = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
    (value, body)
}

fn sent(body: Body) -> Result<Vec<u8>, Error> {
    message::compose(&Draft::from(body), 77)
}

fn without(json: &Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut json = json.clone();
    match json.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}")) {
        Value::Object(fields) => assert!(fields.remove(name).is_some(), "{pointer}"),
        Value::Array(list) => drop(list.remove(name.parse().unwrap())),
        _ => panic!("{pointer}"),
    }
    json
}

#[test]
fn every_kind_has_a_template_or_a_command_of_its_own() {
    for kind in Body::NAMES {
        let (template, exempt) = (super::of(kind).is_some(), WITHOUT_TEMPLATE.contains(kind));
        assert!(template != exempt, "{kind}: give it a template, or name it in WITHOUT_TEMPLATE");
    }
}

#[test]
fn every_template_is_complete_readable_and_the_same_after_json_and_wire() {
    for (kind, json) in TEMPLATES {
        let (value, body) = parsed(kind, json);
        assert_eq!(body.name(), *kind);
        assert_eq!(serde_json::to_value(&body).unwrap(), value, "{kind}: the template shows every field");
        let bytes = sent(body.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(Content::decode(&bytes).unwrap().body, body, "{kind}");
        for language in [Language::French, Language::English] {
            assert!(!body.render(language).trim().is_empty(), "{kind}");
        }
        assert!(body.fallback().len() <= limits::FALLBACK_BYTES_MAX, "{kind}");
        assert!(!format!("{body:?}").contains(' '), "{kind}: Debug shows the kind only");
    }
}

#[test]
fn a_missing_required_field_is_refused_by_its_name() {
    for (kind, json) in TEMPLATES {
        let (value, _) = parsed(kind, json);
        let (_, fields) = REQUIRED.iter().find(|row| row.0 == *kind).unwrap_or_else(|| panic!("{kind}"));
        for (pointer, name) in *fields {
            // `text` has a single field, which serde itself asks for.
            let Ok(body) = serde_json::from_value::<Body>(without(&value, pointer)) else {
                assert_eq!(*kind, "text");
                continue;
            };
            match sent(body) {
                Err(Error::Field { field, .. }) => assert_eq!(field, *name, "{kind} without {pointer}"),
                other => panic!("{kind} without {pointer}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_field_that_does_not_exist_is_refused_with_those_that_do() {
    for (kind, json) in TEMPLATES.iter().filter(|(kind, _)| *kind != "text") {
        let (mut value, _) = parsed(kind, json);
        value["titel"] = "x".into();
        let error = serde_json::from_value::<Body>(value).unwrap_err().to_string();
        assert!(error.contains("titel") && error.contains("expected"), "{kind}: {error}");
    }
}

#[test]
fn what_is_about_one_patient_stays_out_of_wide_threads() {
    use crate::message::{ThreadKind, guard};
    for (kind, json) in TEMPLATES {
        let (_, body) = parsed(kind, json);
        let about = matches!(*kind, "event_alert" | "assessment" | "care_plan" | "education_step");
        assert_eq!(guard::check(&body, ThreadKind::Territory).is_err(), about, "{kind}");
        assert!(guard::check(&body, ThreadKind::PatientCircle).is_ok(), "{kind}");
        assert!(guard::check(&body, ThreadKind::Direct).is_ok(), "{kind}");
    }
}

#[test]
fn a_value_of_a_newer_version_is_shown_by_the_fallback() {
    let (_, body) = parsed("rsvp", super::of("rsvp").unwrap());
    let bytes = sent(body).unwrap();
    // Rsvp is field 66 of the envelope; its answer, field 2, becomes a number that this version does not know.
    let answer = bytes.windows(2).rposition(|pair| pair == [0x10, 1]).unwrap();
    let mut newer = bytes.clone();
    newer[answer + 1] = 99;
    let shown = Content::decode(&newer).unwrap().body;
    assert!(matches!(&shown, Body::Unknown { fallback } if fallback.contains("vient")), "{shown:?}");
}

#[test]
fn an_older_client_shows_every_kind_by_its_fallback() {
    use prost::Message as _;

    use crate::message::wire;
    for (kind, json) in TEMPLATES.iter().filter(|(kind, _)| *kind != "text") {
        let (_, body) = parsed(kind, json);
        let mut envelope = wire::Envelope::decode(sent(body.clone()).unwrap().as_slice()).unwrap();
        envelope.body = None;
        let mut bytes = envelope.encode_to_vec();
        bytes.extend([0xfa, 0x0f, 2, 8, 1]); // field 255: a number that this version does not know
        let shown = Content::decode(&bytes).unwrap().body;
        let Body::Unknown { fallback } = &shown else { panic!("{kind}: {shown:?}") };
        assert!(!fallback.is_empty() && body.render(Language::French).starts_with(fallback), "{kind}");
        assert_eq!(shown.render(Language::English), *fallback, "{kind}");
    }
}

#[test]
fn addresses_that_are_not_plain_https_are_refused() {
    let (value, _) = parsed("meeting_link", super::of("meeting_link").unwrap());
    for url in
        ["http://visio.example/x", "javascript:alert(1)", "https://", "https://me:pw@visio.example/", "visio"]
    {
        let mut value = value.clone();
        value["url"] = url.into();
        let refused = sent(serde_json::from_value(value).unwrap()).unwrap_err();
        assert!(matches!(refused, Error::Field { field: "url", .. }), "{url}: {refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any text in any string field either round-trips over JSON and the wire or is refused; nothing panics.
    #[test]
    fn any_text_in_any_field_round_trips_or_is_refused(
        which in 0..TEMPLATES.len(), field in 0..16_usize, text in "\\PC{0,80}",
    ) {
        let (kind, json) = TEMPLATES[which];
        let (mut value, _) = parsed(kind, json);
        let names: Vec<String> = value.as_object().unwrap().iter()
            .filter(|(name, value)| value.is_string() && *name != "kind")
            .map(|(name, _)| name.clone()).collect();
        value[&names[field % names.len()]] = text.into();
        let Ok(body) = serde_json::from_value::<Body>(value) else { return Ok(()) };
        if let Ok(bytes) = sent(body.clone()) {
            prop_assert_eq!(Content::decode(&bytes).unwrap().body, body.clone());
            let again: Body = serde_json::from_value(serde_json::to_value(&body).unwrap()).unwrap();
            prop_assert_eq!(again, body);
        }
    }

    /// A damaged message is read as something or refused; nothing panics.
    #[test]
    fn damaged_messages_do_no_harm(which in 0..TEMPLATES.len(), at in 0..400_usize, byte: u8) {
        let (kind, json) = TEMPLATES[which];
        let mut bytes = sent(parsed(kind, json).1).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Some(content) = Content::decode(&bytes) {
            prop_assert!(content.body.render(Language::English).len() <= limits::ENVELOPE_BYTES_MAX * 2);
        }
    }
}
