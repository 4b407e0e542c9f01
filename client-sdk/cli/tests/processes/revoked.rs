//! A device is revoked.

use crate::world::{Hub, group};

#[test]
fn a_revoked_device_is_out_at_once_and_the_others_go_on() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Perdu");
    let device = bob.run(&["whoami"]).expect_exit(0).lines[0]["device"].as_str().unwrap().to_owned();
    let lost = bob.start(&["recv", "--follow"]);
    lost.until(|line| line["type"] == "caught_up");
    let watching = alice.start(&["recv", "--follow"]);
    watching.until(|line| line["type"] == "caught_up");

    hub.admin(&["revoke", &device]);

    let (exit, lines) = lost.wait();
    assert_eq!(exit, Some(5), "{lines:#?}");
    bob.run(&["recv"]).expect_exit(5);
    watching.until(|line| line["type"] == "membership" && line["joined"] == false);
    watching.interrupt();
    alice.run(&["send", "perdu", "sans lui"]).expect_exit(0);
    assert_eq!(alice.run(&["members", "perdu"]).expect_exit(0).of_type("member").count(), 1);
    let texts = bob.history("perdu");
    assert!(texts.iter().all(|(_, _, text)| text != "sans lui"), "{texts:?}");
}
