//! The ciphertexts of a profile: what is being uploaded, in a folder beside the store.
//!
//! A file is complete and on the disk before anything says that it is there. What no upload names is deleted
//! when the folder is opened ([`Spool::keep_only`]).

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use cercle_proto::id::BlobId;

use crate::profile::folder;

/// The folder.
#[derive(Clone)]
pub(crate) struct Spool(PathBuf);

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spool")
    }
}

impl Spool {
    /// The spool of the profile in this folder. Nothing is made until something is to be kept.
    pub(crate) fn of_profile(folder: &Path) -> Self {
        Self(folder.join("transfers"))
    }

    /// Makes an empty file that only this user can read.
    ///
    /// # Errors
    /// When the file system refuses, or there is one already.
    pub(crate) fn create(&self, blob: BlobId) -> io::Result<File> {
        match folder::builder().create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        folder::options().write(true).create_new(true).open(self.path(blob))
    }

    /// Makes a file that was written survive a loss of power.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn settle(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        folder::sync_folder(&self.0)
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub(crate) fn open(&self, blob: BlobId) -> io::Result<File> {
        File::open(self.path(blob))
    }

    /// Deletes a file, if it is there.
    pub(crate) fn delete(&self, blob: BlobId) {
        match fs::remove_file(self.path(blob)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(blob.id = ?blob, %error, "a ciphertext cannot be deleted");
            }
            _ => {}
        }
    }

    /// Deletes every file but these.
    pub(crate) fn keep_only(&self, wanted: &[BlobId]) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let blob = name.to_str().and_then(|name| BlobId::from_hex(name).ok());
            if let Some(blob) = blob.filter(|blob| !wanted.contains(blob)) {
                self.delete(blob);
            }
        }
    }

    fn path(&self, blob: BlobId) -> PathBuf {
        self.0.join(blob.to_hex())
    }
}
