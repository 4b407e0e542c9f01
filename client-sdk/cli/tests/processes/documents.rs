//! Documents between two people, while processes are killed as machines lose their power.

use std::{
    cell::Cell,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::world::{Hub, Person, group};

/// Bytes of the documents here: far more than what a process may take to carry them.
const SIZE: u64 = 64_000_000;

/// What a process may take at its peak, kB.
const MEMORY_KB_MAX: u64 = 56_000;

fn write_file(path: &Path, size: u64) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut word = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..size / 8 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_be_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn documents(person: &Person, group: &str) -> Vec<Value> {
    let finished = person.run(&["--offline", "recv", "--all", group]);
    finished.of_type("message").filter(|line| line["kind"] == "document").cloned().collect()
}

fn is_progress(line: &Value) -> bool {
    line["type"] == "progress"
}

fn string(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The files of a folder whose name begins with a dot.
fn hidden(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

#[test]
fn a_document_arrives_once_although_client_and_hub_are_killed_in_the_middle_of_both_ways() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Documents");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("scanner.bin");
    write_file(&file, SIZE);

    // On a busy machine a document may be through before it is killed: then another is sent.
    let mut whole = 0;
    loop {
        let attaching = alice.start(&["attach", "documents", string(&file), "--type", "compte-rendu"]);
        attaching.until(is_progress);
        attaching.kill();
        hub.kill();
        let pending = alice.run(&["--offline", "transfers"]).of_type("transfer").count();
        hub.spawn();
        if pending == 1 {
            break;
        }
        whole += 1;
        assert!(whole < 5, "none of them was killed in the middle");
    }
    alice.run(&["transfers"]).expect_exit(0);
    assert_eq!(alice.run(&["transfers"]).expect_exit(0).of_type("transfer").count(), 0);
    bob.run(&["recv"]).expect_exit(0);
    let received = documents(&bob, "documents");
    let sent = documents(&alice, "documents").len();
    assert_eq!((received.len(), sent), (whole + 1, whole + 1), "each is sent once");
    let message = received[0]["id"].as_str().unwrap();
    assert_eq!(received[0]["content"]["document_type"], "report");

    let target = home.path().join("reçu");
    fs::create_dir(&target).unwrap();
    let get = ["get", message, "-o", string(&target)];
    let getting = bob.start(&get);
    getting.until(is_progress);
    getting.kill();
    hub.kill();
    assert_eq!(hidden(&target).len(), 1, "it was killed in the middle");
    assert!(!target.join("scanner.bin").exists());
    hub.spawn();
    let fetched = bob.run(&get);
    let line = fetched.expect_exit(0).of_type("fetched").next().unwrap();
    assert_eq!((line["size"].as_u64(), line["name"].as_str()), (Some(SIZE), Some("scanner.bin")));
    assert!(fs::read(&file).unwrap() == fs::read(target.join("scanner.bin")).unwrap());
    assert!(hidden(&target).is_empty());
    bob.run(&get).expect_exit(5);
    assert_eq!(bob.run(&["get", "documents/999"]).expect_exit(7).of_type("error").count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn sending_and_fetching_a_large_document_takes_little_memory() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Grand");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.bin");
    write_file(&file, SIZE);
    let peak = |person: &Person, arguments: &[&str], last: &str| {
        let running = person.start(arguments);
        // Asked at each line, because it may have ended when the last is read.
        let peak = Cell::new(0);
        let seen = running.until(|line| {
            peak.set(running.peak_memory_kb().unwrap_or(0).max(peak.get()));
            line["type"] == last
        });
        assert!(seen.iter().any(is_progress) && peak.get() > 0, "{seen:?}");
        assert_eq!(running.wait().0, Some(0));
        peak.get()
    };
    let sent = peak(&alice, &["attach", "grand", string(&file)], "accepted");
    bob.run(&["recv"]).expect_exit(0);
    let message = documents(&bob, "grand")[0]["id"].as_str().unwrap().to_owned();
    let target = home.path().join("b.bin");
    let fetched = peak(&bob, &["get", &message, "-o", string(&target)], "fetched");
    assert!(sent < MEMORY_KB_MAX && fetched < MEMORY_KB_MAX, "{sent} kB, {fetched} kB");
    assert!(fs::read(&file).unwrap() == fs::read(&target).unwrap());
}
