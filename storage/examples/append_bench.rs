//! How fast messages are accepted durably, beside what the disk gives.
//!
//! Alternates rounds of several loads on the same disk: a raw file that gets 64 bodies of 1 KiB with each
//! `fdatasync`, growing; the same overwriting a file that is there (the physical limit: no metadata); bare redb commits of 64 rows of 1 KiB with the store's settings, and
//! durable accepted messages through the store on each engine named (64 callers, one message of 1 KiB each
//! at a time, answered after the sync). Prints messages per second, processor time, and ratios to the raw
//! file. Run: `cargo run --release -p cercle-storage --example append_bench -- redb`.
//! `--callers N` changes how many callers there are; with one, latencies beside those of a bare sync.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use cercle_storage::{
    Embedded, EngineKind,
    engine::{ApplyError, Batch, Engine, EngineError, Snapshot},
    open_engine,
    store::Log,
};
use common::{BODY_BYTES, body, id, make_groups, message, now};
use redb::{Database, TableDefinition};

const GROUPS: u64 = 100;
const ROUNDS: u32 = 6;
/// Bytes of the file that is overwritten.
const RAW_BYTES: u64 = 64 << 20;
const ROUND: Duration = Duration::from_secs(3);

/// What a load did in all of its rounds.
#[derive(Default)]
struct Tally {
    name: String,
    messages: u64,
    batches: u64,
    seconds: f64,
    cpu_seconds: f64,
    /// How long each caller waited, or each sync took, in microseconds.
    waits_us: Vec<u32>,
    rates: Vec<f64>,
}

/// One round of a load.
struct Round {
    messages: u64,
    batches: u64,
    waits_us: Vec<u32>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
impl Tally {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    fn add(&mut self, round: Round, took: Duration, cpu_seconds: f64) {
        self.rates.push(round.messages as f64 / took.as_secs_f64());
        self.messages += round.messages;
        self.batches += round.batches;
        self.seconds += took.as_secs_f64();
        self.cpu_seconds += cpu_seconds;
        self.waits_us.extend(round.waits_us);
    }

    fn print(&mut self, growing: &[f64], in_place: &[f64]) {
        self.waits_us.sort_unstable();
        let wait = |part: usize| self.waits_us.get(self.waits_us.len() * part / 100).copied().unwrap_or(0);
        let ratios = |raw: &[f64]| {
            let mut ratios: Vec<f64> = self.rates.iter().zip(raw).map(|(rate, raw)| rate / raw).collect();
            ratios.sort_by(f64::total_cmp);
            format!("{:.2} ({:.2} to {:.2})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
        };
        println!(
            "{:<14} {:>9.0}/s  {:>5.1} a batch  {:>5.2} us CPU a message  wait p50 {} p99 {} us  \
             of raw growing {}, in place {}",
            self.name,
            self.rate(),
            self.messages as f64 / self.batches.max(1) as f64,
            self.cpu_seconds * 1e6 / self.messages.max(1) as f64,
            wait(50),
            wait(99),
            ratios(growing),
            ratios(in_place),
        );
    }
}

/// Counts batches on their way to an engine.
struct Counted {
    engine: Arc<dyn Engine>,
    batches: AtomicU64,
}

impl Engine for Counted {
    fn caps(&self) -> cercle_storage::store::Caps {
        self.engine.caps()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.engine.apply(batch)
    }
}

/// Something to measure.
enum Load {
    /// A file that bodies are written to: at its end, or from its start again and again.
    Raw {
        file: File,
        grows: bool,
        at: u64,
    },
    Bare {
        database: Database,
        next: u64,
    },
    Store {
        store: Arc<Embedded>,
        engine: Arc<Counted>,
        next: Arc<AtomicU64>,
    },
}

impl Load {
    async fn round(&mut self, callers: u64) -> anyhow::Result<Round> {
        match self {
            Self::Raw { file, grows, at } => {
                tokio::task::block_in_place(|| raw_round(file, *grows, at, callers))
            }
            Self::Bare { database, next } => {
                tokio::task::block_in_place(|| bare_round(database, next, callers))
            }
            Self::Store { store, engine, next } => store_round(store, engine, next, callers).await,
        }
    }
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

/// What a server without any work of its own could do: bodies into a file, one sync for all.
fn raw_round(file: &File, grows: bool, at: &mut u64, callers: u64) -> anyhow::Result<Round> {
    let batch: Vec<u8> = (0..callers).flat_map(|_| body()).collect();
    let mut round = Round { messages: 0, batches: 0, waits_us: Vec::new() };
    let before = now();
    while before.elapsed() < ROUND {
        let began = now();
        if !grows && *at + batch.len() as u64 > RAW_BYTES {
            *at = 0;
        }
        file.write_all_at(&batch, *at)?;
        file.sync_data()?;
        *at += batch.len() as u64;
        round.waits_us.push(micros(began.elapsed()));
        round.messages += callers;
        round.batches += 1;
    }
    Ok(round)
}

fn bare_round(database: &Database, next: &mut u64, callers: u64) -> anyhow::Result<Round> {
    let table = TableDefinition::<&[u8], &[u8]>::new("log");
    let (body, before) = (body(), now());
    let mut round = Round { messages: 0, batches: 0, waits_us: Vec::new() };
    while before.elapsed() < ROUND {
        let began = now();
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        let mut rows = transaction.open_table(table)?;
        for _ in 0..callers {
            let (group, seq) = (*next % GROUPS, *next / GROUPS);
            let key = [id(group).as_slice(), &seq.to_be_bytes()].concat();
            rows.insert(key.as_slice(), body.as_ref())?;
            *next += 1;
        }
        drop(rows);
        transaction.commit()?;
        round.waits_us.push(micros(began.elapsed()));
        round.messages += callers;
        round.batches += 1;
    }
    Ok(round)
}

async fn store_round(
    store: &Arc<Embedded>,
    engine: &Arc<Counted>,
    next: &Arc<AtomicU64>,
    callers: u64,
) -> anyhow::Result<Round> {
    let (before, first) = (now(), next.load(Ordering::Relaxed));
    let batches = engine.batches.load(Ordering::Relaxed);
    let waits = Arc::new(Mutex::new(Vec::new()));
    let post = |_| {
        let (store, next, body, waits) = (Arc::clone(store), Arc::clone(next), body(), Arc::clone(&waits));
        tokio::spawn(async move {
            let mut waited = Vec::new();
            while before.elapsed() < ROUND {
                let began = now();
                append_next(&store, &next, &body).await?;
                waited.push(micros(began.elapsed()));
            }
            waits.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?.extend(waited);
            anyhow::Ok(())
        })
    };
    for task in (0..callers).map(post).collect::<Vec<_>>() {
        task.await??;
    }
    Ok(Round {
        messages: next.load(Ordering::Relaxed) - first,
        batches: engine.batches.load(Ordering::Relaxed) - batches,
        waits_us: std::mem::take(&mut *waits.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?),
    })
}

async fn append_next(store: &Embedded, next: &AtomicU64, body: &Bytes) -> anyhow::Result<()> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    for verdict in store.append(vec![message(number, GROUPS, body.clone())]).await {
        verdict?;
    }
    Ok(())
}

/// Processor time of this process, its threads together, in seconds; 0 where it cannot be read.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // Fields 14 and 15, counted from 1; the clock ticks 100 times a second.
    (ticks(11) + ticks(12)) / 100.0
}

async fn loads(place: &Path, engines: &[EngineKind]) -> anyhow::Result<Vec<(Tally, Load)>> {
    let named = |name: &str| Tally { name: name.into(), ..Tally::default() };
    let database = Database::builder()
        .set_cache_size(cercle_storage::limits::ENGINE_CACHE_BYTES)
        .create(place.join("bare"))?;
    let (growing, filled) = (File::create(place.join("growing"))?, File::create(place.join("filled"))?);
    filled.write_all_at(&vec![0; usize::try_from(RAW_BYTES)?], 0)?;
    filled.sync_all()?;
    let mut loads = vec![
        (named("raw growing"), Load::Raw { file: growing, grows: true, at: 0 }),
        (named("raw in place"), Load::Raw { file: filled, grows: false, at: 0 }),
        (named("bare redb"), Load::Bare { database, next: 0 }),
    ];
    for kind in engines {
        let engine = open_engine(&place.join(kind.name()), *kind)?;
        let engine = Arc::new(Counted { engine, batches: AtomicU64::new(0) });
        let store = Arc::new(Embedded::start(Arc::<Counted>::clone(&engine))?);
        make_groups(&*store, GROUPS).await?;
        let load = Load::Store { store, engine, next: Arc::new(AtomicU64::new(0)) };
        loads.push((named(&format!("store: {}", kind.name())), load));
    }
    Ok(loads)
}

async fn run(place: &Path, engines: &[EngineKind], callers: u64) -> anyhow::Result<()> {
    println!("{callers} in flight, {BODY_BYTES} bytes each, {ROUNDS} rounds of {ROUND:?}");
    let mut loads = loads(place, engines).await?;
    for number in 1..=ROUNDS {
        print!("round {number}:");
        for (tally, load) in &mut loads {
            let (before, cpu) = (now(), cpu_seconds());
            let round = load.round(callers).await?;
            tally.add(round, before.elapsed(), cpu_seconds() - cpu);
            print!("  {} {:.0}/s", tally.name, tally.rates[tally.rates.len() - 1]);
        }
        println!();
    }
    let (growing, in_place) = (loads[0].0.rates.clone(), loads[1].0.rates.clone());
    for (tally, _) in &mut loads {
        tally.print(&growing, &in_place);
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut engines, mut callers, mut place) = (Vec::new(), 64, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--callers" => callers = arguments.next().context("--callers takes a number")?.parse()?,
            "--in" => place = Some(PathBuf::from(arguments.next().context("--in takes a folder")?)),
            engine => engines.push(engine.parse()?),
        }
    }
    if engines.is_empty() {
        engines.push(EngineKind::default());
    }
    let place = match place {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(run(place.path(), &engines, callers))
}
