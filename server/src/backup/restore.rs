//! Makes a hub's data directory out of a backup, in one go: it has its name when it is whole.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use cercle_proto::id::{TimestampMs, to_hex};
use cercle_storage::{
    EngineKind, Importer, open,
    store::{AuditEntry, Store},
};
use serde::Serialize;

use super::{
    BackupError, Manifest, Repository, at, repository::sync_folder, rows, seal::SecretKey, verify::chunk,
};
use crate::{
    at_rest::{self, AtRestError, KeySource},
    config::Config,
    init::CONFIG_FILE,
    limits,
    server::keys::write_new,
};

/// A hub that was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// The backup.
    pub name: String,
    /// When it was made: what was accepted since is forgotten, and comes back from the devices.
    pub created_at_ms: TimestampMs,
    /// The new incarnation, hexadecimal.
    pub incarnation: String,
    /// Rows of the store.
    pub rows: u64,
    /// Files beside it.
    pub files: usize,
    /// Files that lay outside the data directory and are in its folder `outside` now.
    pub outside: Vec<String>,
}

/// Restores a backup (without a name the newest) into a data directory that does not exist yet, or is empty.
/// The store gets a new incarnation and no key packages; an entry of the audit log says that it happened.
///
/// # Errors
/// As [`BackupError`] says; then nothing is there.
pub async fn restore(
    repository: &Repository,
    name: Option<&str>,
    target: &Path,
    key: Option<&SecretKey>,
    at_rest: Option<&KeySource>,
    now: TimestampMs,
) -> Result<Restored, BackupError> {
    let manifest = repository.backup_or_newest(name)?;
    if manifest.sealed && key.is_none() {
        return Err(BackupError::KeyNeeded);
    }
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::TargetExists(target.to_owned()));
    }
    let unfinished = unfinished(target);
    if unfinished.exists() {
        // Left by a restore that was interrupted.
        fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
    }
    make_folder(&unfinished)?;
    let restored = fill(repository, &manifest, &unfinished, (key, at_rest), now).await;
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) => {
            // What the reason is matters more than what is left of a failed attempt.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
    };
    if target.exists() {
        fs::remove_dir(target).map_err(at(target))?;
    }
    fs::rename(&unfinished, target).map_err(at(target))?;
    match target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent)?,
        None => sync_folder(Path::new("."))?,
    }
    Ok(restored)
}

async fn fill(
    repository: &Repository,
    manifest: &Manifest,
    data: &Path,
    (key, at_rest): (Option<&SecretKey>, Option<&KeySource>),
    now: TimestampMs,
) -> Result<Restored, BackupError> {
    let mut outside = Vec::new();
    for file in &manifest.files {
        let path = inside(data, &file.path)?;
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&path);
        let mut written = opened.map_err(at(&path))?;
        for name in &file.chunks {
            written.write_all(&chunk(repository, manifest, name, key)?).map_err(at(&path))?;
        }
        written.sync_all().map_err(at(&path))?;
        if file.path.starts_with("outside/") {
            outside.push(file.path.clone());
        }
    }
    let kind: EngineKind = manifest.engine.parse().unwrap_or_default();
    let store = data.join("store");
    let mut importer = Importer::create(&store, kind)?;
    for name in &manifest.rows {
        let content = chunk(repository, manifest, name, key)?;
        rows::read(&content, |table, key, value| Ok(importer.put(table, key, value)?))?;
    }
    let incarnation = importer.finish(manifest.created_at_ms, now)?;
    let opened = open_restored(manifest, data, kind, at_rest).await?;
    let (actor, action) = ("operator".to_owned(), "store.restored".to_owned());
    let entry = AuditEntry { at: now, actor, action, object: manifest.name.clone() };
    opened.record(entry).await.map_err(|error| BackupError::Damaged(error.to_string()))?;
    // The last reference: the writer thread ends here.
    tokio::task::spawn_blocking(move || drop(opened))
        .await
        .map_err(|error| BackupError::Damaged(format!("the store did not close: {error}")))?;
    Ok(Restored {
        name: manifest.name.clone(),
        created_at_ms: manifest.created_at_ms,
        incarnation: to_hex(&incarnation),
        rows: manifest.tables.values().sum(),
        files: manifest.files.len(),
        outside,
    })
}

/// Opens the new store. Of a sealed one the key is the given one, else what the restored configuration names; a file
/// that the configuration wants in the data directory, where no backup has it, is put there.
async fn open_restored(
    manifest: &Manifest,
    data: &Path,
    kind: EngineKind,
    given: Option<&KeySource>,
) -> Result<Arc<dyn Store>, BackupError> {
    if !manifest.at_rest {
        return Ok(open(&data.join("store"), kind)?);
    }
    let config = Config::load(&data.join(CONFIG_FILE), []).ok();
    let named = config.and_then(|config| config.at_rest_source().ok().flatten());
    let source = given.or(named.as_ref()).ok_or(BackupError::AtRestKeyNeeded)?.clone();
    if let (Some(KeySource::File(from)), Some(KeySource::File(to))) = (given, &named)
        && to.starts_with(data)
        && !to.exists()
    {
        let text = zeroize::Zeroizing::new(fs::read(from).map_err(at(from))?);
        write_new(to, 0o600, &text).map_err(AtRestError::File)?;
    }
    let place = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || at_rest::open_at(&place, kind, &source)).await;
    let opened = opened.map_err(|error| BackupError::Damaged(format!("the store did not open: {error}")))?;
    match opened {
        Err(AtRestError::File(_)) if given.is_none() => Err(BackupError::AtRestKeyNeeded),
        opened => Ok(opened?),
    }
}

/// Where a restore is until it is whole.
fn unfinished(target: &Path) -> PathBuf {
    let mut name = target.components().as_path().to_owned().into_os_string();
    name.push(limits::RESTORE_SUFFIX);
    PathBuf::from(name)
}

/// A path of a manifest below the data directory; one that leads elsewhere is refused.
fn inside(data: &Path, path: &str) -> Result<PathBuf, BackupError> {
    let harmless = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !harmless {
        return Err(BackupError::Damaged(
            "a file of the manifest leads out of the data directory".to_owned(),
        ));
    }
    Ok(data.join(path))
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_cannot_write_outside_the_data_directory() {
        for path in ["../x", "/etc/passwd", "a/../../x", "", "./../x"] {
            assert!(inside(Path::new("/data"), path).is_err(), "{path}");
        }
        assert_eq!(inside(Path::new("/data"), "a/b").unwrap(), Path::new("/data/a/b"));
    }
}
