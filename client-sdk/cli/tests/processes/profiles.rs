//! One process a profile, one key a store.

use std::fs;

use crate::world::{Hub, Person, group};

#[test]
fn two_processes_on_one_profile_are_kept_apart() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    let following = alice.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    let second = alice.run(&["groups"]);
    assert_eq!(second.expect_exit(8).lines[0]["name"], "profile_in_use");
    following.kill();
    alice.run(&["groups"]).expect_exit(0);
}

#[test]
fn a_passphrase_opens_its_profile_and_no_other_does() {
    let hub = Hub::start();
    let alice = Person::new("alice");
    let link = hub.invitation("alice", &[]);
    let with = |passphrase: &str, arguments: &[&str]| {
        let mut command = alice.command(arguments);
        command.env("CERCLE_PASSPHRASE", passphrase).output().unwrap().status.code()
    };
    assert_eq!(with("court", &["enrol", "--passphrase", &link]), Some(2), "too short");
    assert_eq!(with("quatre mots au hasard", &["enrol", "--passphrase", &link]), Some(0));
    assert_eq!(with("quatre mots au hasard", &["whoami"]), Some(0));
    assert_eq!(with("quatre mots", &["whoami"]), Some(9));
    alice.run(&["whoami"]).expect_exit(9);
    let files = fs::read_dir(alice.profile()).unwrap();
    assert!(files.map(|file| file.unwrap().file_name()).all(|name| name != "key"));
}

#[test]
fn a_profile_of_before_is_brought_up_to_date_and_one_of_later_is_left_alone() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Cabinet");
    let store = |sql: &str| {
        rusqlite::Connection::open(alice.profile().join("store.db")).unwrap().execute_batch(sql).unwrap();
    };
    // Format 1 had no pieces, and a group of two has none.
    store("DROP TABLE pieces; UPDATE meta SET value = x'00000001' WHERE name = 'format'");
    alice.run(&["send", "cabinet", "toujours là"]).expect_exit(0);
    assert!(bob.run(&["recv"]).expect_exit(0).texts().contains(&"toujours là"));
    store("SELECT COUNT(*) FROM pieces");

    store("UPDATE meta SET value = x'7fffffff' WHERE name = 'format'");
    let refused = alice.human_command(&["groups"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(9), "{said}");
    assert!(said.contains("version plus récente") && said.contains("2147483647"), "{said}");
    alice.run(&["send", "cabinet", "perdu"]).expect_exit(9);
    store("UPDATE meta SET value = x'00000002' WHERE name = 'format'");
    alice.run(&["send", "cabinet", "retrouvé"]).expect_exit(0);
}

#[test]
fn several_identities_live_side_by_side() {
    let hub = Hub::start();
    let machine = Person::new("shared");
    for user in ["alice", "bob"] {
        machine.run(&["--profile", user, "enrol", &hub.invitation(user, &[])]).expect_exit(0);
    }
    for user in ["alice", "bob"] {
        let finished = machine.run(&["whoami", "--profile", user]);
        assert_eq!(finished.expect_exit(0).lines[0]["user"], format!("{user}@cpts.example"));
    }
}

#[test]
fn no_text_of_a_message_can_be_read_on_the_disk() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    group(&[&alice], "Titre-confidentiel");
    alice.run(&["send", "titre", "contenu-confidentiel"]).expect_exit(0);
    for file in fs::read_dir(alice.profile()).unwrap() {
        let path = file.unwrap().path();
        let content = fs::read(&path).unwrap();
        for secret in ["Titre-confidentiel", "contenu-confidentiel"] {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}
