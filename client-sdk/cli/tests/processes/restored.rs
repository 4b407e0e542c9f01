//! A profile is put back from an old copy.

use std::{fs, path::Path};

use crate::world::{Hub, group};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_old_copy_is_noticed_and_joins_again_before_it_writes() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Copie");
    bob.run(&["recv"]).expect_exit(0);
    let safe = tempfile::tempdir().unwrap();
    copy(&bob.profile(), safe.path());
    for number in 1..=3 {
        bob.run(&["send", "copie", &format!("bob {number}")]).expect_exit(0);
        alice.run(&["send", "copie", &format!("alice {number}")]).expect_exit(0);
    }
    bob.run(&["recv"]).expect_exit(0);
    copy(safe.path(), &bob.profile());

    let noticed = bob.run(&["recv"]);
    noticed.expect_exit(0);
    assert_eq!(noticed.of_type("restored_copy").count(), 1, "{noticed:#?}");
    bob.run(&["send", "copie", "de retour"]).expect_exit(0);
    let received = alice.run(&["recv"]);
    assert_eq!(received.expect_exit(0).texts().last(), Some(&"de retour"));
    alice.run(&["send", "copie", "bon retour"]).expect_exit(0);
    assert_eq!(bob.run(&["recv"]).expect_exit(0).texts().last(), Some(&"bon retour"));
    assert_eq!(alice.epoch("copie"), bob.epoch("copie"));
}
