//! What people here add to the national directory, one small file each: entries of the operator (social workers,
//! coordinators), changes of imported entries (hidden, linked to a user, tagged), shared inboxes, members' cards,
//! rules of groups, who is withheld what by them, listed groups and requests to join them.
//!
//! A file is replaced by rename, so that the operator's command line may write while the hub serves; the hub
//! reads the folder again when it has changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use cercle_proto::id::{GroupId, Seq, UserId};
use cercle_storage::Sealer;
use serde::{Deserialize, Serialize};

use super::{
    card::Card,
    entry::Entry,
    error::Error,
    listing::{Join, Joins, Listing},
    rule::{self, Rule},
    small_files::SmallFiles,
};
use crate::membership::withheld::WithheldUsers;

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

/// A folder of the directory, and what its local files are sealed with.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Seals what people here add; `None`: it lies readable.
    pub sealer: Option<Arc<Sealer>>,
}

impl From<&Path> for Place {
    fn from(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), sealer: None }
    }
}

impl From<&PathBuf> for Place {
    fn from(folder: &PathBuf) -> Self {
        folder.as_path().into()
    }
}

/// The folder of local files.
#[derive(Debug, Clone)]
pub struct LocalFolder {
    files: SmallFiles,
}

impl LocalFolder {
    /// The local files of a directory folder.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        let Place { folder, sealer } = place;
        Self { files: SmallFiles { folder: folder.join("local"), sealer: sealer.clone() } }
    }

    /// All that is said about entries, by key.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn entries(&self) -> Result<BTreeMap<String, LocalEntry>, Error> {
        self.files.all("entries")
    }

    /// What is said about an entry.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn entry(&self, key: &str) -> Result<Option<LocalEntry>, Error> {
        self.files.read("entries", key)
    }

    /// Says something about an entry; nothing at all removes what was said.
    ///
    /// # Errors
    /// When it cannot be written, or the key is too long.
    pub fn put_entry(&self, key: &str, local: &LocalEntry) -> Result<(), Error> {
        self.files.put("entries", key, Some(local).filter(|local| **local != LocalEntry::default()))
    }

    /// All cards, by user.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn cards(&self) -> Result<BTreeMap<String, Card>, Error> {
        self.files.all("cards")
    }

    /// Stores a card.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_card(&self, user: &str, card: &Card) -> Result<(), Error> {
        self.files.put("cards", user, Some(card))
    }

    /// The rules of groups.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn rules(&self) -> Result<BTreeMap<GroupId, Rule>, Error> {
        let rules = self.files.all::<Rule>("rules")?;
        Ok(rules.into_iter().filter_map(|(key, rule)| Some((rule::group(&key)?, rule))).collect())
    }

    /// Stores the rule of a group, or removes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_rule(&self, group: GroupId, rule: Option<&Rule>) -> Result<(), Error> {
        self.files.put("rules", &rule::key(group), rule)
    }

    /// Groups that are listed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn listings(&self) -> Result<BTreeMap<GroupId, Listing>, Error> {
        let listings = self.files.all::<Listing>("listings")?;
        Ok(listings.into_iter().filter_map(|(key, listing)| Some((rule::group(&key)?, listing))).collect())
    }

    /// Lists a group, or takes it off.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_listing(&self, group: GroupId, listing: Option<&Listing>) -> Result<(), Error> {
        self.files.put("listings", &rule::key(group), listing)
    }

    /// Requests to join, of all groups.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn joins(&self) -> Result<Joins, Error> {
        let mut joins = Joins::new();
        for name in self.files.folders("joins")? {
            let Some(group) = rule::group(&name) else { continue };
            let requests = self.files.all::<Join>(&format!("joins/{name}"))?.into_iter();
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
        self.files.put(&format!("joins/{}", rule::key(group)), user.as_str(), join)
    }

    /// Seals every file that is not sealed yet; returns how many there were.
    ///
    /// # Errors
    /// When a file cannot be read or written. What was sealed is sealed; the rest is as it was.
    pub fn seal_all(&self) -> Result<usize, Error> {
        let mut folders = ["entries", "cards", "rules", "listings"].map(str::to_owned).to_vec();
        for of_groups in ["joins", "withheld"] {
            let groups = self.files.folders(of_groups)?.into_iter();
            folders.extend(groups.map(|group| format!("{of_groups}/{group}")));
        }
        folders.iter().map(|folder| self.files.seal_all(folder)).sum()
    }

    /// Whether the files are sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.files.sealer.is_some()
    }

    /// Users who are given nothing new of a group, and the last entry that each may have.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn withheld(&self) -> Result<WithheldUsers, Error> {
        let mut withheld = WithheldUsers::new();
        for name in self.files.folders("withheld")? {
            let Some(group) = rule::group(&name) else { continue };
            let users = self.files.all::<Seq>(&format!("withheld/{name}"))?.into_iter();
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
        self.files.put(&format!("withheld/{}", rule::key(group)), user.as_str(), after.as_ref())
    }

    /// When entries and cards were last changed; `None` if there are none.
    pub(super) fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let changed =
            |folder| fs::metadata(self.files.folder.join(folder)).and_then(|folder| folder.modified()).ok();
        ["entries", "cards"].map(changed)
    }
}
