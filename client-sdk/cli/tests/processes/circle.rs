//! A patient circle on the command line, from its opening to the check of its export.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    chaos::skip,
    chaos_clock::HandClock,
    world::{Finished, Hub, Person, until},
};

/// Nobody: the identity is invented, and provisional.
pub(crate) const NEW: [&str; 13] = [
    "circle",
    "new",
    "Cercle O. I.",
    "--birth-name",
    "Imaginaire",
    "--given",
    "Odette Marie",
    "--birth-date",
    "1941-03-17",
    "--gender",
    "female",
    "--role",
    "médecin traitant",
];

fn one<'a>(finished: &'a Finished, kind: &'a str) -> &'a Value {
    finished.of_type(kind).next().unwrap_or_else(|| panic!("no {kind}: {finished:#?}"))
}

fn verify(person: &Person, folder: &Path, root: Option<&str>) -> Finished {
    let folder = folder.to_str().unwrap();
    match root {
        Some(root) => person.run(&["verify-export", folder, "--root", root]),
        None => person.run(&["verify-export", folder]),
    }
}

#[test]
fn a_circle_is_opened_joined_read_exported_and_checked() {
    let hub = Hub::start();
    let (anne, ines) = (hub.enrol("anne"), hub.enrol("ines"));
    let opened = anne.run(&NEW);
    let circle = one(opened.expect_exit(0), "circle");
    assert!(circle["traits"].as_str().unwrap().contains("IMAGINAIRE Odette Marie"), "{circle}");
    assert_eq!(one(&opened, "circle_member")["basis"], "same_team");
    anne.run(&NEW).expect_exit(5);
    anne.run(&["send", "cercle", "Pansement refait."]).expect_exit(0);

    // No other name is a way around the rules.
    anne.run(&["new", "Sans patient", "--kind", "patient-circle"]).expect_exit(2);
    anne.run(&["set-profile", "cercle", "--kind", "conversation"]).expect_exit(5);
    anne.run(&["circle", "add", "cercle", "ines", "--role", "infirmière"]).expect_exit(5);
    anne.run(&["invite", "cercle", "ines"]).expect_exit(5);
    let consent = ["circle", "add", "cercle", "ines", "--role", "infirmière", "--basis", "consent"];
    anne.run(&consent).expect_exit(5);
    let refusals = anne.run(&["circle", "refusals", "cercle"]);
    let mut reasons: Vec<&str> =
        refusals.expect_exit(0).of_type("refusal").map(|line| line["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["no_basis", "no_basis", "no_consent"]);
    anne.run(&["circle", "consent", "cercle", "consent", "--scope", "partage"]).expect_exit(0);
    let added = anne.run(&consent);
    assert_eq!(one(added.expect_exit(0), "invited")["devices"].as_array().unwrap().len(), 1);

    // The newcomer reads what was said before, as Anne's word.
    let members = ines.run(&["circle", "members", "cercle"]);
    assert_eq!(members.expect_exit(0).of_type("circle_member").count(), 2);
    assert_eq!(ines.history("cercle").len(), 1, "{:?}", ines.history("cercle"));
    let timeline = ines.run(&["circle", "timeline", "cercle"]);
    let kinds: Vec<&str> =
        timeline.expect_exit(0).of_type("timeline").map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["circle_opened", "circle_consent", "circle_member"]);
    assert_eq!(one(&timeline, "timeline")["exported_by"], "anne@cpts.example");

    anne.run(&["circle", "remove", "cercle", "ines", "--note", "relais"]).expect_exit(0);
    anne.run(&["circle", "close", "cercle", "--reason", "guérison"]).expect_exit(0);
    anne.run(&["send", "cercle", "trop tard"]).expect_exit(5);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("export");
    let exported = anne.run(&["circle", "export", "cercle", folder.to_str().unwrap()]);
    assert!(one(exported.expect_exit(0), "exported")["messages"].as_u64().unwrap() > 5);

    // Whoever has no profile checks it.
    let visitor = Person::new("visitor");
    let identity = anne.run(&["whoami"]);
    let root = one(&identity, "identity")["root_fingerprint"].as_str().unwrap();
    let verified = verify(&visitor, &folder, Some(root));
    assert_eq!(one(verified.expect_exit(0), "export_verified")["exporter"], "anne@cpts.example");
    let page = folder.join("index.html");
    let mut changed = fs::read(&page).unwrap();
    changed.push(b' ');
    fs::write(&page, changed).unwrap();
    let damaged = verify(&visitor, &folder, None);
    let fault = one(damaged.expect_exit(5), "export_fault");
    assert_eq!((&fault["fault"], &fault["path"]), (&"changed".into(), &"index.html".into()));
}

#[test]
fn traits_are_corrected_one_by_one_and_an_objection_is_shown_and_kept() {
    let hub = Hub::start();
    let (anne, _ines) = (hub.enrol("anne"), hub.enrol("ines"));
    anne.run(&NEW).expect_exit(0);
    anne.run(&["circle", "identity", "cercle"]).expect_exit(2);
    let seen = ["circle", "identity", "cercle", "--reliability", "validated", "--birth-place", "75056"];
    // The number is invented, its key fits it.
    let validated = [&seen[..], &["--ins", "241037505612328", "--reason", "pièce d'identité"]].concat();
    one(anne.run(&validated).expect_exit(0), "accepted");
    let members = anne.run(&["circle", "members", "cercle"]);
    let patient = &one(members.expect_exit(0), "circle")["patient"];
    assert_eq!((&patient["ins"], &patient["birth_name"]), (&"241037505612328".into(), &"Imaginaire".into()));
    anne.run(&["circle", "identity", "cercle", "--given", "Odile", "--reliability", "provisional"])
        .expect_exit(0);
    let members = anne.run(&["circle", "members", "cercle"]);
    let circle = one(members.expect_exit(0), "circle");
    let patient = &circle["patient"];
    assert_eq!((&patient["ins"], &patient["ins_oid"]), (&"".into(), &"".into()));
    assert_eq!(patient["birth_given_names"], serde_json::json!(["Odile"]));
    assert_eq!(circle["objection"], false);
    anne.run(&["circle", "identity", "cercle", "--birth-name", ""]).expect_exit(2);

    anne.run(&["circle", "consent", "cercle", "objection"]).expect_exit(0);
    let members = anne.run(&["circle", "members", "cercle"]);
    assert_eq!(one(members.expect_exit(0), "circle")["objection"], true);
    anne.run(&["circle", "add", "cercle", "ines", "--role", "infirmière", "--basis", "team"]).expect_exit(5);
    let timeline = anne.run(&["circle", "timeline", "cercle"]);
    let lines = timeline.expect_exit(0).of_type("timeline");
    let kinds: Vec<&str> = lines.map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["circle_opened", "circle_identity", "circle_identity", "circle_consent"]);
}

/// The end of a command with results as sentences.
fn sentences(person: &Person, arguments: &[&str]) -> String {
    let output = person.human_command(arguments).env("CERCLE_LANG", "fr").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_newcomers_read_is_chosen_shown_to_everybody_and_kept_to() {
    let hub = Hub::start();
    let (anne, ines) = (hub.enrol("anne"), hub.enrol("ines"));
    let opened = anne.run(&[&NEW[..], &["--history", "none"]].concat());
    assert_eq!(one(opened.expect_exit(0), "circle")["history"], "nothing");
    anne.run(&["send", "cercle", "avant"]).expect_exit(0);
    let added = ["circle", "add", "cercle", "ines", "--role", "infirmière", "--basis", "team"];
    anne.run(&added).expect_exit(0);
    anne.run(&["send", "cercle", "après"]).expect_exit(0);
    let received = ines.run(&["recv"]);
    assert_eq!(received.expect_exit(0).texts(), ["après"]);
    assert_eq!(received.of_type("gap").count(), 0, "nothing is missing: {received:#?}");
    let texts: Vec<String> = ines.history("cercle").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["après"]);
    let members = ines.run(&["circle", "members", "cercle"]);
    let circle = one(members.expect_exit(0), "circle");
    assert_eq!((&circle["history"], &circle["summary"]), (&"nothing".into(), &true.into()));

    anne.run(&["set-profile", "cercle", "--history", "hier"]).expect_exit(2);
    ines.run(&["set-profile", "cercle", "--history", "all"]).expect_exit(5);
    anne.run(&["set-profile", "cercle", "--history", "30"]).expect_exit(0);
    ines.run(&["recv"]).expect_exit(0);
    let shown = ines.run(&["thread", "cercle"]);
    assert_eq!(one(shown.expect_exit(0), "thread")["history"], serde_json::json!({ "days": 30 }));
    for command in [&["thread", "cercle"][..], &["circle", "members", "cercle"]] {
        let text = sentences(&ines, command);
        assert!(text.contains("les nouveaux lisent les 30 derniers jours"), "{text}");
    }

    anne.run(&["new", "Plaies", "--kind", "theme", "--history", "all"]).expect_exit(0);
    anne.run(&["send", "plaies", "d'avant"]).expect_exit(0);
    anne.run(&["invite", "plaies", "ines"]).expect_exit(0);
    until(|| {
        anne.run(&["recv"]).expect_exit(0);
        ines.run(&["recv"]).expect_exit(0);
        ines.history("plaies").len() == 1
    });
    let shown = ines.run(&["thread", "plaies"]);
    assert_eq!(one(shown.expect_exit(0), "thread")["history"], "all");
    assert_eq!(one(&shown, "thread_message")["exported_by"], "anne@cpts.example");
}

#[test]
fn a_policy_of_days_gives_a_newcomer_these_days() {
    let Some(clock) = HandClock::new() else {
        return skip("there is no C compiler, and so no other clock");
    };
    let mut hub = Hub::start();
    let (anne, ines) = (hub.enrol("anne"), hub.enrol("ines"));
    clock.take_over(&mut hub);
    let variables = clock.variables();
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let run = |person: &Person, arguments: &[&str]| {
        let finished = person.run_among(&variables, arguments);
        finished.expect_exit(0);
        finished
    };
    run(&anne, &[&NEW[..], &["--history", "2"]].concat());
    run(&anne, &["send", "cercle", "il y a trois jours"]);
    clock.set(3 * 86_400);
    run(&anne, &["send", "cercle", "aujourd'hui"]);
    run(&anne, &["circle", "add", "cercle", "ines", "--role", "infirmière", "--basis", "team"]);
    until(|| {
        run(&anne, &["recv"]);
        let received = run(&ines, &["recv"]);
        assert_eq!(received.of_type("gap").count(), 0, "{received:#?}");
        !ines.history("cercle").is_empty()
    });
    let texts: Vec<String> = ines.history("cercle").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["aujourd'hui"]);
    let everything: Vec<String> = anne.history("cercle").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(everything, ["il y a trois jours", "aujourd'hui"]);
}
