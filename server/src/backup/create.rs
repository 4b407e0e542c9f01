//! Makes a backup: the rows as of one moment first, then the files.
//!
//! In this order a document that is deleted in between is missed by nobody, and one that came in between has
//! no row and is tidied away after a restore.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use cercle_proto::{
    id::{TimestampMs, to_hex},
    signing::sha256,
};
use cercle_storage::{
    store::{AuditEntry, Store},
    table::Table,
};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    BackupError, at,
    manifest::{ChunkEntry, FORMAT, FORMAT_UNSEALED, FileEntry, Manifest},
    repository::{Repository, write_whole},
    rows::Cutter,
    seal::PublicKey,
};
use crate::{
    at_rest::{KeySource, WRAPPED_KEY},
    config::Config,
    limits,
};

/// File with the secret that names of sealed chunks are made with.
const NAMES_KEY: &str = "backup-names.key";
/// Where files outside the data directory go in a backup.
const OUTSIDE: &str = "outside";

/// What is backed up.
#[derive(Debug, Clone)]
pub struct Source {
    data: PathBuf,
    attachments: PathBuf,
    /// The key at rest, which no backup has.
    at_rest_key: Option<PathBuf>,
    /// Files that the configuration names elsewhere.
    outside: Vec<PathBuf>,
    domain: String,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// Rows of the store.
    pub rows: u64,
    /// Files beside it.
    pub files: usize,
    /// Bytes of all its chunks.
    pub bytes: u64,
    /// Bytes that were new to the repository.
    pub new_bytes: u64,
    /// Sealed to a public key.
    pub sealed: bool,
}

impl Source {
    /// Everything that this configuration names.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let named = [&config.tls_certificate, &config.tls_key, &config.push];
        let outside = named.into_iter().filter(|path| !path.starts_with(&config.data) && path.is_file());
        Self {
            data: config.data.clone(),
            attachments: config.attachments.clone(),
            at_rest_key: match config.at_rest_source() {
                Ok(Some(KeySource::File(file))) => Some(file),
                _ => None,
            },
            outside: outside.cloned().collect(),
            domain: config.domain.clone(),
        }
    }
}

/// Makes a backup of a store and its files; the store may be in use. A repository that does not exist is made,
/// sealed to `recipient` if one is given.
///
/// # Errors
/// As [`BackupError`] says; then there is no new backup, and the others are as they were.
pub async fn create(
    source: &Source,
    store: &Arc<dyn Store>,
    repository: &Path,
    recipient: Option<PublicKey>,
    now: TimestampMs,
) -> Result<Created, BackupError> {
    let copies = store.copies().ok_or(BackupError::NotCopyable)?;
    let (source, path) = (source.clone(), repository.to_owned());
    let data = source.data.clone();
    // Whoever drops this future, as a hub that ends does, ends the work on other threads with it.
    let wanted = Arc::new(());
    let still_wanted = Arc::downgrade(&wanted);
    let opened = blocking(move || {
        let repository = Repository::open_or_create(&path, recipient.as_ref())?;
        Writer::new(repository, &data, still_wanted)
    })
    .await?;
    let writer = Arc::new(Mutex::new(opened));
    let rows = RowWriter { writer: writer.clone(), cutter: Cutter::default() };
    let rows = Arc::new(Mutex::new(rows));
    let visiting = rows.clone();
    let visit = move |table: Table, key: &[u8], value: &[u8]| lock(&visiting).row(table, key, value);
    copies.export(Box::new(visit)).await?;
    let at_rest = source.data.join(WRAPPED_KEY).exists();
    let manifest = Manifest {
        format: if at_rest { FORMAT } else { FORMAT_UNSEALED },
        name: new_name(now)?,
        created_at_ms: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        domain: source.domain.clone(),
        engine: store.caps().name.to_owned(),
        incarnation: to_hex(&store.incarnation()),
        sealed: false,
        at_rest,
        tables: BTreeMap::new(),
        rows: Vec::new(),
        files: Vec::new(),
        chunks: BTreeMap::new(),
        checksum: String::new(),
    };
    let created = blocking(move || {
        lock(&rows).end();
        let mut writer = lock(&writer);
        writer.files(&source)?;
        writer.finish(manifest)
    })
    .await?;
    let (actor, action) = ("operator".to_owned(), "backup.created".to_owned());
    let entry = AuditEntry { at: now, actor, action, object: created.name.clone() };
    if let Err(error) = store.record(entry).await {
        tracing::error!(%error, "the audit entry of a backup could not be written");
    }
    drop(wanted);
    Ok(created)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let task = tokio::task::spawn_blocking(work).await;
    task.unwrap_or_else(|error| Err(BackupError::Damaged(format!("the backup did not finish: {error}"))))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_name(now: TimestampMs) -> Result<String, BackupError> {
    let seconds = i64::try_from(now / 1000).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let mut random = [0_u8; 4];
    SystemRandom::new().fill(&mut random).map_err(|_| BackupError::Cipher)?;
    let random = to_hex(&random);
    Ok(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{random}"))
}

/// Chunks the rows as they come; keeps the first failure.
struct RowWriter {
    writer: Arc<Mutex<Writer>>,
    cutter: Cutter,
}

impl RowWriter {
    fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        let mut writer = lock(&self.writer);
        *writer.tables.entry(table.name().to_owned()).or_default() += 1;
        for chunk in self.cutter.row(table, key, value) {
            writer.rows_chunk(&chunk);
        }
        let goes_on = writer.failure.is_none() && writer.is_wanted();
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn end(&mut self) {
        if let Some(chunk) = self.cutter.end() {
            lock(&self.writer).rows_chunk(&chunk);
        }
    }
}

/// Puts content into the repository.
struct Writer {
    repository: Repository,
    /// Makes names of sealed chunks: who sees the names learns nothing of the content.
    names: Option<hmac::Key>,
    known: BTreeMap<String, ChunkEntry>,
    /// Files of earlier backups that never change, by path and size.
    unchanged: BTreeMap<(String, u64), Vec<String>>,
    chunks: BTreeMap<String, ChunkEntry>,
    tables: BTreeMap<String, u64>,
    rows: Vec<String>,
    files: Vec<FileEntry>,
    new_bytes: u64,
    failure: Option<BackupError>,
    wanted: Weak<()>,
}

impl Writer {
    fn new(repository: Repository, data: &Path, wanted: Weak<()>) -> Result<Self, BackupError> {
        let names = match repository.recipient() {
            Some(_) => Some(names_key(data)?),
            None => None,
        };
        let (mut known, mut unchanged) = (BTreeMap::new(), BTreeMap::new());
        for manifest in repository.readable_backups()? {
            known.extend(manifest.chunks);
            let parts = manifest.files.into_iter().filter(|file| file.path.starts_with("attachments/"));
            unchanged.extend(parts.map(|file| ((file.path, file.size), file.chunks)));
        }
        Ok(Self {
            repository,
            names,
            known,
            unchanged,
            chunks: BTreeMap::new(),
            tables: BTreeMap::new(),
            rows: Vec::new(),
            files: Vec::new(),
            new_bytes: 0,
            failure: None,
            wanted,
        })
    }

    /// Somebody still waits for this backup.
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }

    fn rows_chunk(&mut self, content: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        match self.chunk(content) {
            Ok(name) => self.rows.push(name),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Puts a chunk into the repository unless it is there; returns its name.
    fn chunk(&mut self, content: &[u8]) -> Result<String, BackupError> {
        let name = match &self.names {
            Some(key) => to_hex(hmac::sign(key, content).as_ref()),
            None => to_hex(&sha256(content)),
        };
        if !self.chunks.contains_key(&name) {
            let entry = match self.known.get(&name) {
                Some(known) => known.clone(),
                None => {
                    let entry = self.repository.write_chunk(&name, content)?;
                    self.new_bytes += entry.bytes;
                    entry
                }
            };
            self.chunks.insert(name.clone(), entry);
        }
        Ok(name)
    }

    fn files(&mut self, source: &Source) -> Result<(), BackupError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let skipped = std::iter::once(&source.attachments).chain(&source.at_rest_key);
        let skipped: BTreeSet<&Path> = skipped.map(PathBuf::as_path).collect();
        let mut found = Vec::new();
        collect(&source.data, Path::new(""), &skipped, &mut found)?;
        if source.attachments.is_dir() {
            collect(&source.attachments, Path::new("attachments"), &BTreeSet::new(), &mut found)?;
        }
        for path in &source.outside {
            if let Some(name) = path.file_name() {
                found.push((path.clone(), Path::new(OUTSIDE).join(name)));
            }
        }
        for (path, name) in found {
            if !self.is_wanted() {
                return Err(BackupError::Abandoned);
            }
            self.file(&path, &name)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<(), BackupError> {
        let Some(name) = name.to_str().map(str::to_owned) else {
            return Err(BackupError::Damaged(format!("{} has a name that is no text", path.display())));
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // Deleted meanwhile: an attachment that was released, or a file that was replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(path)(error)),
        };
        let (size, mode) = (metadata.len(), metadata.permissions().mode() & 0o777);
        if let Some(chunks) = self.unchanged.get(&(name.clone(), size)).cloned() {
            // A part of an attachment is written once and never changed.
            for chunk in &chunks {
                if let Some(entry) = self.known.get(chunk) {
                    self.chunks.insert(chunk.clone(), entry.clone());
                }
            }
            self.files.push(FileEntry { path: name, size, mode, chunks });
            return Ok(());
        }
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(path)(error)),
        };
        let parts = content.chunks(limits::BACKUP_FILE_CHUNK_BYTES);
        let chunks = parts.map(|part| self.chunk(part)).collect::<Result<Vec<_>, _>>()?;
        self.files.push(FileEntry { path: name, size: content.len() as u64, mode, chunks });
        Ok(())
    }

    fn finish(&mut self, manifest: Manifest) -> Result<Created, BackupError> {
        let manifest = Manifest {
            sealed: self.repository.recipient().is_some(),
            tables: std::mem::take(&mut self.tables),
            rows: std::mem::take(&mut self.rows),
            files: std::mem::take(&mut self.files),
            chunks: std::mem::take(&mut self.chunks),
            ..manifest
        };
        let created = Created {
            name: manifest.name.clone(),
            rows: manifest.tables.values().sum(),
            files: manifest.files.len(),
            bytes: manifest.bytes(),
            new_bytes: self.new_bytes,
            sealed: manifest.sealed,
        };
        self.repository.add(manifest)?;
        Ok(created)
    }
}

/// Files of a folder and of those in it: keys, certificates, configuration, the directory. Left out are the
/// store (its rows are copied), sockets, locks, and indexes that are made from other files.
fn collect(
    folder: &Path,
    name: &Path,
    skipped: &BTreeSet<&Path>,
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), BackupError> {
    let mut entries =
        fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(at(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { continue };
        let top = name.components().count() == 1;
        let left_out = matches!(entry.file_name().to_str(), Some("lock"))
            || (top && entry.file_name() == "store")
            || (name.starts_with("directory")
                && matches!(entry.file_name().to_str(), Some("index" | "building")))
            || entry.file_name().to_string_lossy().contains('#');
        if left_out || skipped.contains(path.as_path()) || path.join("cercle-backups.json").exists() {
            continue;
        }
        if kind.is_dir() {
            collect(&path, &name, skipped, found)?;
        } else if kind.is_file() {
            found.push((path, name));
        }
    }
    Ok(())
}

/// The secret for names of chunks; made with the first sealed backup. If it is lost, the next backup copies
/// everything once more.
fn names_key(data: &Path) -> Result<hmac::Key, BackupError> {
    let file = data.join(NAMES_KEY);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = vec![0; 32];
            SystemRandom::new().fill(&mut bytes).map_err(|_| BackupError::Cipher)?;
            write_whole(&file, &bytes)?;
            bytes
        }
        Err(error) => return Err(at(&file)(error)),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}
