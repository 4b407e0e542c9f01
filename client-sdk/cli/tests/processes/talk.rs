//! Conversations on the command line: answers, reactions, edits, withdrawals, search, receipts.

use serde_json::Value;

use crate::world::{Finished, Hub, Person, group};

/// The lines of a thread as a person shows them.
fn thread(person: &Person, name: &str) -> Vec<Value> {
    let finished = person.run(&["thread", name]);
    finished.expect_exit(0).of_type("thread_message").cloned().collect()
}

/// How to name the message with this text.
fn place(person: &Person, name: &str, text: &str) -> String {
    let line = thread(person, name).into_iter().find(|line| line["text"] == text).expect("it is there");
    format!("{name}:{}", line["seq"])
}

fn hits(finished: &Finished) -> Vec<&str> {
    finished.of_type("hit").map(|hit| hit["text"].as_str().unwrap()).collect()
}

#[test]
fn what_is_said_about_a_message_is_shown_with_it() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Plaies");
    alice.run(&["send", "plaies", "Visite à 8 h"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let visit = place(&bob, "plaies", "Visite à 8 h");
    bob.run(&["reply", &visit, "J'y serai", "--mention", "alice"]).expect_exit(0);
    bob.run(&["react", &visit, "👍"]).expect_exit(0);
    bob.run(&["edit", &visit, "à moi"]).expect_exit(2);
    alice.run(&["edit", &visit, "Visite à 9 h"]).expect_exit(0);
    alice.run(&["pin", &visit]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let lines = thread(&bob, "plaies");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let (visit, answer) = (&lines[0], &lines[1]);
    assert_eq!((&visit["text"], &visit["pinned"]), (&"Visite à 9 h".into(), &true.into()));
    assert!(visit["edited_at_ms"].is_u64());
    assert_eq!(visit["reactions"][0]["emoji"], "👍");
    assert_eq!(visit["replies"][0], answer["id"]);
    assert_eq!(answer["content"]["mentions"][0], "alice@cpts.example");
    alice.run(&["send", "plaies", "effacé\u{1b}[2J"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let shown = bob.human_command(&["thread", "plaies"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("effacé\u{fffd}[2J") && !shown.contains('\u{1b}'), "{shown:?}");
    let header = alice.run(&["thread", "plaies"]);
    assert_eq!(header.of_type("thread").next().unwrap()["mentions"], 1);
}

#[test]
fn a_withdrawn_message_is_named_by_its_id_and_says_nothing_any_more() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Plaies");
    let sent = alice.run(&["send", "plaies", "mauvais fil"]);
    let id = sent.expect_exit(0).of_type("accepted").next().unwrap()["id"].as_str().unwrap().to_owned();
    alice.run(&["retract", &id, "--reason", "erreur"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let lines = thread(&bob, "plaies");
    assert_eq!((&lines[0]["text"], &lines[0]["retracted"]["reason"]), (&"".into(), &"erreur".into()));
    bob.run(&["react", &id, "👍"]).expect_exit(2);
    bob.run(&["react", "ffffffff", "👍"]).expect_exit(7);
    assert!(hits(bob.run(&["search", "mauvais"]).expect_exit(0)).is_empty());
}

#[test]
fn search_works_without_the_hub_and_in_one_group() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Plaies");
    group(&[&alice, &bob], "Garde");
    alice.run(&["send", "plaies", "L'ordonnance de pansements est prête"]).expect_exit(0);
    alice.run(&["send", "garde", "Pas d'ordonnance cette nuit"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    hub.stop();
    let everywhere = bob.run(&["search", "ORDONN"]);
    assert_eq!(
        hits(everywhere.expect_exit(0)),
        ["Pas d'ordonnance cette nuit", "L'ordonnance de pansements est prête"]
    );
    let here = bob.run(&["search", "ordonnance", "pret", "--group", "plaies"]);
    assert_eq!(hits(here.expect_exit(0)), ["L'ordonnance de pansements est prête"]);
}

#[test]
fn a_direct_thread_is_found_again_and_tells_who_has_read() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    let opened = |person: &Person, other: &str| {
        let finished = person.run(&["direct", other]);
        finished.expect_exit(0).of_type("group").next().unwrap()["group"].as_str().unwrap().to_owned()
    };
    let id = opened(&alice, "bob");
    alice.run(&["send", &id, "Vu ?"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    assert_eq!(opened(&bob, "alice"), id);
    bob.run(&["read", &id]).expect_exit(0);
    let status = alice.run(&["status", &id]);
    let places: Vec<&Value> = status.expect_exit(0).of_type("read_place").collect();
    assert_eq!((places.len(), &places[0]["user"]), (1, &"bob@cpts.example".into()));
    alice.run(&["direct", "inconnu"]).expect_exit(7);
}

#[test]
fn a_thread_has_a_kind_and_administrators_rename_it() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    alice
        .run(&["new", "Protocoles", "--kind", "library", "--topic", "Plaies", "--commune", "22278"])
        .expect_exit(0);
    alice.run(&["invite", "protocoles", "bob"]).expect_exit(0);
    alice.run(&["set-profile", "protocoles", "--title", "Protocoles plaies"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let shown = bob.run(&["thread", "protocoles plaies"]);
    let header = shown.expect_exit(0).of_type("thread").next().unwrap();
    assert_eq!((&header["kind"], &header["communes"][0]), (&"library".into(), &"22278".into()));
    assert_eq!((&header["topic"], &header["read_receipts"]), (&"Plaies".into(), &false.into()));
    bob.run(&["send", "protocoles", "puis-je ?"]).expect_exit(5);
    bob.run(&["set-profile", "protocoles", "--title", "À moi"]).expect_exit(5);
}
