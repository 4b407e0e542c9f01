//! Every kind of message and every kind of request through real processes: what arrives is what was written, field
//! by field.

use std::collections::BTreeMap;

use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use crate::world::{Finished, Hub, Person};

/// Two people and the thread between them, by its id: there everything may be said.
fn two_people() -> (Hub, Person, Person, String) {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    let opened = alice.run(&["direct", "bob"]);
    let thread = text(opened.expect_exit(0).of_type("group").next().unwrap(), "group");
    (hub, alice, bob, thread)
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_else(|| panic!("no {field}: {record}")).to_owned()
}

/// The id of the message that a command has sent.
fn accepted(finished: &Finished) -> String {
    text(finished.expect_exit(0).of_type("accepted").next().unwrap(), "id")
}

/// Nobody, with every trait that there is; the number is invented, and its key fits it.
fn nobody() -> Value {
    json!({
        "birth_name": "THOBOIS",
        "birth_given_names": ["Jacques", "Anatole"],
        "used_name": "THOBOIS-IMAGINAIRE",
        "used_given_name": "Anatole",
        "birth_date": "1941-10-02",
        "gender": "male",
        "birth_place": "29064",
        "reliability": "validated",
        "ins": "241037505612328",
        "ins_oid": "1.2.250.1.213.1.4.8",
        "phone": "02 99 00 00 00",
        "address": "3 rue des Lilas, Goulven",
    })
}

/// What the examples leave empty, and the ids of the messages that they are about.
fn filled(kind: &str, ids: &BTreeMap<String, String>) -> Value {
    match kind {
        "text" => json!({ "mentions": ["bob@cpts.example"] }),
        "event_alert" | "care_plan" | "education_step" | "meeting_link" => json!({ "patient": nobody() }),
        "assessment" => json!({ "patient": nobody(), "comment": "Poids stable." }),
        "event_alert_ack" => json!({ "alert": ids["event_alert"] }),
        "library_entry" => json!({ "document": ids["document"], "supersedes": ids["text"] }),
        "availability" => json!({ "text": "Sur appel." }),
        "event" => json!({ "text": "Avec un spiromètre." }),
        "rsvp" => json!({ "event": ids["event"], "comment": "En retard." }),
        "form" => json!({ "text": "Trois questions." }),
        "form_answer" => json!({ "form": ids["form"] }),
        "care_plan_validation" => json!({ "comment": "Vu." }),
        "adverse_event_reference" => json!({ "draft": ids["adverse_event"] }),
        _ => json!({}),
    }
}

#[test]
fn every_kind_of_message_arrives_as_it_was_posted() {
    let (_hub, alice, bob, thread) = two_people();
    let file = alice.profile().join("protocole.txt");
    std::fs::write(&file, "Un protocole fictif").unwrap();
    let attached = alice.run(&["attach", &thread, file.to_str().unwrap()]);
    let mut ids = BTreeMap::from([("document".to_owned(), accepted(&attached))]);
    let kinds = alice.run(&["template"]);
    let kinds: Vec<String> = kinds.expect_exit(0).of_type("kind").map(|line| text(line, "kind")).collect();
    let mut posted = Vec::new();
    for kind in &kinds {
        let example = alice.run(&["template", kind]);
        let mut content = example.expect_exit(0).of_type("template").next().unwrap()["content"].clone();
        let known = content.as_object_mut().unwrap();
        known.extend(filled(kind, &ids).as_object().unwrap().clone());
        let id = accepted(&alice.run_with_input(&["post", &thread, "-"], &content.to_string()));
        ids.insert(kind.clone(), id.clone());
        posted.push((id, content));
    }
    assert_eq!(posted.len(), cercle_sdk::message::template::TEMPLATES.len());

    for (reader, arguments) in [(&bob, &["recv"][..]), (&alice, &["recv", "--all", &thread])] {
        let received = reader.run(arguments);
        let messages = received.expect_exit(0).of_type("message");
        let posted_ones: Vec<&Value> =
            messages.filter(|line| posted.iter().any(|(id, _)| line["id"] == **id)).collect();
        assert_eq!(posted_ones.len(), posted.len(), "each once: {received:#?}");
        for (message, (_, content)) in posted_ones.into_iter().zip(&posted) {
            assert_eq!(&message["content"], content);
            assert_eq!(message["kind"], content["kind"]);
            assert_eq!(message["sender"], "alice@cpts.example");
            assert!(!text(message, "text").is_empty(), "{message}");
        }
    }
    // An answer to a form is told to programs, and is no line of the conversation.
    let shown = bob.run(&["thread", &thread]);
    let lines = shown.expect_exit(0).of_type("thread_message").map(|line| text(line, "kind"));
    let lines: Vec<String> = lines.filter(|kind| kind != "document").collect();
    let expected: Vec<&String> = kinds.iter().filter(|kind| *kind != "form_answer").collect();
    assert_eq!(lines.iter().collect::<Vec<_>>(), expected);
    let unread = &shown.of_type("thread").next().unwrap()["unread"];
    assert_eq!(unread, posted.len(), "a document more, an answer to a form less");
}

/// What a request is made of: its kind and own options on the command line, the same as the message says it in
/// JSON, and what a person reads of it.
struct Asked {
    kind: &'static str,
    options: &'static [&'static str],
    purpose: &'static str,
    shown: &'static [&'static str],
}

const ONE_OF_EACH: &[Asked] = &[
    Asked {
        kind: "referral",
        options: &["--recourse", "3", "--speciality", "SM15"],
        purpose: r#"{ "type": "referral", "recourse": 3, "speciality": "SM15" }"#,
        shown: &["recours 3", "SM15"],
    },
    Asked {
        kind: "tele-expertise",
        options: &["--question", "Faut-il une biopsie ?", "--speciality", "SM15"],
        purpose: r#"{
            "type": "tele_expertise", "question": "Faut-il une biopsie ?", "speciality": "SM15"
        }"#,
        shown: &["Faut-il une biopsie ?", "SM15"],
    },
    Asked {
        kind: "unscheduled-care",
        options: &["--profession", "60", "--act", "Pansement", "--commune", "65440", "--delay", "24"],
        purpose: r#"{
            "type": "unscheduled_care",
            "profession": "60", "act": "Pansement", "commune": "65440", "delay_hours": 24
        }"#,
        shown: &["Pansement (60)", "65440", "24 h"],
    },
    Asked {
        kind: "patient-without-gp",
        options: &["--commune", "29064", "--need", "Suivi d'un diabète", "--need", "Renouvellement"],
        purpose: r#"{
            "type": "patient_without_gp",
            "commune": "29064", "needs": "Suivi d'un diabète, Renouvellement"
        }"#,
        shown: &["29064", "Suivi d'un diabète, Renouvellement"],
    },
    Asked {
        kind: "discharge",
        options: &[
            "--facility",
            "Hôpital fictif, chirurgie",
            "--date",
            "2026-12-01",
            "--need",
            "60:Pansement",
            "--need",
            "Lit médicalisé",
        ],
        purpose: r#"{
            "type": "discharge",
            "facility": "Hôpital fictif, chirurgie",
            "date": "2026-12-01",
            "needs": [
                { "profession": "60", "what": "Pansement" }, { "profession": "", "what": "Lit médicalisé" }
            ]
        }"#,
        shown: &["Hôpital fictif, chirurgie", "01/12/2026", "Pansement (60)", "Lit médicalisé"],
    },
    Asked {
        kind: "prescription",
        options: &["--structure", "Officine du Port", "--prescriber", "Dr Anne", "--date", "2026-11-24"],
        purpose: r#"{
            "type": "prescription",
            "structure": "Officine du Port", "prescriber": "Dr Anne", "date": "2026-11-24"
        }"#,
        shown: &["Officine du Port", "Dr Anne", "24/11/2026", "ordonnance.pdf"],
    },
    Asked { kind: "task", options: &[], purpose: r#"{ "type": "task" }"#, shown: &[] },
];

impl Asked {
    fn purpose(&self) -> Value {
        serde_json::from_str(self.purpose).unwrap()
    }
}

/// A time as it is typed, in the time zone of this machine, as a message has it.
fn at_ms(typed: &str) -> i64 {
    let at: DateTime = typed.parse().unwrap();
    at.to_zoned(TimeZone::system()).unwrap().timestamp().as_millisecond()
}

#[test]
fn every_kind_of_request_arrives_as_it_was_asked_and_is_shown_with_all_of_it() {
    let (_hub, alice, bob, thread) = two_people();
    let (patient, order) = (alice.profile().join("patient.json"), alice.profile().join("ordonnance.pdf"));
    std::fs::write(&patient, nobody().to_string()).unwrap();
    std::fs::write(&order, b"%PDF-1.4 fictif").unwrap();
    let whole = asked_first(&alice, &thread);
    let common = [
        ["--title", "Une demande"],
        ["--reason", "Une raison fictive"],
        ["--priority", "urgent"],
        ["--due", "2099-01-02T10:00"],
        ["--expires", "2099-01-03T10:00"],
        ["--assignee", "bob"],
        ["--part-of", &whole],
        ["--reference", "VT-2026-1"],
        ["--acting-structure", "290000017"],
        ["--consent", "written"],
        ["--consent-date", "2026-11-20"],
        ["--patient-file", patient.to_str().unwrap()],
    ]
    .concat();
    let mut asked = Vec::new();
    for one in ONE_OF_EACH {
        let mut arguments = [&["ask", one.kind, "--to", &thread], common.as_slice(), one.options].concat();
        if one.kind == "prescription" {
            arguments.extend(["--attach", order.to_str().unwrap()]);
        }
        let finished = alice.run(&arguments);
        let id = text(finished.expect_exit(0).of_type("request").next().unwrap(), "request");
        asked.push((id, one));
    }

    let (received, own) = (bob.run(&["recv"]), alice.run(&["recv", "--all", &thread]));
    for (id, one) in asked {
        let content = |finished: &Finished| {
            let mut found = finished.of_type("message").filter(|line| line["content"]["id"] == *id);
            let content =
                found.next().unwrap_or_else(|| panic!("no {}: {finished:#?}", one.kind))["content"].clone();
            assert!(found.next().is_none(), "{} came twice", one.kind);
            content
        };
        let mut content_of_bob = content(&received);
        assert_eq!(content_of_bob, content(&own), "both devices have the same");
        let fields = content_of_bob.as_object_mut().unwrap();
        let documents = fields.remove("documents").unwrap();
        let expected = json!({
            "kind": "request",
            "id": id,
            "purpose": one.purpose(),
            "title": "Une demande",
            "reason": "Une raison fictive",
            "priority": "urgent",
            "due_ms": at_ms("2099-01-02T10:00"),
            "expires_ms": at_ms("2099-01-03T10:00"),
            "audience": "this_group",
            "assignee": "bob@cpts.example",
            "part_of": whole,
            "patient": nobody(),
            "consent": { "mode": "written", "date": "2026-11-20" },
            "reference": "VT-2026-1",
            "situation": { "profession": "", "structure": "290000017" },
        });
        assert_eq!(content_of_bob, expected, "{}", one.kind);
        let names = documents.as_array().unwrap().iter().map(|document| {
            (text(document, "name"), text(document, "document_type"), document["size"].clone())
        });
        let order = ("ordonnance.pdf".to_owned(), "prescription".to_owned(), 15.into());
        let attached = if one.kind == "prescription" { vec![order] } else { Vec::new() };
        assert_eq!(names.collect::<Vec<_>>(), attached, "{}", one.kind);
        is_shown_with_all_of_it(&bob, &id, &expected, one);
    }
}

/// A request that others are parts of.
fn asked_first(alice: &Person, thread: &str) -> String {
    let whole = alice.run(&["ask", "task", "--to", thread, "--title", "Le tout"]);
    text(whole.expect_exit(0).of_type("request").next().unwrap(), "request")
}

/// What `show` says of a request, to programs and to people.
fn is_shown_with_all_of_it(reader: &Person, id: &str, expected: &Value, one: &Asked) {
    let shown = reader.run(&["--offline", "show", id]);
    let row = shown.expect_exit(0).of_type("request").next().unwrap();
    assert_eq!(row["kind"], one.purpose()["type"]);
    for field in ["title", "priority", "due_ms", "expires_ms", "assignee", "patient"] {
        assert_eq!(row[field], expected[field], "{field} of {}", one.kind);
    }
    assert_eq!((&row["state"], &row["requester"]), (&"open".into(), &"alice@cpts.example".into()));
    let output = reader.human_command(&["--offline", "show", id]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let common = [
        "Une demande",
        "Une raison fictive",
        "urgent",
        "02/01/2099 10:00",
        "03/01/2099 10:00",
        "bob@cpts.example",
        "VT-2026-1",
        "290000017",
        "consentement écrit, 20/11/2026",
        "THOBOIS",
    ];
    for word in common.iter().chain(one.shown) {
        assert!(said.contains(word), "{} is shown without {word}: {said}", one.kind);
    }
}
