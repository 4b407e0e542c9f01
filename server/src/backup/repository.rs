//! The folder of backups.
//!
//! ```text
//! cercle-backups.json        format, and the public key that everything is sealed to
//! lock                       held by whoever changes the repository
//! chunks/ab/<64 digits>      content, plain (first byte 0) or sealed (1)
//! backups/<name>.json        manifests
//! ```
//!
//! Files get their name by rename when they are whole and synced. Nothing that a manifest names is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use cercle_proto::{id::to_hex, signing::sha256};
use serde::{Deserialize, Serialize};

use super::{
    BackupError, at,
    manifest::{ChunkEntry, Manifest},
    seal::{PublicKey, SecretKey},
};
use crate::limits::DAY_MS;

/// Format of the marker of a repository.
const MARKER_FORMAT: u32 = 1;
const MARKER: &str = "cercle-backups.json";

/// An open repository; nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    recipient: Option<PublicKey>,
    _lock: File,
}

/// Which backups pruning keeps. A backup is kept if any rule keeps it; the newest always is.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// The newest so many.
    pub last: usize,
    /// The newest of each of so many days.
    pub daily: usize,
    /// The newest of each of so many weeks.
    pub weekly: usize,
}

/// What pruning did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pruned {
    /// Names of the backups that were deleted.
    pub deleted: Vec<String>,
    /// How many are left.
    pub kept: usize,
    /// Chunks that were deleted.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    recipient: Option<String>,
}

impl Repository {
    /// Opens a repository, or makes one in an empty or missing folder, sealed to `recipient` if one is given.
    ///
    /// # Errors
    /// When the folder is something else, in use, of a newer format, or sealed to another key.
    pub fn open_or_create(path: &Path, recipient: Option<&PublicKey>) -> Result<Self, BackupError> {
        let empty = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(at(path)(error)),
        };
        if empty {
            for folder in [path.to_owned(), path.join("chunks"), path.join("backups")] {
                make_folder(&folder).map_err(at(&folder))?;
            }
            let marker = Marker { format: MARKER_FORMAT, recipient: recipient.map(ToString::to_string) };
            let text = serde_json::to_vec(&marker).expect("a marker is made of JSON values");
            write_whole(&path.join(MARKER), &text)?;
        }
        let opened = Self::open(path)?;
        match recipient {
            Some(wanted) if opened.recipient.as_ref() != Some(wanted) => Err(BackupError::OtherRecipient),
            _ => Ok(opened),
        }
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let text = match fs::read(path.join(MARKER)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoRepository(path.to_owned()));
            }
            Err(error) => return Err(at(&path.join(MARKER))(error)),
        };
        let marker: Marker =
            serde_json::from_slice(&text).map_err(|_| BackupError::NoRepository(path.to_owned()))?;
        if marker.format > MARKER_FORMAT {
            return Err(BackupError::Newer { found: marker.format, known: MARKER_FORMAT });
        }
        let recipient = marker.recipient.map(|key| key.parse()).transpose()?;
        let file = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
        let lock = lock.map_err(at(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), recipient, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(BackupError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(at(&file)(error)),
        }
    }

    /// The key that chunks are sealed to.
    #[must_use]
    pub const fn recipient(&self) -> Option<&PublicKey> {
        self.recipient.as_ref()
    }

    /// Every backup, oldest first. One whose manifest is damaged is an error: `verify` names it.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn backups(&self) -> Result<Vec<Manifest>, BackupError> {
        let mut backups =
            self.names()?.iter().map(|name| self.backup(name)).collect::<Result<Vec<_>, _>>()?;
        backups.sort_by_key(|manifest| (manifest.created_at_ms, manifest.name.clone()));
        Ok(backups)
    }

    /// Every backup whose manifest can be read.
    pub(super) fn readable_backups(&self) -> Result<Vec<Manifest>, BackupError> {
        Ok(self.names()?.iter().filter_map(|name| self.backup(name).ok()).collect())
    }

    /// One backup; without a name the newest.
    ///
    /// # Errors
    /// When there is none, or its manifest is damaged.
    pub fn backup_or_newest(&self, name: Option<&str>) -> Result<Manifest, BackupError> {
        match name {
            Some(name) if self.names()?.iter().any(|known| known == name) => self.backup(name),
            Some(name) => Err(BackupError::Unknown(name.to_owned())),
            None => self.backups()?.pop().ok_or_else(|| BackupError::Empty(self.path.clone())),
        }
    }

    fn names(&self) -> Result<Vec<String>, BackupError> {
        let folder = self.path.join("backups");
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn backup(&self, name: &str) -> Result<Manifest, BackupError> {
        let file = self.manifest_file(name);
        Manifest::decode(&fs::read(&file).map_err(at(&file))?)
    }

    fn manifest_file(&self, name: &str) -> PathBuf {
        self.path.join("backups").join(format!("{name}.json"))
    }

    /// Writes the manifest: from now on the backup exists.
    pub(super) fn add(&self, manifest: Manifest) -> Result<(), BackupError> {
        let file = self.manifest_file(&manifest.name);
        write_whole(&file, &manifest.encode())
    }

    /// The chunks of every backup.
    fn known_chunks(&self) -> Result<BTreeMap<String, ChunkEntry>, BackupError> {
        Ok(self.backups()?.into_iter().flat_map(|manifest| manifest.chunks).collect())
    }

    /// Writes a chunk under its name.
    pub(super) fn write_chunk(&self, name: &str, content: &[u8]) -> Result<ChunkEntry, BackupError> {
        let bytes = match &self.recipient {
            None => [&[0], content].concat(),
            Some(recipient) => [&[1], recipient.seal(name, content)?.as_slice()].concat(),
        };
        let file = self.chunk_file(name)?;
        if let Some(folder) = file.parent() {
            make_folder(folder).map_err(at(folder))?;
        }
        write_whole(&file, &bytes)?;
        Ok(ChunkEntry { bytes: bytes.len() as u64, sha256: to_hex(&sha256(&bytes)) })
    }

    /// Reads a chunk's file and compares it with what its manifest says.
    pub(super) fn read_file(&self, name: &str, entry: &ChunkEntry) -> Result<Vec<u8>, BackupError> {
        let file = self.chunk_file(name)?;
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Damaged(format!("the chunk {name} is missing")));
            }
            Err(error) => return Err(at(&file)(error)),
        };
        if bytes.len() as u64 != entry.bytes || to_hex(&sha256(&bytes)) != entry.sha256 {
            return Err(BackupError::Damaged(format!("the chunk {name} is not what was written")));
        }
        Ok(bytes)
    }

    /// Reads the content of a chunk.
    pub(super) fn read_chunk(
        &self,
        name: &str,
        entry: &ChunkEntry,
        key: Option<&SecretKey>,
    ) -> Result<Vec<u8>, BackupError> {
        let bytes = self.read_file(name, entry)?;
        match bytes.split_first() {
            Some((0, content)) => Ok(content.to_vec()),
            Some((1, sealed)) => key.ok_or(BackupError::KeyNeeded)?.open(name, sealed),
            _ => Err(BackupError::Damaged(format!("the chunk {name} is of an unknown kind"))),
        }
    }

    /// Deletes the backups that no rule keeps, then the chunks that none of the others names.
    ///
    /// # Errors
    /// When a manifest is damaged (nothing is deleted then), or the file system refuses.
    pub fn prune(&self, keep: Keep) -> Result<Pruned, BackupError> {
        let backups = self.backups()?;
        let kept = kept(&backups, keep);
        let mut pruned = Pruned { kept: kept.len(), ..Pruned::default() };
        for manifest in backups.iter().filter(|manifest| !kept.contains(&manifest.name)) {
            let file = self.manifest_file(&manifest.name);
            fs::remove_file(&file).map_err(at(&file))?;
            pruned.deleted.push(manifest.name.clone());
        }
        sync_folder(&self.path.join("backups"))?;
        let needed = self.known_chunks()?;
        let root = self.path.join("chunks");
        for shard in fs::read_dir(&root).map_err(at(&root))? {
            let shard = shard.map_err(at(&root))?.path();
            for chunk in fs::read_dir(&shard).map_err(at(&shard))? {
                let chunk = chunk.map_err(at(&shard))?;
                let name = chunk.file_name();
                if name.to_str().is_some_and(|name| needed.contains_key(name)) {
                    continue;
                }
                pruned.bytes += chunk.metadata().map_or(0, |found| found.len());
                pruned.chunks += 1;
                fs::remove_file(chunk.path()).map_err(at(&chunk.path()))?;
            }
        }
        Ok(pruned)
    }

    fn chunk_file(&self, name: &str) -> Result<PathBuf, BackupError> {
        let shaped = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !shaped {
            return Err(BackupError::Damaged("a manifest names a chunk in an impossible way".to_owned()));
        }
        Ok(self.path.join("chunks").join(&name[..2]).join(name))
    }
}

fn kept(backups: &[Manifest], keep: Keep) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let newest_first = || backups.iter().rev();
    kept.extend(newest_first().take(keep.last.max(1)).map(|manifest| manifest.name.clone()));
    for (count, period) in [(keep.daily, DAY_MS), (keep.weekly, 7 * DAY_MS)] {
        let mut periods = BTreeSet::new();
        for manifest in newest_first() {
            if periods.insert(manifest.created_at_ms / period) && periods.len() <= count {
                kept.insert(manifest.name.clone());
            }
        }
    }
    kept
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file so that it has its name when it is whole and durable, and not before.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), BackupError> {
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(at(path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}
