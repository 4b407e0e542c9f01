//! A listed group: found, asked for, its administrator told; accepted and declined. The hub is killed in between.

use serde_json::Value;

use crate::world::{Finished, Hub, Person, group, until};

fn waiting(person: &Person) -> Vec<Value> {
    person.run(&["join", "requests"]).expect_exit(0).of_type("join_request").cloned().collect()
}

fn found(person: &Person) -> Finished {
    let found = person.run(&["join", "find", "avis", "pla"]);
    found.expect_exit(0);
    found
}

#[test]
fn a_listed_group_is_found_asked_for_and_joined_and_a_declined_one_waits() {
    let mut hub = Hub::start();
    let (anne, karim, zoe) = (hub.enrol("anne"), hub.enrol("karim"), hub.enrol("zoe"));
    group(&[&anne], "Plaies complexes");
    assert_eq!(found(&karim).of_type("listed_group").count(), 0, "nothing is shown that is not listed");
    anne.run(&["join", "open", "Plaies", "--about", "Avis sur photos"]).expect_exit(0);
    let listed = found(&karim).of_type("listed_group").next().unwrap().clone();
    assert_eq!((&listed["title"], &listed["member"]), (&"Plaies complexes".into(), &false.into()));

    let follows = anne.start(&["recv", "--follow"]);
    follows.until(|line| line["type"] == "caught_up");
    for _ in 0..2 {
        karim.run(&["join", "ask", "plaies"]).expect_exit(0);
    }
    follows.until(|line| line["type"] == "join_request" && line["user"] == "karim@cpts.example");
    drop(follows);
    zoe.run(&["join", "ask", "plaies"]).expect_exit(0);
    hub.kill();
    hub.spawn();
    let asking: Vec<Value> = waiting(&anne).iter().map(|request| request["user"].clone()).collect();
    assert_eq!(asking, ["karim@cpts.example", "zoe@cpts.example"]);
    // Who connects later is told as well, once for this connection.
    let follows = anne.start(&["recv", "--follow"]);
    follows.until(|line| line["type"] == "join_request" && line["user"] == "zoe@cpts.example");
    drop(follows);

    assert_ne!(zoe.run(&["join", "accept", "Plaies", "zoe"]).exit, Some(0), "not his to decide");
    assert_ne!(anne.run(&["join", "accept", "Plaies", "paul"]).exit, Some(0), "he never asked");
    anne.run(&["join", "accept", "Plaies", "karim"]).expect_exit(0);
    // Who is not connected is told when he is, once.
    anne.run(&["join", "decline", "Plaies", "zoe", "--reason", "Équipe complète"]).expect_exit(0);
    hub.kill();
    hub.spawn();
    let follows = zoe.start(&["recv", "--follow"]);
    let told = follows.until(|line| line["type"] == "request_declined").pop().unwrap();
    drop(follows);
    assert_eq!((&told["title"], &told["reason"]), (&"Plaies complexes".into(), &"Équipe complète".into()));
    let joined = karim.run(&["recv"]);
    assert_eq!(joined.expect_exit(0).of_type("joined").count(), 1);
    assert_eq!(found(&karim).of_type("listed_group").next().unwrap()["member"], true);
    until(|| waiting(&anne).is_empty());
    assert_ne!(karim.run(&["join", "requests", "Plaies"]).exit, Some(0), "he is no administrator");

    let declined = found(&zoe).of_type("listed_group").next().unwrap().clone();
    assert!(declined["declined_at_ms"].as_u64().unwrap() > 0);
    assert_eq!(declined["decline_reason"], "Équipe complète");
    assert_ne!(zoe.run(&["join", "ask", "plaies"]).exit, Some(0), "declined a moment ago");
    anne.run(&["join", "close", "Plaies"]).expect_exit(0);
    assert_eq!(found(&zoe).of_type("listed_group").count(), 0);
    assert_ne!(zoe.run(&["join", "ask", "plaies"]).exit, Some(0), "listed no more");
}
