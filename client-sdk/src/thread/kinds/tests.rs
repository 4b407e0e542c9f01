//! Two authors whose messages come in any order of the log: what does not depend on the order is the same for
//! every order, and what does follows the order.

use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Kinds;
use crate::{
    event::Message,
    message::{Body, Language, Retract, template},
    thread::Thread,
};

/// A message of one of two authors; `number` is its id.
fn message(author: &str, number: u8, at_ms: u64, json: &Value) -> Message {
    let body: Body = serde_json::from_value(json.clone()).unwrap();
    Message {
        group: GroupId::new([1; 16]),
        seq: 0,
        id: MessageId::new([number; 16]),
        sender: UserId::new(author, "cpts.example").unwrap(),
        device: DeviceId::new([2; 16]),
        display_name: author.to_owned(),
        own: false,
        expired_certificate: false,
        by_administrator: false,
        at_ms,
        sent_at_ms: at_ms,
        in_reply_to: None,
        exported_by: None,
        body,
    }
}

/// The template of a kind with some fields replaced.
fn filled(kind: &str, changes: &[(&str, Value)]) -> Value {
    let mut json: Value = serde_json::from_str(template::of(kind).unwrap()).unwrap();
    for (field, value) in changes {
        *json.pointer_mut(field).unwrap_or_else(|| panic!("{kind}{field}")) = value.clone();
    }
    json
}

fn id(number: u8) -> Value {
    MessageId::new([number; 16]).to_hex().into()
}

fn after(messages: &[Message]) -> Kinds {
    let mut kinds = Kinds::default();
    messages.iter().for_each(|message| kinds.apply(message));
    kinds
}

fn states(kinds: &Kinds, kind: &str) -> Vec<Value> {
    let states = kinds.states(kind, 0, Language::French).unwrap();
    assert!(states.iter().all(|state| !state.text.is_empty()));
    states.into_iter().map(|state| state.json).collect()
}

/// A message that withdraws another.
fn retraction(author: &str, number: u8, of: u8) -> Message {
    let body = Body::Retract(Retract { message: MessageId::new([of; 16]), reason: String::new() });
    Message { body, ..message(author, number, u64::from(number), &filled("event", &[])) }
}

const ANN: &str = "ann";
const BOB: &str = "bob";
const CLAIRE: &str = "claire.martin";

#[test]
fn what_its_author_withdraws_is_no_event_form_or_availability_any_more() {
    let mut thread = Thread::default();
    let kinds = ["event", "form", "availability", "event_alert"];
    for (number, kind) in (1..).zip(kinds) {
        thread.apply(&message(ANN, number, 1, &filled(kind, &[])));
    }
    let count = |thread: &Thread| kinds.map(|kind| states(thread.kinds(), kind).len());
    assert_eq!(count(&thread), [1, 1, 1, 1]);
    for number in 1..=4 {
        thread.apply(&retraction(BOB, 10 + number, number));
    }
    assert_eq!(count(&thread), [1, 1, 1, 1], "who may not withdraw it changes nothing");
    for number in 1..=4 {
        thread.apply(&retraction(ANN, 20 + number, number));
    }
    assert_eq!(count(&thread), [0, 0, 0, 1], "an alert was raised, and stays");
    thread.apply(&message(CLAIRE, 30, 30, &filled("rsvp", &[("/event", id(1)), ("/answer", "yes".into())])));
    assert_eq!(count(&thread), [0, 0, 0, 1]);
}

#[test]
fn an_alert_shows_who_acknowledged_and_who_has_not() {
    let ack = |taking_over: bool| {
        filled("event_alert_ack", &[("/alert", id(1)), ("/taking_over", taking_over.into())])
    };
    let kinds = after(&[
        message(ANN, 1, 1, &filled("event_alert", &[])),
        message(ANN, 2, 2, &ack(true)),
        message(CLAIRE, 3, 3, &ack(false)),
        message(BOB, 4, 4, &ack(true)),
        message(CLAIRE, 5, 5, &ack(true)),
    ]);
    let [alert] = kinds.alerts.all() else { panic!("one alert") };
    assert_eq!(alert.waiting_for(), ["karim.benali@cpts.example"]);
    let state = &states(&kinds, "event_alert")[0];
    assert_eq!(state["taken_over_by"], json!(["bob@cpts.example", "claire.martin@cpts.example"]));
    assert_eq!(state["acknowledgements"].as_object().unwrap().len(), 2, "the sender's own does not count");
}

#[test]
fn places_go_in_the_order_of_the_log_and_on_to_the_next_when_given_up() {
    let answer = |answer: &str| filled("rsvp", &[("/event", id(1)), ("/answer", answer.into())]);
    let mut messages = vec![
        message(ANN, 1, 1, &filled("event", &[("/places_max", 1.into())])),
        message(ANN, 2, 2, &answer("yes")),
        message(BOB, 3, 3, &answer("yes")),
    ];
    let state = &states(&after(&messages), "event")[0];
    assert_eq!(
        (&state["coming"], &state["waiting"]),
        (&json!(["ann@cpts.example"]), &json!(["bob@cpts.example"]))
    );
    messages.push(message(ANN, 4, 4, &answer("no")));
    // 2026-12-02, a day late.
    messages.push(message(BOB, 5, 1_796_200_000_000, &answer("no")));
    let state = &states(&after(&messages), "event")[0];
    assert_eq!((&state["coming"], &state["waiting"]), (&json!(["bob@cpts.example"]), &json!([])));
}

#[test]
fn results_without_names_hold_no_name_and_those_by_name_do() {
    let answer =
        |value: &str| filled("form_answer", &[("/form", id(1)), ("/answers/0/values", json!([value]))]);
    for (results, named) in [("without_names", false), ("by_name", true)] {
        let kinds = after(&[
            message(ANN, 1, 1, &filled("form", &[("/results", results.into())])),
            message(ANN, 2, 2, &answer("yes")),
            message(BOB, 3, 3, &answer("no")),
            message(BOB, 4, 4, &answer("yes")),
            message(CLAIRE, 5, 5, &answer("perhaps")), // no answer to a yes-or-no question
        ]);
        let state = &states(&kinds, "form")[0];
        assert_eq!(state["answers"], 2);
        assert_eq!(state["results"][0]["counts"], json!({ "yes": 2 }));
        assert_eq!(state.to_string().contains("bob@"), named, "{results}");
        let text = &kinds.states("form", 0, Language::English).unwrap()[0].text;
        assert_eq!(text.contains("bob@"), named, "{results}");
    }
}

#[test]
fn a_new_version_of_a_plan_needs_new_validations_from_those_who_hold_the_role() {
    let validation = |version: u32, decision: &str| {
        let changes =
            [("/version", version.into()), ("/decision", decision.into()), ("/comment", "vu".into())];
        filled("care_plan_validation", &changes)
    };
    let mut messages = vec![
        message(ANN, 1, 1, &filled("care_plan", &[])),
        message(BOB, 2, 2, &validation(1, "approved")), // does not hold the role
    ];
    assert_eq!(states(&after(&messages), "care_plan")[0]["validated"], false);
    messages.push(message(CLAIRE, 3, 3, &validation(1, "approved")));
    assert_eq!(states(&after(&messages), "care_plan")[0]["validated"], true);
    messages.push(message(ANN, 4, 4, &filled("care_plan", &[("/version", 2.into())])));
    messages.push(message(CLAIRE, 5, 5, &validation(1, "approved")));
    assert_eq!(states(&after(&messages), "care_plan")[0]["validated"], false, "of the old version");
    messages.push(message(CLAIRE, 6, 6, &validation(2, "refused")));
    let state = &states(&after(&messages), "care_plan")[0];
    assert_eq!((&state["validated"], &state["current"]["version"]), (&json!(false), &json!(2)));
}

#[test]
fn what_has_ended_or_was_withdrawn_is_not_available() {
    let of = |kind: &str, until: &str, withdrawn: bool| {
        let changes = [
            ("/availability_type", kind.into()),
            ("/until", until.into()),
            ("/withdrawn", withdrawn.into()),
            ("/slots", json!([])),
        ];
        filled("availability", &changes)
    };
    let noon = crate::message::moment::at_ms("2026-11-23T12:00:00+01:00").unwrap();
    let kinds = after(&[
        message(ANN, 1, 1, &filled("availability", &[])),
        message(ANN, 2, 2, &of("on_duty", "2026-11-23T08:00:00+01:00", false)),
        message(BOB, 3, 3, &of("accepts_new_patients", "2027-01-01T00:00:00+01:00", false)),
        message(CLAIRE, 4, 4, &of("unavailable", "2027-01-01T00:00:00+01:00", false)),
        message(CLAIRE, 5, 5, &of("unavailable", "2027-01-01T00:00:00+01:00", true)),
    ]);
    let shown = |now_ms| {
        let states = kinds.availability.at(now_ms);
        states.iter().map(|state| state.display_name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown(noon), [ANN, BOB]);
    assert_eq!(shown(noon + 6 * 3_600_000), [BOB], "the only slot is over");
}

#[test]
fn a_draft_is_declared_when_its_number_is_recorded() {
    let draft = message(ANN, 1, 1, &filled("adverse_event", &[]));
    assert_eq!(states(&after(std::slice::from_ref(&draft)), "adverse_event")[0]["filed"], Value::Null);
    let number = message(BOB, 2, 2, &filled("adverse_event_reference", &[("/draft", id(1))]));
    assert_eq!(states(&after(&[draft, number]), "adverse_event")[0]["filed"]["reference"], "2026-123456");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two authors write versions of the same protocol and plan: whatever the order of the log, the highest
    /// version counts, and among equals the first.
    #[test]
    fn the_highest_version_counts_in_every_order(
        order in Just((1..=6_u8).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let make = |kind: &str| order.iter().map(|number| {
            let author = if number % 2 == 0 { ANN } else { BOB };
            // Versions 1, 1, 2, 2, 3, 3: each author once.
            message(author, *number, 1, &filled(kind, &[("/version", u32::from(number.div_ceil(2)).into())]))
        }).collect::<Vec<_>>();
        let first_of_three = *order.iter().find(|number| **number > 4).unwrap();
        for kind in ["library_entry", "care_plan"] {
            let state = states(&after(&make(kind)), kind).remove(0);
            prop_assert_eq!(&state["current"]["version"], &json!(3));
            prop_assert_eq!(&state["id"], &id(first_of_three));
        }
    }

    /// Answers of different people commute: every order gives the same counts.
    #[test]
    fn answers_of_different_people_commute(order in Just((0..6_u8).collect::<Vec<_>>()).prop_shuffle()) {
        let event = message(ANN, 100, 1, &filled("event", &[("/places_max", 0.into())]));
        let answer = |number: &u8| {
            let answer = ["yes", "no", "maybe"][usize::from(number % 3)];
            message(&format!("user{number}"), *number, 2, &filled("rsvp", &[("/event", id(100)), ("/answer", answer.into())]))
        };
        let log: Vec<_> = std::iter::once(event).chain(order.iter().map(answer)).collect();
        let state = states(&after(&log), "event").remove(0);
        let expected: serde_json::Map<String, Value> = (0..6_u8).map(|number| {
            let answer = ["yes", "no", "maybe"][usize::from(number % 3)];
            (format!("user{number}@cpts.example"), answer.into())
        }).collect();
        prop_assert_eq!(&state["answers"], &Value::Object(expected));
        prop_assert_eq!(state["coming"].as_array().unwrap().len(), 2);
    }
}
