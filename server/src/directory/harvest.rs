//! Against copying the directory: how often one user may search, and how many different entries he may see in a
//! day. Counted in memory: a restart forgives, and the bounds are for a day.

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use cercle_proto::id::{TimestampMs, UserId};
use lru::LruCache;

use super::{entry::Entry, error::Error, generation::hash};
use crate::{delivery::rate::RateLimit, limits};

/// What each user has seen.
#[derive(Debug)]
pub(super) struct Harvest {
    searches: RateLimit<UserId>,
    seen: Mutex<LruCache<UserId, Day>>,
    entries_max: usize,
}

#[derive(Debug)]
struct Day {
    number: u64,
    keys: HashSet<u64>,
}

impl Harvest {
    pub(super) fn new(entries_max: usize) -> Self {
        let users = NonZeroUsize::new(limits::DIRECTORY_HARVEST_USERS_MAX).expect("the limit is not zero");
        let searches = RateLimit::new(limits::DIRECTORY_SEARCH_RATE);
        Self { searches, seen: Mutex::new(LruCache::new(users)), entries_max }
    }

    /// Counts a search.
    pub(super) fn search(&self, user: &UserId, now: TimestampMs) -> Result<(), Error> {
        self.searches.check(user.clone(), now).map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })
    }

    /// Counts the entries that are about to be shown; those seen before that day cost nothing.
    pub(super) fn show<'a>(
        &self,
        user: &UserId,
        entries: impl Iterator<Item = &'a Entry>,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let number = now / limits::DAY_MS;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let day = seen.get_or_insert_mut(user.clone(), || Day { number, keys: HashSet::new() });
        if day.number != number {
            *day = Day { number, keys: HashSet::new() };
        }
        let fresh: HashSet<u64> =
            entries.map(|entry| hash(&entry.key)).filter(|key| !day.keys.contains(key)).collect();
        if day.keys.len() + fresh.len() > self.entries_max {
            let left = (number + 1) * limits::DAY_MS - now;
            return Err(Error::RateLimited { retry_after_ms: u32::try_from(left).unwrap_or(u32::MAX) });
        }
        day.keys.extend(fresh);
        Ok(())
    }
}
