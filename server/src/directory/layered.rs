//! The index of a sealed hub: what was imported, which is published by the State, lies on the disk and is read from
//! there; what people here add is written to memory only, and indexed again after each start (ADR 0015).

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tantivy::directory::{
    Directory, FileHandle, MmapDirectory, RamDirectory, WatchCallback, WatchHandle, WritePtr,
    error::{DeleteError, OpenReadError, OpenWriteError},
};

/// Memory over a folder that is never written to.
#[derive(Debug, Clone)]
pub(super) struct Layered {
    disk: MmapDirectory,
    memory: RamDirectory,
    /// Files on the disk that the index has let go.
    gone: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Layered {
    /// Over the index in a folder.
    pub(super) fn over(folder: &Path) -> tantivy::Result<Self> {
        let disk = MmapDirectory::open(folder)?;
        Ok(Self { disk, memory: RamDirectory::create(), gone: Arc::default() })
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // Every change of it is one insertion.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_memory(&self, path: &Path) -> bool {
        self.memory.exists(path).unwrap_or(false)
    }

    fn is_on_disk(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(!self.gone().contains(path) && self.disk.exists(path)?)
    }
}

impl Directory for Layered {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        if self.is_in_memory(path) || !self.is_on_disk(path)? {
            return self.memory.get_file_handle(path);
        }
        self.disk.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let on_disk = self.is_on_disk(path).unwrap_or(false);
        self.gone().insert(path.to_owned());
        if on_disk && !self.is_in_memory(path) { Ok(()) } else { self.memory.delete(path) }
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.is_in_memory(path) || self.is_on_disk(path)?)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.memory.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if self.is_in_memory(path) || !self.is_on_disk(path)? {
            return self.memory.atomic_read(path);
        }
        self.disk.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.memory.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, watch_callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.memory.watch(watch_callback)
    }
}
