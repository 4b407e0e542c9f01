//! Checks that a backup is whole: every chunk is there and what was written, and, where it can be read, that
//! its rows and files are what the manifest says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BackupError, Manifest, Repository, rows, seal::SecretKey};

/// A backup that is whole.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Its name.
    pub name: String,
    /// Chunks that were compared.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were read; `None`: it is sealed, and no secret key was given.
    pub rows: Option<u64>,
}

/// Checks a backup; without a name the newest. Without the secret key a sealed backup is compared with its
/// checksums, and not opened.
///
/// # Errors
/// [`BackupError::Damaged`] names what is missing or has changed.
pub fn verify(
    repository: &Repository,
    name: Option<&str>,
    key: Option<&SecretKey>,
) -> Result<Verified, BackupError> {
    let manifest = repository.backup_or_newest(name)?;
    for (chunk, entry) in &manifest.chunks {
        repository.read_file(chunk, entry)?;
    }
    let readable = !manifest.sealed || key.is_some();
    let rows = readable.then(|| check_content(repository, &manifest, key)).transpose()?;
    Ok(Verified { chunks: manifest.chunks.len(), bytes: manifest.bytes(), rows, name: manifest.name })
}

/// Reads every row and file; returns how many rows there are.
fn check_content(
    repository: &Repository,
    manifest: &Manifest,
    key: Option<&SecretKey>,
) -> Result<u64, BackupError> {
    let mut tables = BTreeMap::<String, u64>::new();
    for name in &manifest.rows {
        rows::read(&chunk(repository, manifest, name, key)?, |table, _, _| {
            *tables.entry(table.name().to_owned()).or_default() += 1;
            Ok(())
        })?;
    }
    if tables != manifest.tables {
        return Err(BackupError::Damaged("its rows are not as many as its manifest says".to_owned()));
    }
    for file in &manifest.files {
        let mut size = 0;
        for name in &file.chunks {
            size += chunk(repository, manifest, name, key)?.len() as u64;
        }
        if size != file.size {
            return Err(BackupError::Damaged(format!("{} has another length", file.path)));
        }
    }
    Ok(tables.values().sum())
}

/// The content of a chunk that a manifest names.
pub(super) fn chunk(
    repository: &Repository,
    manifest: &Manifest,
    name: &str,
    key: Option<&SecretKey>,
) -> Result<Vec<u8>, BackupError> {
    let entry = manifest.chunks.get(name);
    let entry = entry.ok_or_else(|| BackupError::Damaged(format!("the chunk {name} is not listed")))?;
    repository.read_chunk(name, entry, key)
}
