//! Written without a connection, sent once, in order.

use crate::world::{Hub, group};

#[test]
fn what_was_written_offline_is_sent_once_and_in_order_by_the_next_command() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Campagne");
    hub.stop();
    for text in ["un", "deux", "trois"] {
        alice.run(&["--offline", "send", "campagne", text]).expect_exit(6);
    }
    let status = alice.run(&["--offline", "status"]);
    assert_eq!(status.expect_exit(0).of_type("status").next().unwrap()["waiting"], 3);
    hub.spawn();
    alice.run(&["send", "campagne", "quatre"]).expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts(), ["un", "deux", "trois", "quatre"]);
    let status = alice.run(&["status"]);
    assert_eq!(status.expect_exit(0).of_type("status").next().unwrap()["waiting"], 0);
}

#[test]
fn a_group_made_offline_comes_to_be_with_the_next_connection() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    hub.stop();
    alice.run(&["--offline", "new", "Plus tard"]).expect_exit(6);
    hub.spawn();
    alice.run(&["groups"]).expect_exit(0);
    alice.run(&["invite", "plus tard", "bob"]).expect_exit(0);
    alice.run(&["send", "plus tard", "bonjour"]).expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts(), ["bonjour"]);
}
