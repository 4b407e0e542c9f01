//! Opens a store on disk: one directory, one engine, one process at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use crate::{
    embedded::Embedded,
    engine::{
        ApplyError, Batch, Engine, EngineError, JournalEngine, JournalError, JournalSizes, RedbEngine,
        Snapshot,
        sealed::{self, SealedEngine},
    },
    format::{self, FormatError},
    seal::{DataKey, NoRandomness},
    sealing,
    store::{Caps, Store},
};

const LOCK_FILE: &str = "lock";
const REDB_FILE: &str = "store.redb";
const SLED_DIRECTORY: &str = "store.sled";
const JOURNAL_DIRECTORY: &str = "store.journal";

/// An engine to choose in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// redb, one file: the engine of stores from before the journal; ADR 0002.
    Redb,
    /// A journal with an index that follows it: the default for new stores; ADR 0009.
    #[default]
    Journal,
    /// sled: only in builds with the feature `sled`; ADR 0002 says what it is good for.
    Sled,
}

impl EngineKind {
    /// All engines, built in or not.
    pub(crate) const ALL: [Self; 3] = [Self::Redb, Self::Journal, Self::Sled];

    /// The engine that made the store of a directory, if there is one.
    #[must_use]
    pub fn found_in(path: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| path.join(kind.place()).exists())
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Journal => "journal",
            Self::Sled => "sled",
        }
    }

    pub(crate) const fn place(self) -> &'static str {
        match self {
            Self::Redb => REDB_FILE,
            Self::Journal => JOURNAL_DIRECTORY,
            Self::Sled => SLED_DIRECTORY,
        }
    }
}

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownEngine)
    }
}

/// A name that is no engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engines are journal, redb and sled")]
pub struct UnknownEngine;

/// Why a store cannot be opened, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store in {path} is in use: stop the other process, or give this one a directory of its own")]
    InUse {
        /// Directory of the store.
        path: PathBuf,
    },
    /// The directory holds the store of another engine.
    #[error("{path} holds a {found} store: set the engine to {found}, or choose an empty directory")]
    OtherEngine {
        /// Directory of the store.
        path: PathBuf,
        /// Engine that made it.
        found: &'static str,
    },
    /// A store is to be made where there is one.
    #[error("{path} holds a store already: choose an empty directory")]
    Exists {
        /// Directory of the store.
        path: PathBuf,
    },
    /// This build does not have the engine.
    #[error("this build has no engine {engine}: build it with the feature `{engine}`, or use journal")]
    NotBuilt {
        /// The engine.
        engine: &'static str,
    },
    /// The file system refuses.
    #[error("{path} cannot be used: check that it is on a local disk with space and belongs to this user")]
    Io {
        /// What was being opened or made.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine refuses its files.
    #[error("the store in {path} does not open ({reason}): restore it from a backup if this persists")]
    Engine {
        /// Directory of the store.
        path: PathBuf,
        /// In the engine's words.
        reason: String,
    },
    /// Its rows are sealed, and no key was given.
    #[error("the store in {path} is sealed and no key is given: set `at_rest_key` to the key of this hub")]
    KeyNeeded {
        /// Directory of the store.
        path: PathBuf,
    },
    /// Its rows are sealed with another key.
    #[error(
        "the store in {path} is sealed with another key: restore the key and the file beside the store that belong to it"
    )]
    OtherKey {
        /// Directory of the store.
        path: PathBuf,
    },
    /// A key was given for rows that are not sealed.
    #[error(
        "the store in {path} is not sealed: stop the hub and run `cercle-server store seal`, or leave `at_rest_key` empty"
    )]
    NotSealed {
        /// Directory of the store.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The content is not ours to use.
    #[error("the store in {path} cannot be used")]
    Format {
        /// Directory of the store.
        path: PathBuf,
        /// Why.
        #[source]
        source: FormatError,
    },
}

/// Opens the store in a directory, or makes it; the directory is made if its parent exists. Blocks for
/// the time of a few disk accesses. The store must then be used from within a tokio runtime.
///
/// # Errors
/// As [`OpenError`] says.
pub fn open(path: &Path, kind: EngineKind) -> Result<Arc<dyn Store>, OpenError> {
    open_sealed(path, kind, None)
}

/// As [`open()`], of a store that is sealed with a key. A new one is sealed with it from its first row on.
///
/// # Errors
/// As [`OpenError`] says; with a wrong key nothing is changed.
pub fn open_sealed(
    path: &Path,
    kind: EngineKind,
    key: Option<&DataKey>,
) -> Result<Arc<dyn Store>, OpenError> {
    let engine = open_with(path, kind, key)?;
    let format = |source| OpenError::Format { path: path.to_owned(), source };
    Ok(Arc::new(Embedded::start(engine).map_err(format)?))
}

/// Makes an empty store in memory: it is gone with the last reference.
#[must_use]
pub fn open_memory() -> Arc<dyn Store> {
    Arc::new(Embedded::in_memory())
}

/// Opens the engine of a store without looking at its content.
///
/// # Errors
/// As [`OpenError`] says, except `Format`.
pub fn open_engine(path: &Path, kind: EngineKind) -> Result<Arc<dyn Engine>, OpenError> {
    open_with(path, kind, None)
}

fn open_with(path: &Path, kind: EngineKind, key: Option<&DataKey>) -> Result<Arc<dyn Engine>, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    make_directory(path).map_err(io)?;
    let lock = lock(path)?;
    sealing::recover(path).map_err(io)?;
    if let Some(other) =
        EngineKind::ALL.into_iter().find(|other| *other != kind && path.join(other.place()).exists())
    {
        return Err(OpenError::OtherEngine { path: path.to_owned(), found: other.name() });
    }
    if !path.join(kind.place()).exists() {
        make_store(path, kind, key)?;
    }
    let engine = under_key(path, start_engine(path, kind.place(), kind)?, key)?;
    // A file's own sync does not cover its name.
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io)?;
    Ok(Arc::new(Locked { engine, _lock: lock }))
}

/// Checks that engine and key belong together, and reads and writes through the key.
pub(crate) fn under_key(
    path: &Path,
    engine: Box<dyn Engine>,
    key: Option<&DataKey>,
) -> Result<Box<dyn Engine>, OpenError> {
    let path = path.to_owned();
    let found = sealed::sealed_by(&*engine)
        .map_err(|error| OpenError::Engine { path: path.clone(), reason: error.to_string() })?;
    match (found, key) {
        (None, None) => Ok(engine),
        (Some(found), Some(key)) if found == key.id() => Ok(Box::new(SealedEngine::over(engine, key)?)),
        (Some(_), Some(_)) => Err(OpenError::OtherKey { path }),
        (Some(_), None) => Err(OpenError::KeyNeeded { path }),
        (None, Some(_)) => Err(OpenError::NotSealed { path }),
    }
}

/// Makes the directory, readable by its owner only, and makes its name durable.
fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Takes the lock that keeps a second process out, whatever the engine does itself.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join(LOCK_FILE);
    let io = |source| OpenError::Io { path: file.clone(), source };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Makes a store under another name and gives it its own when it is whole and durable: a loss of power
/// while it is being made leaves nothing that does not open.
fn make_store(path: &Path, kind: EngineKind, key: Option<&DataKey>) -> Result<(), OpenError> {
    let unfinished = Unfinished::begin(path, kind)?.sealed(key)?;
    format::check_or_create(&*unfinished.engine)
        .map_err(|source| OpenError::Format { path: path.to_owned(), source })?;
    unfinished.finish()
}

/// A store under another name.
pub(crate) struct Unfinished {
    engine: Box<dyn Engine>,
    path: PathBuf,
    kind: EngineKind,
}

impl Unfinished {
    /// Removes what an interrupted creation left, and makes an empty engine.
    pub(crate) fn begin(path: &Path, kind: EngineKind) -> Result<Self, OpenError> {
        let name = format!("{}.new", kind.place());
        remove(&path.join(&name)).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { engine: start_engine(path, &name, kind)?, path: path.to_owned(), kind })
    }

    /// Seals everything that is written from here on, if there is a key.
    pub(crate) fn sealed(self, key: Option<&DataKey>) -> Result<Self, OpenError> {
        let Some(key) = key else { return Ok(self) };
        let Self { engine, path, kind } = self;
        let engine = SealedEngine::create(engine, key)
            .map_err(|error| OpenError::Engine { path: path.clone(), reason: error.to_string() })?;
        Ok(Self { engine: Box::new(engine), path, kind })
    }

    /// What the rows are written to.
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Makes the store durable, under its name that is not yet its own; returns it and its own.
    pub(crate) fn close(self) -> Result<(PathBuf, PathBuf), OpenError> {
        let Self { engine, path, kind } = self;
        drop(engine);
        let unfinished = path.join(format!("{}.new", kind.place()));
        sync_all(&unfinished).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        Ok((unfinished, path.join(kind.place())))
    }

    /// Gives the store its name once it is durable.
    fn finish(self) -> Result<(), OpenError> {
        let path = self.path.clone();
        let (unfinished, place) = self.close()?;
        std::fs::rename(&unfinished, place).map_err(|source| OpenError::Io { path, source })
    }
}

/// A store that is being made from a copy; the directory is locked meanwhile.
pub(crate) struct NewStore {
    // First, so that the engine is closed before the lock is let go.
    unfinished: Unfinished,
    _lock: File,
}

impl NewStore {
    /// Begins in a directory without a store.
    pub(crate) fn begin(path: &Path, kind: EngineKind) -> Result<Self, OpenError> {
        make_directory(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let lock = lock(path)?;
        if EngineKind::ALL.iter().any(|kind| path.join(kind.place()).exists()) {
            return Err(OpenError::Exists { path: path.to_owned() });
        }
        Ok(Self { unfinished: Unfinished::begin(path, kind)?, _lock: lock })
    }

    /// What the rows are written to.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.unfinished.engine()
    }

    /// Makes it the store of its directory.
    pub(crate) fn finish(self) -> Result<(), OpenError> {
        let path = self.unfinished.path.clone();
        self.unfinished.finish()?;
        File::open(&path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| OpenError::Io { path, source })
    }
}

/// Removes what an interrupted creation left.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Syncs a file, or a directory with everything in it.
fn sync_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for inside in std::fs::read_dir(path)? {
            sync_all(&inside?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

pub(crate) fn start_engine(path: &Path, name: &str, kind: EngineKind) -> Result<Box<dyn Engine>, OpenError> {
    let place = path.join(name);
    match kind {
        EngineKind::Redb => match RedbEngine::open(&place) {
            Ok(engine) => Ok(Box::new(engine)),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(error) => Err(OpenError::Engine { path: path.to_owned(), reason: error.to_string() }),
        },
        EngineKind::Journal => match JournalEngine::open(&place, JournalSizes::default()) {
            Ok(engine) => Ok(Box::new(engine)),
            Err(JournalError::InUse) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(error) => Err(OpenError::Engine { path: path.to_owned(), reason: error.to_string() }),
        },
        #[cfg(feature = "sled")]
        EngineKind::Sled => {
            let refuse =
                |error: sled::Error| OpenError::Engine { path: path.to_owned(), reason: error.to_string() };
            Ok(Box::new(start_sled(&place).map_err(refuse)?))
        }
        #[cfg(not(feature = "sled"))]
        EngineKind::Sled => Err(OpenError::NotBuilt { engine: kind.name() }),
    }
}

/// Opens sled, waiting for its own lock: after it was closed, as by [`make_store`] just before, sled lets
/// that lock go in the background. The store's lock is held here, so nobody else can be using it.
#[cfg(feature = "sled")]
fn start_sled(place: &Path) -> Result<crate::engine::SledEngine, sled::Error> {
    use crate::{
        engine::{SledEngine, SledSync},
        limits,
    };
    let mut attempts = 1;
    loop {
        match SledEngine::open(place, SledSync::Complete) {
            Err(sled::Error::Io(error))
                if attempts < limits::SLED_LOCK_ATTEMPTS_MAX
                    && error.to_string().contains("could not acquire lock") =>
            {
                attempts += 1;
                std::thread::sleep(limits::SLED_LOCK_WAIT);
            }
            opened => return opened,
        }
    }
}

/// An engine and the lock that goes when it has been closed.
struct Locked {
    // First, so that the engine is closed before the lock is let go.
    engine: Box<dyn Engine>,
    _lock: File,
}

impl Engine for Locked {
    fn caps(&self) -> Caps {
        self.engine.caps()
    }

    fn batch_operations_max(&self) -> usize {
        self.engine.batch_operations_max()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.engine.snapshot()
    }

    fn stored(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.engine.stored()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        self.engine.apply(batch)
    }

    fn is_healthy(&self) -> bool {
        self.engine.is_healthy()
    }
}
