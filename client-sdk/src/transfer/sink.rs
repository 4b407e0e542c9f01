//! Where a download arrives: chunks that were opened, in memory or in a `.part` file beside its destination.
//!
//! A `.part` file holds whole chunks of content and is taken up again by the next try, also of another
//! process. Only when the whole content is what the message says does it get its name.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{Destination, TransferError, name};
use crate::{
    message::Document,
    profile::folder,
    sealing::{CHUNK_BYTES, Opener},
};

/// A download that is not complete.
pub(super) struct Sink {
    opener: Opener,
    place: Place,
    /// It began with chunks of an earlier try.
    resumed: bool,
}

/// What has arrived.
pub(super) enum Arrived {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of this name.
    File(PathBuf),
}

enum Place {
    Memory(Vec<u8>),
    File { file: File, part: PathBuf, path: PathBuf, overwrite: bool },
}

impl Sink {
    /// Into memory.
    pub(super) fn memory(document: &Document) -> Self {
        Self { opener: opener(document), place: Place::Memory(Vec::new()), resumed: false }
    }

    /// Into a file; goes on where an earlier try has left off.
    ///
    /// # Errors
    /// [`TransferError::Exists`], or the disk fails.
    pub(super) fn file(document: &Document, destination: &Destination) -> Result<Self, TransferError> {
        let mut path = destination.path.clone();
        if path.is_dir() {
            path.push(name::safe(&document.name));
        }
        if !destination.overwrite && path.symlink_metadata().is_ok() {
            return Err(TransferError::Exists);
        }
        // The blob's id keeps two documents of one name apart, and those of different content.
        let part = parent(&path).join(format!(".{}.part", document.blob.to_hex()));
        if part.is_symlink() {
            return Err(TransferError::Disk(io::ErrorKind::AlreadyExists.into()));
        }
        let mut options = folder::options();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&part);
        let mut file = opened.map_err(TransferError::Disk)?;
        file.try_lock().map_err(|_| TransferError::Disk(io::ErrorKind::ResourceBusy.into()))?;
        let mut opener = opener(document);
        take_chunks(&mut file, &mut opener).map_err(TransferError::Disk)?;
        let resumed = opener.opened() > 0;
        let place = Place::File { file, part, path, overwrite: destination.overwrite };
        Ok(Self { opener, place, resumed })
    }

    /// Bytes of content that have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.opener.opened()
    }

    /// Where in the ciphertext the next chunk begins.
    pub(super) fn sealed_offset(&self) -> u64 {
        self.opener.sealed_offset()
    }

    /// Sealed bytes of the next chunk; 0 when there is none.
    pub(super) fn next_sealed_bytes(&self) -> usize {
        self.opener.next_sealed_bytes()
    }

    /// Opens a chunk and keeps it.
    ///
    /// # Errors
    /// When it does not open, or the disk fails.
    pub(super) fn put(&mut self, sealed: &mut [u8]) -> Result<(), TransferError> {
        let chunk = self.opener.open(sealed)?;
        match &mut self.place {
            Place::Memory(bytes) => bytes.extend_from_slice(chunk),
            Place::File { file, .. } => file.write_all(chunk).map_err(TransferError::Disk)?,
        }
        Ok(())
    }

    /// Checks the whole, and gives a file its name. What is not what the message says is deleted.
    ///
    /// # Errors
    /// [`TransferError::Damaged`], [`TransferError::Exists`], or the disk fails.
    pub(super) fn finish(self) -> Result<Arrived, TransferError> {
        let checked = self.opener.finish();
        match self.place {
            Place::Memory(bytes) => Ok(checked.map(|()| Arrived::Bytes(bytes))?),
            Place::File { part, .. } if checked.is_err() => {
                let _ = fs::remove_file(part);
                Err(checked.err().map_or(TransferError::Interrupted, TransferError::Damaged))
            }
            Place::File { file, part, path, overwrite } => {
                file.sync_all().map_err(TransferError::Disk)?;
                drop(file);
                give_name(&part, &path, overwrite)?;
                folder::sync_folder(&parent(&path)).map_err(TransferError::Disk)?;
                Ok(Arrived::File(path))
            }
        }
    }

    /// Whether what is damaged may be due to chunks of an earlier try, so that starting over may help.
    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// Deletes what has arrived.
    pub(super) fn discard(self) {
        if let Place::File { part, .. } = self.place {
            let _ = fs::remove_file(part);
        }
    }
}

fn opener(document: &Document) -> Opener {
    Opener::new(&document.key, document.size, document.sha256)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Takes the whole chunks of an earlier try and cuts off the rest.
fn take_chunks(file: &mut File, opener: &mut Opener) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut good = 0;
    while opener.next_sealed_bytes() > CHUNK_BYTES && file.read_exact(&mut chunk).is_ok() {
        if opener.take_opened(&chunk).is_err() {
            break;
        }
        good += CHUNK_BYTES as u64;
    }
    file.set_len(good)?;
    file.seek(SeekFrom::Start(good))?;
    Ok(())
}

/// Moves a complete file to its name, in one step.
fn give_name(part: &Path, path: &Path, overwrite: bool) -> Result<(), TransferError> {
    if overwrite {
        return fs::rename(part, path).map_err(TransferError::Disk);
    }
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part).map_err(TransferError::Disk),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(TransferError::Exists),
        // A file system without links: looking before moving is the best that can be done there.
        Err(_) if path.symlink_metadata().is_ok() => Err(TransferError::Exists),
        Err(_) => fs::rename(part, path).map_err(TransferError::Disk),
    }
}
