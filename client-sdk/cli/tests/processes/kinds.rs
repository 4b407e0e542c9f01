//! Typed messages from their JSON form to what they add up to, and FHIR files.

use serde_json::{Value, json};

use crate::world::{Hub, Person, group};

/// A filled example, changed.
fn example(person: &Person, kind: &str, changes: Value) -> String {
    let finished = person.run(&["template", kind]);
    let mut content = finished.of_type("template").next().unwrap()["content"].clone();
    for (field, value) in changes.as_object().unwrap() {
        content[field] = value.clone();
    }
    content.to_string()
}

fn post(person: &Person, content: &str) -> String {
    let finished = person.run_with_input(&["post", "équipe", "-"], content);
    finished.expect_exit(0).of_type("accepted").next().unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_form_and_an_event_collect_answers_from_the_command_line() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Équipe");
    let form = post(&alice, &example(&alice, "form", json!({})));
    let event = post(&alice, &example(&alice, "event", json!({ "answer_by": "" })));
    bob.run(&["recv"]).expect_exit(0);
    post(&bob, &example(&bob, "form_answer", json!({ "form": form })));
    bob.run(&["rsvp", "équipe", &event[..12], "yes", "--comment", "avec plaisir"]).expect_exit(0);
    bob.run(&["availability", "équipe", "new-patients", "2099-12-31"]).expect_exit(0);
    let shown = alice.run(&["state", "équipe"]);
    let state = |kind: &str| {
        let mut states = shown.of_type("state").filter(|line| line["kind"] == kind);
        states.next().unwrap_or_else(|| panic!("{kind}: {shown:#?}"))["state"].clone()
    };
    assert_eq!(state("form")["results"][0]["counts"], json!({ "yes": 1 }));
    assert!(!state("form").to_string().contains("bob@"), "shown without names");
    assert_eq!(state("event")["coming"].as_array().unwrap().len(), 1);
    assert_eq!(state("availability")["availability"]["availability_type"], "accepts_new_patients");
    let file = bob.profile().join("agenda.ics");
    let arguments = ["calendar", "équipe", "-o", file.to_str().unwrap()];
    let calendar = |person: &Person, arguments: &[&str]| {
        let finished = person.run(arguments);
        let content = &finished.expect_exit(0).of_type("calendar").next().unwrap()["content"];
        content.as_str().unwrap().to_owned()
    };
    let of_bob = calendar(&bob, &arguments);
    assert_eq!(std::fs::read_to_string(file).unwrap(), of_bob);
    for line in [&format!("UID:{event}"), "DTSTART:20261203T183000Z", "LOCATION:Salle des fêtes\\, Goulven"]
    {
        assert!(of_bob.contains(&format!("\r\n{line}\r\n")), "{line}: {of_bob}");
    }
    assert_eq!(of_bob.matches("BEGIN:VEVENT").count(), 2, "and when he takes new patients: {of_bob}");
    assert!(of_bob.contains("TRANSP:OPAQUE"), "he comes");
    assert!(!calendar(&alice, &["calendar", "équipe"]).contains("TRANSP:OPAQUE"), "she does not say");
    alice.run(&["rsvp", "équipe", "ffffffff", "yes"]).expect_exit(7);
    alice.run(&["state", "équipe", "--kind", "inconnu"]).expect_exit(2);
}

#[test]
fn a_refusal_names_the_field_and_nothing_is_sent() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Équipe");
    for (content, exit, word) in [
        (example(&alice, "bulletin", json!({ "source": "" })), 2, "source"),
        (example(&alice, "bulletin", json!({ "sources": "x" })), 2, "sources"),
        (example(&alice, "meeting_link", json!({ "url": "http://visio.example" })), 2, "url"),
        (example(&alice, "event_alert", json!({})), 5, "event_alert"),
        ("{".to_owned(), 2, "message"),
        (json!({ "kind": "sondage" }).to_string(), 2, "sondage"),
    ] {
        let finished = alice.run_with_input(&["post", "équipe", "-"], &content);
        let error = finished.expect_exit(exit).of_type("error").next().unwrap()["message"].to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    alice.run(&["send", "équipe", "rien d'autre"]).expect_exit(0);
    let refused = ["bulletin", "meeting_link", "event_alert"].map(Value::from);
    let received = bob.run(&["recv", "--all"]);
    assert!(received.expect_exit(0).texts().contains(&"rien d'autre"));
    assert!(received.of_type("message").all(|line| !refused.contains(&line["kind"])));
}

#[test]
fn a_card_leaves_as_fhir_and_a_fhir_file_becomes_a_message() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Équipe");
    let card = post(&alice, &example(&alice, "directory_card", json!({})));
    let exported = alice.run(&["export", "équipe", &card, "--fhir"]);
    let resource = exported.expect_exit(0).of_type("fhir").next().unwrap()["resource"].clone();
    assert_eq!(resource["resourceType"], "Bundle");
    bob.run_with_input(&["import", "-", "--fhir", "--post", "équipe"], &resource.to_string()).expect_exit(0);
    let finished = alice.run(&["recv"]);
    let received = finished.of_type("message").find(|line| line["kind"] == "directory_card").unwrap();
    assert_eq!(received["content"]["name"], "Dr Claire MARTIN");
    let damaged = alice.run_with_input(&["import", "-", "--fhir"], "{\"resourceType\":\"CareTeam\"}");
    let error = damaged.expect_exit(2).of_type("error").next().unwrap()["message"].to_string();
    assert!(error.contains("CareTeam.subject"), "{error}");
}

/// The only resource that a command prints.
fn fhir(person: &Person, arguments: &[&str]) -> Value {
    let finished = person.run(arguments);
    finished.expect_exit(0).of_type("fhir").next().unwrap()["resource"].clone()
}

#[test]
fn circles_requests_and_documents_go_to_a_practice_software_and_come_back_without_typing() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Équipe");
    alice.run(&crate::circle::NEW).expect_exit(0);
    let team = fhir(&alice, &["export", "cercle", "--fhir"]);
    assert_eq!(team["entry"][0]["resource"]["resourceType"], "CareTeam");

    // Bob's software has the team: he opens his own circle from it, and types no trait.
    let file = bob.profile().join("draft.json");
    let draft = bob.run_with_input(&["import", "-", "--fhir"], &team.to_string());
    let draft = draft.expect_exit(0).of_type("draft").next().unwrap();
    assert!(!draft["problems"].as_array().unwrap().is_empty(), "the basis is for a person to say");
    std::fs::write(&file, draft.to_string()).unwrap();
    let new = ["circle", "new", "Cercle B.", "--role", "infirmier", "--patient-file", file.to_str().unwrap()];
    let opened = bob.run(&new);
    let circle = opened.expect_exit(0).of_type("circle").next().unwrap();
    assert!(circle["traits"].as_str().unwrap().contains("IMAGINAIRE Odette Marie"), "{circle}");
    assert_eq!(
        fhir(&bob, &["export", "Cercle B.", "--fhir"])["entry"][0]["resource"]["resourceType"],
        "CareTeam"
    );

    // A request goes out, and in on another machine.
    let asked = alice.run(&["ask", "referral", "--to", "équipe", "--title", "Avis", "--speciality", "SM15"]);
    let id = asked.expect_exit(0).of_type("request").next().unwrap()["request"].as_str().unwrap().to_owned();
    let mut bundle = fhir(&alice, &["export", "équipe", &id, "--fhir"]);
    bundle["entry"][0]["resource"].as_object_mut().unwrap().remove("subject");
    let posted = bob.run_with_input(&["import", "-", "--fhir", "--post", "équipe"], &bundle.to_string());
    let again =
        posted.expect_exit(0).of_type("imported").next().unwrap()["request"].as_str().unwrap().to_owned();
    alice.run(&["recv"]).expect_exit(0);
    let board = alice.run(&["board"]);
    let row = board.of_type("request").find(|row| row["request"] == again).unwrap();
    assert_eq!((&row["kind"], &row["title"]), (&"referral".into(), &"Avis".into()));

    // A document goes with its content, if that is wanted.
    let letter = alice.profile().join("lettre.txt");
    std::fs::write(&letter, "Lettre fictive").unwrap();
    let sent = alice.run(&["attach", "équipe", letter.to_str().unwrap(), "--type", "lettre-de-liaison"]);
    let message = sent.expect_exit(0).of_type("accepted").next().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(fhir(&alice, &["export", "équipe", &message, "--fhir"])["resourceType"], "DocumentReference");
    let whole = fhir(&alice, &["export", "équipe", &message, "--fhir", "--content"]);
    assert_eq!(whole["entry"][1]["resource"]["data"], "TGV0dHJlIGZpY3RpdmU=");
    alice.run(&["export", "équipe", &id, "--fhir", "--content"]).expect_exit(7);
}
