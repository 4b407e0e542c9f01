//! The hub is killed under load, again and again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{Hub, Person, Running, group, says};

const KILLS: usize = 20;
/// Lines that each member writes between two kills.
const LINES: usize = 6;

/// One member with a process that writes and reads for the whole test.
struct Talker<'a> {
    person: &'a Person,
    chat: Running,
    written: usize,
    /// What the hub has acknowledged: id and place in the log.
    accepted: BTreeMap<String, u64>,
}

impl<'a> Talker<'a> {
    fn new(person: &'a Person) -> Self {
        Self { person, chat: person.start(&["chat", "charge"]), written: 0, accepted: BTreeMap::new() }
    }

    fn write(&mut self, lines: usize) {
        for _ in 0..lines {
            self.written += 1;
            self.chat.write(&format!("{} {}", self.person.name, self.written));
        }
    }

    /// Waits until the hub has acknowledged everything but this many lines.
    fn until_accepted(&mut self, but: usize) {
        while self.accepted.len() + but < self.written {
            let seen = self.chat.until(|line| line["type"] == "accepted");
            self.note(&seen);
        }
    }

    fn note(&mut self, lines: &[Value]) {
        for line in lines.iter().filter(|line| line["type"] == "accepted") {
            let id = line["id"].as_str().unwrap().to_owned();
            let before = self.accepted.insert(id, line["seq"].as_u64().unwrap());
            assert_eq!(before, None, "one message is acknowledged once");
        }
    }
}

#[test]
fn twenty_kills_of_the_hub_lose_nothing_double_nothing_and_leave_one_state() {
    let mut hub = Hub::start();
    let people = ["alice", "bob", "chloe"].map(|name| hub.enrol(name));
    let renewer = hub.enrol("didier");
    group(&[&people[0], &people[1], &people[2], &renewer], "Charge");
    let mut talkers = people.iter().map(Talker::new).collect::<Vec<_>>();
    for round in 0..KILLS {
        for talker in &mut talkers {
            talker.write(LINES);
        }
        // A commit every other round, so that epochs end under load too.
        let commit = (round % 2 == 0).then(|| renewer.start(&["update-keys", "charge"]));
        // Kill at a different depth of the load each time.
        talkers[round % people.len()].until_accepted(round % LINES);
        hub.kill();
        hub.spawn();
        if let Some(commit) = commit {
            let (exit, lines) = commit.wait();
            assert_eq!(exit, Some(0), "{lines:#?}");
        }
    }
    let total = talkers.len() * KILLS * LINES;
    let mut accepted = BTreeMap::new();
    for mut talker in talkers {
        talker.until_accepted(0);
        accepted.extend(talker.accepted.clone());
        talker.chat.end_input();
        let (exit, _) = talker.chat.wait();
        assert_eq!(exit, Some(0));
    }
    assert_eq!(accepted.len(), total);
    let expected: BTreeSet<u64> = accepted.into_values().collect();
    assert_eq!(expected.len(), total, "no two messages in one place");
    same_everywhere(&[&people[0], &people[1], &people[2], &renewer], total, &expected);
}

/// Everybody has every message once, in the same order, and is in the same epoch with the same secrets.
fn same_everywhere(people: &[&Person], total: usize, places: &BTreeSet<u64>) {
    let first = {
        people[0].run(&["recv"]).expect_exit(0);
        people[0].history("charge")
    };
    assert_eq!(first.len(), total);
    assert_eq!(first.iter().map(|(seq, ..)| *seq).collect::<BTreeSet<_>>(), *places);
    for person in people {
        let caught_up = person.run(&["recv"]);
        caught_up.expect_exit(0);
        assert_eq!(caught_up.of_type("gap").count(), 0, "{caught_up:#?}");
        assert_eq!(person.history("charge"), first, "{}", person.name);
        let mut own = first.iter().filter(|(_, sender, _)| sender.starts_with(&person.name));
        let in_order =
            (1..).zip(own.by_ref()).all(|(n, (_, _, text))| *text == format!("{} {n}", person.name));
        assert!(in_order, "{} wrote in another order", person.name);
    }
    let epoch = people[0].epoch("charge");
    for person in people {
        assert_eq!(person.epoch("charge"), epoch, "{}", person.name);
    }
}

#[test]
fn a_hub_that_is_killed_between_two_messages_has_both() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Deux");
    let following = bob.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    alice.run(&["send", "deux", "avant"]).expect_exit(0);
    hub.kill();
    hub.spawn();
    alice.run(&["send", "deux", "après"]).expect_exit(0);
    let seen = following.until(|line| says(line, "après"));
    assert_eq!(seen.iter().filter(|line| line["type"] == "message" && line["kind"] == "text").count(), 2);
}
