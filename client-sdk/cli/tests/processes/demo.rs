//! The one command that shows everything.

use serde_json::{Value, json};

use crate::world::{PATIENCE, Person, until};

/// The users of a field, without their domain.
fn users(field: &Value) -> Vec<&str> {
    field.as_array().unwrap().iter().map(|user| user.as_str().unwrap()).collect()
}

/// What a run of the demonstration measured.
fn check_counts(line: &Value) {
    let number = |field: &str| line[field].as_u64().unwrap_or_else(|| panic!("{field} in {line}"));
    assert_eq!((number("members"), number("groups"), number("gaps")), (7, 4, 0));
    assert!(number("messages") > 20 && number("received") > 2 * number("messages"), "{line}");
    assert!(number("first_message_ms") <= number("total_ms"));
    assert!(u128::from(number("total_ms")) < PATIENCE.as_millis(), "{line}");
    assert!(number("hub_ready_ms") < 5_000, "{line}");
}

#[test]
fn the_demonstration_played_once_is_one_object_without_loss_and_every_scene_has_its_outcome() {
    let person = Person::new("demo");
    let finished = person.run(&["demo", "--once"]);
    finished.expect_exit(0);
    let [line] = finished.lines.as_slice() else { panic!("{finished:#?}") };
    assert_eq!(line["type"], "demo");
    check_counts(line);

    let patient = &line["without_gp"];
    assert_eq!((&patient["state"], &patient["owner"]), (&json!("claimed"), &json!("camille.moreau")));
    assert_eq!(users(&patient["identity_known_to"]), ["camille.moreau", "karim.benali"]);
    assert_eq!(users(&patient["identity_unknown_to"]).len(), 5, "nobody else has the identity");

    let visit = &line["home_visit"];
    let mut nurses = [visit["owner"].as_str().unwrap(), visit["too_late"].as_str().unwrap()];
    let told = format!("{}@cpts-val-fictif.example", nurses[0]);
    assert_eq!((&visit["told_owner"], &visit["told_patient"]), (&json!(told), &json!(false)));
    nurses.sort_unstable();
    assert_eq!(nurses, ["hugo.lambert", "ines.durand"], "one of them has it");
    assert_eq!(visit["state"], "completed");
    assert_ne!(visit["request"], visit["discharge"]);

    let opinion = &line["opinion"];
    assert_eq!((&opinion["state"], &opinion["owner"]), (&json!("answered"), &json!("nadia.rossi")));
    let photo = &opinion["photo"];
    assert_eq!((&photo["position_taken"], &photo["position_received"]), (&json!(true), &json!(false)));
    assert_eq!(photo["same_picture"], true);
    assert!(photo["bytes_received"].as_u64() < photo["bytes_taken"].as_u64(), "{photo}");
    assert_eq!((&opinion["edited"], &opinion["reactions"]), (&json!(true), &json!(["👍"])));
    assert!(opinion["text"].as_str().unwrap().ends_with("trois mois."), "the edit is what is read");

    assert_eq!(line["board"]["user"], "camille.moreau");
    let row = |id: &Value| {
        let rows = line["board"]["rows"].as_array().unwrap();
        rows.iter().find(|row| row["request"] == *id).unwrap_or_else(|| panic!("{id} in {line}"))
    };
    assert_eq!(line["board"]["rows"].as_array().unwrap().len(), 4);
    assert_eq!(row(&patient["request"])["patient_known"], true);
    assert_eq!(row(&visit["discharge"])["owner"], "camille.moreau@cpts-val-fictif.example");
    assert_eq!(row(&visit["request"])["state"], "completed");
    assert_eq!(row(&visit["request"])["patient_known"], false, "the nurse alone was told");
    assert_eq!(row(&opinion["request"])["kind"], "tele_expertise");
    let kinds = users(&line["timeline"]["kinds"]);
    let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert!(count("request") == 2 && count("transition") >= 4, "{kinds:?}");
}

#[test]
fn a_visitor_is_taken_in_and_answered_and_takes_a_request_on() {
    let host = Person::new("host");
    let demo = host.start(&["demo"]);
    let seen = demo.until(|line| line["type"] == "demo_ready");
    let link = seen.last().unwrap()["invitation"].as_str().unwrap().to_owned();
    let visitor = Person::new("visitor");
    visitor.run(&["enrol", &link]).expect_exit(0);
    let mut chat = visitor.start(&["chat", "accueil"]);
    chat.write("Bonjour à tous");
    chat.until(|line| {
        line["type"] == "message" && line["text"].as_str().is_some_and(|text| text.starts_with("Bienvenue !"))
    });
    chat.kill();

    let asked = demo.until(|line| line["type"] == "request");
    let id = asked.last().unwrap()["request"].as_str().unwrap().to_owned();
    // The demo says that it asks before the hub has it.
    until(|| {
        let board = visitor.run(&["board"]);
        let row = board.expect_exit(0).of_type("request").next().cloned().unwrap_or_default();
        row["request"] == id && row["state"] == "open"
    });
    let claimed = visitor.run(&["claim", &id[..8]]);
    let row = claimed.expect_exit(0).of_type("request").next().unwrap().clone();
    assert_eq!(row["owner"], "visite@cpts-val-fictif.example");
    visitor.run(&["complete", &id[..8]]).expect_exit(0);
    demo.until(|line| line["kind"] == "text" && line["text"].as_str().unwrap().starts_with("Parfait"));
    assert_eq!(demo.interrupt(), Some(0));
}
