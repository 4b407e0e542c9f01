//! Encryption at rest: what identifies people lies sealed in the data directory (ADR 0015).
//!
//! One data key is made with the hub. Store and local files of the directory are sealed with keys derived from it; it
//! lies in the data directory wrapped, under a key that does not: from a file or from a program ([`KeySource`]). Whoever
//! opens the store does it through here: [`open_store`]. [`seal`] seals a hub that was made without, [`rewrap`] changes
//! the wrapping key.

mod limits;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cercle_proto::id::{from_hex, to_hex};
use cercle_storage::{
    DataKey, EngineKind, NoRandomness, OpenError, Sealer, open_sealed, seal_store, store::Store,
};
use serde::{Deserialize, Serialize};

pub use self::source::{KeySource, WrappingKey};
use crate::{
    config::{Config, ConfigError},
    directory::local::{LocalFolder, Place},
    server::keys::{KeyFileError, write_new},
    vault,
};

/// File in the data directory with the wrapped data key.
pub const WRAPPED_KEY: &str = "at-rest.wrapped";
/// Where `init` puts the wrapping key, in the data directory, until the operator moves it.
pub const KEY_FILE: &str = "at-rest.key";
/// Purpose and context of wrapping.
const WRAP: &str = "data key";
const FORMAT: u32 = 1;

/// What a hub seals with.
#[derive(Debug, Clone, Default)]
pub struct AtRest {
    key: Option<DataKey>,
    files: Option<Arc<Sealer>>,
    vaults: Option<Arc<Sealer>>,
}

/// Why a hub cannot open what it has sealed, or seal.
#[derive(Debug, thiserror::Error)]
pub enum AtRestError {
    /// The configuration names neither a file nor a program.
    #[error(
        "`at_rest_key` must be empty, the path of a file, or command: and the absolute path of a program"
    )]
    Source,
    /// The hub is sealed, and the configuration names no key.
    #[error(
        "this hub is sealed ({WRAPPED_KEY} is there) and `at_rest_key` is empty: set it to the key of this hub"
    )]
    NotConfigured,
    /// The store is there and the wrapped key is not.
    #[error(
        "{0} is missing: stop the hub and run `cercle-server store seal`; if the hub was sealed before, restore the file from a backup"
    )]
    NotSealed(PathBuf),
    /// The file with the key: missing, or others can read it.
    #[error("the key at rest cannot be used")]
    File(#[source] KeyFileError),
    /// The file with the key cannot be read.
    #[error("the key at rest cannot be read from {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The program that should give the key.
    #[error("{program} gives no key at rest: it {what}")]
    Command {
        /// The program.
        program: PathBuf,
        /// What it did.
        what: String,
    },
    /// What was read is no key.
    #[error("{from} gives no key: 64 hexadecimal digits are expected")]
    NoKey {
        /// Where it came from.
        from: String,
    },
    /// The key is not the one that the data key was wrapped with.
    #[error("{from} gives another key than the one of this hub ({id}…): nothing was changed")]
    OtherKey {
        /// Where it came from.
        from: String,
        /// Beginning of the id of the key that is needed.
        id: String,
    },
    /// The file with the wrapped key.
    #[error("{path} is damaged: restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("{path} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Local files of the directory cannot be sealed.
    #[error("the local files of the directory cannot be sealed")]
    Local(#[from] crate::directory::Error),
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The data key as it lies on the disk.
#[derive(Serialize, Deserialize)]
struct Wrapped {
    format: u32,
    /// Tells wrapping keys apart, and says nothing about them.
    key_id: String,
    wrapped: String,
}

impl AtRest {
    /// Reads the key of a hub, and makes one for a hub that has no store yet. Blocks, with a program up to a minute.
    ///
    /// # Errors
    /// As [`AtRestError`] says; nothing is changed then.
    pub fn load(config: &Config) -> Result<Self, AtRestError> {
        let wrapped = config.data.join(WRAPPED_KEY);
        let Some(source) = config.at_rest_source()? else {
            return if wrapped.exists() { Err(AtRestError::NotConfigured) } else { Ok(Self::default()) };
        };
        if !wrapped.exists() {
            if EngineKind::found_in(&config.data.join("store")).is_some() {
                return Err(AtRestError::NotSealed(wrapped));
            }
            return Self::make(&wrapped, &source.read()?);
        }
        Self::of(unwrap(&wrapped, &source, &source.read()?)?)
    }

    fn make(wrapped: &Path, key: &WrappingKey) -> Result<Self, AtRestError> {
        let data_key = DataKey::generate()?;
        write_new(wrapped, 0o600, &wrap(&data_key, key)?).map_err(AtRestError::File)?;
        Self::of(data_key)
    }

    fn of(key: DataKey) -> Result<Self, AtRestError> {
        let files = Arc::new(Sealer::new(&key, "local files")?);
        let vaults = Arc::new(Sealer::new(&key, "vaults")?);
        Ok(Self { key: Some(key), files: Some(files), vaults: Some(vaults) })
    }

    /// The hub's folder of the directory, with what seals its local files.
    #[must_use]
    pub fn directory(&self, config: &Config) -> Place {
        Place { folder: config.directory_folder(), sealer: self.files.clone() }
    }

    /// Where the hub's vaults are, with what names them.
    #[must_use]
    pub fn vaults(&self, config: &Config) -> vault::Place {
        vault::Place { folder: config.attachments.join("vaults"), names: self.vaults.clone() }
    }

    /// Opens the store of a hub, or makes it. Blocks for a few disk accesses.
    ///
    /// # Errors
    /// As [`OpenError`] says, and when the engine is none.
    pub fn open_store(&self, config: &Config) -> Result<Arc<dyn Store>, AtRestError> {
        let kind = config.engine_kind()?;
        Ok(open_sealed(&config.data.join("store"), kind, self.key.as_ref())?)
    }

    /// The data key, if there is one.
    pub(crate) fn data_key(&self) -> Option<&DataKey> {
        self.key.as_ref()
    }
}

/// Opens the store of a hub that does not run, or makes it.
///
/// # Errors
/// As [`AtRestError`] says; nothing is changed then.
///
/// # Panics
/// Never: opening does not.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, AtRestError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || AtRest::load(&config)?.open_store(&config)).await;
    opened.expect("opening the store does not panic")
}

/// Opens the store of a data directory whose configuration is not in force yet. Blocks.
///
/// # Errors
/// As [`AtRestError`] says; nothing is changed then.
pub(crate) fn open_at(
    data: &Path,
    kind: EngineKind,
    source: &KeySource,
) -> Result<Arc<dyn Store>, AtRestError> {
    let key = unwrap(&data.join(WRAPPED_KEY), source, &source.read()?)?;
    Ok(open_sealed(&data.join("store"), kind, Some(&key))?)
}

/// Checks that a source gives the key of the hub, if the hub has one already. Blocks.
///
/// # Errors
/// As [`AtRestError`] says.
pub fn fits(config: &Config, source: &KeySource) -> Result<(), AtRestError> {
    let (wrapped, key) = (config.data.join(WRAPPED_KEY), source.read()?);
    if wrapped.exists() {
        unwrap(&wrapped, source, &key)?;
    }
    Ok(())
}

/// What [`seal`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// Where the key is, which from now on nothing opens without.
    pub key: String,
    /// The key was made just now.
    pub key_made: bool,
    /// Rows that were written anew.
    pub rows: u64,
    /// Local files of the directory that were written anew.
    pub files: usize,
}

/// Seals a hub that was made without; to be repeated if it was interrupted. The hub must not run. A file of a key that
/// does not exist is made.
///
/// # Errors
/// As [`AtRestError`] says: among others when the hub runs.
pub fn seal(config: &Config) -> Result<Sealed, AtRestError> {
    let source = config.at_rest_source()?.ok_or(AtRestError::NotConfigured)?;
    let wrapped = config.data.join(WRAPPED_KEY);
    let store = config.data.join("store");
    // Before anything is changed: the hub is stopped.
    cercle_storage::is_sealed(&store)?;
    let (key, key_made) = match &source {
        KeySource::File(path) if !path.exists() && !wrapped.exists() => (WrappingKey::make(path)?, true),
        source => (source.read()?, false),
    };
    let at_rest = match wrapped.exists() {
        true => AtRest::of(unwrap(&wrapped, &source, &key)?)?,
        false => AtRest::make(&wrapped, &key)?,
    };
    let files = LocalFolder::of(&at_rest.directory(config)).seal_all()?;
    forget_indexes(&config.directory_folder())?;
    let rows = match at_rest.data_key() {
        Some(key) if EngineKind::found_in(&store).is_some() => seal_store(&store, key)?,
        _ => 0,
    };
    Ok(Sealed { key: source.to_string(), key_made, rows, files })
}

/// Wraps the data key under another key; the store stays as it is. The configuration is for the operator to change.
///
/// # Errors
/// As [`AtRestError`] says; then the old key is still the right one.
pub fn rewrap(config: &Config, to: &KeySource) -> Result<(), AtRestError> {
    let wrapped = config.data.join(WRAPPED_KEY);
    let source = config.at_rest_source()?.ok_or(AtRestError::NotConfigured)?;
    if !wrapped.exists() {
        return Err(AtRestError::NotSealed(wrapped));
    }
    let data_key = unwrap(&wrapped, &source, &source.read()?)?;
    let new = match to {
        KeySource::File(path) if !path.exists() => WrappingKey::make(path)?,
        to => to.read()?,
    };
    let next = wrapped.with_extension("new");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| AtRestError::Io { path, cause }
    };
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&next)(error)),
        _ => {}
    }
    write_new(&next, 0o600, &wrap(&data_key, &new)?).map_err(AtRestError::File)?;
    fs::rename(&next, &wrapped).map_err(io(&wrapped))?;
    fs::File::open(&config.data).and_then(|folder| folder.sync_all()).map_err(io(&config.data))
}

/// Indexes may hold local entries; the hub makes them again from what was imported.
fn forget_indexes(directory: &Path) -> Result<(), AtRestError> {
    let folder = directory.join("generations");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| AtRestError::Io { path, cause }
    };
    let generations = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        generations => generations.map_err(io(&folder))?,
    };
    for generation in generations {
        let index = generation.map_err(io(&folder))?.path().join("index");
        if index.exists() {
            fs::remove_dir_all(&index).map_err(io(&index))?;
        }
    }
    Ok(())
}

fn id_of(key: &WrappingKey) -> String {
    to_hex(&key.key().id())
}

fn wrap(data_key: &DataKey, key: &WrappingKey) -> Result<Vec<u8>, AtRestError> {
    let mut sealed = Vec::new();
    Sealer::new(key.key(), WRAP)?.seal_into(&mut sealed, WRAP.as_bytes(), data_key.as_bytes());
    let wrapped = Wrapped { format: FORMAT, key_id: id_of(key), wrapped: to_hex(&sealed) };
    Ok(serde_json::to_vec_pretty(&wrapped).expect("a wrapped key is made of JSON values"))
}

fn unwrap(file: &Path, source: &KeySource, key: &WrappingKey) -> Result<DataKey, AtRestError> {
    let damaged = || AtRestError::Damaged { path: file.to_owned() };
    let text = fs::read(file).map_err(|cause| AtRestError::Io { path: file.to_owned(), cause })?;
    let wrapped: Wrapped = serde_json::from_slice(&text).map_err(|_| damaged())?;
    if wrapped.format != FORMAT {
        return Err(damaged());
    }
    if wrapped.key_id != id_of(key) {
        let id = wrapped.key_id.chars().take(8).collect();
        return Err(AtRestError::OtherKey { from: source.to_string(), id });
    }
    let sealed = from_hex(&wrapped.wrapped).ok_or_else(damaged)?;
    let opened = Sealer::new(key.key(), WRAP)?.open(WRAP.as_bytes(), &sealed).map(zeroize::Zeroizing::new);
    let bytes = opened.ok_or_else(damaged)?;
    Ok(DataKey::new(bytes.as_slice().try_into().map_err(|_| damaged())?))
}
