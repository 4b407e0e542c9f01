//! The way of the journal to its files, and a disk that fails on purpose.
//!
//! Every write, sync and new name of its files goes through a [`Disk`]. A store's leads straight to the system.
//! One with [`JournalFaults`] counts the operations on each kind of file and lets one of them fail, whole or
//! half done; it also keeps what was not synced yet, so that a loss of power can leave each of these writes
//! there, gone, or torn. The files are real ones: what a test reads afterwards is what the engine reads.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::engine::dice::Dice;

/// Kinds of files, which fail apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JournalPlace {
    /// The journal files: the write and the sync of each batch.
    Journal,
    /// The files of bodies, which a checkpoint writes.
    Bodies,
    /// The index, which a checkpoint writes last.
    Index,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalFault {
    /// A write is refused, and nothing of it is in the file.
    Full,
    /// A write ends in the middle.
    Torn,
    /// A sync fails, and what it should have made durable may be there or not.
    Sync,
}

/// Faults of the disk under a journal. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct JournalFaults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    next: Option<Plan>,
    /// Written and not synced, in order.
    unsynced: Vec<Unsynced>,
    /// How often the power was lost: whoever had files open before reaches them no more.
    life: u64,
    dice: Dice,
    met: BTreeMap<JournalPlace, u64>,
}

/// What fails next, and goes on failing until the power was lost.
#[derive(Debug, Clone, Copy)]
struct Plan {
    place: JournalPlace,
    operations_left: u64,
    fault: JournalFault,
}

#[derive(Debug)]
struct Unsynced {
    path: PathBuf,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// A name in the directory.
    Created,
    /// Bytes, and a length, in place of others.
    Written { at: u64, before: (Vec<u8>, u64), after: (Vec<u8>, u64) },
}

impl JournalFaults {
    /// A disk that works. The seed decides what a loss of power leaves.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state =
            State { next: None, unsynced: Vec::new(), life: 0, dice: Dice(seed), met: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// After so many more operations of its kind on files of this kind the next one fails, and from then on all
    /// such, until the power is lost.
    pub fn fail_after(&self, operations: u64, place: JournalPlace, fault: JournalFault) {
        self.state().next = Some(Plan { place, operations_left: operations, fault });
    }

    /// How many operations have failed, by the kind of file.
    #[must_use]
    pub fn met(&self) -> BTreeMap<JournalPlace, u64> {
        self.state().met.clone()
    }

    /// Takes the power away and gives it back: what was synced is there, of the rest each write is there, gone or
    /// torn. The disk works again; engines that were open before reach it no more.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn lose_power(&self) -> io::Result<()> {
        let mut state = self.state();
        let unsynced = std::mem::take(&mut state.unsynced);
        for Unsynced { path, change } in unsynced.iter().rev() {
            if let Change::Written { at, before, .. } = change
                && let Some(file) = open(path)?
            {
                file.write_all_at(&before.0, *at)?;
                file.set_len(before.1)?;
            }
        }
        for Unsynced { path, change } in unsynced {
            let (kept, torn) = (state.dice.below(2) == 0, state.dice.below(4) == 0);
            match change {
                Change::Created if !kept && path.exists() => std::fs::remove_file(&path)?,
                Change::Created => {}
                Change::Written { at, after, .. } if torn || kept => {
                    let Some(file) = open(&path)? else { continue };
                    let length = after.0.len() as u64;
                    let left = if torn { state.dice.below(length + 1) } else { length };
                    let bytes = &after.0[..usize::try_from(left).unwrap_or(0)];
                    file.write_all_at(bytes, at)?;
                    if !torn {
                        file.set_len(after.1)?;
                    }
                }
                Change::Written { .. } => {}
            }
        }
        state.next = None;
        state.life += 1;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is still there.
fn open(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl State {
    /// Counts an operation; the fault that it meets, if any.
    fn meets(&mut self, place: JournalPlace, is_sync: bool) -> Option<JournalFault> {
        let plan = self.next.as_mut()?;
        if plan.place != place || (plan.fault == JournalFault::Sync) != is_sync {
            return None;
        }
        if plan.operations_left > 0 {
            plan.operations_left -= 1;
            return None;
        }
        let fault = plan.fault;
        // A disk that has torn a write takes no more of them.
        plan.fault = if fault == JournalFault::Torn { JournalFault::Full } else { fault };
        *self.met.entry(place).or_default() += 1;
        Some(fault)
    }

    /// Writes, and remembers what was there before.
    fn write(&mut self, path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let length = file.metadata()?.len();
        let end = at + bytes.len() as u64;
        let old = length.min(end).saturating_sub(at);
        let mut before = vec![0; usize::try_from(old).map_err(io::Error::other)?];
        file.read_exact_at(&mut before, at)?;
        file.write_all_at(bytes, at)?;
        let (before, after) = ((before, length), (bytes.to_vec(), length.max(end)));
        self.unsynced.push(Unsynced { path: path.to_owned(), change: Change::Written { at, before, after } });
        Ok(())
    }
}

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Option<(JournalFaults, u64)>);

impl Disk {
    /// One that fails.
    pub(super) fn failing(faults: &JournalFaults) -> Self {
        let life = faults.state().life;
        Self(Some((faults.clone(), life)))
    }

    /// Whether something can be put in between.
    pub(super) const fn is_real(&self) -> bool {
        self.0.is_none()
    }

    /// The state of a disk that still has power; `None` for a real disk.
    fn state(&self) -> io::Result<Option<MutexGuard<'_, State>>> {
        let Some((faults, life)) = &self.0 else { return Ok(None) };
        let state = faults.state();
        if state.life == *life { Ok(Some(state)) } else { Err(io::Error::other("the power was lost")) }
    }

    /// Writes at a place of a file.
    pub(super) fn write(
        &self,
        place: JournalPlace,
        path: &Path,
        (file, at): (&File, u64),
        bytes: &[u8],
    ) -> io::Result<()> {
        let Some(mut state) = self.state()? else { return file.write_all_at(bytes, at) };
        match state.meets(place, false) {
            None | Some(JournalFault::Sync) => state.write(path, file, bytes, at),
            Some(JournalFault::Full) => {
                Err(io::Error::new(io::ErrorKind::StorageFull, "the test disk is full"))
            }
            Some(JournalFault::Torn) => {
                let whole = bytes.len() as u64;
                let written = usize::try_from(state.dice.below(whole)).map_err(io::Error::other)?;
                state.write(path, file, &bytes[..written], at)?;
                Err(io::Error::other("the test disk has written a part"))
            }
        }
    }

    /// Sets the length of a file.
    pub(super) fn set_length(
        &self,
        place: JournalPlace,
        path: &Path,
        file: &File,
        length: u64,
    ) -> io::Result<()> {
        let Some(mut state) = self.state()? else { return file.set_len(length) };
        if state.meets(place, false).is_some() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the test disk is full"));
        }
        let old = file.metadata()?.len();
        let mut cut = vec![0; usize::try_from(old.saturating_sub(length)).map_err(io::Error::other)?];
        let at = length.min(old);
        file.read_exact_at(&mut cut, at)?;
        file.set_len(length)?;
        let change = Change::Written { at, before: (cut, old), after: (Vec::new(), length) };
        state.unsynced.push(Unsynced { path: path.to_owned(), change });
        Ok(())
    }

    /// Makes what was written to a file durable. `sync`: how.
    pub(super) fn sync(
        &self,
        place: JournalPlace,
        path: &Path,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut state) = self.state()? else { return sync() };
        if state.meets(place, true).is_some() {
            return Err(io::Error::other("the test disk does not sync"));
        }
        state.unsynced.retain(|other| other.path != path || matches!(other.change, Change::Created));
        Ok(())
    }

    /// Makes the names of a directory durable.
    pub(super) fn sync_names(&self, place: JournalPlace, directory: &Path) -> io::Result<()> {
        let Some(mut state) = self.state()? else { return File::open(directory)?.sync_all() };
        if state.meets(place, true).is_some() {
            return Err(io::Error::other("the test disk does not sync"));
        }
        state.unsynced.retain(|other| !matches!(other.change, Change::Created));
        Ok(())
    }

    /// Notes that a file has a name since just now.
    pub(super) fn created(&self, path: &Path) -> io::Result<()> {
        if let Some(mut state) = self.state()? {
            state.unsynced.push(Unsynced { path: path.to_owned(), change: Change::Created });
        }
        Ok(())
    }

    /// Removes a file. It stays gone: what opening makes of one that comes back is for the recorded traces of
    /// `tests/durability`.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        if let Some(mut state) = self.state()? {
            state.unsynced.retain(|other| other.path != path);
        }
        std::fs::remove_file(path)
    }
}

/// The index file over a disk that fails, as redb wants it.
#[derive(Debug)]
pub(super) struct IndexFile {
    disk: Disk,
    path: PathBuf,
    file: File,
}

impl IndexFile {
    /// Opens the file, or makes it.
    pub(super) fn open(disk: &Disk, path: &Path) -> io::Result<Self> {
        let new = !path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if new {
            disk.created(path)?;
        }
        Ok(Self { disk: disk.clone(), path: path.to_owned(), file })
    }
}

impl redb::StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.set_length(JournalPlace::Index, &self.path, &self.file, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(JournalPlace::Index, &self.path, || self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(JournalPlace::Index, &self.path, (&self.file, offset), data)
    }
}
