//! Small JSON files by key, one value each; readable, or sealed where the hub keeps its store sealed (ADR 0015).
//!
//! The name of a readable file is its key in hexadecimal. The name of a sealed one is a keyed hash, and its key lies
//! sealed inside with the value, bound to folder and name: a file that is exchanged for another does not open.

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc};

use cercle_proto::id::{from_hex, to_hex};
use cercle_storage::Sealer;
use serde::{Serialize, de::DeserializeOwned};

use super::{error::Error, generation::replace};
use crate::limits;

/// Version byte of a sealed file.
const SEALED_VERSION: u8 = 1;
const DAMAGED: Error = Error::Damaged("a local file");

/// Folders of small files.
#[derive(Debug, Clone)]
pub(super) struct SmallFiles {
    pub(super) folder: PathBuf,
    pub(super) sealer: Option<Arc<Sealer>>,
}

impl SmallFiles {
    /// The value under a key.
    pub(super) fn read<T: DeserializeOwned>(&self, folder: &str, key: &str) -> Result<Option<T>, Error> {
        check(key)?;
        let name = self.name(folder, key);
        let Some(bytes) = read(self.folder.join(folder).join(&name))? else { return Ok(None) };
        Ok(Some(self.value(folder, &name, &bytes)?.1))
    }

    /// Sets the value of a key, or removes it.
    pub(super) fn put(&self, folder: &str, key: &str, value: Option<&impl Serialize>) -> Result<(), Error> {
        check(key)?;
        let name = self.name(folder, key);
        let path = self.folder.join(folder).join(&name);
        let Some(value) = value else { return remove(path) };
        let made = "what is stored is made of JSON values";
        let bytes = match &self.sealer {
            None => serde_json::to_vec_pretty(value).expect(made),
            Some(sealer) => {
                let mut sealed = vec![SEALED_VERSION];
                let plain = serde_json::to_vec(&(key, value)).expect(made);
                sealer.seal_into(&mut sealed, context(folder, &name).as_bytes(), &plain);
                sealed
            }
        };
        Ok(replace(&path, &bytes)?)
    }

    /// Every value of a folder. A file that cannot be read is left out and logged: it hides one entry, not all.
    pub(super) fn all<T: DeserializeOwned>(&self, folder: &str) -> Result<BTreeMap<String, T>, Error> {
        let ending = if self.sealer.is_some() { ".sealed" } else { ".json" };
        let mut all = BTreeMap::new();
        for name in names(self.folder.join(folder))? {
            if !name.ends_with(ending) {
                continue;
            }
            let path = self.folder.join(folder).join(&name);
            match read(path)
                .and_then(|bytes| bytes.map(|bytes| self.value(folder, &name, &bytes)).transpose())
            {
                Ok(Some((key, value))) => drop(all.insert(key, value)),
                Ok(None) => {}
                Err(error) => tracing::warn!(cause = %error, "a local file of the directory is left out"),
            }
        }
        Ok(all)
    }

    /// Names of the folders in a folder.
    pub(super) fn folders(&self, folder: &str) -> Result<Vec<String>, Error> {
        let folder = self.folder.join(folder);
        Ok(names(folder.clone())?.into_iter().filter(|name| folder.join(name).is_dir()).collect())
    }

    /// Seals the readable files of a folder; returns how many there were.
    pub(super) fn seal_all(&self, folder: &str) -> Result<usize, Error> {
        let readable = Self { folder: self.folder.clone(), sealer: None };
        let files = readable.all::<serde_json::Value>(folder)?;
        for (key, value) in &files {
            self.put(folder, key, Some(value))?;
            readable.put(folder, key, None::<&()>)?;
        }
        Ok(files.len())
    }

    fn name(&self, folder: &str, key: &str) -> String {
        match &self.sealer {
            None => format!("{}.json", to_hex(key.as_bytes())),
            Some(sealer) => format!("{}.sealed", to_hex(&sealer.name(folder.as_bytes(), key.as_bytes()))),
        }
    }

    /// Key and value of a file.
    fn value<T: DeserializeOwned>(
        &self,
        folder: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(String, T), Error> {
        let Some(sealer) = &self.sealer else {
            let key = name.strip_suffix(".json").and_then(from_hex);
            let key = key.and_then(|key| String::from_utf8(key).ok()).ok_or(DAMAGED)?;
            return Ok((key, serde_json::from_slice(bytes).map_err(|_| DAMAGED)?));
        };
        let sealed = bytes.strip_prefix(&[SEALED_VERSION]).ok_or(DAMAGED)?;
        let plain = sealer.open(context(folder, name).as_bytes(), sealed).ok_or(DAMAGED)?;
        serde_json::from_slice(&plain).map_err(|_| DAMAGED)
    }
}

fn check(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > limits::DIRECTORY_KEY_BYTES_MAX {
        return Err(Error::Field("a key has 1 to 100 bytes"));
    }
    Ok(())
}

fn context(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}

fn read(path: PathBuf) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove(path: PathBuf) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Names in a folder; none if there is no folder.
fn names(folder: PathBuf) -> Result<Vec<String>, Error> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let names = listed.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}
