//! The directory: who there is, where, with what skills, and how to reach them on this hub.
//!
//! Called by the dispatch of a session ([`Directory::search`], [`Directory::get`], [`Directory::update_card`]) and by
//! the operator's command line ([`import`], [`local`]). Imported entries are truth on disk in generations that
//! an import switches in one step; the search index is derived from them; what members and the operator add lies
//! beside, in small files (docs/adr/0005). Unlisted entries are never shown, and nobody can copy the directory.
//!
//! - [`import`]: extractions and FHIR in. `generation`: the files and the switch. [`local`], [`card`]: additions.
//! - `index`, `layered`, [`search`]: how entries are found. `snapshot`: what a search sees. `harvest`: against copying.
//! - [`rule`]: which users belong to a group. [`listing`]: groups that can be asked for. [`quiet`]: when members are left in peace.
//! - [`entry`], [`commune`], `nomenclature`, `fold`, `check`: what entries are made of.

pub mod card;
mod check;
pub mod commune;
pub mod entry;
mod error;
mod fold;
mod generation;
mod harvest;
pub mod import;
mod index;
mod layered;
pub mod listing;
pub mod local;
mod nomenclature;
pub mod operator;
pub mod quiet;
pub mod rule;
pub mod search;
mod small_files;
mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cercle_proto::{
    id::{DeviceId, GroupId, Seq, TimestampMs, UserId},
    v1::Role,
};
use cercle_storage::store::{Store, UserRecord};
use tokio::sync::Semaphore;

use self::{
    card::{Card, Inbox},
    entry::{Activity, Coded, Entry, Kind},
    harvest::Harvest,
    listing::{Join, Joins, Listing},
    local::{LocalEntry, LocalFolder, Place},
    rule::Rule,
    search::{Facet, Filter},
    snapshot::{Snapshot, Snapshots},
};
pub use self::{error::Error, generation::Manifest, snapshot::Fitting};
use crate::{
    auth::Identity,
    joining::Asked,
    limits,
    membership::{Told, withheld::Withheld},
};

/// What the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Different entries that one user may see in a day.
    pub entries_per_day: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { entries_per_day: limits::DIRECTORY_ENTRIES_PER_DAY }
    }
}

/// One found entry, as others may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The entry, without what its card hides.
    pub entry: Entry,
    /// Users behind it that can be reached on this hub.
    pub users: Vec<String>,
    /// What the member says of himself.
    pub card: Option<Card>,
    /// Takes new people on.
    pub accepting: bool,
    /// On duty at the moment.
    pub on_duty: bool,
    /// Distance from the commune that was asked for, km.
    pub distance_km: Option<u32>,
}

/// A page of found entries, best first.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries.
    pub hits: Vec<Hit>,
    /// How many there are in all.
    pub total: usize,
    /// How many of each profession.
    pub professions: Vec<Facet>,
    /// How many in each commune.
    pub communes: Vec<Facet>,
    /// When the directory was last imported, ms; 0: never.
    pub imported_at_ms: u64,
}

/// The directory. Cheap to clone. Its files are opened by the first request.
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    local: LocalFolder,
    snapshots: Snapshots,
    harvest: Harvest,
    searches: Arc<Semaphore>,
    told: Told,
    asked: Asked,
    withheld: Withheld,
}

impl Directory {
    /// The directory in a folder, whose members are the users of the store.
    #[must_use]
    pub fn new(place: impl Into<Place>, store: Arc<dyn Store>, settings: Settings) -> Self {
        let place = place.into();
        let inner = Inner {
            local: LocalFolder::of(&place),
            snapshots: Snapshots::new(&place, store),
            harvest: Harvest::new(settings.entries_per_day),
            searches: Arc::new(Semaphore::new(limits::DIRECTORY_SEARCHES_MAX)),
            told: Told::default(),
            asked: Asked::default(),
            withheld: Withheld::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Finds entries.
    ///
    /// # Errors
    /// When the filter is out of bounds, the user is a relative or searches too much, or the files fail.
    pub async fn search(&self, by: &Identity, filter: Filter, now: TimestampMs) -> Result<Page, Error> {
        check(&filter)?;
        self.inner.harvest.search(&by.user, now)?;
        let snapshot = self.snapshot_for(by, now).await?;
        let seen = snapshot.clone();
        let found = self.blocking(move || seen.search(&filter, now)).await?;
        let entries = found.entries.iter().map(|(entry, _)| entry);
        self.inner.harvest.show(&by.user, entries, now)?;
        let hits = found.entries.into_iter().map(|(entry, distance)| snapshot.hit(entry, distance, now));
        Ok(Page {
            hits: hits.collect(),
            total: found.total,
            professions: found.professions,
            communes: found.communes,
            imported_at_ms: snapshot.manifest().made_at_ms,
        })
    }

    /// The entry with a key, a national identifier, a structure's number or a user id.
    ///
    /// # Errors
    /// When there is none that the user may see, or as [`Directory::search`].
    pub async fn get(&self, by: &Identity, key: &str, now: TimestampMs) -> Result<Hit, Error> {
        self.inner.harvest.search(&by.user, now)?;
        let snapshot = self.snapshot_for(by, now).await?;
        let (seen, key) = (snapshot.clone(), key.trim().to_owned());
        let entry = self.blocking(move || seen.get(&key)).await?.ok_or(Error::Unknown)?;
        if snapshot.is_hidden(&entry) && !snapshot.is_own(&entry, &by.user) {
            return Err(Error::Unknown);
        }
        self.inner.harvest.show(&by.user, std::iter::once(&entry), now)?;
        Ok(snapshot.hit(entry, None, now))
    }

    /// Replaces the card of the user who asks, and returns his entry as others see it.
    ///
    /// # Errors
    /// When a field is out of bounds, the delegate is nobody here, or the files fail.
    pub async fn update_card(&self, by: &Identity, card: Card, now: TimestampMs) -> Result<Hit, Error> {
        card.check()?;
        let snapshot = self.snapshot_for(by, now).await?;
        if !card.delegate.is_empty() && !snapshot.is_user(&card.delegate) {
            return Err(Error::Field("card.delegate is no user of this hub"));
        }
        let (local, user) = (self.inner.local.clone(), by.user.as_str().to_owned());
        self.blocking(move || local.put_card(&user, &card)).await?;
        self.inner.snapshots.forget();
        self.get(by, by.user.as_str(), now).await
    }

    /// Makes, changes or (without users) gives up a shared inbox. Those behind it may, and the directory's
    /// administrators. `None` if it was given up.
    ///
    /// # Errors
    /// When a field is out of bounds, somebody is nobody here, the user may not, or the files fail.
    pub async fn update_inbox(
        &self,
        by: &Identity,
        inbox: Inbox,
        now: TimestampMs,
    ) -> Result<Option<Hit>, Error> {
        let snapshot = self.snapshot_for(by, now).await?;
        let is_keeper = by.has_role(Role::DirectoryAdmin) || by.has_role(Role::Coordinator);
        check_inbox(&inbox, &snapshot)?;
        let local = self.inner.local.clone();
        let (key, user) = (inbox.key.clone(), by.user.as_str().to_owned());
        let given_up = inbox.users.is_empty();
        self.blocking(move || {
            let known = local.entry(&inbox.key)?;
            let belongs = match &known {
                Some(known) => known.users.contains(&user),
                None => inbox.users.contains(&user),
            };
            if !belongs && !is_keeper {
                return Err(Error::NotAllowed);
            }
            local.put_entry(&inbox.key, &inbox_entry(inbox.clone(), given_up))
        })
        .await?;
        self.inner.snapshots.forget();
        if given_up { Ok(None) } else { self.get(by, &key, now).await.map(Some) }
    }

    /// The rules of groups, by group.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn rules(&self) -> Result<BTreeMap<GroupId, Rule>, Error> {
        let local = self.inner.local.clone();
        self.blocking(move || local.rules()).await
    }

    /// Stores the rule of a group, or removes it. Whether the caller may is for him to know.
    ///
    /// # Errors
    /// When the rule is out of bounds, or the files fail.
    pub async fn put_rule(&self, group: GroupId, rule: Option<Rule>) -> Result<(), Error> {
        if let Some(rule) = &rule {
            rule.check()?;
        }
        let local = self.inner.local.clone();
        self.blocking(move || local.put_rule(group, rule.as_ref())).await
    }

    /// Lets a professional ask for something that is neither an entry nor a page; counts as a search.
    ///
    /// # Errors
    /// When the user is a relative or asks too much, or the files fail.
    pub async fn admit(&self, by: &Identity, now: TimestampMs) -> Result<(), Error> {
        self.inner.harvest.search(&by.user, now)?;
        self.snapshot_for(by, now).await.map(drop)
    }

    /// Groups that are listed.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn listings(&self) -> Result<BTreeMap<GroupId, Listing>, Error> {
        let local = self.inner.local.clone();
        self.blocking(move || local.listings()).await
    }

    /// Lists a group, or takes it off. Whether the caller may is for him to know.
    ///
    /// # Errors
    /// When the listing is out of bounds, or the files fail.
    pub async fn put_listing(&self, group: GroupId, listing: Option<Listing>) -> Result<(), Error> {
        if let Some(listing) = &listing {
            listing.check()?;
        }
        let local = self.inner.local.clone();
        self.blocking(move || local.put_listing(group, listing.as_ref())).await
    }

    /// Requests to join, of all groups.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn joins(&self) -> Result<Joins, Error> {
        let local = self.inner.local.clone();
        self.blocking(move || local.joins()).await
    }

    /// Notes a request to join, or forgets it.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn put_join(&self, group: GroupId, user: UserId, join: Option<Join>) -> Result<(), Error> {
        let local = self.inner.local.clone();
        self.blocking(move || local.put_join(group, &user, join.as_ref())).await
    }

    /// Devices of a user that are not revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn devices_of(&self, user: &UserId) -> Result<Vec<DeviceId>, Error> {
        let devices = self.inner.snapshots.store().devices_of(user).await?.into_iter();
        Ok(devices.filter(|row| row.revoked_at.is_none()).map(|row| row.device).collect())
    }

    /// The user with an id, as he is enrolled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user(&self, user: &UserId) -> Result<Option<UserRecord>, Error> {
        Ok(self.inner.snapshots.store().user(user).await?)
    }

    /// What administrators were told of groups that have a rule.
    pub(crate) fn told(&self) -> &Told {
        &self.inner.told
    }

    /// Who is given nothing new of groups that have a rule.
    #[must_use]
    pub fn withheld(&self) -> &Withheld {
        &self.inner.withheld
    }

    /// Reads who is given nothing new; called once, before anything is served.
    ///
    /// # Errors
    /// When the files fail.
    pub(crate) async fn load_withheld(&self) -> Result<(), Error> {
        let local = self.inner.local.clone();
        for (group, users) in self.blocking(move || local.withheld()).await? {
            users.into_iter().for_each(|(user, after)| self.inner.withheld.withhold(group, user, after));
        }
        Ok(())
    }

    /// Notes that a user is given nothing new of a group, or forgets it.
    ///
    /// # Errors
    /// When the files fail.
    pub(crate) async fn put_withheld(
        &self,
        group: GroupId,
        user: UserId,
        after: Option<Seq>,
    ) -> Result<(), Error> {
        let local = self.inner.local.clone();
        self.blocking(move || local.put_withheld(group, &user, after)).await
    }

    /// What administrators were told of requests to join.
    pub(crate) fn asked(&self) -> &Asked {
        &self.inner.asked
    }

    /// Users that each of the rules names, in the order of the rules.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn fitting(&self, rules: Vec<Rule>, now: TimestampMs) -> Result<Vec<Fitting>, Error> {
        let snapshot = self.inner.snapshots.at(now).await?;
        self.blocking(move || snapshot.fitting(&rules)).await
    }

    /// The card of a user: when he wants quiet, who stands in for him. `None` if he has none.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn card(&self, user: &UserId, now: TimestampMs) -> Result<Option<Card>, Error> {
        Ok(self.inner.snapshots.at(now).await?.card(user.as_str()).cloned())
    }

    /// Users that fit a rule, which may be without values, and are on duty if they have to be. Also those whom
    /// nobody finds: who asks has them in a group.
    ///
    /// # Errors
    /// When a list of the rule is out of bounds, or the files fail.
    pub async fn meant(
        &self,
        rule: Rule,
        on_duty: bool,
        now: TimestampMs,
    ) -> Result<BTreeSet<UserId>, Error> {
        if rule != Rule::default() {
            rule.check()?;
        }
        let snapshot = self.inner.snapshots.at(now).await?;
        self.blocking(move || {
            let Fitting { listed, hidden } = snapshot.fitting(&[rule])?.pop().unwrap_or_default();
            let is_meant = |user: &UserId| {
                !on_duty || snapshot.card(user.as_str()).is_some_and(|card| card.is_on_duty(now))
            };
            Ok(listed.into_iter().chain(hidden).filter(is_meant).collect())
        })
        .await
    }

    /// INSEE codes of the communes in which each of the users works, in their order.
    ///
    /// # Errors
    /// When the files fail.
    pub async fn communes_of(&self, users: Vec<UserId>, now: TimestampMs) -> Result<Vec<Vec<String>>, Error> {
        let snapshot = self.inner.snapshots.at(now).await?;
        self.blocking(move || users.iter().map(|user| snapshot.communes_of(user)).collect()).await
    }

    async fn snapshot_for(&self, by: &Identity, now: TimestampMs) -> Result<Arc<Snapshot>, Error> {
        let snapshot = self.inner.snapshots.at(now).await?;
        if snapshot.is_outsider(&by.user) { Err(Error::NotAllowed) } else { Ok(snapshot) }
    }

    /// Runs what computes or reads files outside the threads of the sessions, a few at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.inner.searches.clone().acquire_owned().await;
        let place = place.expect("the semaphore of searches is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(place);
            outcome
        });
        done.await.expect("a search does not panic and is not aborted")
    }
}

fn check(filter: &Filter) -> Result<(), Error> {
    let lists = [&filter.professions, &filter.skills, &filter.communes];
    if filter.limit > limits::DIRECTORY_PAGE_MAX {
        return Err(Error::TooMany("a page has at most 50 entries"));
    }
    if filter.offset > limits::DIRECTORY_OFFSET_MAX {
        return Err(Error::TooMany("pages end after 500 entries: narrow the search"));
    }
    if lists.iter().any(|list| list.len() > limits::DIRECTORY_VALUES_MAX) {
        return Err(Error::TooMany("a filter has at most 50 values"));
    }
    let texts = lists.into_iter().flatten().chain([&filter.text, &filter.structure]);
    if texts.into_iter().any(|text| text.chars().count() > limits::DIRECTORY_TEXT_CHARS_MAX) {
        return Err(Error::TooMany("a text has at most 200 characters"));
    }
    if filter.radius_km > 0 && filter.communes.is_empty() {
        return Err(Error::Field("radius_km needs a commune"));
    }
    if filter.radius_km > limits::DIRECTORY_RADIUS_KM_MAX {
        return Err(Error::Field("radius_km is at most 200"));
    }
    Ok(())
}

fn check_inbox(inbox: &Inbox, snapshot: &Snapshot) -> Result<(), Error> {
    if inbox.users.len() > limits::INBOX_USERS_MAX {
        return Err(Error::TooMany("inbox.users has at most 50 people"));
    }
    if inbox.users.is_empty() {
        return Ok(());
    }
    let name = inbox.name.trim();
    if name.is_empty() || name.chars().count() > limits::DISPLAY_NAME_CHARS_MAX {
        return Err(Error::Field("inbox.name must have 1 to 64 characters"));
    }
    if !inbox.users.iter().all(|user| snapshot.is_user(user)) {
        return Err(Error::Field("inbox.users names somebody who is no user of this hub"));
    }
    let behind = |user: &String| snapshot.inboxes_of(user) < limits::INBOXES_PER_USER_MAX;
    if !inbox.users.iter().all(behind) {
        return Err(Error::TooMany("a user of inbox.users is behind too many inboxes"));
    }
    Ok(())
}

fn inbox_entry(inbox: Inbox, given_up: bool) -> LocalEntry {
    if given_up {
        return LocalEntry::default();
    }
    let Inbox { key, name, users, commune } = inbox;
    let mut entry = Entry::new(key, Kind::Inbox);
    name.trim().clone_into(&mut entry.family);
    if !commune.is_empty() {
        entry.activities.push(Activity { commune: Coded::new(&commune, ""), ..Activity::default() });
    }
    LocalEntry { entry: Some(entry), users, ..LocalEntry::default() }
}
