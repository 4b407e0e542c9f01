//! A further device of the same person, as two processes would do it.

use crate::world::{Hub, Person, Running, group, says};

/// Shows a code; returns the process that awaits the number, and the code.
fn shows_code(old: &Person) -> (Running, String) {
    let linking = old.start(&["--timeout", "60", "link"]);
    let lines = linking.until(|line| line["type"] == "link_code");
    let code = lines.last().unwrap()["code"].as_str().unwrap().to_owned();
    (linking, code)
}

fn number(joining: &Running) -> String {
    let lines = joining.until(|line| line["type"] == "link_number");
    lines.last().unwrap()["number"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_device_has_everything_and_a_lost_one_nothing_more() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&bob, &alice], "Tournée");
    alice.run(&["recv"]).expect_exit(0);
    bob.run(&["send", "tournée", "avant"]).expect_exit(0);
    alice.run(&["recv"]).expect_exit(0);
    alice.run(&["send", "tournée", "de mon téléphone"]).expect_exit(0);

    let tablet = Person::new("alice");
    let (mut linking, code) = shows_code(&alice);
    let joining = tablet.start(&["--timeout", "60", "enrol", &code]);
    let number = number(&joining);
    linking.until(|line| line["type"] == "link_met");
    linking.write(&format!("{} {}", &number[..3], &number[3..]));
    let (exit, lines) = linking.wait();
    assert_eq!(exit, Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line["type"] == "linked"), "{lines:#?}");
    let (exit, lines) = joining.wait();
    assert_eq!(exit, Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line["type"] == "identity" && line["user"] == "alice@cpts.example"));

    assert_eq!(tablet.history("tournée"), alice.history("tournée"));
    bob.run(&["send", "tournée", "après"]).expect_exit(0);
    let heard = tablet.run(&["recv"]).expect_exit(0).lines.clone();
    assert!(heard.iter().any(|line| says(line, "après")), "{heard:#?}");
    let devices = alice.run(&["devices"]).expect_exit(0).lines.clone();
    assert_eq!(devices.len(), 2, "{devices:#?}");
    assert!(devices.iter().all(|line| line["last_seen_at_ms"].as_u64().unwrap() > 0));

    // What is read and begun on one device is so on the other.
    tablet.run(&["read", "tournée"]).expect_exit(0);
    tablet.run(&["draft", "tournée", "je passe demain"]).expect_exit(0);
    alice.run(&["recv"]).expect_exit(0);
    let draft = alice.run(&["draft", "tournée"]).expect_exit(0).lines.clone();
    assert_eq!(draft[0]["text"], "je passe demain");
    let read = alice.run(&["read", "tournée"]).expect_exit(0).lines.clone();
    assert_eq!(read[0]["messages"], 0, "read on the tablet: {read:#?}");

    let lost = tablet.run(&["whoami"]).expect_exit(0).lines[0]["device"].as_str().unwrap().to_owned();
    let listening = tablet.start(&["recv", "--follow"]);
    listening.until(|line| line["type"] == "caught_up");
    alice.run(&["unlink", &lost[..8]]).expect_exit(0);
    let (exit, lines) = listening.wait();
    assert_eq!(exit, Some(5), "{lines:#?}");
    bob.run(&["send", "tournée", "sans elle"]).expect_exit(0);
    tablet.run(&["recv"]).expect_exit(5);
    assert!(tablet.history("tournée").iter().all(|(_, _, text)| text != "sans elle"));
    let own = alice.run(&["whoami"]).expect_exit(0).lines[0]["device"].as_str().unwrap().to_owned();
    alice.run(&["unlink", &own]).expect_exit(2);
}

#[test]
fn a_wrong_number_and_a_killed_device_leave_nothing_behind() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    let tablet = Person::new("alice");
    let (mut linking, code) = shows_code(&alice);
    let joining = tablet.start(&["--timeout", "60", "link", &code]);
    let right = number(&joining);
    linking.write(if right == "000000" { "000001" } else { "000000" });
    let (exit, lines) = linking.wait();
    assert_eq!(exit, Some(5), "{lines:#?}");
    let (exit, lines) = joining.wait();
    assert_eq!(exit, Some(5), "{lines:#?}");
    tablet.run(&["whoami"]).expect_exit(3);

    // The new device dies while it shows its number: the code is used, a new one works.
    let (linking, code) = shows_code(&alice);
    let joining = tablet.start(&["--timeout", "60", "link", &code]);
    number(&joining);
    joining.kill();
    linking.kill();
    tablet.run(&["link", &code]).expect_exit(5);
    let (mut linking, code) = shows_code(&alice);
    let joining = tablet.start(&["--timeout", "60", "link", &code]);
    linking.write(&number(&joining));
    assert_eq!(linking.wait().0, Some(0));
    assert_eq!(joining.wait().0, Some(0));
    assert_eq!(alice.run(&["devices"]).expect_exit(0).lines.len(), 2);
    tablet.run(&["link", "cercle://h:1/link#x"]).expect_exit(2);
}

#[test]
fn the_words_that_people_read_are_not_those_of_cryptography() {
    let sources = [
        include_str!("../../src/commands/link.rs"),
        include_str!("../../src/commands/recover.rs"),
        include_str!("../../src/arguments/devices.rs"),
        include_str!("../../src/failure/devices.rs"),
    ];
    // What people read is in quotes, or is the help of an argument.
    for source in sources {
        let mut shown = 0;
        for line in source.lines().map(str::trim) {
            let help = line.starts_with("/// ") && source.contains("#[derive(Debug, Subcommand)]");
            if !help && !line.starts_with('"') && !line.contains("text!(\"") {
                continue;
            }
            shown += 1;
            let words = line.to_lowercase();
            for word in ["clé", "key", "session", "decrypt", "déchiffr"] {
                assert!(!words.contains(word), "{word}: {line}");
            }
        }
        assert!(shown > 2, "the sentences were not found");
    }
}
