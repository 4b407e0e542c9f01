//! The engine for new stores: a journal that takes every write, and an index that follows it.
//!
//! A batch is one sealed record at the end of a journal file and one sync (`record`, `files`). From then on
//! it is durable and in memory (`overlay`). When enough has gathered, a checkpoint carries it over, in one
//! transaction: rows into a redb file (`index`), entries of the log into files of their own, sorted by group,
//! so that what is read together lies together (`bodies`, `checkpoint`). Then the journal's files are free
//! again. Opening reads the journal from the last checkpoint on; how much that is, is bounded, and so is the
//! memory. Readers see one moment over all three (`view`). ADR 0009 has the reasons and the evidence.

mod bodies;
mod checkpoint;
mod disk;
mod files;
mod index;
mod overlay;
mod record;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    thread::JoinHandle,
};

use ring::hmac;

pub use self::disk::{JournalFault, JournalFaults, JournalPlace};
use self::{
    bodies::Bodies,
    checkpoint::{Books, Files},
    disk::Disk,
    files::JournalFiles,
    index::Index,
    overlay::Overlay,
    view::View,
};
use super::{ApplyError, Batch, Engine, EngineError, Snapshot};
use crate::{limits, store::Caps};

const INDEX_FILE: &str = "index.redb";

/// Sizes that decide how often something happens. Tests make them small, so that it happens often.
#[derive(Debug, Clone, Copy)]
pub struct JournalSizes {
    /// Memory of rows that starts a checkpoint; writers wait at twice as much.
    pub checkpoint_bytes: usize,
    /// Size of a journal file, once the store is no longer small.
    pub journal_file_bytes: usize,
    /// Size at which a file of bodies is full.
    pub body_file_bytes: u64,
}

impl Default for JournalSizes {
    fn default() -> Self {
        Self {
            checkpoint_bytes: limits::CHECKPOINT_BYTES,
            journal_file_bytes: limits::JOURNAL_FILE_BYTES_MAX,
            body_file_bytes: limits::BODY_FILE_BYTES_MAX,
        }
    }
}

/// See [`JournalEngine::held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHeld {
    /// Memory of rows that the index does not have, in bytes.
    pub bytes: usize,
    /// Journal files.
    pub files: usize,
    /// Views that stand at some moment.
    pub views: usize,
}

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be used.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why. In the text too, because the text is all that is handed on.
        source: io::Error,
    },
    /// The index is in use by another process.
    #[error("the index is in use")]
    InUse,
    /// The index does not open, or does not read.
    #[error("the index: {0}")]
    Index(String),
    /// Another version wrote it.
    #[error("the journal has layout {found}, this version reads layout 1")]
    Layout {
        /// What the index says.
        found: u32,
    },
    /// A record that had been acknowledged is damaged.
    #[error(
        "journal record {number} is damaged or gone, although record {found} follows it in {path} at byte {at}"
    )]
    RecordMissing {
        /// The first that is missing.
        number: u64,
        /// The one that proves it.
        found: u64,
        /// Where that lies.
        path: PathBuf,
        /// At which byte.
        at: usize,
    },
    /// A record has the right seal and does not read.
    #[error("journal record {number} does not read")]
    RecordUnreadable {
        /// Which.
        number: u64,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A directory with a journal.
pub struct JournalEngine {
    shared: Arc<Shared>,
    files: Mutex<JournalFiles>,
    checkpoints: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for JournalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalEngine").finish_non_exhaustive()
    }
}

/// What the writer, readers and checkpoints share.
struct Shared {
    sizes: JournalSizes,
    index: Index,
    bodies: Arc<Bodies>,
    layers: RwLock<Layers>,
    views: Mutex<Views>,
    progress: Mutex<Progress>,
    /// Something about `progress` changed.
    changed: Condvar,
}

/// What lies over the index.
struct Layers {
    active: Arc<Overlay>,
    /// What a checkpoint is carrying over.
    frozen: Option<Arc<Overlay>>,
    base: Arc<Base>,
}

/// Who reads which moment.
#[derive(Default)]
struct Views {
    /// Newest batch that is there to be read.
    visible: u64,
    /// Batch → how many views stand at it.
    live: BTreeMap<u64, usize>,
}

/// How checkpoints are going.
struct Progress {
    /// Newest batch of the frozen overlay, which waits or is under way.
    frozen: Option<u64>,
    /// Newest batch that the index has.
    done: u64,
    /// Why there will be no more.
    failed: Option<String>,
    stop: bool,
}

/// A stretch between two checkpoints. Views keep theirs, and with it all later ones; files of bodies that a
/// checkpoint emptied go when nobody is left who may have been reading them.
struct Base {
    bodies: Arc<Bodies>,
    emptied: OnceLock<Vec<u32>>,
    next: OnceLock<Arc<Self>>,
}

impl Base {
    fn new(bodies: &Arc<Bodies>) -> Arc<Self> {
        Arc::new(Self { bodies: Arc::clone(bodies), emptied: OnceLock::new(), next: OnceLock::new() })
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        for file in self.emptied.get().into_iter().flatten() {
            self.bodies.remove(*file);
        }
    }
}

impl JournalEngine {
    /// Opens the directory, or makes it. The caller makes its own name durable.
    ///
    /// # Errors
    /// As [`JournalError`] says.
    pub fn open(directory: &Path, sizes: JournalSizes) -> Result<Self, JournalError> {
        Self::open_on(Disk::default(), directory, sizes)
    }

    /// As [`JournalEngine::open`], on a disk that fails on purpose: for tests of what a store makes of it.
    ///
    /// # Errors
    /// As [`JournalEngine::open`].
    pub fn open_failing(
        faults: &JournalFaults,
        directory: &Path,
        sizes: JournalSizes,
    ) -> Result<Self, JournalError> {
        Self::open_on(Disk::failing(faults), directory, sizes)
    }

    /// Returns when no checkpoint is under way: in a simulation each batch then meets the same state of things.
    pub fn wait_for_checkpoint(&self) {
        let progress = self.shared.progress();
        let busy = |progress: &mut Progress| progress.frozen.is_some() && progress.failed.is_none();
        drop(self.shared.changed.wait_while(progress, busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// What is in memory and on the disk because no checkpoint has carried it over, and who reads.
    pub fn held(&self) -> JournalHeld {
        let layers = self.shared.layers();
        let frozen = layers.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        let bytes = layers.active.bytes() + frozen;
        drop(layers);
        let files = self.files.lock().map_or(0, |files| files.count());
        let views = self.shared.views().live.values().sum();
        JournalHeld { bytes, files, views }
    }

    fn open_on(disk: Disk, directory: &Path, sizes: JournalSizes) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: directory.to_owned(), source };
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(io)?,
        }
        let (index, facts) = Index::open(&disk, &directory.join(INDEX_FILE))?;
        let bodies = Arc::new(Bodies::new(disk.clone(), directory));
        // What a checkpoint that was cut off has begun, or did not get to delete.
        for number in bodies.numbers()?.into_iter().filter(|number| !facts.files.contains_key(number)) {
            bodies.remove(number);
        }
        let seal = hmac::Key::new(hmac::HMAC_SHA256, &facts.seal);
        let (files, records) =
            JournalFiles::open((disk.clone(), directory), seal, sizes.journal_file_bytes, facts.checkpoint)?;
        // The name of the index, too.
        disk.sync_names(JournalPlace::Index, directory).map_err(io)?;
        let active = Overlay::default();
        for (number, record) in records {
            let rows = record::rows(&record).ok_or(JournalError::RecordUnreadable { number })?;
            active.add(number, rows, record.len(), number - 1);
        }
        let shared = Arc::new(Shared {
            sizes,
            index,
            layers: RwLock::new(Layers { active: active.into(), frozen: None, base: Base::new(&bodies) }),
            bodies,
            views: Mutex::new(Views { visible: files.last(), live: BTreeMap::new() }),
            progress: Mutex::new(Progress {
                frozen: None,
                done: facts.checkpoint,
                failed: None,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let checkpoints = std::thread::Builder::new().name("cercle-checkpoint".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.checkpoint_until_stopped(facts.files)
        });
        let checkpoints = Some(checkpoints.map_err(io)?);
        Ok(Self { shared, files: Mutex::new(files), checkpoints })
    }
}

impl Drop for JournalEngine {
    fn drop(&mut self) {
        self.shared.progress().stop = true;
        self.shared.changed.notify_all();
        if self.checkpoints.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of checkpoints panicked");
        }
    }
}

impl Engine for JournalEngine {
    fn caps(&self) -> Caps {
        Caps { name: "journal", power_loss_durable: true }
    }

    fn batch_operations_max(&self) -> usize {
        limits::JOURNAL_BATCH_OPERATIONS_MAX
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        Ok(Box::new(self.shared.view()?))
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let done = self.shared.make_room()?;
        let mut files = self
            .files
            .lock()
            .map_err(|_| ApplyError::NotStored("an earlier write ended in the middle".into()))?;
        files.release(done);
        let appended = files.append(batch);
        if let Err(error) = &appended {
            // Whatever is in the file now, the next record must not go behind it.
            self.shared.progress().failed.get_or_insert_with(|| error.to_string());
        }
        let (number, record) = appended?;
        drop(files);
        let rows = record::rows(&record).expect("a record reads as it was written just now");
        let oldest = self.shared.views().oldest();
        let active = Arc::clone(&self.shared.layers().active);
        active.add(number, rows, record.len(), oldest);
        self.shared.views().visible = number;
        Ok(())
    }

    fn is_healthy(&self) -> bool {
        self.shared.progress().failed.is_none()
    }
}

impl Views {
    /// The earliest batch that a view stands at, or may stand at before the next one is visible.
    fn oldest(&self) -> u64 {
        self.live.first_key_value().map_or(self.visible, |(number, _)| *number)
    }
}

impl Shared {
    fn views(&self) -> MutexGuard<'_, Views> {
        // Every change of it is one assignment: a panic elsewhere cannot leave it half made.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> std::sync::RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_layers(&self) -> std::sync::RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest moment.
    fn view(&self) -> Result<View<'_>, EngineError> {
        // While the layers are held nothing can be frozen; so the index has nothing from after this moment.
        let layers = self.layers();
        let index = self.index.view()?;
        let overlays =
            [Some(&layers.active), layers.frozen.as_ref()].into_iter().flatten().cloned().collect();
        let mut views = self.views();
        let number = views.visible;
        *views.live.entry(number).or_default() += 1;
        drop(views);
        Ok(View { shared: self, number, overlays, index, _base: Arc::clone(&layers.base) })
    }

    fn forget_view(&self, number: u64) {
        let mut views = self.views();
        if let Some(count) = views.live.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                views.live.remove(&number);
            }
        }
    }

    /// Freezes what has gathered if it is enough, and waits if it is too much. Returns how far the index is.
    fn make_room(&self) -> Result<u64, ApplyError> {
        let gathered = self.layers().active.bytes();
        let mut progress = self.progress();
        if gathered >= self.sizes.checkpoint_bytes * 2 {
            let busy = |progress: &mut Progress| progress.frozen.is_some() && progress.failed.is_none();
            progress = self.changed.wait_while(progress, busy).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(why) = &progress.failed {
            return Err(ApplyError::NotStored(format!("an earlier write failed: {why}")));
        }
        if gathered >= self.sizes.checkpoint_bytes && progress.frozen.is_none() {
            progress.frozen = Some(self.views().visible);
            drop(progress);
            let mut layers = self.change_layers();
            layers.frozen = Some(std::mem::take(&mut layers.active));
            drop(layers);
            self.changed.notify_all();
            progress = self.progress();
        }
        Ok(progress.done)
    }

    fn checkpoint_until_stopped(&self, files: Files) {
        let _guard = FailOnPanic(self);
        let mut books = Books::new(files);
        while let Some((number, overlay)) = self.next_checkpoint() {
            let written = checkpoint::write(
                &self.index,
                &self.bodies,
                self.sizes.body_file_bytes,
                (number, &overlay),
                &mut books,
            );
            match written {
                Ok(emptied) => self.finish_checkpoint(number, emptied),
                Err(why) => {
                    tracing::error!(%why, "a checkpoint of the store failed: no more writes until it is opened again");
                    self.fail(why);
                    return;
                }
            }
        }
    }

    /// Waits for an overlay to carry over; `None` when the engine is let go.
    fn next_checkpoint(&self) -> Option<(u64, Arc<Overlay>)> {
        loop {
            let progress = self.progress();
            let idle = |progress: &mut Progress| progress.frozen.is_none() && !progress.stop;
            let progress = self.changed.wait_while(progress, idle).unwrap_or_else(PoisonError::into_inner);
            let number = progress.frozen?;
            drop(progress);
            if let Some(frozen) = self.layers().frozen.clone() {
                return Some((number, frozen));
            }
            // The writer is between announcing it and freezing it.
            std::thread::yield_now();
        }
    }

    fn finish_checkpoint(&self, number: u64, emptied: Vec<u32>) {
        let base = Base::new(&self.bodies);
        let mut layers = self.change_layers();
        let before = std::mem::replace(&mut layers.base, Arc::clone(&base));
        layers.frozen = None;
        drop(layers);
        // Each is set once, here: a base has one end.
        drop(before.emptied.set(emptied));
        drop(before.next.set(base));
        let mut progress = self.progress();
        progress.frozen = None;
        progress.done = number;
        drop(progress);
        self.changed.notify_all();
    }

    fn fail(&self, why: String) {
        self.progress().failed.get_or_insert(why);
        self.changed.notify_all();
    }
}

/// Lets no writer wait for a thread that is gone.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the thread of checkpoints panicked".into());
        }
    }
}

/// Files of a directory whose name is a prefix and a number, in order.
fn numbered(directory: &Path, prefix: &str) -> Result<Vec<(u64, PathBuf)>, JournalError> {
    let io = |source| JournalError::Io { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix(prefix)?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}
