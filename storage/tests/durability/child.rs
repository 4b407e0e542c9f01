//! The process under test: this test binary, started again with its task in the environment.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex, PoisonError},
};

use cercle_storage::{
    Embedded, EngineKind,
    engine::{Engine as _, JournalEngine, JournalSizes},
    store::Store,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{load, reopen};

const STORE: &str = "CERCLE_TEST_STORE";
const ENGINE: &str = "CERCLE_TEST_ENGINE";
const NOTES: &str = "CERCLE_TEST_NOTES";
const ROUND: &str = "CERCLE_TEST_ROUND";
const ENTRIES: &str = "CERCLE_TEST_ENTRIES";
const END: &str = "CERCLE_TEST_END";
const JOB: &str = "CERCLE_TEST_JOB";
const TEST: &str = "child::does_its_task_if_it_has_one";

/// Held while a process is started: until it runs its own program it has copies of all open files, and with
/// them the lock of a store that another test lets go and opens again at that moment.
static STARTING: Mutex<()> = Mutex::new(());

/// An engine under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Redb,
    Journal,
    /// The journal with a checkpoint every few operations.
    BusyJournal,
    #[cfg(feature = "sled")]
    Sled,
    /// sled as it comes, without the sync that it leaves out.
    #[cfg(feature = "sled")]
    SledFlushOnly,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Journal => "journal",
            Self::BusyJournal => "busy-journal",
            #[cfg(feature = "sled")]
            Self::Sled => "sled",
            #[cfg(feature = "sled")]
            Self::SledFlushOnly => "sled-flush-only",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "redb" => Self::Redb,
            "journal" => Self::Journal,
            "busy-journal" => Self::BusyJournal,
            #[cfg(feature = "sled")]
            "sled" => Self::Sled,
            #[cfg(feature = "sled")]
            "sled-flush-only" => Self::SledFlushOnly,
            _ => panic!("no engine {name}"),
        }
    }

    /// Whether a loss of power may hit it at any moment, while it opens too. sled replaces its snapshot file
    /// while it opens, and a loss just then may leave one that does not open.
    pub(crate) fn may_be_cut_anywhere(self) -> bool {
        matches!(self, Self::Redb | Self::Journal | Self::BusyJournal)
    }

    /// Opens a store as the hub would.
    pub(crate) fn open(self, path: &Path) -> Result<Arc<dyn Store>, String> {
        drop(STARTING.lock().unwrap_or_else(PoisonError::into_inner));
        let kind = match self {
            Self::Redb => EngineKind::Redb,
            Self::Journal => EngineKind::Journal,
            Self::BusyJournal => return open_busy(path),
            #[cfg(feature = "sled")]
            Self::Sled => EngineKind::Sled,
            #[cfg(feature = "sled")]
            Self::SledFlushOnly => {
                use cercle_storage::engine::{SledEngine, SledSync};
                std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
                let engine = SledEngine::open(&path.join("store.sled"), SledSync::FlushOnly);
                let engine = engine.map_err(|error| error.to_string())?;
                return Ok(Arc::new(Embedded::start(Arc::new(engine)).map_err(|error| error.to_string())?));
            }
        };
        cercle_storage::open(path, kind).map_err(|error| error.to_string())
    }
}

/// A journal for which the ends of files and checkpoints come often enough to be hit.
fn open_busy(path: &Path) -> Result<Arc<dyn Store>, String> {
    // Made as the hub makes it: an interrupted creation leaves nothing.
    drop(cercle_storage::open(path, EngineKind::Journal).map_err(|error| error.to_string())?);
    let sizes =
        JournalSizes { checkpoint_bytes: 60_000, journal_file_bytes: 64 << 10, body_file_bytes: 30_000 };
    let engine =
        JournalEngine::open(&path.join("store.journal"), sizes).map_err(|error| error.to_string())?;
    assert!(engine.caps().power_loss_durable);
    Ok(Arc::new(Embedded::start(Arc::new(engine)).map_err(|error| error.to_string())?))
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It lets the store go and returns.
    Clean,
    /// It sends itself SIGKILL while its writes are under way.
    Kill,
}

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Runs the load.
    Load,
    /// Appends so much to one group, then kills itself.
    Fill { megabytes: u64 },
    /// Writes a redb file without the store, then kills itself.
    PlainRedb,
}

impl Job {
    fn to_text(self) -> String {
        match self {
            Self::Load => "load".into(),
            Self::Fill { megabytes } => megabytes.to_string(),
            Self::PlainRedb => "plain".into(),
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "load" => Self::Load,
            "plain" => Self::PlainRedb,
            megabytes => Self::Fill { megabytes: megabytes.parse().unwrap() },
        }
    }
}

/// A process to start.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) job: Job,
    pub(crate) store: PathBuf,
    pub(crate) engine: Engine,
    pub(crate) notes: PathBuf,
    /// Number of the process: its message ids are its own.
    pub(crate) round: u64,
    /// Accepted entries after which it ends; `None`: it goes on until it is killed.
    pub(crate) entries: Option<u64>,
    pub(crate) end: End,
}

impl Task {
    /// Starts a process that carries it out; `wrapper` is put before it (`strace` and its arguments).
    pub(crate) fn start(&self, wrapper: &[String]) -> Child {
        let exe = std::env::current_exe().unwrap();
        let mut words = wrapper.to_vec();
        words.push(exe.to_str().unwrap().to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--exact", TEST, "--nocapture", "--test-threads=1"]);
        command.env(STORE, &self.store).env(NOTES, &self.notes).env(ENGINE, self.engine.name());
        command.env(JOB, self.job.to_text()).env(ROUND, self.round.to_string());
        command.env(END, if self.end == End::Kill { "kill" } else { "clean" });
        if let Some(entries) = self.entries {
            command.env(ENTRIES, entries.to_string());
        }
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        command.spawn().unwrap()
    }
}

#[test]
fn does_its_task_if_it_has_one() {
    let Ok(store) = std::env::var(STORE) else { return };
    let path = Path::new(&store);
    match Job::parse(&setting(JOB)) {
        Job::Load => run_load(path),
        Job::Fill { megabytes } => {
            let store = Engine::parse(&setting(ENGINE)).open(path).unwrap();
            runtime().block_on(load::fill(&store, megabytes));
            kill_this();
        }
        Job::PlainRedb => {
            reopen::write_plainly(path);
            kill_this();
        }
    }
}

fn run_load(path: &Path) {
    let store = Engine::parse(&setting(ENGINE)).open(path).unwrap();
    let notes = PathBuf::from(setting(NOTES));
    let (round, kills) = (setting(ROUND).parse().unwrap(), setting(END) == "kill");
    let entries = std::env::var(ENTRIES).ok().map(|entries| entries.parse().unwrap());
    runtime().block_on(async {
        let rest = tokio::spawn({
            let (store, notes) = (Arc::clone(&store), notes.clone());
            // A second load that is still under way when the first has had its entries.
            async move {
                if kills {
                    load::run(store, &notes, round + 1, None).await
                }
            }
        });
        load::run(store, &notes, round, entries).await;
        if kills {
            kill_this();
        }
        rest.await.unwrap();
    });
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn kill_this() {
    kill(Pid::this(), Signal::SIGKILL).unwrap();
}
