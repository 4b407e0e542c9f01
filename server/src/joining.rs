//! Requests to join a group that its administrators list. The hub has no keys: it tells devices of administrators who
//! asks, and they invite or decline.
//!
//! Called by the dispatch for the requests, and every few seconds by the server ([`Joining::look`]), so that an
//! administrator who connects hears of what waits, and who was let in is no longer asked about. A relative cannot
//! ask. Requests are files of the directory: they survive a restart.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use cercle_proto::id::{DeviceId, GroupId, TimestampMs, UserId};

use crate::{
    auth::Identity,
    delivery::{self, Delivery, Standing},
    directory::{
        self, Directory,
        listing::{Join, Listing},
    },
    fanout::Fanout,
    limits,
};

/// A listed group as one user sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The group.
    pub group: GroupId,
    /// What everybody sees.
    pub listing: Listing,
    /// He is in it.
    pub member: bool,
    /// What he asked.
    pub join: Option<Join>,
}

/// Somebody who wants to join. `Debug` shows no name.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: GroupId,
    /// Who.
    pub user: UserId,
    /// His name, as he is enrolled.
    pub display_name: String,
    /// His profession, as he is enrolled.
    pub profession: String,
    /// When he asked.
    pub asked_at: TimestampMs,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("group", &self.group).finish_non_exhaustive()
    }
}

/// A request that was declined, for who asked. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Declined {
    /// The group.
    pub group: GroupId,
    /// Its title, as it is listed.
    pub title: String,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub declined_at: TimestampMs,
}

impl std::fmt::Debug for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declined").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Why a request about joining is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only an administrator of the group may.
    #[error("only an administrator of the group may list it and answer who wants to join")]
    NotAdministrator,
    /// The group is not listed, or there is none.
    #[error("no such group is listed")]
    NotListed,
    /// The user is in it already.
    #[error("the user is in the group already")]
    Member,
    /// He was declined a short time ago.
    #[error("the request was declined; ask again later")]
    Declined {
        /// Wait this long, ms.
        retry_after_ms: u32,
    },
    /// A limit is reached.
    #[error("{0}")]
    TooMany(&'static str),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The delivery service.
    #[error(transparent)]
    Delivery(#[from] delivery::Error),
}

/// Which requests each connection of an administrator was told.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Told>>);

type Told = HashMap<GroupId, (BTreeSet<UserId>, HashMap<DeviceId, u64>)>;

/// The service, over those that it brings together.
#[derive(Debug)]
pub struct Joining<'a> {
    /// Listings and requests.
    pub directory: &'a Directory,
    /// Who is in the groups.
    pub delivery: &'a Delivery,
    /// Sessions of administrators.
    pub fanout: &'a Fanout,
}

impl Joining<'_> {
    /// Lists a group, or takes it off and forgets who asked.
    ///
    /// # Errors
    /// [`Error::NotAdministrator`], a listing out of bounds, too many of them, or a failure of store or files.
    pub async fn publish(
        &self,
        by: &Identity,
        group: GroupId,
        listing: Option<Listing>,
    ) -> Result<(), Error> {
        self.administered(by, group).await?;
        let listings = self.directory.listings().await?;
        if listing.is_some() && !listings.contains_key(&group) && listings.len() >= limits::LISTINGS_MAX {
            return Err(Error::TooMany("the hub lists at most 500 groups"));
        }
        let is_off = listing.is_none();
        self.directory.put_listing(group, listing).await?;
        if is_off {
            for user in self.directory.joins().await?.remove(&group).unwrap_or_default().into_keys() {
                self.directory.put_join(group, user, None).await?;
            }
        }
        Ok(())
    }

    /// Listed groups that fit a text, by title.
    ///
    /// # Errors
    /// When the user is a relative or asks too much, or store or files fail.
    pub async fn find(&self, by: &Identity, text: &str, now: TimestampMs) -> Result<Vec<Listed>, Error> {
        if text.chars().count() > limits::DIRECTORY_TEXT_CHARS_MAX {
            return Err(directory::Error::TooMany("a text has at most 200 characters").into());
        }
        self.directory.admit(by, now).await?;
        let mut fitting: Vec<_> = self.directory.listings().await?.into_iter().collect();
        fitting.retain(|(_, listing)| listing.fits(text));
        fitting.sort_by(|(a, one), (b, other)| one.title.cmp(&other.title).then(a.cmp(b)));
        let joins = self.directory.joins().await?;
        let mut found = Vec::new();
        for (group, listing) in fitting {
            // A group that is gone is no longer shown.
            let Some(standing) = self.standing(group).await? else { continue };
            let member = standing.users().contains(&by.user);
            let join = joins.get(&group).and_then(|joins| joins.get(&by.user)).cloned();
            found.push(Listed { group, listing, member, join: join.filter(|_| !member) });
            if found.len() == limits::LISTINGS_PER_ANSWER_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// Asks to join, or takes that back. Asking twice is asking once.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn ask(
        &self,
        by: &Identity,
        group: GroupId,
        withdraw: bool,
        now: TimestampMs,
    ) -> Result<(), Error> {
        self.directory.admit(by, now).await?;
        let joins = self.directory.joins().await?;
        let known = joins.get(&group).and_then(|joins| joins.get(&by.user));
        if withdraw {
            // That he was declined stays known until he may ask again.
            if known.is_some_and(Join::is_pending) {
                self.directory.put_join(group, by.user.clone(), None).await?;
            }
            return Ok(());
        }
        let is_listed = self.directory.listings().await?.contains_key(&group);
        let standing = self.standing(group).await?.filter(|_| is_listed).ok_or(Error::NotListed)?;
        if standing.users().contains(&by.user) {
            return Err(Error::Member);
        }
        match known {
            Some(join) if join.is_pending() => return Ok(()),
            Some(join) if now < join.declined_at_ms + limits::JOIN_AGAIN_MS => {
                let left = join.declined_at_ms + limits::JOIN_AGAIN_MS - now;
                return Err(Error::Declined { retry_after_ms: u32::try_from(left).unwrap_or(u32::MAX) });
            }
            _ => {}
        }
        let pending =
            |joins: &BTreeMap<UserId, Join>| joins.values().filter(|join| join.is_pending()).count();
        if joins.get(&group).is_some_and(|joins| pending(joins) >= limits::JOINS_PER_GROUP_MAX) {
            return Err(Error::TooMany("too many people wait for an answer of this group"));
        }
        let own = joins.values().filter(|joins| joins.get(&by.user).is_some_and(Join::is_pending)).count();
        if own >= limits::JOINS_PER_USER_MAX {
            return Err(Error::TooMany("too many of your requests wait for an answer"));
        }
        let join = Join { asked_at_ms: now, ..Join::default() };
        self.directory.put_join(group, by.user.clone(), Some(join)).await?;
        self.look().await
    }

    /// Who wants to join a group, or the groups that the user administers.
    ///
    /// # Errors
    /// [`Error::NotAdministrator`] of the one group, or a failure of store or files.
    pub async fn pending(&self, by: &Identity, group: Option<GroupId>) -> Result<Vec<Request>, Error> {
        if let Some(group) = group {
            self.administered(by, group).await?;
        }
        let mut all = Vec::new();
        for (of, joins) in self.directory.joins().await? {
            if group.is_some_and(|group| group != of) {
                continue;
            }
            let standing = self.standing(of).await?;
            if standing.is_some_and(|standing| standing.is_administrator(by.device)) {
                all.extend(self.requests(of, &joins).await?);
                all.truncate(limits::JOINS_PER_GROUP_MAX);
            }
        }
        Ok(all)
    }

    /// Declines a request and tells who asked.
    ///
    /// # Errors
    /// [`Error::NotAdministrator`], a reason that is too long, or a failure of store or files.
    pub async fn decline(
        &self,
        by: &Identity,
        group: GroupId,
        user: UserId,
        reason: String,
        now: TimestampMs,
    ) -> Result<(), Error> {
        self.administered(by, group).await?;
        if reason.chars().count() > limits::LISTING_ABOUT_CHARS_MAX {
            return Err(directory::Error::Field("reason is longer than 280 characters").into());
        }
        let joins = self.directory.joins().await?;
        let known = joins.get(&group).and_then(|joins| joins.get(&user)).cloned();
        let known = known.filter(Join::is_pending).ok_or(directory::Error::Unknown)?;
        let declined = Join { declined_at_ms: now, reason, told: false, ..known };
        self.directory.put_join(group, user, Some(declined)).await?;
        self.look().await
    }

    /// Forgets who is in by now, tells connected administrators what waits and was not told them, and who was
    /// declined that he was.
    ///
    /// # Errors
    /// When store or files fail.
    pub async fn look(&self) -> Result<(), Error> {
        for (group, mut joins) in self.directory.joins().await? {
            let Some(standing) = self.standing(group).await? else { continue };
            let members = standing.users();
            let inside: Vec<UserId> = joins.keys().filter(|user| members.contains(user)).cloned().collect();
            for user in inside {
                joins.remove(&user);
                self.directory.put_join(group, user, None).await?;
            }
            self.tell_declined(group, &joins).await?;
            joins.retain(|_, join| join.is_pending());
            let waiting: BTreeSet<UserId> = joins.keys().cloned().collect();
            let devices = self.directory.asked().untold(group, &waiting, &standing, self.fanout);
            if devices.is_empty() {
                continue;
            }
            let requests = Arc::new(self.requests(group, &joins).await?);
            devices.into_iter().for_each(|device| self.fanout.join_requests(device, &requests));
        }
        Ok(())
    }

    /// Tells users whose requests were declined, once, as soon as a device of theirs has a session.
    async fn tell_declined(&self, group: GroupId, joins: &BTreeMap<UserId, Join>) -> Result<(), Error> {
        for (user, join) in joins.iter().filter(|(_, join)| !join.is_pending() && !join.told) {
            let mut devices = self.directory.devices_of(user).await?;
            devices.retain(|device| self.fanout.has_session(*device));
            if devices.is_empty() {
                continue;
            }
            let listing = self.directory.listings().await?.remove(&group).unwrap_or_default();
            let declined = Arc::new(Declined {
                group,
                title: listing.title,
                reason: join.reason.clone(),
                declined_at: join.declined_at_ms,
            });
            // Noted first: who was told and does not hear it finds it where he asks again.
            self.directory.put_join(group, user.clone(), Some(Join { told: true, ..join.clone() })).await?;
            devices.into_iter().for_each(|device| self.fanout.join_declined(device, &declined));
        }
        Ok(())
    }

    /// Those who wait, with what administrators need to decide.
    async fn requests(&self, group: GroupId, joins: &BTreeMap<UserId, Join>) -> Result<Vec<Request>, Error> {
        let mut requests = Vec::new();
        for (user, join) in joins.iter().filter(|(_, join)| join.is_pending()) {
            // Whoever was removed from the hub meanwhile waits no longer.
            let Some(record) = self.directory.user(user).await? else { continue };
            requests.push(Request {
                group,
                user: user.clone(),
                display_name: record.display_name,
                profession: record.profession,
                asked_at: join.asked_at_ms,
            });
        }
        Ok(requests)
    }

    async fn administered(&self, by: &Identity, group: GroupId) -> Result<(), Error> {
        // Who is not in the group does not learn whether there is one.
        let standing = self.standing(group).await?.ok_or(Error::NotAdministrator)?;
        if standing.is_administrator(by.device) { Ok(()) } else { Err(Error::NotAdministrator) }
    }

    /// `None`: there is no such group.
    async fn standing(&self, group: GroupId) -> Result<Option<Standing>, Error> {
        match self.delivery.standing(group).await {
            Ok(standing) => Ok(Some(standing)),
            Err(delivery::Error::GroupUnknown) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Asked {
    /// Connected devices of administrators who have not heard who waits; notes it as told.
    fn untold(
        &self,
        group: GroupId,
        waiting: &BTreeSet<UserId>,
        standing: &Standing,
        fanout: &Fanout,
    ) -> Vec<DeviceId> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            told.remove(&group);
            return Vec::new();
        }
        let (known, connections) = told.entry(group).or_default();
        if !waiting.is_subset(known) {
            connections.clear();
        }
        known.clone_from(waiting);
        let connected =
            standing.administrators().filter_map(|device| Some((device, fanout.connection(device)?)));
        let connected: HashMap<DeviceId, u64> = connected.collect();
        let is_news =
            |(device, connection): &(&DeviceId, &u64)| connections.get(*device) != Some(*connection);
        let untold = connected.iter().filter(is_news).map(|(device, _)| *device).collect();
        *connections = connected;
        untold
    }
}
