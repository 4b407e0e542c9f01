//! What a search sees: one generation, the local entries, the members and their cards, at one moment.
//!
//! A snapshot never changes. Every few seconds the next request looks whether there is something newer and makes
//! the next snapshot, while others go on with the one there is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use cercle_proto::{
    id::{TimestampMs, UserId},
    v1::MemberClass,
};
use cercle_storage::store::{Store, UserRecord};
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher};

use super::{
    Hit,
    card::Card,
    commune::Communes,
    entry::{Entry, Kind, person_key, structure_key},
    error::Error,
    generation::{Folder, Manifest, hash},
    index::{self, Fields},
    local::{LocalEntry, LocalFolder, Place},
    nomenclature::profession_label,
    rule::Rule,
    search::{Filter, Found, KeySet, Leaves, Outline, Scene, Sets},
};
use crate::limits;

/// Makes snapshots.
pub(super) struct Snapshots {
    folder: Folder,
    local: LocalFolder,
    store: Arc<dyn Store>,
    newest: Mutex<Option<(Arc<Snapshot>, TimestampMs)>>,
    changes: AtomicU64,
    /// What is kept from one snapshot to the next; held by the request that makes one.
    making: tokio::sync::Mutex<Known>,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

/// What need not be read again.
#[derive(Default)]
struct Known {
    view: Option<Arc<View>>,
    local: Option<(LocalState, Arc<LocalFiles>)>,
    outline: Outline,
    reachable: HashSet<UserId>,
    checked_at: TimestampMs,
}

/// When the local files were read: their times, because the operator's command line writes them too, and the
/// changes made here, because two of them may have one time.
type LocalState = ([Option<SystemTime>; 2], u64);

/// What the local files say.
struct LocalFiles {
    entries: BTreeMap<String, LocalEntry>,
    cards: BTreeMap<String, Card>,
}

/// An opened generation.
struct View {
    number: u64,
    manifest: Manifest,
    communes: Communes,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    leaves: Leaves,
}

/// What there is at one moment.
pub(super) struct Snapshot {
    view: Arc<View>,
    searcher: Searcher,
    outline: Outline,
    people: People,
    members: KeySet,
    hidden: KeySet,
}

/// Users that a rule names.
#[derive(Debug, Clone, Default)]
pub struct Fitting {
    /// Those whom everybody may find.
    pub listed: BTreeSet<UserId>,
    /// Those who asked not to be found: they may stay where they are, and are told to nobody.
    pub hidden: BTreeSet<UserId>,
}

/// Users, and which entries are theirs.
#[derive(Default)]
struct People {
    /// Key of the entry of each user.
    key_of: HashMap<String, String>,
    /// Reachable users behind each entry.
    behind: HashMap<String, Vec<String>>,
    cards: BTreeMap<String, Card>,
    /// Tags of entries, by key.
    tags: HashMap<String, Vec<String>>,
    hidden: HashSet<String>,
    /// Relatives: they have no part in the directory.
    outsiders: HashSet<String>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("generation", &self.view.number).finish_non_exhaustive()
    }
}

impl Snapshots {
    pub(super) fn new(place: &Place, store: Arc<dyn Store>) -> Self {
        Self {
            folder: Folder::new(&place.folder),
            local: LocalFolder::of(place),
            store,
            newest: Mutex::new(None),
            changes: AtomicU64::new(0),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// The snapshot of a moment: the newest, made anew if it is too old and nobody else is at it.
    pub(super) async fn at(&self, now: TimestampMs) -> Result<Arc<Snapshot>, Error> {
        let newest = self.newest();
        let mut known = match newest {
            Some((snapshot, made_at)) if now < made_at + limits::DIRECTORY_REFRESH_MS => return Ok(snapshot),
            Some((snapshot, _)) => match self.making.try_lock() {
                Ok(known) => known,
                Err(_) => return Ok(snapshot),
            },
            None => self.making.lock().await,
        };
        // Who waited for the lock may find that it was made meanwhile.
        if let Some((snapshot, made_at)) = self.newest()
            && now < made_at + limits::DIRECTORY_REFRESH_MS
        {
            return Ok(snapshot);
        }
        let users = self.users(&mut known, now).await?;
        let (folder, local) = (self.folder.clone(), self.local.clone());
        let changes = self.changes.load(Ordering::SeqCst);
        let mut carried = std::mem::take(&mut *known);
        let made = tokio::task::spawn_blocking(move || {
            let snapshot = carried.make(&folder, &local, changes, &users);
            (carried, snapshot)
        });
        let (carried, snapshot) = made.await.expect("making a snapshot does not panic");
        *known = carried;
        let snapshot = Arc::new(snapshot?);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some((snapshot.clone(), now));
        Ok(snapshot)
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Makes the next request look at once.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn newest(&self) -> Option<(Arc<Snapshot>, TimestampMs)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn has_device(&self, user: &UserId) -> Result<bool, Error> {
        let devices = self.store.devices_of(user).await?;
        Ok(devices.iter().any(|device| device.revoked_at.is_none()))
    }

    /// All users, and whether a device of theirs can be reached.
    async fn users(&self, known: &mut Known, now: TimestampMs) -> Result<Vec<(UserRecord, bool)>, Error> {
        if now >= known.checked_at + limits::DIRECTORY_RECHECK_MS {
            known.reachable.clear();
            known.checked_at = now;
        }
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.users(after.take(), limits::DIRECTORY_USERS_PER_READ).await?;
            after = page.last().map(|user| user.user.clone());
            let is_last = page.len() < limits::DIRECTORY_USERS_PER_READ;
            for user in page {
                let is_reachable =
                    known.reachable.contains(&user.user) || self.has_device(&user.user).await?;
                if is_reachable {
                    known.reachable.insert(user.user.clone());
                }
                all.push((user, is_reachable));
            }
            if is_last {
                return Ok(all);
            }
        }
    }
}

impl Known {
    /// Reads what has changed and makes a snapshot of it.
    fn make(
        &mut self,
        folder: &Folder,
        local: &LocalFolder,
        changes: u64,
        users: &[(UserRecord, bool)],
    ) -> Result<Snapshot, Error> {
        let view = self.view(folder, local.is_sealed())?;
        let state = (local.changed_at(), changes);
        let files = match &self.local {
            Some((known, files)) if *known == state => files.clone(),
            _ => Arc::new(LocalFiles { entries: local.entries()?, cards: local.cards()? }),
        };
        self.local = Some((state, files.clone()));
        let searcher = view.reader.searcher();
        let sets = Sets::default();
        let scene = view.scene(&searcher, &self.outline, &sets);
        let existing = scene.existing(&candidates(users))?;
        let (people, additions) = people(users, &files, &existing);
        let mark = mark(&additions);
        if index::local_mark(&view.index)? != mark {
            index::replace_local(&view.index, &additions, &mark)?;
        }
        view.reader.reload()?;
        let searcher = view.reader.searcher();
        let key = view.fields.key;
        let members = KeySet::new(&searcher, key, people.behind.keys().map(String::as_str))?;
        let hidden = KeySet::new(&searcher, key, people.hidden.iter().map(String::as_str))?;
        self.outline = Outline::of(&searcher, &view.fields, &self.outline)?;
        let outline = self.outline.clone();
        Ok(Snapshot { view, searcher, outline, people, members, hidden })
    }

    /// The generation in use.
    fn view(&mut self, folder: &Folder, sealed: bool) -> Result<Arc<View>, Error> {
        let number = folder.current()?;
        if let Some(view) = self.view.as_ref().filter(|view| view.number == number) {
            return Ok(view.clone());
        }
        let generation = folder.generation(number);
        let manifest = if number == 0 { Manifest::default() } else { generation.manifest()? };
        let index = index::open(&generation, sealed)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let communes = Communes::load(&folder.path().join("communes.csv"))?;
        let (fields, leaves) = (index::schema().1, Leaves::default());
        let view = View { number, manifest, communes, index, reader, fields, leaves };
        let view = Arc::new(view);
        self.view = Some(view.clone());
        tracing::info!(generation = number, entries = view.manifest.entries, "the directory is open");
        Ok(view)
    }
}

impl View {
    fn scene<'a>(&'a self, searcher: &'a Searcher, outline: &'a Outline, sets: &'a Sets) -> Scene<'a> {
        let Self { manifest, communes, fields, leaves, .. } = self;
        Scene { searcher, fields, communes, manifest, sets, leaves, outline }
    }
}

impl Snapshot {
    pub(super) fn manifest(&self) -> &Manifest {
        &self.view.manifest
    }

    fn scene<'a>(&'a self, sets: &'a Sets) -> Scene<'a> {
        self.view.scene(&self.searcher, &self.outline, sets)
    }

    pub(super) fn search(&self, filter: &Filter, now: TimestampMs) -> Result<Found, Error> {
        let fitting = |wanted: bool, fits: &dyn Fn(&Card) -> bool| {
            let keys = self.people.cards.iter().filter(|(_, card)| fits(card));
            let keys: Vec<&str> =
                keys.filter_map(|(user, _)| self.people.key_of.get(user)).map(String::as_str).collect();
            let set = wanted.then(|| KeySet::new(&self.searcher, self.view.fields.key, keys.into_iter()));
            set.transpose()
        };
        let sets = Sets {
            members: self.members.clone(),
            hidden: self.hidden.clone(),
            accepting: fitting(filter.accepting, &|card| card.is_accepting(now))?,
            on_duty: fitting(filter.on_duty, &|card| card.is_on_duty(now))?,
        };
        self.scene(&sets).search(filter)
    }

    /// The entry that a key, a number or a user id means, hidden or not.
    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let sets = Sets::default();
        let scene = self.scene(&sets);
        let of_user = self.people.key_of.get(key).cloned();
        let spellings = [
            key.to_owned(),
            person_key(key),
            person_key(&format!("8{key}")),
            structure_key(key),
            structure_key(&format!("F{key}")),
        ];
        for spelling in of_user.into_iter().chain(spellings) {
            if let Some(entry) = scene.get(&spelling)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    pub(super) fn is_hidden(&self, entry: &Entry) -> bool {
        entry.unlisted || self.people.hidden.contains(&entry.key)
    }

    pub(super) fn is_own(&self, entry: &Entry, user: &UserId) -> bool {
        self.people.key_of.get(user.as_str()) == Some(&entry.key)
    }

    pub(super) fn is_user(&self, user: &str) -> bool {
        self.people.key_of.contains_key(user)
    }

    pub(super) fn is_outsider(&self, user: &UserId) -> bool {
        self.people.outsiders.contains(user.as_str())
    }

    /// Reachable users that each rule names, and those of them who are hidden: one entry is read for each user,
    /// whatever the number of rules.
    pub(super) fn fitting(&self, rules: &[Rule]) -> Result<Vec<Fitting>, Error> {
        let sets = Sets::default();
        let scene = self.scene(&sets);
        let mut all = vec![Fitting::default(); rules.len()];
        let people = self.people.behind.iter().filter(|(key, _)| !key.starts_with("inbox:"));
        for (key, users) in people {
            let Some(entry) = scene.get(key)? else { continue };
            let tags = self.people.tags.get(key).map_or(&[][..], Vec::as_slice);
            let is_hidden = self.is_hidden(&entry);
            for (_, fitting) in rules.iter().zip(&mut all).filter(|(rule, _)| rule.fits(&entry, tags)) {
                let set = if is_hidden { &mut fitting.hidden } else { &mut fitting.listed };
                set.extend(users.iter().filter_map(|user| UserId::parse(user).ok()));
            }
        }
        Ok(all)
    }

    /// Codes of the communes in which a user works; none of one whom the directory does not know.
    pub(super) fn communes_of(&self, user: &UserId) -> Result<Vec<String>, Error> {
        let Some(key) = self.people.key_of.get(user.as_str()) else { return Ok(Vec::new()) };
        let sets = Sets::default();
        let entry = self.scene(&sets).get(key)?;
        let places = entry.into_iter().flat_map(|entry| entry.activities);
        let mut codes: Vec<String> = places.map(|place| place.commune.code).collect();
        codes.retain(|code| !code.is_empty());
        codes.sort_unstable();
        codes.dedup();
        Ok(codes)
    }

    pub(super) fn inboxes_of(&self, user: &str) -> usize {
        let inboxes = self.people.behind.iter().filter(|(key, _)| key.starts_with("inbox:"));
        inboxes.filter(|(_, users)| users.iter().any(|known| known == user)).count()
    }

    pub(super) fn card(&self, user: &str) -> Option<&Card> {
        self.people.cards.get(user)
    }

    /// The entry as others may see it.
    pub(super) fn hit(&self, mut entry: Entry, distance_km: Option<u32>, now: TimestampMs) -> Hit {
        let owners = self.people.key_of.iter().filter(|(_, key)| **key == entry.key);
        let card = match entry.kind {
            Kind::Professional => owners.filter_map(|(user, _)| self.card(user)).next().cloned(),
            Kind::Structure | Kind::Inbox => None,
        };
        if let Some(card) = &card {
            for activity in &mut entry.activities {
                if card.hide_phone {
                    activity.phone.clear();
                }
                if card.hide_street {
                    activity.street.clear();
                }
            }
            if card.hide_mailboxes {
                entry.mailboxes.clear();
            }
        }
        entry.users.clear();
        Hit {
            users: self.people.behind.get(&entry.key).cloned().unwrap_or_default(),
            accepting: card.as_ref().is_some_and(|card| card.is_accepting(now)),
            on_duty: card.as_ref().is_some_and(|card| card.is_on_duty(now)),
            entry,
            card,
            distance_km,
        }
    }
}

/// Left of the `@`: a national identifier if the user was invited under it.
fn local_part(user: &str) -> &str {
    user.split('@').next().unwrap_or_default()
}

/// Keys under which the national directory may know the users.
fn candidates(users: &[(UserRecord, bool)]) -> Vec<String> {
    let spellings =
        |user: &str| [person_key(local_part(user)), person_key(&format!("8{}", local_part(user)))];
    users.iter().flat_map(|(user, _)| spellings(user.user.as_str())).collect()
}

/// Brings users, local files and cards together; returns the entries to add to the index.
fn people(
    users: &[(UserRecord, bool)],
    files: &LocalFiles,
    existing: &HashSet<String>,
) -> (People, Vec<Entry>) {
    let LocalFiles { entries: locals, cards } = files;
    let mut people = People { cards: cards.clone(), ..People::default() };
    let mut additions = Vec::new();
    for (key, local) in locals {
        if !local.tags.is_empty() {
            people.tags.insert(key.clone(), local.tags.clone());
        }
        if local.unlisted {
            people.hidden.insert(key.clone());
        }
        let is_inbox = local.entry.as_ref().is_some_and(|entry| entry.kind == Kind::Inbox);
        if !is_inbox {
            let linked = local.users.iter().map(|user| (user.clone(), key.clone()));
            people.key_of.extend(linked);
        }
        additions.extend(local.entry.clone());
    }
    for (user, is_reachable) in users {
        let id = user.user.as_str();
        if user.class == MemberClass::Relative as u32 {
            people.outsiders.insert(id.to_owned());
            people.key_of.remove(id);
            continue;
        }
        let national = candidates(&[(user.clone(), false)]).into_iter().find(|key| existing.contains(key));
        let key = people.key_of.get(id).cloned().or(national).unwrap_or_else(|| {
            additions.push(entry_of(user));
            format!("user:{id}")
        });
        if people.cards.get(id).is_some_and(|card| card.unlisted) {
            people.hidden.insert(key.clone());
        }
        if *is_reachable {
            people.behind.entry(key.clone()).or_default().push(id.to_owned());
        }
        people.key_of.insert(id.to_owned(), key);
    }
    let reachable: HashSet<&str> =
        users.iter().filter(|(_, is_reachable)| *is_reachable).map(|(user, _)| user.user.as_str()).collect();
    for (key, local) in locals.iter().filter(|(key, _)| key.starts_with("inbox:")) {
        let behind = local.users.iter().filter(|user| reachable.contains(user.as_str()));
        people.behind.insert(key.clone(), behind.cloned().collect());
    }
    people.behind.retain(|_, users| !users.is_empty());
    (people, additions)
}

/// The entry of a user whom no imported or local entry is about.
fn entry_of(user: &UserRecord) -> Entry {
    let mut entry = Entry::new(format!("user:{}", user.user.as_str()), Kind::Professional);
    entry.family.clone_from(&user.display_name);
    let label = profession_label(&user.profession);
    entry.professions.push(super::entry::Coded::new(&user.profession, label));
    entry.professions.retain(|profession| !profession.is_empty());
    entry
}

/// A name for the added entries: another one if anything about them is different.
fn mark(additions: &[Entry]) -> String {
    let text = serde_json::to_string(additions).expect("entries are made of JSON values");
    format!("{:016x}", hash(&text))
}
