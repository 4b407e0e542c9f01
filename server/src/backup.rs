//! Backups: everything a hub needs to be itself again on another machine, taken while it works.
//!
//! A repository is a folder; a backup is a manifest in it that names chunks. Chunks are named by their content,
//! so a backup copies what the ones before it do not have, and each backup is whole by itself. The manifest
//! is written last: a backup that was interrupted does not exist (ADR 0014).
//!
//! - `repository`: the folder, chunks, manifests, pruning. `manifest`: what a backup says of itself.
//! - `seal`: encryption to a public key, so that the machine that makes backups cannot read them.
//! - `rows`: the store's rows as chunks. `create`, `verify`, `restore`: the three things one does.

mod create;
mod manifest;
mod repository;
mod restore;
mod rows;
mod seal;
mod verify;

use std::{
    io,
    path::{Path, PathBuf},
};

use cercle_storage::{ImportError, OpenError, store::ReadError};

pub use create::{Created, Source, create};
pub use manifest::Manifest;
pub use repository::{Keep, Pruned, Repository};
pub use restore::{Restored, restore};
pub use seal::{PublicKey, SecretKey};
pub use verify::{Verified, verify};

/// Why a backup was not made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system.
    #[error("{path} cannot be used")]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The hub of the backup seals its disk, and there is no key.
    #[error(
        "this backup is of a hub that seals its disk: give --at-rest-key with the hub's key (a file, or command:/path/of/a/program)"
    )]
    AtRestKeyNeeded,
    /// The key at rest.
    #[error(transparent)]
    AtRest(#[from] crate::at_rest::AtRestError),
    /// Another backup, verification or pruning is at work.
    #[error("{0} is in use by another backup, check or pruning: wait until it has ended")]
    Busy(PathBuf),
    /// The folder is something else.
    #[error("{0} is no backup repository: give an empty folder, or one that `backup create` has made")]
    NoRepository(PathBuf),
    /// A newer version made it.
    #[error("the repository has format {found}, this version reads format {known}: use the newer version")]
    Newer {
        /// Format of the repository.
        found: u32,
        /// Newest format that this version reads.
        known: u32,
    },
    /// No such backup.
    #[error("there is no backup {0}; `backup list` shows those that there are")]
    Unknown(String),
    /// There is no backup at all.
    #[error("there is no backup in {0}")]
    Empty(PathBuf),
    /// It is sealed to another key.
    #[error("the repository is sealed to another public key; one repository has one key")]
    OtherRecipient,
    /// The secret key is needed.
    #[error("the backup is sealed: give the file with the secret key (--key-file)")]
    KeyNeeded,
    /// The secret key does not open it.
    #[error("the secret key does not open this backup: it is another's, or the chunk {0} is damaged")]
    WrongKey(String),
    /// A text is no key.
    #[error("that is no {0} key of `cercle-server backup keygen`")]
    BadKey(&'static str),
    /// A file or chunk is missing or not what it was.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// The place to restore to is not empty.
    #[error("{0} is not empty: restore into a folder that does not exist yet")]
    TargetExists(PathBuf),
    /// The store of this hub has no rows.
    #[error("this store cannot be copied: it is in memory only")]
    NotCopyable,
    /// Nobody waits for it any more: the hub is ending.
    #[error("the backup was abandoned")]
    Abandoned,
    /// The system gave no randomness, or a cipher failed.
    #[error("encryption failed")]
    Cipher,
    /// The store.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The restored store.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The restored store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Says which path an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |cause| BackupError::Io { path, cause }
}
