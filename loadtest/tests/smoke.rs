//! Every scenario in small, through the real programs: nothing lost, doubled, disordered or unreadable.
//!
//! Asserts correctness only, never a time. Needs `cercle-server` (and `cercle`, for the demonstration) built
//! with the same profile, as `cargo test --workspace` does.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that the helpers of a test binary are tests; a failure is a panic here"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cercle-loadtest");

fn run(arguments: &[&str]) -> Output {
    for program in ["cercle-server", "cercle"] {
        let path = Path::new(PROGRAM).with_file_name(program);
        assert!(path.exists(), "{program} is not built: cargo build -p cercle-server -p cercle-cli");
    }
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// The report of a scenario against a hub of its own, which must be clean.
fn clean_report(arguments: &[&str]) -> Value {
    let done = run(&[&["--self-hosted", "--json"], arguments].concat());
    let (shown, log) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{shown}\n{log}");
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(report["clean"], true, "{report}");
    report
}

/// A hub that somebody else runs; killed when the test ends.
struct ForeignHub {
    child: Child,
    invitation: String,
}

impl ForeignHub {
    fn start(data: &Path) -> Self {
        let server = Path::new(PROGRAM).with_file_name("cercle-server");
        let made = Command::new(&server)
            .args(["init", "--domain", "cpts.example", "--address", "127.0.0.1:0", "--data"])
            .arg(data)
            .output()
            .unwrap();
        let invitation = String::from_utf8(made.stdout).unwrap().lines().last().unwrap().to_owned();
        let mut serve = Command::new(&server);
        serve.args(["serve", "--config"]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = serve.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
        Self { child, invitation }
    }
}

impl Drop for ForeignHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a figure's first round.
fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.and_then(|figure| figure["values"][0].as_f64()).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_reader_that_was_away_twice_catches_up_with_every_message_and_commit() {
    let report = clean_report(&[
        "catch-up",
        "--messages",
        "60",
        "--groups",
        "6",
        "--commits",
        "8",
        "--writers",
        "2",
        "--rounds",
        "2",
    ]);
    assert_eq!(report["tally"]["accepted"], 2 * 60);
    assert_eq!(report["tally"]["delivered"], 2 * 60);
}

#[test]
fn every_member_of_a_busy_group_gets_every_message() {
    let report = clean_report(&["group-chat", "--members", "4", "--rate", "20", "--seconds", "2"]);
    assert_eq!(report["tally"]["accepted"], 40);
    assert_eq!(report["tally"]["delivered"], 3 * 40);
    assert!(figure(&report, "hub resident memory") > 0.0, "{report}");
}

#[test]
fn raw_members_of_several_groups_get_every_message_from_the_hub_and_from_the_reference() {
    let load = ["--groups", "2", "--members", "3", "--rate", "300", "--seconds", "0.5", "--rounds", "1"];
    let report = clean_report(&[&["fan-out", "--reference"], load.as_slice()].concat());
    let tally = &report["tally"];
    assert!(tally["sent"].as_u64().unwrap() > 50, "{report}");
    assert_eq!(tally["delivered"].as_u64(), tally["sent"].as_u64().map(|sent| sent * 3));
    figure(&report, "CPU ratio to reference, saturated");
}

#[test]
fn members_agree_after_commits_that_race_with_messages_and_each_other() {
    let report = clean_report(&[
        "commit-churn",
        "--members",
        "5",
        "--interval-ms",
        "100",
        "--rate",
        "20",
        "--seconds",
        "2",
    ]);
    assert_eq!(report["tally"]["delivered"], 4 * 40);
    let agreeing = figure(&report, "members with the same epoch authenticator");
    assert!((agreeing - 5.0).abs() < f64::EPSILON, "{report}");
    // One commit adds the members, then 20 are made.
    assert!(figure(&report, "epoch") >= 21.0, "{report}");
}

#[test]
fn an_empty_hub_starts_and_the_demonstration_plays() {
    let report = clean_report(&["startup", "--rounds", "1", "--idle-seconds", "0.001"]);
    assert!(figure(&report, "demonstration, first message") > 0.0, "{report}");
}

#[test]
fn a_hub_that_is_running_already_is_measured_by_invitation_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = ForeignHub::start(&folder.path().join("hub"));
    let pid = hub.child.id().to_string();
    let target = ["--json", "--invitation", &hub.invitation, "--hub-pid", &pid];
    let load = ["group-chat", "--members", "3", "--rate", "10", "--seconds", "1"];
    let done = run(&[&target[..], &load].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["tally"]["delivered"], 2 * 10);
    assert!(figure(&report, "hub resident memory") > 0.0, "{report}");
    assert!(hub.child.try_wait().unwrap().is_none(), "the hub runs on");
}

#[test]
fn a_scenario_without_a_hub_is_refused_with_what_to_give() {
    let done = run(&["group-chat"]);
    assert_eq!(done.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--self-hosted"), "{done:?}");
    let wrong = run(&["group-chat", "--members", "1", "--self-hosted"]);
    assert_eq!(wrong.status.code(), Some(2));
}
