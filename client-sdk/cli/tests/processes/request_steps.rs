//! Steps of requests that bring in other people, other groups or the clock, as commands.

use serde_json::Value;

use crate::{
    chaos::skip,
    chaos_clock::HandClock,
    requests::{only, row_in_the_end},
    world::{Hub, Person, group},
};

/// The id of the request that a command has posted.
fn asked(person: &Person, arguments: &[&str]) -> String {
    only(person, arguments)["request"].as_str().unwrap().to_owned()
}

fn actions(person: &Person, id: &str) -> Vec<Value> {
    let shown = person.run(&["show", id]);
    shown.expect_exit(0).of_type("step").map(|step| step["action"].clone()).collect()
}

#[test]
fn whoever_is_asked_alone_declines_and_somebody_else_is_asked() {
    let hub = Hub::start();
    let (anne, bruno, claire) = (hub.enrol("anne"), hub.enrol("bruno"), hub.enrol("claire"));
    group(&[&anne, &bruno, &claire], "Nord");
    let task = ["ask", "task", "--to", "nord", "--title", "Rappeler la famille", "--assignee", "bruno"];
    let id = asked(&anne, &task);
    claire.run(&["claim", &id]).expect_exit(5);
    let declined = only(&bruno, &["decline", &id, "--reason", "En congé"]);
    assert_eq!(
        (&declined["state"], &declined["assignee"]),
        (&"declined".into(), &"bruno@cpts.example".into())
    );
    assert_eq!(only(&anne, &["board", "--mine", "--closed"])["state"], "declined");

    let again = only(&anne, &["reassign", &id, "--to", "claire"]);
    assert_eq!((&again["state"], &again["assignee"]), (&"open".into(), &"claire@cpts.example".into()));
    bruno.run(&["claim", &id]).expect_exit(5);
    only(&claire, &["claim", &id]);
    // Whoever has it hands it on.
    let handed_on = only(&claire, &["reassign", &id, "--to", "bruno"]);
    assert_eq!((&handed_on["state"], &handed_on["owner"]), (&"open".into(), &Value::Null));
    assert_eq!(only(&bruno, &["claim", &id])["owner"], "bruno@cpts.example");
    let expected = serde_json::json!([
        { "type": "decline", "reason": "En congé" },
        { "type": "reassign", "to": "claire@cpts.example" },
        { "type": "claim", "receipt": null, "owner_name": "" },
        { "type": "reassign", "to": "bruno@cpts.example" },
        { "type": "claim", "receipt": null, "owner_name": "" },
    ]);
    assert_eq!(Value::from(actions(&anne, &id)), expected);
}

#[test]
fn a_request_that_nobody_has_goes_to_more_groups_by_hand_or_at_its_time() {
    let hub = Hub::start();
    let (anne, bruno, david) = (hub.enrol("anne"), hub.enrol("bruno"), hub.enrol("david"));
    group(&[&anne, &bruno], "Nord");
    group(&[&anne, &david], "Sud");
    let ask = |title: &'static str, plan: &'static str| {
        let referral = ["ask", "referral", "--to", "nord", "--speciality", "SM15", "--title", title];
        asked(&anne, &[&referral[..], &["--widen", plan]].concat())
    };
    let by_hand = ask("Avis", "3d=sud");
    let at_once = ask("Autre avis", "0m=sud");
    // The device that asked widens it by itself when it is connected.
    row_in_the_end(&anne, &david, &["board"], |row| row["title"] == "Autre avis");
    let board = david.run(&["board"]);
    let titles: Vec<&Value> = board.expect_exit(0).of_type("request").map(|row| &row["title"]).collect();
    assert_eq!(titles, ["Autre avis"], "the time of the first has not come");
    bruno.run(&["widen", &by_hand, "--to", "nord"]).expect_exit(5);
    let widened = only(&anne, &["widen", &by_hand, "--to", "sud"]);
    assert_eq!(widened["groups"].as_array().map(Vec::len), Some(2), "the command waits for the hub");
    let board = david.run(&["board"]);
    assert!(board.expect_exit(0).of_type("request").any(|row| row["title"] == "Avis"));

    // One of them has it for all.
    assert_eq!(only(&david, &["claim", &by_hand])["owner"], "david@cpts.example");
    bruno.run(&["claim", &by_hand]).expect_exit(10);
    only(&bruno, &["claim", &at_once]);
    david.run(&["claim", &at_once]).expect_exit(10);
    let widened = actions(&bruno, &at_once);
    assert_eq!(
        (&widened[0]["type"], widened[0]["groups"].as_array().map(Vec::len)),
        (&"widen".into(), Some(1))
    );
    // A request to one group without a plan has no register, so it stays there.
    let narrow = asked(&anne, &["ask", "task", "--to", "nord", "--title", "Ici seulement"]);
    anne.run(&["widen", &narrow, "--to", "sud"]).expect_exit(5);
}

#[test]
fn nobody_takes_on_a_request_after_its_end_by_the_clock_of_the_hub() {
    let Some(clock) = HandClock::new() else {
        return skip("there is no C compiler, and so no other clock");
    };
    let mut hub = Hub::start();
    let (anne, bruno) = (hub.enrol("anne"), hub.enrol("bruno"));
    group(&[&anne, &bruno], "Nord");
    clock.take_over(&mut hub);
    let task = ["ask", "task", "--to", "nord", "--title", "Avant ce soir", "--expires", "2h"];
    let id = asked(&anne, &task);
    anne.run(&["ask", "task", "--to", "nord", "--title", "Trop tard", "--expires", "0m"]).expect_exit(2);
    clock.set(3 * 3_600);
    bruno.run(&["claim", &id]).expect_exit(5);
    assert_eq!(only(&anne, &["board", "--mine"])["owner"], Value::Null);
    assert!(actions(&anne, &id).is_empty(), "what came too late counts nowhere");
    // Had it been in time, it would have counted.
    clock.set(0);
    assert_eq!(only(&bruno, &["claim", &id])["owner"], "bruno@cpts.example");
}
