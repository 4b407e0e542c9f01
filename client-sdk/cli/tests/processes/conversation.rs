//! Two professionals, each with processes of their own.

use crate::world::{Hub, group, says};

#[test]
fn messages_travel_between_two_processes_and_are_shown_once() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Tournée du matin");
    alice.run(&["send", "tournée", "Bonjour Bob"]).expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts(), ["Bonjour Bob"]);
    assert!(bob.run(&["recv"]).expect_exit(0).texts().is_empty(), "shown already");
    bob.run(&["send", "tournée", "Bonjour Alice"]).expect_exit(0);
    assert_eq!(alice.run(&["recv", "tournée"]).expect_exit(0).texts(), ["Bonjour Alice"]);
    let texts = |history: Vec<(u64, String, String)>| -> Vec<String> {
        history.into_iter().map(|(_, _, text)| text).collect()
    };
    assert_eq!(texts(alice.history("tournée")), ["Bonjour Bob", "Bonjour Alice"]);
    assert_eq!(texts(alice.history("tournée")), texts(bob.history("tournée")));
    assert_eq!(alice.epoch("tournée"), bob.epoch("tournée"));
}

#[test]
fn a_message_can_come_from_standard_input_and_keeps_its_lines() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Plaies");
    let text = "Première ligne\nDeuxième ligne — « accents »";
    alice.run_with_input(&["send", "plaies", "-"], &format!("{text}\n")).expect_exit(0);
    alice.run_with_input(&["send", "plaies"], "sans tiret").expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts(), [text, "sans tiret"]);
}

#[test]
fn those_who_stay_see_messages_as_they_come() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Garde");
    let following = bob.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    let mut chat = alice.start(&["chat", "garde"]);
    chat.write("Qui est de garde ?");
    following.until(|line| says(line, "Qui est de garde ?"));
    chat.until(|line| line["type"] == "accepted");
    chat.end_input();
    assert_eq!(chat.wait().0, Some(0), "the end of the input ends the command");
    assert_eq!(following.interrupt(), Some(0), "Ctrl-C is the usual way to end it");
    assert!(bob.run(&["recv"]).expect_exit(0).texts().is_empty(), "shown already");
}

#[test]
fn a_member_who_leaves_or_is_removed_reads_and_writes_no_more() {
    let hub = Hub::start();
    let people = ["alice", "bob", "chloe"].map(|name| hub.enrol(name));
    let [alice, bob, chloe] = &people;
    group(&[alice, bob, chloe], "Équipe");
    bob.run(&["recv"]).expect_exit(0);
    alice.run(&["remove", "équipe", "bob"]).expect_exit(0);
    bob.run(&["recv"]);
    bob.run(&["send", "équipe", "encore là ?"]).expect_exit(5);
    chloe.run(&["recv"]).expect_exit(0);
    let following = alice.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    chloe.run(&["leave", "équipe"]).expect_exit(0);
    following.until(|line| line["type"] == "membership" && line["joined"] == false);
    following.interrupt();
    let members = alice.run(&["members", "équipe"]);
    assert_eq!(members.expect_exit(0).of_type("member").count(), 1);
}

#[test]
fn hub_restarts_are_survived_by_those_who_stay() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Nuit");
    let following = bob.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    hub.stop();
    following.until(|line| line["type"] == "offline");
    hub.spawn();
    following.until(|line| line["type"] == "caught_up");
    alice.run(&["send", "nuit", "après le redémarrage"]).expect_exit(0);
    following.until(|line| says(line, "après le redémarrage"));
}
