//! One process per profile.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::{
    ProfileError,
    folder::{io_error, open_private},
};

/// Held for as long as the process uses the profile; the system releases it even if the process is killed.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says that somebody has it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, ProfileError> {
        let path = folder.join("lock");
        let file = open_private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ProfileError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
        }
    }
}
