//! Each documented exit code, from the situation that it is for.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use crate::world::{Hub, Person, group};

#[test]
fn a_profile_without_enrolment_is_code_3() {
    let nobody = Person::new("nobody");
    for arguments in [&["whoami"][..], &["groups"], &["send", "x", "y"], &["recv"], &["status"]] {
        let finished = nobody.run(arguments);
        assert_eq!(finished.expect_exit(3).lines[0]["name"], "not_enrolled");
    }
}

#[test]
fn a_senseless_command_line_is_code_2() {
    let person = Person::new("x");
    for arguments in [&["sned"][..], &[], &["invite", "g"], &["enrol", "https://example.org"]] {
        let output = person.human_command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_used_invitation_is_code_5_and_says_what_to_do() {
    let hub = Hub::start();
    let link = hub.invitation("alice", &[]);
    Person::new("alice").run(&["enrol", &link]).expect_exit(0);
    let second = Person::new("alice");
    let finished = second.run(&["enrol", &link]);
    assert_eq!(finished.expect_exit(5).lines[0]["name"], "refused");
    assert!(finished.lines[0]["mend"].is_string());
    let fresh = hub.invitation("alice", &[]);
    second.run(&["enrol", &fresh]).expect_exit(0);
}

#[test]
fn an_enrolled_profile_takes_no_second_invitation() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    alice.run(&["enrol", &hub.invitation("bob", &[])]).expect_exit(5);
}

#[test]
fn a_member_may_not_invite_new_users_but_further_devices_of_his_own() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    alice.run(&["invitation", "bob", "--name", "Bob"]).expect_exit(5);
    let finished = alice.run(&["invitation"]);
    let link = finished.expect_exit(0).lines[0]["link"].as_str().unwrap().to_owned();
    let phone = Person::new("alice");
    phone.run(&["enrol", &link]).expect_exit(0);
    assert_eq!(alice.run(&["devices"]).expect_exit(0).of_type("device").count(), 2);
}

#[test]
fn names_that_mean_nothing_or_too_much_are_code_7() {
    let hub = Hub::start();
    let alice = hub.enrol("alice");
    group(&[&alice], "Plaies A");
    group(&[&alice], "Plaies B");
    alice.run(&["send", "plaies", "texte"]).expect_exit(7);
    alice.run(&["send", "inconnu", "texte"]).expect_exit(7);
    alice.run(&["invite", "plaies a", "personne.inconnue"]).expect_exit(7);
    alice.run(&["revoke", "ffffffff"]).expect_exit(7);
}

#[test]
fn a_hub_that_does_not_answer_is_code_4_and_a_message_to_it_is_kept_with_code_6() {
    let mut hub = Hub::start();
    let alice = hub.enrol("alice");
    group(&[&alice], "Seule");
    hub.stop();
    alice.run(&["--timeout", "1", "devices"]).expect_exit(4);
    alice.run(&["--timeout", "1", "recv"]).expect_exit(4);
    let kept = alice.run(&["--timeout", "1", "send", "seule", "plus tard"]);
    let line = kept.expect_exit(6).of_type("kept").next().unwrap();
    assert_eq!(line["waiting"], 1);
    alice.run(&["--offline", "groups"]).expect_exit(0);
    alice.run(&["--offline", "whoami"]).expect_exit(0);
}

#[test]
fn garbage_and_strangers_in_place_of_the_hub_are_code_4_and_harm_nothing() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Garde");
    let address = hub.address();
    hub.stop();
    let listener = TcpListener::bind(&address).unwrap();
    let stranger = thread::spawn(move || {
        // As many as two impatient commands open; the listener closes with the thread.
        for connection in listener.incoming().take(2) {
            let mut connection = connection.unwrap();
            let mut hello = [0; 64];
            let _ = connection.read(&mut hello);
            let _ = connection.write_all(&[0xa5; 4096]);
        }
    });
    alice.run(&["--timeout", "1", "recv"]).expect_exit(4);
    alice.run(&["--timeout", "1", "send", "garde", "malgré tout"]).expect_exit(6);
    // Whatever the commands left over.
    while !stranger.is_finished() {
        drop(std::net::TcpStream::connect(&address));
    }
    stranger.join().unwrap();
    hub.spawn();
    alice.run(&["recv"]).expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts(), ["malgré tout"]);
}

#[test]
fn a_hub_under_another_root_gets_nothing() {
    let (hub, other) = (Hub::start(), Hub::start());
    let good = hub.invitation("alice", &[]);
    let (_, secret_and_root) = good.split_once("/join#").unwrap();
    let forged = format!("cercle://{}/join#{secret_and_root}", other.address());
    let alice = Person::new("alice");
    let finished = alice.run(&["enrol", &forged]);
    assert_eq!(finished.expect_exit(4).lines[0]["name"], "unreachable");
    alice.run(&["enrol", &good]).expect_exit(0);
}
