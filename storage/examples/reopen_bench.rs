//! How long a large store takes to open after its process was killed.
//!
//! Fills a store with messages of 1 KiB in a process of its own, which kills itself while it writes; then
//! opens it and reads a page. Run: `cargo run --release -p cercle-storage --example reopen_bench -- 1024`
//! (megabytes of messages; the file is about twice as large).

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use cercle_storage::{
    EngineKind, open,
    store::{Append, CreateGroup, Joined, Kind, ReadFrom, ReadLimit, Store},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const GROUPS: u64 = 1_000;
const BATCH: u64 = 128;
const BODY_BYTES: usize = 1_024;

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}

fn id(number: u64) -> [u8; 16] {
    let mut id = [0x42; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn message(number: u64, body: &Bytes) -> Append {
    Append {
        group: GroupId::new(id(number % GROUPS)),
        sender: Some(DeviceId::new(id(0))),
        message_id: MessageId::new(id(GROUPS + number)),
        kind: Kind::Application,
        epoch: 0,
        epochs_behind_max: 0,
        at: number,
        body: body.clone(),
        group_state: None,
        blobs: Vec::new(),
    }
}

async fn fill(store: Arc<dyn Store>, megabytes: u64) -> anyhow::Result<()> {
    let body = Bytes::from(vec![0x5a; BODY_BYTES]);
    let user = UserId::new("bench", "cpts.example")?;
    for number in 0..GROUPS {
        let creator = Joined { device: DeviceId::new(id(0)), user: user.clone(), leaf: 0, may_post: true };
        let new = CreateGroup {
            group: GroupId::new(id(number)),
            message_id: MessageId::new(id(number)),
            creator,
            group_info: body.clone(),
            group_state: body.clone(),
            posting_restricted: false,
            at: 0,
        };
        store.create_group(new).await?;
    }
    for batch in 0..megabytes * 1_024 / BATCH {
        let items = (batch * BATCH..(batch + 1) * BATCH).map(|number| message(number, &body)).collect();
        for verdict in store.append(items).await {
            verdict?;
        }
    }
    // Killed with a commit under way, as a crash would find it.
    let last = tokio::spawn(async move { store.append(vec![message(u64::MAX / 2, &body)]).await });
    tokio::task::yield_now().await;
    kill(Pid::this(), Signal::SIGKILL)?;
    drop(last.await?);
    Ok(())
}

fn reopen(path: &Path, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Duration> {
    let before = now();
    let store = open(path, EngineKind::Redb)?;
    let took = before.elapsed();
    let from = vec![ReadFrom { group: GroupId::new(id(7)), after: 0, until: u64::MAX }];
    let before = now();
    let pages = runtime.block_on(store.read(from, ReadLimit { entries: 200, bytes: usize::MAX }))?;
    println!(
        "opened in {took:?}; first read of {} messages in {:?}",
        pages[0].entries.len(),
        before.elapsed()
    );
    Ok(took)
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [path, megabytes] = arguments.as_slice() {
        let store = open(Path::new(path), EngineKind::Redb)?;
        return runtime.block_on(fill(store, megabytes.parse()?));
    }
    let megabytes = arguments.first().map_or("1024", String::as_str);
    let place = tempfile::tempdir()?;
    let path = place.path().join("store");
    let text = path.to_str().context("the temporary directory has a name that is no text")?;
    let before = now();
    let status = Command::new(std::env::current_exe()?).args([text, megabytes]).status()?;
    ensure!(!status.success(), "the filling process was to be killed");
    let file_bytes = std::fs::metadata(path.join("store.redb"))?.len();
    println!(
        "filled {megabytes} MB of messages in {:?}, then {status}; file {} MB",
        before.elapsed(),
        file_bytes >> 20
    );
    for _ in 0..3 {
        ensure!(reopen(&path, &runtime)? < Duration::from_secs(1), "opening took more than a second");
    }
    Ok(())
}
