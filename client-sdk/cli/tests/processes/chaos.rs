//! What happens to machines: the hub's process is stopped and goes on, its disk fills up, is read-only, does not
//! sync; descriptors run out; thousands of strangers connect and say nothing. What was acknowledged is kept, and
//! everybody goes on when it is over.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::world::{Hub, PATIENCE, Person, copy_folder, group, says};

/// Skips a test with a reason that is seen; the gate demands what a machine of ours has.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    assert!(std::env::var_os("CERCLE_REQUIRE_CHAOS").is_none(), "required: {why}");
}

#[test]
fn a_hub_that_is_stopped_for_a_while_and_goes_on_has_everything_once() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Pause");
    let mut chat = alice.start(&["chat", "pause"]);
    for round in 0..3 {
        chat.write(&format!("avant {round}"));
        hub.signal(Signal::SIGSTOP);
        chat.write(&format!("pendant {round}"));
        // Somebody comes while nothing answers.
        let waiting = bob.start(&["recv"]);
        hub.signal(Signal::SIGCONT);
        chat.write(&format!("après {round}"));
        let (exit, _) = waiting.wait();
        assert_eq!(exit, Some(0));
    }
    let mut accepted = 0;
    while accepted < 9 {
        accepted += chat
            .until(|line| line["type"] == "accepted")
            .iter()
            .filter(|line| line["type"] == "accepted")
            .count();
    }
    chat.end_input();
    assert_eq!(chat.wait().0, Some(0));
    bob.run(&["recv"]).expect_exit(0);
    let texts: Vec<String> = bob.history("pause").into_iter().map(|(_, _, text)| text).collect();
    let said = |round| ["avant", "pendant", "après"].map(|when| format!("{when} {round}"));
    assert_eq!(texts, (0..3).flat_map(said).collect::<Vec<_>>());
}

/// A small disk of its own, in memory; gone when dropped.
struct Disk {
    folder: Option<TempDir>,
    place: PathBuf,
}

impl Disk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let size = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&place).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then_some(Self { folder: Some(folder), place })
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.place).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Takes all the space but so many bytes.
    fn fill_but(&self, bytes: u64) {
        let free = nix::sys::statvfs::statvfs(&self.place).unwrap();
        let free = free.blocks_available() as u64 * free.fragment_size() as u64;
        let ballast = vec![0; usize::try_from(free.saturating_sub(bytes)).unwrap()];
        std::fs::write(self.place.join("ballast"), ballast).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.place.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever has files open there has been ended before.
        let _ = Command::new("umount").arg("-l").arg(&self.place).output();
        drop(self.folder.take());
    }
}

/// The hub's folder below a mounted disk.
fn hub_on(disk: &Disk) -> Hub {
    Hub::start_in(tempfile::tempdir_in(&disk.place).unwrap(), false, &[])
}

/// Sends until the hub is gone; texts that were acknowledged, and texts that wait.
fn send_until_it_fails(person: &Person, title: &str) -> (Vec<String>, Vec<String>) {
    let padding = "x".repeat(12_000);
    let (mut acknowledged, mut waiting) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let text = format!("{number} {padding}");
        let mut command = person.command(&["send", title, &text]);
        let sent = command.args(["--timeout", "10"]).output().unwrap();
        if sent.status.success() {
            acknowledged.push(text);
        } else {
            waiting.push(text);
            return (acknowledged, waiting);
        }
    }
    panic!("the disk does not fail");
}

fn all_is_there(alice: &Person, bob: &Person, title: &str, acknowledged: &[String], waiting: &[String]) {
    alice.run(&["send", title, "enfin"]).expect_exit(0);
    bob.run(&["recv"]).expect_exit(0);
    let texts: Vec<String> = bob.history(title).into_iter().map(|(_, _, text)| text).collect();
    let expected: Vec<String> =
        acknowledged.iter().chain(waiting).cloned().chain(["enfin".to_owned()]).collect();
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "nothing twice");
    assert!(texts == expected, "{} of {} texts, in order", texts.len(), expected.len());
}

#[test]
fn a_full_disk_ends_the_hub_and_nothing_acknowledged_is_lost() {
    let Some(disk) = Disk::new("64m") else {
        return skip("a small disk cannot be mounted here (needs root and tmpfs)");
    };
    let mut hub = hub_on(&disk);
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Plein");
    disk.fill_but(600_000);
    let (acknowledged, waiting) = send_until_it_fails(&alice, "plein");
    assert!(!hub.until_ended(), "a hub that cannot write ends, and says that it failed");
    disk.make_room();
    hub.spawn();
    all_is_there(&alice, &bob, "plein", &acknowledged, &waiting);
}

#[test]
fn a_read_only_disk_is_named_and_the_hub_serves_again_when_it_is_writable() {
    let Some(disk) = Disk::new("64m") else {
        return skip("a small disk cannot be mounted here (needs root and tmpfs)");
    };
    let mut hub = hub_on(&disk);
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Lecture");
    alice.run(&["send", "lecture", "avant"]).expect_exit(0);
    hub.stop();
    disk.remount("ro");
    let said = hub.refuses_to_start();
    assert!(said.contains(&*disk.place.to_string_lossy()), "it names the place: {said}");
    disk.remount("rw");
    hub.spawn();
    all_is_there(&alice, &bob, "lecture", &["avant".to_owned()], &[]);
}

/// The system says that what was written may not be on the disk (fsync(2), EIO): from then on nothing that the
/// process believes is certain, and a repeated fsync proves nothing.
#[test]
fn a_disk_that_does_not_sync_ends_the_hub_and_nothing_acknowledged_is_lost() {
    let strace =
        Command::new("strace").args(["-o", "/dev/null", "-e", "inject=getppid:retval=1", "true"]).output();
    if !strace.is_ok_and(|output| output.status.success()) {
        return skip("strace cannot inject faults here");
    }
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Sync");
    hub.stop();
    let wrapper =
        "strace -f -qq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=40+";
    hub.spawn_under(&wrapper.split(' ').collect::<Vec<_>>());
    let (acknowledged, waiting) = send_until_it_fails(&alice, "sync");
    assert!(!hub.until_ended(), "a hub whose disk does not sync ends, and says that it failed");
    hub.spawn();
    all_is_there(&alice, &bob, "sync", &acknowledged, &waiting);
}

#[test]
fn a_hub_without_descriptors_serves_whom_it_has_and_others_when_some_are_free() {
    let prlimit = Command::new("prlimit").args(["--nofile=64:64", "true"]).output();
    if !prlimit.is_ok_and(|output| output.status.success()) {
        return skip("prlimit is not here");
    }
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Descripteurs");
    hub.stop();
    hub.spawn_under(&["prlimit", "--nofile=96:96"]);
    let address = hub.address();
    let mut chat = alice.start(&["chat", "descripteurs"]);
    chat.write("avant");
    chat.until(|line| line["type"] == "accepted");
    let strangers: Vec<TcpStream> = (0..200).map_while(|_| TcpStream::connect(&address).ok()).collect();
    assert!(strangers.len() > 100, "more than the hub has descriptors for");
    chat.write("pendant");
    chat.until(|line| line["type"] == "accepted");
    drop(strangers);
    bob.run(&["--timeout", "60", "recv"]).expect_exit(0);
    chat.end_input();
    assert_eq!(chat.wait().0, Some(0));
    bob.run(&["recv"]).expect_exit(0);
    let texts: Vec<String> = bob.history("descripteurs").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["avant", "pendant"]);
}

/// Strangers that connect and say nothing, or nothing that is TLS: each is closed in time, members are served.
#[test]
fn thousands_of_connections_that_say_nothing_or_garbage_hinder_nobody() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Foule");
    let address = hub.address();
    let (limit, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let wanted = usize::try_from(limit.saturating_sub(1_000)).unwrap().min(10_000);
    let mut strangers = Vec::new();
    for number in 0..wanted {
        let Ok(mut stranger) = TcpStream::connect(&address) else { break };
        match number % 3 {
            0 => {}
            1 => drop(stranger.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01")),
            _ => drop(stranger.write_all(&[0xff; 64])),
        }
        strangers.push(stranger);
    }
    eprintln!("{} of {wanted} connections are held", strangers.len());
    assert!(strangers.len() * 2 > wanted, "only {} connections could be made", strangers.len());
    alice.run(&["--timeout", "60", "send", "foule", "parmi la foule"]).expect_exit(0);
    let heard = bob.run(&["--timeout", "60", "recv"]);
    heard.expect_exit(0);
    assert!(heard.lines.iter().any(|line| says(line, "parmi la foule")));
    // Those that sent garbage and those that said nothing are closed by the hub.
    for stranger in strangers.iter_mut().take(30) {
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let ended = stranger.read_to_end(&mut rest);
        let timed_out = ended.is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        assert!(!timed_out, "a connection that says nothing is held for ever");
    }
}

/// Bytes of the store change while the hub is down, one file at a time. The hub refuses to start and names the
/// file; or it serves, and then everything that a member reads is what was sent, and what he cannot read is said.
#[test]
fn a_store_whose_bytes_have_changed_is_named_and_never_serves_what_nobody_sent() {
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Rouille");
    let sent: Vec<String> = (0..20).map(|number| format!("{number} {}", "ab".repeat(800))).collect();
    for text in &sent {
        alice.run(&["send", "rouille", text]).expect_exit(0);
    }
    hub.stop();
    let (mut refused, mut told, mut whole) = (0, 0, 0);
    let (store, kept) = (hub.data().join("store"), tempfile::tempdir().unwrap());
    copy_folder(&store, &kept.path().join("store"));
    for file in store_files(&hub.data()) {
        let good = std::fs::read(&file).unwrap();
        let used = good.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for part in 0..3 {
            // What the hub wrote in the round before is not of this one.
            std::fs::remove_dir_all(&store).unwrap();
            copy_folder(&kept.path().join("store"), &store);
            let mut bytes = good.clone();
            // A byte in each of some places, other places each time.
            for place in (0..used).skip(part * used / 3).step_by(997).take(used / 997 / 3 + 1) {
                bytes[place] ^= 0x20;
            }
            std::fs::write(&file, &bytes).unwrap();
            let (serves, said) = hub.try_spawn();
            let (mut read, mut outcome) = (BTreeSet::new(), String::new());
            if serves {
                let reader = Person::copy_of(&bob);
                let heard = reader.run(&["--timeout", "5", "recv"]);
                for text in heard.texts() {
                    assert!(sent.iter().any(|known| known == text), "something was read that nobody sent");
                    read.insert(text.to_owned());
                }
                outcome = format!("{heard:?}");
                hub.kill();
            }
            let said = said.all();
            let name = file.file_name().unwrap().to_string_lossy();
            match (serves, read.len() == sent.len()) {
                (true, true) => whole += 1,
                (true, false) => told += 1,
                (false, _) => refused += 1,
            }
            let named = said.contains(&*store.to_string_lossy());
            assert!(
                serves && read.len() == sent.len() || named,
                "{name}, part {part}: {} of {} messages were read, and the hub said only: {said}\n{outcome}",
                read.len(),
                sent.len()
            );
        }
    }
    std::fs::remove_dir_all(&store).unwrap();
    copy_folder(&kept.path().join("store"), &store);
    eprintln!(
        "{refused} times refused, {told} times named while serving, {whole} times nothing was needed of it"
    );
    assert!(refused + told > 0, "no damage was in the way of anything");
    hub.spawn();
    bob.run(&["recv"]).expect_exit(0);
    assert_eq!(bob.history("rouille").len(), sent.len(), "the whole store has everything");
}

/// The files of the hub's store.
fn store_files(data: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![data.join("store")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap() {
                found if found.is_dir() => folders.push(entry.path()),
                found if found.len() > 0 => files.push(entry.path()),
                _ => {}
            }
        }
    }
    assert!(!files.is_empty(), "no store in {}", data.display());
    files.sort();
    files
}
