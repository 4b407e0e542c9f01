//! A device is killed while messages pour in.

use crate::world::{Hub, group};

const KILLS: usize = 8;
const LINES: usize = 12;

#[test]
fn a_device_killed_while_it_receives_keeps_every_message_once() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Flux");
    let mut chat = alice.start(&["chat", "flux"]);
    let mut written = 0;
    for round in 0..KILLS {
        let following = bob.start(&["recv", "--follow"]);
        following.until(|line| line["type"] == "caught_up");
        for _ in 0..LINES {
            written += 1;
            chat.write(&format!("message {written}"));
        }
        // Somewhere in the stream: between receiving, decrypting, storing, showing and acknowledging.
        let stop_at = written - LINES + 1 + round % LINES;
        let wanted = format!("message {stop_at}");
        following.until(|line| line["text"] == wanted.as_str());
        following.kill();
    }
    chat.end_input();
    assert_eq!(chat.wait().0, Some(0));
    bob.run(&["recv"]).expect_exit(0);
    let texts: Vec<String> = bob.history("flux").into_iter().map(|(_, _, text)| text).collect();
    let expected: Vec<String> = (1..=written).map(|number| format!("message {number}")).collect();
    assert_eq!(texts, expected);
    assert_eq!(alice.epoch("flux"), bob.epoch("flux"));
}

#[test]
fn a_device_killed_while_it_sends_sends_each_message_once() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Envoi");
    let mut accepted = 0;
    for round in 0..KILLS {
        let mut chat = alice.start(&["chat", "envoi"]);
        for line in 0..LINES {
            chat.write(&format!("{round} {line}"));
        }
        let enough = 1 + round % LINES;
        for _ in 0..enough {
            chat.until(|line| line["type"] == "accepted");
        }
        accepted += enough;
        chat.kill();
    }
    // What was taken and not yet sent goes out now.
    alice.run(&["send", "envoi", "fin"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let (ours, theirs) = (alice.history("envoi"), bob.history("envoi"));
    assert_eq!(ours, theirs);
    let mut texts: Vec<_> = theirs.into_iter().map(|(_, _, text)| text).collect();
    assert!(texts.len() > accepted, "{} of at least {accepted}", texts.len());
    let count = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), count, "nothing twice");
}
