//! What people here add to the national directory, one small file each: entries of the operator (social workers,
//! coordinators), changes of imported entries (hidden, linked to a user, tagged), shared inboxes, members' cards,
//! rules of groups, who is withheld what by them, listed groups and requests to join them.
//!
//! A file is replaced by rename, so that the operator's command line may write while the hub serves; the hub
//! reads the folder again when it has changed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use cercle_proto::id::{GroupId, Seq, UserId, from_hex, to_hex};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    card::Card,
    entry::Entry,
    error::Error,
    generation::replace,
    listing::{Join, Joins, Listing},
    rule::{self, Rule},
};
use crate::{limits, membership::withheld::WithheldUsers};

/// What is said here about the entry with a key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalEntry {
    /// The whole entry, if it is none of the imported ones.
    pub entry: Option<Entry>,
    /// Users of this hub that are this person, with domain.
    pub users: Vec<String>,
    /// Nobody sees the entry.
    pub unlisted: bool,
    /// Words of the operator about the entry, for rules of groups.
    pub tags: Vec<String>,
}

impl std::fmt::Debug for LocalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEntry").finish_non_exhaustive()
    }
}

/// The folder of local files.
#[derive(Debug, Clone)]
pub struct LocalFolder(PathBuf);

impl LocalFolder {
    /// The local files of a directory folder.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self(directory.join("local"))
    }

    /// All that is said about entries, by key.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn entries(&self) -> Result<BTreeMap<String, LocalEntry>, Error> {
        read_all(&self.0.join("entries"))
    }

    /// What is said about an entry.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn entry(&self, key: &str) -> Result<Option<LocalEntry>, Error> {
        read(&self.0.join("entries").join(file_name(key)?))
    }

    /// Says something about an entry; nothing at all removes what was said.
    ///
    /// # Errors
    /// When it cannot be written, or the key is too long.
    pub fn put_entry(&self, key: &str, local: &LocalEntry) -> Result<(), Error> {
        let path = self.0.join("entries").join(file_name(key)?);
        if *local == LocalEntry::default() {
            return remove(&path);
        }
        write(&path, local)
    }

    /// All cards, by user.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn cards(&self) -> Result<BTreeMap<String, Card>, Error> {
        read_all(&self.0.join("cards"))
    }

    /// Stores a card.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_card(&self, user: &str, card: &Card) -> Result<(), Error> {
        write(&self.0.join("cards").join(file_name(user)?), card)
    }

    /// The rules of groups.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn rules(&self) -> Result<BTreeMap<GroupId, Rule>, Error> {
        let rules = read_all::<Rule>(&self.0.join("rules"))?;
        Ok(rules.into_iter().filter_map(|(key, rule)| Some((rule::group(&key)?, rule))).collect())
    }

    /// Stores the rule of a group, or removes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_rule(&self, group: GroupId, rule: Option<&Rule>) -> Result<(), Error> {
        let path = self.0.join("rules").join(file_name(&rule::key(group))?);
        match rule {
            Some(rule) => write(&path, rule),
            None => remove(&path),
        }
    }

    /// Groups that are listed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn listings(&self) -> Result<BTreeMap<GroupId, Listing>, Error> {
        let listings = read_all::<Listing>(&self.0.join("listings"))?;
        Ok(listings.into_iter().filter_map(|(key, listing)| Some((rule::group(&key)?, listing))).collect())
    }

    /// Lists a group, or takes it off.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_listing(&self, group: GroupId, listing: Option<&Listing>) -> Result<(), Error> {
        let path = self.0.join("listings").join(file_name(&rule::key(group))?);
        match listing {
            Some(listing) => write(&path, listing),
            None => remove(&path),
        }
    }

    /// Requests to join, of all groups.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn joins(&self) -> Result<Joins, Error> {
        let mut joins = Joins::new();
        let folders = match fs::read_dir(self.0.join("joins")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(joins),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?;
            let Some(group) = folder.file_name().to_str().and_then(rule::group) else { continue };
            let requests = read_all::<Join>(&folder.path())?.into_iter();
            let requests = requests.filter_map(|(user, join)| Some((UserId::parse(&user).ok()?, join)));
            joins.insert(group, requests.collect());
        }
        Ok(joins)
    }

    /// Notes a request to join, or forgets it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_join(&self, group: GroupId, user: &UserId, join: Option<&Join>) -> Result<(), Error> {
        let path = self.0.join("joins").join(rule::key(group)).join(file_name(user.as_str())?);
        match join {
            Some(join) => write(&path, join),
            None => remove(&path),
        }
    }

    /// Users who are given nothing new of a group, and the last entry that each may have.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn withheld(&self) -> Result<WithheldUsers, Error> {
        let mut withheld = WithheldUsers::new();
        let folders = match fs::read_dir(self.0.join("withheld")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(withheld),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?;
            let Some(group) = folder.file_name().to_str().and_then(rule::group) else { continue };
            let users = read_all::<Seq>(&folder.path())?.into_iter();
            let users = users.filter_map(|(user, after)| Some((UserId::parse(&user).ok()?, after)));
            withheld.insert(group, users.collect());
        }
        Ok(withheld)
    }

    /// Notes that a user is given nothing new of a group, or forgets it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_withheld(&self, group: GroupId, user: &UserId, after: Option<Seq>) -> Result<(), Error> {
        let path = self.0.join("withheld").join(rule::key(group)).join(file_name(user.as_str())?);
        match after {
            Some(after) => write(&path, &after),
            None => remove(&path),
        }
    }

    /// When entries and cards were last changed; `None` if there are none.
    pub(super) fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let changed = |folder| fs::metadata(self.0.join(folder)).and_then(|folder| folder.modified()).ok();
        ["entries", "cards"].map(changed)
    }
}

fn file_name(key: &str) -> Result<String, Error> {
    if key.is_empty() || key.len() > limits::DIRECTORY_KEY_BYTES_MAX {
        return Err(Error::Field("a key has 1 to 100 bytes"));
    }
    Ok(format!("{}.json", to_hex(key.as_bytes())))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value).expect("what is stored is made of JSON values");
    Ok(replace(path, &text)?)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| Error::Damaged("a local file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Every file whose name is a key. One that cannot be read is left out and logged: it hides one entry, not all.
fn read_all<T: DeserializeOwned>(folder: &Path) -> Result<BTreeMap<String, T>, Error> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        listed => listed?,
    };
    let mut all = BTreeMap::new();
    for file in listed {
        let path = file?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(key) = from_hex(name).and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
        match read(&path) {
            Ok(Some(value)) => drop(all.insert(key, value)),
            Ok(None) => {}
            Err(error) => tracing::warn!(cause = %error, "a local file of the directory is left out"),
        }
    }
    Ok(all)
}
