//! What somebody with the hub's disk learns of people: nothing where it is sealed, everything where it is not. Real
//! processes; every file is searched, and so is what the hub says.

use std::{collections::BTreeSet, fs, process::Output};

use cercle_proto::signing::sha256;

use crate::{
    confidentiality::Words,
    world::{Hub, Person, group, operate},
};

/// A user id, a name, a push address, what a card, a listing and an entry of the operator say.
const PLANTED: [&str; 7] = [
    "zacharie.quinquet",
    "Zoltan Quinquessence",
    "planted-endpoint",
    "wunderbar-note",
    "Quixotiques",
    "Avis sur Zanzibar",
    "Yggdrasil",
];

/// Plants everything, makes the hub keep it everywhere, and gives what is found when it was killed and started.
fn found_on(hub: &mut Hub) -> BTreeSet<String> {
    let person = Person::new("zacharie");
    let invite =
        ["invite", "zacharie.quinquet", "--name", "Zoltan Quinquessence", "--role", "crisis_publisher"];
    let link = hub.admin(&invite)["link"].as_str().unwrap().to_owned();
    person.run(&["enrol", &link]).expect_exit(0);
    let anne = hub.enrol("anne");
    hub.directory(&["add", "local:y", "--name", "Yggdrasil", "--user", "zacharie.quinquet@cpts.example"]);
    person.run(&["push", "register", "--endpoint", "https://planted-endpoint.example/abc"]).expect_exit(0);
    person.run(&["directory", "card", "--note", "wunderbar-note"]).expect_exit(0);
    group(&[&person, &anne], "Plaies Quixotiques");
    person.run(&["join", "open", "Plaies", "--about", "Avis sur Zanzibar"]).expect_exit(0);
    let alert = ["alert", "send", "Plaies", "--mode", "exercise", "--headline", "Afflux"];
    person.run(&alert).expect_exit(0);
    anne.run(&["alert", "list"]).expect_exit(0);
    group(&[&anne], "Autre");
    anne.run(&["join", "open", "Autre", "--about", "rien"]).expect_exit(0);
    person.run(&["join", "ask", "Autre"]).expect_exit(0);
    let found = anne.run(&["directory", "search", "yggdrasil"]);
    assert!(
        found.expect_exit(0).lines.iter().any(|line| line.to_string().contains("Yggdrasil")),
        "{found:#?}"
    );
    hub.kill();
    hub.spawn();
    let again = anne.run(&["directory", "search", "yggdrasil"]);
    assert!(again.expect_exit(0).lines.iter().any(|line| line.to_string().contains("wunderbar-note")));
    let kept = hub.everything();
    Words::new(PLANTED).found_in(&kept).into_iter().map(str::to_owned).collect()
}

/// Whether the disk tells, to who has a list of users, that this one has a vault.
fn shows_a_vault(hub: &Hub) -> bool {
    let plain = b"cercle vault v1\0zacharie.quinquet@cpts.example";
    let name: String = sha256(plain)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let vaults = hub.data().join("attachments").join("vaults");
    let names: Vec<_> = fs::read_dir(vaults).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.is_empty(), "she has one");
    names.iter().any(|found| found.to_str() == Some(&name))
}

#[test]
fn a_stolen_disk_shows_nobody() {
    let mut hub = Hub::start_observed();
    assert_eq!(found_on(&mut hub), BTreeSet::new());
    assert!(!shows_a_vault(&hub));
}

#[test]
fn a_disk_that_is_not_sealed_shows_everybody() {
    let found = found_on(&mut Hub::start_unsealed());
    for planted in PLANTED {
        assert!(found.iter().any(|found| found.starts_with(planted)), "{planted} is not found: {found:?}");
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn a_hub_without_its_key_does_not_start_and_a_new_key_takes_over() {
    let mut hub = Hub::start();
    let anne = hub.enrol("anne");
    group(&[&anne], "Cabinet");
    hub.stop();
    let (key, away) = (hub.data().join("at-rest.key"), hub.data().join("away.key"));
    fs::rename(&key, &away).unwrap();
    let refused = hub.operate(&["serve"]);
    assert!(!refused.status.success() && said(&refused).contains("at-rest.key"), "{}", said(&refused));
    let doctor = hub.operate(&["doctor"]);
    assert!(said(&doctor).contains("BAD  key at rest"), "{}", said(&doctor));
    fs::rename(&away, &key).unwrap();
    let rekeyed = hub.operate(&["store", "rekey", "--to", hub.data().join("next.key").to_str().unwrap()]);
    assert!(rekeyed.status.success(), "{}", said(&rekeyed));
    let refused = hub.operate(&["serve"]);
    assert!(!refused.status.success() && said(&refused).contains("another key"), "{}", said(&refused));
    fs::rename(hub.data().join("next.key"), &key).unwrap();
    hub.spawn();
    anne.run(&["send", "Cabinet", "bonjour"]).expect_exit(0);
}

#[test]
fn a_hub_that_was_made_unsealed_is_sealed_later_with_everything_in_it() {
    let mut hub = Hub::start_unsealed();
    let found = found_on(&mut hub);
    assert!(!found.is_empty() && shows_a_vault(&hub));
    let devices = hub.admin(&["devices", "zacharie.quinquet"]);
    let running = hub.operate(&["store", "seal"]);
    assert!(!running.status.success(), "{}", said(&running));
    hub.stop();
    let file = hub.data().join("cercle.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\nat_rest_key = \"at-rest.key\"\n")).unwrap();
    let early = hub.operate(&["serve"]);
    assert!(!early.status.success() && said(&early).contains("store seal"), "{}", said(&early));
    let sealed = hub.operate(&["store", "seal"]);
    assert!(sealed.status.success(), "{}", said(&sealed));
    hub.forget_log();
    hub.spawn();
    assert_eq!(hub.admin(&["devices", "zacharie.quinquet"]), devices);
    assert!(!shows_a_vault(&hub));
    let kept = hub.everything();
    assert_eq!(Words::new(PLANTED).found_in(&kept), BTreeSet::new());
    let verified = hub.operate(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn a_backup_of_a_sealed_hub_shows_nobody_and_is_restored_with_the_key_only() {
    let mut hub = Hub::start_observed();
    found_on(&mut hub);
    let backups = tempfile::tempdir().unwrap();
    let repository = backups.path().join("r").to_str().unwrap().to_owned();
    let made = hub.operate(&["backup", "create", "--repository", &repository]);
    assert!(made.status.success(), "{}", said(&made));
    let mut copied = Vec::new();
    let mut folders = vec![backups.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => copied.extend(fs::read(path).unwrap()),
            }
        }
    }
    assert!(!Words::new(["cpts.example"]).found_in(&copied).is_empty(), "the search finds what is there");
    let key = fs::read_to_string(hub.data().join("at-rest.key")).unwrap();
    let all = PLANTED.into_iter().chain([key.trim()]);
    assert_eq!(Words::new(all).found_in(&copied), BTreeSet::new());
    let target = backups.path().join("hub");
    let restore = |more: &[&str]| {
        let target = target.to_str().unwrap();
        operate(&[&["restore", &repository, "--data", target], more].concat())
    };
    let refused = restore(&[]);
    assert!(!refused.status.success() && said(&refused).contains("--at-rest-key"), "{}", said(&refused));
    assert!(!target.exists(), "nothing is there");
    let restored = restore(&["--at-rest-key", hub.data().join("at-rest.key").to_str().unwrap()]);
    assert!(restored.status.success(), "{}", said(&restored));
    hub.stop();
    let users = operate(&["audit", "export", "--config", target.to_str().unwrap()]);
    assert!(said(&users).contains("zacharie.quinquet") && said(&users).contains("store.restored"));
}
