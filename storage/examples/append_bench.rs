//! How much of an engine's bare speed is left when it carries the store.
//!
//! Alternates rounds of two loads on the same disk: durable accepted application messages through the
//! store (64 callers, one message of 1 KiB each at a time, answered after the sync), and bare commits of 64
//! rows of 1 KiB straight into redb with the same settings. Prints messages per second of each, the ratio,
//! and how many disk syncs they took. Run: `cargo run --release -p cercle-storage --example append_bench`.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use cercle_storage::{
    Embedded,
    engine::{ApplyError, Batch, Engine, EngineError, RedbEngine, Snapshot},
    store::{Append, Caps, CreateGroup, Groups, Joined, Kind, Log},
};
use redb::{Database, TableDefinition};

const IN_FLIGHT: u64 = 64;
const BODY_BYTES: usize = 1_024;
const GROUPS: u64 = 100;
const ROUNDS: u32 = 6;
const ROUND: Duration = Duration::from_secs(3);
/// redb syncs the data, then the commit slot.
const SYNCS_PER_COMMIT: u64 = 2;

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}

#[derive(Default)]
struct Tally {
    messages: u64,
    commits: u64,
    seconds: f64,
}

impl Tally {
    fn add(&mut self, messages: u64, commits: u64, took: Duration) {
        self.messages += messages;
        self.commits += commits;
        self.seconds += took.as_secs_f64();
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    fn print(&self, name: &str) {
        let per_commit = self.messages / self.commits.max(1);
        let syncs = self.commits * SYNCS_PER_COMMIT;
        println!(
            "{name:<12} {:>9.0} messages/s  {} messages, {} commits of {per_commit} on average, {syncs} syncs",
            self.per_second(),
            self.messages,
            self.commits,
        );
    }
}

/// Counts commits on their way to redb.
struct Counted {
    engine: RedbEngine,
    commits: AtomicU64,
}

impl Engine for Counted {
    fn caps(&self) -> Caps {
        self.engine.caps()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.engine.apply(batch)
    }
}

fn id(number: u64) -> [u8; 16] {
    let mut id = [0x42; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

/// The same mixed body on both sides.
fn body() -> Bytes {
    (0..BODY_BYTES).map(|place| (place * 31 % 251).to_le_bytes()[0]).collect()
}

fn bare_round(database: &Database, from: &mut u64) -> anyhow::Result<(u64, u64, Duration)> {
    let table = TableDefinition::<&[u8], &[u8]>::new("log");
    let (body, before, first) = (body(), now(), *from);
    let mut commits = 0;
    while before.elapsed() < ROUND {
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        let mut rows = transaction.open_table(table)?;
        for _ in 0..IN_FLIGHT {
            let (group, seq) = (*from % GROUPS, *from / GROUPS);
            let key = [id(group).as_slice(), &seq.to_be_bytes()].concat();
            rows.insert(key.as_slice(), body.as_ref())?;
            *from += 1;
        }
        drop(rows);
        transaction.commit()?;
        commits += 1;
    }
    Ok((*from - first, commits, before.elapsed()))
}

async fn store_round(store: &Arc<Embedded>, next: &Arc<AtomicU64>) -> anyhow::Result<(u64, Duration)> {
    let (before, first) = (now(), next.load(Ordering::Relaxed));
    let post = |_| {
        let (store, next, body) = (Arc::clone(store), Arc::clone(next), body());
        tokio::spawn(async move {
            while before.elapsed() < ROUND {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let verdicts = store.append(vec![message(number, body.clone())]).await;
                for verdict in verdicts {
                    verdict?;
                }
            }
            anyhow::Ok(())
        })
    };
    for task in (0..IN_FLIGHT).map(post).collect::<Vec<_>>() {
        task.await??;
    }
    Ok((next.load(Ordering::Relaxed) - first, before.elapsed()))
}

fn message(number: u64, body: Bytes) -> Append {
    Append {
        group: GroupId::new(id(number % GROUPS)),
        sender: Some(DeviceId::new(id(0))),
        message_id: MessageId::from_time(
            number / 10,
            &number.to_be_bytes().repeat(2)[..10].try_into().unwrap_or_default(),
        ),
        kind: Kind::Application,
        epoch: 0,
        epochs_behind_max: 0,
        at: number / 10,
        body,
        group_state: None,
        blobs: Vec::new(),
    }
}

async fn make_groups(store: &Embedded) -> anyhow::Result<()> {
    let user = UserId::new("bench", "cpts.example")?;
    for number in 0..GROUPS {
        let creator = Joined { device: DeviceId::new(id(0)), user: user.clone(), leaf: 0, may_post: true };
        let new = CreateGroup {
            group: GroupId::new(id(number)),
            message_id: MessageId::new(id(number)),
            creator,
            group_info: body(),
            group_state: body(),
            posting_restricted: false,
            at: 0,
        };
        store.create_group(new).await?;
    }
    Ok(())
}

async fn run(place: &Path) -> anyhow::Result<()> {
    let bare = Database::builder()
        .set_cache_size(cercle_storage::limits::ENGINE_CACHE_BYTES)
        .create(place.join("bare"))?;
    let engine =
        Arc::new(Counted { engine: RedbEngine::open(&place.join("store"))?, commits: AtomicU64::new(0) });
    let store = Arc::new(Embedded::start(Arc::<Counted>::clone(&engine))?);
    make_groups(&store).await?;
    let (mut bare_total, mut store_total) = (Tally::default(), Tally::default());
    let (mut bare_from, next) = (0, Arc::new(AtomicU64::new(0)));
    for round in 1..=ROUNDS {
        let (messages, commits, took) = tokio::task::block_in_place(|| bare_round(&bare, &mut bare_from))?;
        bare_total.add(messages, commits, took);
        let mut this = (Tally::default(), Tally::default());
        this.0.add(messages, commits, took);
        let before = engine.commits.load(Ordering::Relaxed);
        let (messages, took) = store_round(&store, &next).await?;
        let commits = engine.commits.load(Ordering::Relaxed) - before;
        store_total.add(messages, commits, took);
        this.1.add(messages, commits, took);
        let (bare, store) = (this.0.per_second(), this.1.per_second());
        println!("round {round}: bare {bare:.0}/s, store {store:.0}/s, ratio {:.2}", store / bare);
    }
    bare_total.print("bare redb");
    store_total.print("store");
    println!("ratio        {:>9.2}", store_total.per_second() / bare_total.per_second());
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(run(place.path()))
}
