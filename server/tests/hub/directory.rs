//! The directory through the port, over both transports, and imported by the real program, which may be killed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};

use crate::support::{Hub, PATIENCE, new_installation};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cercle-server");
const PEOPLE: &str = "tests/fixtures/directory/synthetic_personne_activite_50rows.txt";

fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("directory").args(arguments).arg("--config").arg(data).env_clear();
    command
}

fn imported(data: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = run(data, &[&["import", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_transports_search_what_the_program_imports_while_the_hub_serves() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    let report = imported(&hub.data, &[PEOPLE]);
    assert_eq!((report["lines"].as_u64(), report["refused"].as_u64()), (Some(50), Some(0)));
    for (name, mut peer) in hub.both().await {
        peer.authenticate(&device).await;
        let search = v1::DirectorySearch { text: "martin linh".into(), limit: 5, ..Default::default() };
        peer.send(3, Body::DirectorySearch(search)).await;
        let server_frame::Body::DirectoryPage(page) = peer.answer(3).await else { panic!("{name}") };
        assert_eq!(
            (page.entries[0].family.as_str(), page.entries[0].given.as_str()),
            ("MARTIN", "LINH"),
            "{name}"
        );
        let get = v1::DirectoryGet { key: page.entries[0].key.clone() };
        peer.send(4, Body::DirectoryGet(get)).await;
        let server_frame::Body::DirectoryEntry(entry) = peer.answer(4).await else { panic!("{name}") };
        assert_eq!(entry, page.entries[0], "{name}");
        peer.send(5, Body::DirectoryGet(v1::DirectoryGet { key: "ps:nobody".into() })).await;
        assert_eq!(peer.refusal(5).await, ErrorCode::DirectoryEntryUnknown, "{name}");
        let wide = v1::DirectorySearch { limit: 51, ..Default::default() };
        peer.send(6, Body::DirectorySearch(wide)).await;
        assert_eq!(peer.refusal(6).await, ErrorCode::TooMany, "{name}");
        let card = v1::Card { note: name.into(), ..Default::default() };
        let update = v1::UpdateCard { what: Some(v1::update_card::What::Card(card)) };
        peer.send(7, Body::UpdateCard(update)).await;
        let server_frame::Body::DirectoryEntry(own) = peer.answer(7).await else { panic!("{name}") };
        assert_eq!((own.users, own.card.unwrap().note), (vec!["anne@cpts.example".into()], name.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_session_reaches_no_directory() {
    let hub = Hub::start().await;
    for (name, mut peer) in hub.both().await {
        peer.greet().await;
        peer.send(2, Body::DirectorySearch(v1::DirectorySearch::default())).await;
        assert!(
            matches!(peer.refusal(2).await, ErrorCode::NotAuthenticated | ErrorCode::UnexpectedFrame),
            "{name}"
        );
    }
}

/// Waits until a file is there, or the program has ended without it.
fn until_there(path: &Path, child: &mut Child) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the test must end if the program hangs")]
    let started = Instant::now();
    while !path.exists() {
        if child.try_wait().unwrap().is_some() {
            return path.exists();
        }
        assert!(started.elapsed() < PATIENCE.max(Duration::from_secs(1)), "{} never appears", path.display());
        std::thread::yield_now();
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_leaves_the_old_directory_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    new_installation(&data).await;
    assert_eq!(imported(&data, &[PEOPLE])["generation"], 1);
    let key = "ps:899700000021";
    let larger = folder.path().join("larger.txt");
    let text = fs::read_to_string(PEOPLE).unwrap();
    let more =
        (0..40).map(|copy| text.split_once('\n').unwrap().1.replace("|8997", &format!("|8{}97", 100 + copy)));
    fs::write(&larger, text.clone() + &more.collect::<String>()).unwrap();
    let building = data.join("directory/generations/building");
    for stage in ["spool-000.bin", "part-064.bin", "index", "index/meta.json"] {
        let mut child = command(&data, &["import", larger.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let was_there = until_there(&building.join(stage), &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        // The program may have been faster than its end; else the old directory is in use.
        let current = fs::read_to_string(data.join("directory/CURRENT")).unwrap();
        assert!(was_there || current.trim() != "1", "{stage} was never reached");
        let shown = run(&data, &["show", key]);
        assert!(shown.status.success(), "{stage}: {}", String::from_utf8_lossy(&shown.stderr));
    }
    let report = imported(&data, &[larger.to_str().unwrap()]);
    assert!(report["entries"].as_u64().unwrap() > 1_000, "{report}");
    assert!(!building.exists(), "nothing is left of the killed ones");
    let removals = run(&data, &["import", PEOPLE]);
    assert!(!removals.status.success());
    assert!(String::from_utf8_lossy(&removals.stderr).contains("--accept-removals"));
    assert!(imported(&data, &[PEOPLE, "--accept-removals"])["removed"].as_u64().unwrap() > 900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_adds_hides_links_and_removes_entries() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    new_installation(&data).await;
    imported(&data, &[PEOPLE]);
    let ok = |arguments: &[&str]| {
        let output = run(&data, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ok(&[
        "add",
        "local:dupont",
        "--name",
        "Dupont",
        "--profession",
        "Assistante sociale",
        "--commune",
        "31555",
    ]);
    assert!(ok(&["show", "local:dupont"]).contains("Assistante sociale"));
    ok(&["edit", "ps:899700000021", "--unlisted", "--link", "linh@cpts.example"]);
    let shown: serde_json::Value = serde_json::from_str(&ok(&["show", "ps:899700000021", "--json"])).unwrap();
    assert_eq!((&shown["unlisted"], &shown["users"][0]), (&true.into(), &"linh@cpts.example".into()));
    ok(&["edit", "ps:899700000021", "--listed", "--unlink"]);
    ok(&["remove", "local:dupont"]);
    assert!(!run(&data, &["show", "local:dupont"]).status.success());
    assert!(
        !run(&data, &["add", "ps:1", "--name", "x"]).status.success(),
        "national keys are not the operator's"
    );
}
