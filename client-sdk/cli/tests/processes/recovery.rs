//! The recovery code, as two processes on two machines would use it.

use std::fs;

use serde_json::Value;

use crate::world::{Hub, Person, group, says, until};

fn sheet(lines: &[Value]) -> (String, String) {
    let line = lines.iter().find(|line| line["type"] == "recovery_code").expect("a code is shown");
    (line["code"].as_str().unwrap().to_owned(), line["address"].as_str().unwrap().to_owned())
}

/// A new user with the code that was shown.
fn enrol_with_code(hub: &Hub, user: &str) -> (Person, String, String) {
    let person = Person::new(user);
    let enrolled = person.run(&["enrol", &hub.invitation(user, &[])]);
    let (code, address) = sheet(&enrolled.expect_exit(0).lines);
    (person, code, address)
}

fn has(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn changes(person: &Person, group: &str) -> Vec<Value> {
    let finished = person.run(&["--offline", "recv", "--all", group]);
    finished.of_type("device_change").cloned().collect()
}

#[test]
fn a_lost_machine_is_replaced_with_the_code_from_the_enrolment() {
    let hub = Hub::start_observed();
    let (alice, code, address) = enrol_with_code(&hub, "alice");
    let bob = hub.enrol("bob");
    group(&[&bob, &alice], "Tournée");
    bob.run(&["send", "tournée", "avant-le-vol"]).expect_exit(0);
    alice.run(&["recv"]).expect_exit(0);
    alice.run(&["send", "tournée", "bien-reçu"]).expect_exit(0);
    let paper = alice.profile().join("paper.pdf");
    fs::write(&paper, b"%PDF-1.4 ordonnance").unwrap();
    alice.run(&["attach", "tournée", paper.to_str().unwrap()]).expect_exit(0);
    let before = alice.history("tournée");
    assert!(before.len() >= 2, "{before:?}");
    // The hub has the backup, and nothing of it can be read there, nor is the code there.
    let everything = hub.everything();
    for secret in ["avant-le-vol", "bien-reçu", &code, &code.replace('-', ""), "ordonnance"] {
        assert!(!has(&everything, secret), "{secret}");
    }
    drop(alice);

    let phone = Person::new("alice");
    let lazy = code.to_lowercase().replace('-', " ");
    let wrong = format!("{}{}", if code.starts_with('7') { '8' } else { '7' }, &code[1..]);
    phone.run(&["recover", &address, "--code", &wrong]).expect_exit(2);
    phone.run(&["recover", "cercle://h:1/recover#x", "--code", &code]).expect_exit(2);
    let back = phone.run_with_input(&["--timeout", "60", "recover", &address, "--code", "-"], &lazy);
    assert_eq!(back.expect_exit(0).of_type("identity").next().unwrap()["user"], "alice@cpts.example");
    assert_eq!(phone.history("tournée"), before);
    // The document is where it was, and opens.
    let all = phone.run(&["--offline", "recv", "--all", "tournée"]);
    let document = all.of_type("message").find(|line| line["kind"] == "document").unwrap().clone();
    let target = phone.profile().join("again.pdf");
    let id = document["id"].as_str().unwrap();
    phone.run(&["get", id, "-o", target.to_str().unwrap()]).expect_exit(0);
    assert_eq!(fs::read(&target).unwrap(), b"%PDF-1.4 ordonnance");
    bob.run(&["send", "tournée", "après"]).expect_exit(0);
    let heard = phone.run(&["recv"]).expect_exit(0).lines.clone();
    assert!(heard.iter().any(|line| says(line, "après")), "{heard:#?}");
    // Bob sees in the thread with what she came back.
    let seen = changes(&bob, "tournée");
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert_eq!((&seen[0]["added"], &seen[0]["admission"]), (&true.into(), &"recovery_code".into()));

    // A new code: the former one is refused from then on.
    let changed = phone.run(&["recovery", "rotate"]);
    let (new, _) = sheet(&changed.expect_exit(0).lines);
    assert_ne!(new, code);
    let state = phone.run(&["recovery", "status"]).expect_exit(0).lines.clone();
    assert_eq!((&state[0]["code"], &state[0]["kept_here"]), (&true.into(), &true.into()));
    let laptop = Person::new("alice");
    laptop.run(&["recover", &address, "--code", &code]).expect_exit(5);
    // The whole sheet in one line, as it was shown.
    let line = changed.of_type("recovery_code").next().unwrap()["line"].as_str().unwrap();
    assert_eq!(line, format!("{address} {new}"));
    laptop.run(&["recover", line, "--code", &new]).expect_exit(2);
    laptop.run_with_input(&["--timeout", "60", "recover", "-"], &format!("{line}\n")).expect_exit(0);
    assert_eq!(laptop.history("tournée"), phone.history("tournée"));
    // Once more on the same machine changes nothing.
    laptop.run(&["recover", line]).expect_exit(0);
    assert_eq!(laptop.history("tournée"), phone.history("tournée"));
}

#[test]
fn a_machine_that_loses_power_on_its_way_back_comes_back_all_the_same() {
    let hub = Hub::start();
    let (alice, code, address) = enrol_with_code(&hub, "alice");
    let bob = hub.enrol("bob");
    for title in ["Lundi", "Mardi", "Mercredi"] {
        group(&[&bob, &alice], title);
        bob.run(&["send", title, "bonjour"]).expect_exit(0);
        alice.run(&["recv"]).expect_exit(0);
        alice.run(&["send", title, "bonsoir"]).expect_exit(0);
    }
    let before: Vec<_> = ["Lundi", "Mardi", "Mercredi"].map(|title| alice.history(title)).into();
    drop(alice);

    let phone = Person::new("alice");
    let arguments = ["--timeout", "60", "recover", &address, "--code", &code];
    let begun = phone.start(&arguments);
    // Asking the hub is what waits here.
    let devices = || hub.admin(&["devices", "alice"]);
    until(|| devices().is_array() && phone.profile().exists());
    begun.kill();
    let enrolled = || devices().as_array().unwrap().len() > 1;
    let begun = phone.start(&arguments);
    until(enrolled);
    begun.kill();
    phone.run(&arguments).expect_exit(0);
    let after: Vec<_> = ["Lundi", "Mardi", "Mercredi"].map(|title| phone.history(title)).into();
    assert_eq!(after, before);
    let devices = phone.run(&["devices"]).expect_exit(0).of_type("device").count();
    assert_eq!(devices, 2, "the old one and one new one, however often it began");
}

#[test]
fn who_comes_back_without_the_code_is_shown_as_such_in_every_thread() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&bob, &alice], "Tournée");
    bob.run(&["send", "tournée", "avant"]).expect_exit(0);
    alice.run(&["recv"]).expect_exit(0);
    let lost = alice.run(&["whoami"]).expect_exit(0).lines[0]["device"].as_str().unwrap().to_owned();
    drop(alice);

    let phone = Person::new("alice");
    phone.run(&["enrol", "--no-recovery", &hub.invitation("alice", &[])]).expect_exit(0);
    hub.admin(&["revoke", &lost]);
    let shown = |line: &Value| line["type"] == "device_change";
    let heard = bob.run(&["recv"]).expect_exit(0).lines.clone();
    let entry = heard.iter().find(|line| shown(line)).unwrap_or_else(|| panic!("{heard:#?}"));
    assert_eq!((&entry["admission"], &entry["user"]), (&"invited".into(), &"alice@cpts.example".into()));
    // It stays in the thread, whenever the program is started again.
    assert!(changes(&bob, "tournée").contains(entry));
    assert!(changes(&bob, "tournée").contains(entry));
    let human =
        bob.human_command(&["--offline", "--lang", "fr", "recv", "--all", "tournée"]).output().unwrap();
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.contains("sans code de récupération"), "{human}");
    // A thread that is shown has it at its place, in both languages too.
    bob.run(&["send", "tournée", "pendant"]).expect_exit(0);
    let thread = bob.run(&["--offline", "thread", "tournée"]).expect_exit(0).lines.clone();
    let places: Vec<u64> = thread.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert!(places.is_sorted() && places.len() > 2, "{thread:#?}");
    let said = |line: &Value, text: &str| line["type"] == "thread_message" && line["text"] == text;
    let before = thread.iter().position(|line| said(line, "avant")).unwrap();
    let change = thread.iter().position(|line| line == entry).unwrap_or_else(|| panic!("{thread:#?}"));
    let after = thread.iter().position(|line| said(line, "pendant")).unwrap();
    assert!(before < change && change < after, "{thread:#?}");
    for (language, words) in [("fr", "sans code de récupération"), ("en", "without the recovery code")] {
        let shown = bob.human_command(&["--offline", "--lang", language, "thread", "tournée"]).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        assert!(shown.contains(words), "{shown}");
    }
    // Of its end alone, only what is there.
    let end = bob.run(&["--offline", "thread", "tournée", "--last", "1"]).expect_exit(0).lines.clone();
    assert!(!end.contains(entry), "{end:#?}");
    // She reads what is said from now on, and nothing of before.
    bob.run(&["send", "tournée", "après"]).expect_exit(0);
    let heard = phone.run(&["recv"]);
    let texts = heard.expect_exit(0).texts();
    assert!(texts.contains(&"après") && !texts.contains(&"avant"), "{:#?}", heard.lines);
}

#[test]
fn a_coordinator_brings_back_with_one_command_who_has_lost_everything() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    let chief = Person::new("chief");
    let link = hub.invitation("chief", &["--role", "coordinator"]);
    chief.run(&["enrol", "--no-recovery", &link]).expect_exit(0);
    group(&[&bob, &alice], "Tournée");
    group(&[&alice, &bob], "Relève");
    bob.run(&["send", "tournée", "avant"]).expect_exit(0);
    alice.run(&["recv"]).expect_exit(0);

    let made = chief.run(&["invitation", "alice", "--lost-devices"]);
    let link = made.expect_exit(0).of_type("invitation").next().unwrap()["link"].as_str().unwrap().to_owned();
    // Who found the phone gets nothing more, though the hub starts again and bob is there.
    hub.kill();
    hub.spawn();
    bob.run(&["send", "tournée", "pas pour le voleur"]).expect_exit(0);
    let thief = alice.run(&["recv"]);
    assert_eq!(thief.texts(), Vec::<&str>::new(), "{:#?}", thief.lines);

    let phone = Person::new("alice");
    phone.run(&["enrol", "--no-recovery", &link]).expect_exit(0);
    for title in ["tournée", "relève"] {
        bob.run(&["send", title, "te revoilà"]).expect_exit(0);
        until(|| {
            phone.run(&["recv"]).expect_exit(0);
            phone.history(title).iter().any(|(_, _, text)| text == "te revoilà")
        });
        until(|| {
            bob.run(&["recv"]).expect_exit(0);
            let members = bob.run(&["members", title]);
            members.expect_exit(0).of_type("member").count() == 2
        });
    }
    // An administrator who ends a last device without saying that it is lost is told what that means.
    let device = hub.admin(&["devices", "bob"])[0]["device"].as_str().unwrap().to_owned();
    let ended = hub.admin(&["revoke", &device]);
    assert_eq!(ended["devices_left"], 0);
    assert!(ended["note"].as_str().unwrap().contains("--lost-devices"), "{ended}");
}
