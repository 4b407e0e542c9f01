//! Where profiles lie, and files that only their owner can read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::ProfileError;

/// Longest profile name, bytes: well under what file systems take.
const NAME_BYTES_MAX: usize = 64;

/// Where the profiles of this user lie: `CERCLE_HOME`, else the platform's place for an application's data
/// (`XDG_DATA_HOME`, `~/.local/share`, `%LOCALAPPDATA%`) and `cercle` in it.
///
/// # Errors
/// When the environment says nothing of all this.
pub fn default_home() -> Result<PathBuf, ProfileError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("CERCLE_HOME")
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("cercle")))
        .or_else(|| variable("LOCALAPPDATA").filter(|_| cfg!(windows)).map(|data| data.join("cercle")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share/cercle")))
        .ok_or(ProfileError::NoHome)
}

/// The folder of a profile of this name.
///
/// # Errors
/// When the name could lead out of `home` or be hidden.
pub fn folder_of(home: &Path, name: &str) -> Result<PathBuf, ProfileError> {
    let ok = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.starts_with('.') || !name.bytes().all(ok) {
        return Err(ProfileError::Name);
    }
    Ok(home.join(name))
}

/// Makes a folder that only its owner can enter; those above it as the system makes folders.
pub(super) fn make(folder: &Path) -> Result<(), ProfileError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
    }
    match builder().create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(folder),
        result => result.map_err(|source| io_error(folder, source)),
    }
}

/// Makes an empty file that only its owner can read, unless it is there.
pub(super) fn touch_private(path: &Path) -> Result<(), ProfileError> {
    options().create(true).append(true).open(path).map(drop).map_err(|source| io_error(path, source))?;
    check_private(path)
}

/// Opens a file that only its owner can read, making it if needed.
pub(super) fn open_private(path: &Path) -> Result<File, ProfileError> {
    options().create(true).truncate(false).write(true).open(path).map_err(|source| io_error(path, source))
}

/// Writes a file whole or not at all, safely on disk before it returns.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), ProfileError> {
    let half = path.with_extension("half");
    let write = || {
        let mut file = options().create(true).truncate(true).write(true).open(&half)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().map_err(|source| io_error(path, source))
}

pub(super) fn io_error(path: &Path, source: io::Error) -> ProfileError {
    ProfileError::Io { path: path.to_owned(), source }
}

/// Refuses what other users of the machine can read or write.
#[cfg(unix)]
pub(super) fn check_private(path: &Path) -> Result<(), ProfileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(|source| io_error(path, source))?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(ProfileError::Permissions(path.to_owned())) }
}

/// Elsewhere the user's own data folder is private by its inherited access list.
#[cfg(not(unix))]
pub(super) fn check_private(_: &Path) -> Result<(), ProfileError> {
    Ok(())
}

/// Options for a file that only its owner can read.
#[cfg(unix)]
pub(crate) fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Options for a file in a folder that is private by its inherited access list.
#[cfg(not(unix))]
pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

/// Makes folders that only their owner can enter.
#[cfg(unix)]
pub(crate) fn builder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Makes folders that are private by their inherited access list.
#[cfg(not(unix))]
pub(crate) fn builder() -> DirBuilder {
    DirBuilder::new()
}

/// Makes the names in a folder survive a loss of power.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere the system does it.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
