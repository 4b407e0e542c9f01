//! What a growing store costs: opening, memory, disk, and how fast an absent reader catches up.
//!
//! Fills a store step by step, each time in a process of its own that kills itself while it writes. After
//! each step another process opens it, says how long that took and how much memory it has, and reads
//! everything as one device would that was away: many groups in each call, with the store's files put out of
//! the page cache before. Run: `cargo run --release -p cercle-storage --example growth_bench -- journal 100 1024 5120`
//! (engine, then megabytes of messages; `--in <folder>` chooses the disk, `--groups N` how many groups).

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, ensure};
use cercle_proto::id::GroupId;
use cercle_storage::{
    EngineKind, open,
    store::{ReadFrom, ReadLimit, Store},
};
use common::{BODY_BYTES, body, id, make_groups, message, now};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Messages of one call, and calls under way.
const CALL: u64 = 128;
const CALLS_AT_ONCE: u64 = 8;
/// Groups that the reader asks for at once, and what it takes at most: as a session of the hub does.
const GROUPS_A_READ: usize = 64;
const LIMIT: ReadLimit = ReadLimit { entries: 2_000, bytes: 1 << 20 };

async fn fill(store: Arc<dyn Store>, groups: u64, from: u64, to: u64) -> anyhow::Result<()> {
    if from == 0 {
        make_groups(&*store, groups).await?;
    }
    let write = |lane| {
        let (store, body) = (Arc::clone(&store), body());
        tokio::spawn(async move {
            let first = from + lane * CALL;
            for start in (first..to).step_by(usize::try_from(CALL * CALLS_AT_ONCE)?) {
                let items = (start..to.min(start + CALL)).map(|number| message(number, groups, body.clone()));
                for verdict in store.append(items.collect()).await {
                    verdict?;
                }
            }
            anyhow::Ok(())
        })
    };
    for lane in (0..CALLS_AT_ONCE).map(write).collect::<Vec<_>>() {
        lane.await??;
    }
    // Killed with a commit under way, as a crash would find it.
    let last = tokio::spawn(async move { store.append(vec![message(u64::MAX / 2, groups, body())]).await });
    tokio::task::yield_now().await;
    kill(Pid::this(), Signal::SIGKILL)?;
    drop(last.await?);
    Ok(())
}

/// Resident memory of this process in MB, now and at its highest.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    (kilobytes("VmRSS:") >> 10, kilobytes("VmHWM:") >> 10)
}

/// Files under a directory.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Puts the files out of the page cache, as far as the system lets go of them.
fn make_cold(path: &Path) -> anyhow::Result<()> {
    for path in files(path)? {
        let file = std::fs::File::open(path)?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}

fn look(path: &Path, kind: EngineKind, groups: u64, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    make_cold(path)?;
    let before = now();
    let store = open(path, kind)?;
    let (took, (memory_opened, _)) = (before.elapsed(), memory());
    let before = now();
    let entries = runtime.block_on(catch_up(&*store, groups))?;
    let seconds = before.elapsed().as_secs_f64();
    let bytes: u64 = files(path)?.iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let rate = entries as f64 / seconds;
    println!(
        "{:>6} MB of messages, {:>6} MB on disk: opened cold in {took:?} with {memory_opened} MB; {entries} entries \
         in {seconds:.1} s = {rate:.0}/s, {} MB at the highest",
        (entries * BODY_BYTES as u64) >> 20,
        bytes >> 20,
        memory().1,
    );
    Ok(())
}

/// Reads every group to its end, and checks that nothing is missing.
async fn catch_up(store: &dyn Store, groups: u64) -> anyhow::Result<u64> {
    let all: Vec<GroupId> = (0..groups).map(|number| GroupId::new(id(number))).collect();
    let mut entries = 0;
    for some in all.chunks(GROUPS_A_READ) {
        let mut cursors: Vec<ReadFrom> =
            some.iter().map(|group| ReadFrom { group: *group, after: 0, until: u64::MAX }).collect();
        while !cursors.is_empty() {
            let pages = store.read(cursors.clone(), LIMIT).await?;
            let mut left = Vec::new();
            for (mut cursor, page) in cursors.into_iter().zip(pages) {
                entries += page.entries.len() as u64;
                if let Some(last) = page.entries.last() {
                    ensure!(last.seq == cursor.after + page.entries.len() as u64, "a page has a gap");
                    cursor.after = last.seq;
                }
                left.extend(page.more.then_some(cursor));
            }
            cursors = left;
        }
    }
    Ok(entries)
}

/// Runs a part of it in a process of its own.
fn process(part: &str, place: &Path, kind: EngineKind, numbers: [u64; 3]) -> anyhow::Result<bool> {
    let place = place.to_str().context("the temporary directory has a name that is no text")?;
    let numbers = numbers.map(|number| number.to_string());
    let status = Command::new(std::env::current_exe()?)
        .args(["part", part, place, kind.name()])
        .args(numbers)
        .status()?;
    Ok(status.success())
}

fn part(arguments: &[String]) -> anyhow::Result<()> {
    let [_, part, place, kind, groups, from, to] = arguments else {
        anyhow::bail!("a part has six arguments")
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let (place, kind, groups) = (Path::new(place), kind.parse()?, groups.parse()?);
    if part == "look" {
        return look(place, kind, groups, &runtime);
    }
    let store = open(place, kind)?;
    runtime.block_on(fill(store, groups, from.parse()?, to.parse()?))
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "part") {
        return part(&arguments);
    }
    let mut arguments = arguments.into_iter();
    let (mut kind, mut sizes, mut groups, mut place) = (EngineKind::default(), Vec::new(), 1_000, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--groups" => groups = arguments.next().context("--groups takes a number")?.parse()?,
            "--in" => place = Some(PathBuf::from(arguments.next().context("--in takes a folder")?)),
            text => match text.parse() {
                Ok(megabytes) => sizes.push(megabytes),
                Err(_) => kind = text.parse()?,
            },
        }
    }
    if sizes.is_empty() {
        sizes = vec![100, 1_024];
    }
    let place = match place {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let (path, mut from) = (place.path().join("store"), 0);
    println!("{}: {groups} groups, messages of {BODY_BYTES} bytes", kind.name());
    for megabytes in sizes {
        let to: u64 = megabytes * 1_024;
        let before = now();
        ensure!(!process("fill", &path, kind, [groups, from, to])?, "the filling process was to be killed");
        println!("   filled up to {megabytes} MB in {:?}", before.elapsed());
        ensure!(process("look", &path, kind, [groups, 0, 0])?, "the store did not read");
        from = to;
    }
    Ok(())
}
