//! The folder of one identity on this machine: its lock, its store and the key of that store.
//!
//! ```text
//! <home>/<name>/            0700
//!   lock                    held while a process uses the profile
//!   profile.json            how the store key is kept; written last, so that a half-made profile has none
//!   key                     the store key, if no passphrase protects it
//!   store.db                everything else, sealed (see `store`)
//!   transfers/<id>          ciphertext of a document that is being sent; deleted when its message is queued
//! ```
//!
//! [`crate::client::Client::open`] takes an open [`Profile`]. One process at a time uses a profile: MLS
//! state that two processes advance would reuse keys. All files are 0600.

pub(crate) mod folder;
mod key;
mod lock;

use std::{
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

pub use folder::{default_home, folder_of};

/// A passphrase in memory; wiped when dropped.
pub type Passphrase = Zeroizing<String>;

/// How the store key of a new profile is kept.
pub enum Protection {
    /// In a file that only this user can read: protects a lost backup of the store alone, not a stolen disk.
    KeyFile,
    /// Derived from a passphrase with Argon2id (RFC 9106); nothing on disk opens the store.
    Passphrase(Passphrase),
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The name would not be a folder of its own.
    #[error("a profile name is 1 to 64 of a-z A-Z 0-9 . _ - and does not start with a dot")]
    Name,
    /// No environment variable says where profiles are kept.
    #[error("no home directory is known; set CERCLE_HOME to the folder that shall hold the profiles")]
    NoHome,
    /// There is no such profile.
    #[error("there is no profile in {0}")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a profile in {0} already")]
    Exists(PathBuf),
    /// Another process uses it.
    #[error("another process uses the profile in {0}; end it, or choose another profile")]
    InUse(PathBuf),
    /// Others can read what only this user may read.
    #[error("{0} is open to other users of this machine; run: chmod go-rwx {0}")]
    Permissions(PathBuf),
    /// It needs a passphrase and none was given.
    #[error("this profile is protected by a passphrase; give it on the terminal or in CERCLE_PASSPHRASE")]
    PassphraseNeeded,
    /// The passphrase does not open the store.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The key file does not open the store beside it.
    #[error("the key file does not belong to the store in {0}; put both back from the same backup")]
    WrongKeyFile(PathBuf),
    /// A file of the profile is damaged.
    #[error("{path} is damaged: {what}; put it back from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("cannot use {path}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A profile that this process has to itself, with its store key.
pub struct Profile {
    folder: PathBuf,
    key: Zeroizing<[u8; 32]>,
    by_passphrase: bool,
    _lock: lock::Lock,
}

impl Profile {
    /// Whether there is a complete profile in this folder.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        key::is_described(folder)
    }

    /// Makes a profile: folder, lock, key.
    ///
    /// # Errors
    /// When there is one already, another process makes one, or the file system refuses.
    pub fn create(folder: &Path, protection: Protection) -> Result<Self, ProfileError> {
        folder::make(folder)?;
        let lock = lock::Lock::acquire(folder)?;
        if Self::exists(folder) {
            return Err(ProfileError::Exists(folder.to_owned()));
        }
        let by_passphrase = matches!(protection, Protection::Passphrase(_));
        let key = key::make(folder, protection)?;
        Ok(Self { folder: folder.to_owned(), key, by_passphrase, _lock: lock })
    }

    /// Opens a profile. `passphrase` is asked only if the profile needs one; `None` means there is none.
    ///
    /// A wrong passphrase is noticed by [`crate::client::Client::open`], which tries the key on the store.
    ///
    /// # Errors
    /// When there is none, another process uses it, its files are readable by others or damaged, or it
    /// needs a passphrase that is not given.
    pub fn open(
        folder: &Path,
        passphrase: impl FnOnce() -> Option<Passphrase>,
    ) -> Result<Self, ProfileError> {
        if !Self::exists(folder) {
            return Err(ProfileError::Missing(folder.to_owned()));
        }
        folder::check_private(folder)?;
        let lock = lock::Lock::acquire(folder)?;
        let (key, by_passphrase) = key::read(folder, passphrase)?;
        Ok(Self { folder: folder.to_owned(), key, by_passphrase, _lock: lock })
    }

    /// The folder, for files that an app keeps beside the store.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database file, made private before SQLite touches it.
    pub(crate) fn store_path(&self) -> Result<PathBuf, ProfileError> {
        let path = self.folder.join("store.db");
        folder::touch_private(&path)?;
        Ok(path)
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// What it means when the key does not open the store.
    pub(crate) fn wrong_key(&self) -> ProfileError {
        if self.by_passphrase {
            ProfileError::WrongPassphrase
        } else {
            ProfileError::WrongKeyFile(self.folder.clone())
        }
    }
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("by_passphrase", &self.by_passphrase).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "KeyFile",
            Self::Passphrase(_) => "Passphrase",
        })
    }
}

#[cfg(test)]
mod tests;
