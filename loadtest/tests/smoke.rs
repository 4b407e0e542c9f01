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
    let report = clean_report(&[&["compare", "--with", "reference", "fan-out"], load.as_slice()].concat());
    let tally = &report["tally"];
    assert!(tally["sent"].as_u64().unwrap() > 50, "{report}");
    assert_eq!(tally["delivered"].as_u64(), tally["sent"].as_u64().map(|sent| sent * 3));
    let ratios = report["ratios"].as_array().unwrap();
    assert!(ratios.iter().any(|ratio| ratio["name"] == "deliveries per second, saturated"), "{report}");
}

#[test]
fn one_sender_reaches_the_members_of_many_groups() {
    let load = ["--groups", "3", "--members", "4", "--one-sender", "--rate", "240", "--seconds", "0.5"];
    let report =
        clean_report(&[&["run", "fan-out", "--rounds", "1", "--only", "fixed"], load.as_slice()].concat());
    let sent = report["tally"]["sent"].as_u64().unwrap();
    assert!(sent > 10 && report["tally"]["delivered"] == sent * 4, "{report}");
}

#[test]
fn an_idle_fleet_stays_connected() {
    let options = ["--clients", "40", "--settle-seconds", "0.01", "--hold-seconds", "0.1", "--rounds", "2"];
    let report =
        clean_report(&[&["compare", "--with", "reference", "idle-fleet"], options.as_slice()].concat());
    assert_eq!(report["tally"]["delivered"], 2 * 40);
    figure(&report, "resident memory per connection");
}

#[test]
fn everybody_is_back_after_a_storm() {
    let options = ["--clients", "40", "--groups", "2", "--rounds", "1"];
    let report = clean_report(&[&["run", "reconnect-storm"], options.as_slice()].concat());
    assert_eq!(report["tally"]["delivered"], 2 * 40);
    figure(&report, "everybody back after");
}

#[test]
fn pairs_and_many_small_groups_get_every_message() {
    let pairs = ["one-to-one", "--pairs", "2", "--rate", "100", "--seconds", "0.5", "--rounds", "1"];
    let report = clean_report(&pairs);
    assert_eq!(report["tally"]["delivered"], report["tally"]["sent"], "{report}");
    let groups = ["many-groups", "--groups", "20", "--devices", "6", "--members", "3", "--rate", "200"];
    let report = clean_report(&[&groups, ["--seconds", "0.5", "--rounds", "1"].as_slice()].concat());
    assert_eq!(report["tally"]["delivered"].as_u64(), report["tally"]["sent"].as_u64().map(|sent| sent * 2));
}

#[test]
fn what_is_accepted_without_a_reader_is_read_by_one_who_comes_late() {
    let ingest = ["durable-ingest", "--senders", "2", "--window", "8", "--seconds", "0.3", "--rounds", "1"];
    let report = clean_report(&ingest);
    assert_eq!(report["tally"]["accepted"], report["tally"]["sent"], "{report}");
    let reader = ["cold-reader", "--messages", "200", "--groups", "5", "--rounds", "2"];
    let report = clean_report(&reader);
    assert_eq!(report["tally"]["delivered"], 2 * 200);
}

#[test]
fn readers_that_pause_lose_nothing() {
    let load = ["--members", "6", "--slow", "2", "--rate", "300", "--seconds", "1", "--rounds", "1"];
    let report = clean_report(&[&["slow-readers"], load.as_slice()].concat());
    let latencies = report["latencies"].as_array().unwrap();
    assert!(
        latencies.iter().any(|latency| latency["name"] == "due to delivered, the slow readers"),
        "{report}"
    );
}

#[test]
fn a_day_with_devices_that_come_and_go_loses_nothing() {
    let options = ["--professionals", "20", "--hours", "0.02", "--messages-each", "10", "--speed-up", "30"];
    let more = ["--connection-seconds", "0.4", "--rounds", "1"];
    let report = clean_report(&[&["mixed-day"], options.as_slice(), &more].concat());
    assert!(report["tally"]["sent"].as_u64().unwrap() > 50, "{report}");
    assert!(figure(&report, "connections opened again") >= 1.0, "{report}");
}

/// A peer that is not installed is named; one that is must relay everything.
fn relays_everything(peer: &str) {
    let load = ["--members", "4", "--rate", "200", "--seconds", "0.5", "--rounds", "1"];
    let report = clean_report(&[&["compare", "--with", peer, "fan-out"], load.as_slice()].concat());
    let skipped = report["skipped"].as_array().unwrap();
    if let Some(skipped) = skipped.first() {
        let why = skipped.as_str().unwrap();
        assert!(why.contains("not installed") || why.contains("2.10 or newer"), "{report}");
        return;
    }
    let tally = &report["other_tallies"][0];
    assert!(tally["system"] == peer && tally["sent"].as_u64().unwrap() > 20, "{report}");
    assert_eq!(tally["delivered"].as_u64(), tally["sent"].as_u64().map(|sent| sent * 4));
}

#[test]
fn mosquitto_relays_everything_if_it_is_installed() {
    relays_everything("mosquitto");
}

#[test]
fn nats_relays_everything_if_it_is_installed() {
    relays_everything("nats");
}

#[test]
fn ejabberd_relays_everything_if_it_is_installed() {
    relays_everything("ejabberd");
}

#[test]
fn a_page_with_plots_is_written_and_an_exceeded_budget_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (page, budgets) = (folder.path().join("report.html"), folder.path().join("budgets.toml"));
    let budget =
        "[[budget]]\nscenario = \"one-to-one\"\nfigure = \"hub resident memory, fixed rate\"\nmax = 0.1\n";
    std::fs::write(&budgets, budget).unwrap();
    let load = ["run", "one-to-one", "--target", "self", "--rate", "50", "--seconds", "0.2", "--rounds", "1"];
    let output = ["--html", page.to_str().unwrap(), "--budgets", budgets.to_str().unwrap()];
    let done = run(&[load.as_slice(), &output].concat());
    let shown = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{shown}");
    assert!(shown.contains("budget EXCEEDED"), "{shown}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
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
fn a_batch_of_members_joins_during_the_load() {
    let members = ["--members", "4", "--joining", "3", "--join-batch", "2", "--interval-ms", "300"];
    let load = ["--rate", "10", "--seconds", "2"];
    let report = clean_report(&[&["commit-churn"], members.as_slice(), &load].concat());
    assert_eq!(report["tally"]["delivered"], 3 * 20);
    let agreeing = figure(&report, "members with the same epoch authenticator");
    assert!((agreeing - 7.0).abs() < f64::EPSILON, "{report}");
}

#[test]
fn every_member_fetches_every_document_whole() {
    let report = clean_report(&[
        "attachments",
        "--members",
        "3",
        "--megabytes",
        "1",
        "--documents",
        "2",
        "--rounds",
        "1",
    ]);
    assert_eq!(report["tally"]["delivered"], 2 * 2);
}

/// 40 devices, 8 of them away; every count is that of the plan.
fn alerted(more: &[&str]) -> Value {
    let options = ["run", "alert-broadcast", "--devices", "40", "--real", "5"];
    let report = clean_report(&[&options, more].concat());
    // The author has his message already.
    assert_eq!(report["tally"]["delivered"], 39, "{report}");
    let names: Vec<_> =
        report["latencies"].as_array().unwrap().iter().map(|of| (&of["name"], &of["count"])).collect();
    for (name, count) in
        [("written to delivered", 31), ("written to acknowledged", 32), ("written to rung", 40)]
    {
        assert!(names.iter().any(|known| *known.0 == name && *known.1 == count), "{name} in {names:?}");
    }
    report
}

#[test]
fn an_alert_reaches_everybody_and_wakes_those_who_are_away_once() {
    let report = alerted(&[]);
    assert!((figure(&report, "wake-ups of the alert") - 8.0).abs() < f64::EPSILON, "{report}");
    assert!(figure(&report, "hub processor time per delivery") >= 0.0);
}

#[test]
fn an_alert_survives_a_hub_that_is_killed_in_the_middle() {
    let report = alerted(&["--kill"]);
    assert!(figure(&report, "wake-ups of the alert") >= 8.0, "{report}");
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
fn raw_devices_are_invited_by_the_coordinator_of_a_running_hub() {
    let folder = tempfile::tempdir().unwrap();
    let hub = ForeignHub::start(&folder.path().join("hub"));
    let load = ["run", "one-to-one", "--rate", "50", "--seconds", "0.5", "--rounds", "1", "--json"];
    let done = run(&[load.as_slice(), &["--target", &hub.invitation]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(report["tally"]["sent"].as_u64().unwrap() > 20, "{report}");
    assert_eq!(report["tally"]["delivered"], report["tally"]["sent"], "{report}");
}

#[test]
fn a_run_that_is_interrupted_shows_what_it_has() {
    let mut program = Command::new(PROGRAM);
    program.args(["run", "one-to-one", "--target", "self", "--seconds", "3600", "--json", "--progress"]);
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("sending: ")), "it never sends");
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    lines.for_each(drop);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["tally"]["delivered"], report["tally"]["sent"], "{report}");
}

#[test]
fn a_scenario_without_a_hub_is_refused_with_what_to_give() {
    let done = run(&["group-chat"]);
    assert_eq!(done.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--target self"), "{done:?}");
    let wrong = run(&["group-chat", "--members", "1", "--self-hosted"]);
    assert_eq!(wrong.status.code(), Some(2));
}
