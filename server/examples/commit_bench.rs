//! Measures how long the hub takes to accept a commit in a group of 200 devices: alone, and while 64
//! application messages are in flight all the time. Run with
//! `cargo run --release -p cercle-server --example commit_bench`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops where it fails")]

#[path = "../tests/services/world.rs"]
#[expect(dead_code, reason = "shared with the tests, which use the rest of it")]
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cercle_proto::id::GroupId;
use cercle_server::{
    auth::authority::make_root,
    clock::Clock,
    delivery::{Application, CommitRequest, Settings},
};
use cercle_storage::{EngineKind, store::Store};
use openmls::prelude::MlsGroup;
use world::{DOMAIN, Device, Hub, Plan, id_of, new_id};

const MEMBERS: usize = 200;
const COMMITS: usize = 400;
const SENDERS: usize = 64;
const MESSAGE_BYTES: usize = 1024;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    Box::pin(measure("memory", cercle_storage::open_memory())).await;
    let directory = tempfile::tempdir().unwrap();
    let store = cercle_storage::open(directory.path(), EngineKind::Redb).unwrap();
    Box::pin(measure("redb", store)).await;
}

/// One table row without load and one with it.
async fn measure(engine: &str, store: Arc<dyn Store>) {
    let root = make_root(DOMAIN, Clock::system().now()).unwrap();
    let hub = Hub::over(store, &root, Settings::default());
    let mut pair = fill(&hub).await;
    let group = id_of(&pair[0].1);
    let state = hub.store.group(group).await.unwrap().unwrap().group_state.len();
    println!("{engine}: {MEMBERS} devices, {state} bytes of public state");
    report("alone", commits(&hub, &mut pair).await);

    let load = Load::start(&hub).await;
    report("with load", commits(&hub, &mut pair).await);
    println!("  load: {:.0} accepted messages/s of {MESSAGE_BYTES} bytes meanwhile", load.stop().await);
}

/// A group in which every device has committed once, as after some days of use: each adds the next. Returns
/// the last two members.
async fn fill(hub: &Hub) -> [(Device, MlsGroup); 2] {
    let mut last = hub.enrol("user0").await;
    let mut group = hub.new_group(&last).await;
    loop {
        let next = hub.enrol(&format!("user{}", group.members().count())).await;
        let joined = hub.add(&last, &mut group, &[&next]).await.remove(0);
        if joined.members().count() == MEMBERS {
            return [(last, group), (next, joined)];
        }
        (last, group) = (next, joined);
    }
}

/// Commits in turn by the two; only what the hub does is timed.
async fn commits(hub: &Hub, pair: &mut [(Device, MlsGroup); 2]) -> Vec<Duration> {
    let mut times = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let [(committer, group), (other, others)] = pair;
        let request = committer.commit(group, Plan::default());
        times.push(timed(hub, committer, request).await);
        committer.merge(group);
        let head = hub.store.group(id_of(group)).await.unwrap().unwrap().head;
        let entry = hub.log_after(id_of(group), head - 1).await.remove(0);
        other.process(others, &entry);
        pair.swap(0, 1);
    }
    times
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn timed(hub: &Hub, committer: &Device, request: CommitRequest) -> Duration {
    let start = Instant::now();
    hub.delivery.commit(&committer.identity, request, hub.now).await.unwrap();
    start.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1000].as_secs_f64() * 1000.0;
    println!(
        "  commit, {what}: median {:.2} ms, p99 {:.2} ms, max {:.2} ms ({} commits)",
        at(500),
        at(990),
        at(1000),
        times.len()
    );
}

/// Senders that keep application messages in flight in groups of their own.
struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    started: Instant,
    tasks: tokio::task::JoinSet<()>,
}

impl Load {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    async fn start(hub: &Hub) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..SENDERS {
            let sender = hub.enrol(&format!("sender{n}")).await;
            let group = id_of(&hub.new_group(&sender).await);
            let (delivery, now) = (hub.delivery.clone(), hub.now);
            let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
            tasks.spawn(async move {
                let mls = private_message(group);
                while !stop.load(Ordering::Relaxed) {
                    let send = delivery.send_application(
                        &sender.identity,
                        group,
                        Application::new(new_id(), mls.clone()),
                        now,
                    );
                    send.await.unwrap();
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, accepted, started: Instant::now(), tasks }
    }

    /// Messages per second.
    async fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64();
        let accepted = u32::try_from(self.accepted.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.tasks.join_all().await;
        f64::from(accepted) / seconds
    }
}

/// The clear header of a PrivateMessage (RFC 9420 section 6.3) and bytes that only members could read.
fn private_message(group: GroupId) -> Bytes {
    let mut mls = vec![0, 1, 0, 2, 16];
    mls.extend(group.as_bytes());
    mls.extend([0; 8]);
    mls.push(1);
    mls.resize(MESSAGE_BYTES, 0);
    mls.into()
}
