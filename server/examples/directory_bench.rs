//! Measures the directory: an import and searches of a synthetic national directory.
//!
//! `cargo run --release -p cercle-server --example directory_bench -- [persons] [searchers] [searches]`. Prints what was
//! measured; searches run once alone and once while the same extraction is imported again beside them.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[path = "../tests/services/synthetic.rs"]
#[expect(clippy::unwrap_used, reason = "a fault ends the benchmark")]
mod synthetic;

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use cercle_proto::{
    id::{DeviceId, UserId},
    v1::Role,
};
use cercle_server::{
    auth::Identity,
    directory::{
        Directory, Settings,
        import::{self, Options, Report},
        search::Filter,
    },
};

/// What people type, the broad ones among it.
const QUERIES: &[(&str, &str)] = &[
    ("martin", ""),
    ("mart", ""),
    ("durand toulouse", ""),
    ("infirmier", "31022"),
    ("kine fenouillet", ""),
    ("lefevre eleonore", ""),
    ("cardiologue", "31555"),
    ("d'arc", ""),
    ("jean-marie legall", ""),
    ("mrtin camille", ""),
    ("structure fictive 12", ""),
    ("fourn", "2A004"),
    ("", "31182"),
    ("sage femme ajaccio", ""),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut number = |default: u64| numbers.next().transpose().map(|given| given.unwrap_or(default));
    let (persons, searchers, searches) = (number(50_000)?, number(8)?, number(200)?);
    let folder = tempfile::tempdir()?;
    let files = [folder.path().join("people.txt"), folder.path().join("mailboxes.txt")];
    let written = synthetic::write(
        persons,
        &mut BufWriter::new(File::create(&files[0])?),
        &mut BufWriter::new(File::create(&files[1])?),
    )?;
    println!("{persons} persons, {} lines, {} mailboxes", written.lines, written.mailboxes);
    let directory = folder.path().join("directory");
    let (started, heap) = (Instant::now(), Heap::watch());
    let report = import(&directory, &files)?;
    let took = started.elapsed();
    println!(
        "import: {} entries in {:.1} s, peak resident memory {} MB, of it not mapped from files {} MB",
        report.entries,
        took.as_secs_f64(),
        memory_mb("VmHWM:"),
        heap.peak_mb()
    );
    let service =
        Directory::new(&directory, cercle_storage::open_memory(), Settings { entries_per_day: usize::MAX });
    let service = Arc::new(service);
    search_all(&service, 1, 20).await?;
    print_latencies("searches", search_all(&service, searchers, searches).await?);
    let (folder, sources) = (directory.clone(), files.clone());
    let again = tokio::task::spawn_blocking(move || import(&folder, &sources));
    let mut during = Vec::new();
    while !again.is_finished() {
        during.extend(search_all(&service, searchers, 25).await?);
    }
    let report = again.await.context("the import does not panic")??;
    print_latencies("searches while importing", during);
    println!("import again: {} changed, resident {} MB", report.changed, memory_mb("VmRSS:"));
    Ok(())
}

fn import(directory: &Path, files: &[PathBuf; 2]) -> anyhow::Result<Report> {
    let options = Options { files: files.to_vec(), now_ms: 1, ..Options::default() };
    Ok(import::run(directory, &options, &mut |_| {})?)
}

/// Users that have searched, over all rounds.
static USERS: AtomicU64 = AtomicU64::new(0);

/// Each searcher asks so many times, one after the other. A user of its own each time, so that no limit is met.
async fn search_all(
    service: &Arc<Directory>,
    searchers: u64,
    searches: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut tasks = Vec::new();
    for searcher in 0..searchers {
        let service = service.clone();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            for search in 0..searches {
                let index = usize::try_from(searcher * 5 + search)? % QUERIES.len();
                let (text, commune) = QUERIES[index];
                let filter = Filter {
                    text: text.to_owned(),
                    communes: if commune.is_empty() { Vec::new() } else { vec![commune.to_owned()] },
                    limit: 10,
                    facets: search % 4 == 0,
                    ..Filter::default()
                };
                let by = Identity {
                    user: UserId::new(
                        &format!("u{}", USERS.fetch_add(1, Ordering::Relaxed)),
                        "bench.example",
                    )?,
                    device: DeviceId::new([1; 16]),
                    roles: vec![Role::Member],
                    certificate_expired: false,
                };
                let started = Instant::now();
                service.search(&by, filter, 1_000).await?;
                latencies.push(started.elapsed());
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

fn print_latencies(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).map_or(0.0, Duration::as_secs_f64);
    println!(
        "{what}: {} answered, p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms",
        latencies.len(),
        at(50) * 1e3,
        at(95) * 1e3,
        at(99) * 1e3
    );
}

/// Memory of this process by its name in the status, MB.
fn memory_mb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

/// Looks at the memory that is not mapped from files, which the system cannot take back, until it is asked.
struct Heap {
    is_over: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<u64>,
}

impl Heap {
    fn watch() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let watching = std::thread::spawn(move || {
            let mut peak = 0;
            while !ends.load(Ordering::Relaxed) {
                peak = peak.max(memory_mb("RssAnon:"));
                std::thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        Self { is_over, watching }
    }

    fn peak_mb(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.watching.join().unwrap_or_default()
    }
}
