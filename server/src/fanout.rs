//! From the log to the sessions that read it: who is connected, which groups they read, and the newest
//! entries of those groups, encoded once.
//!
//! The services call [`Fanout`] after their durable write; sessions register a [`Mailbox`] and read. Nothing
//! here is the truth: a wake-up says "look", and a session that looks reads after its own cursor, from the
//! `ring` of the group or else from the log. So a lost, doubled or late wake-up costs a read, never an
//! entry, and a slow reader costs nobody anything.
//!
//! [`bell`]: what wakes a session. `encoding`: entries as bytes that readers share. `mailbox`: what a session has
//! to look at. `ring`: the newest entries of a group.
//!
//! No lock is held across an `.await`: the map's shard, then a group's lock, then a mailbox's lock, always in
//! this order.

pub mod bell;
mod encoding;
mod mailbox;
mod ring;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{DeviceId, GroupId, Seq, UserId},
};
use cercle_storage::store::Entry;
use dashmap::{DashMap, Entry as Place};
use prometheus_client::metrics::counter::Counter;

use crate::{
    joining::{Declined, Request},
    membership::Due,
};
use bell::Bell;
pub use encoding::{Encoded, ForReaders, encode_entry, put_frames};
pub use mailbox::{Mailbox, News, Relayed};
use ring::Ring;
pub use ring::RingRead;

/// Wakes sessions and keeps the newest entries of the groups they read. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fanout(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sessions: DashMap<DeviceId, Arc<Mailbox>>,
    groups: DashMap<GroupId, Arc<Mutex<LiveGroup>>>,
    /// The hub shuts down: whoever registers is told to end.
    closed: AtomicBool,
    appended: Counter,
    connections: AtomicU64,
}

/// A group that at least one session reads.
#[derive(Debug, Default)]
struct LiveGroup {
    ring: Ring,
    /// Shared with whoever is waking them: an append does not hold the group's lock for that.
    subscribers: Arc<Vec<Arc<Mailbox>>>,
}

/// See [`Fanout::held`].
#[derive(Debug, Default)]
pub(crate) struct FanoutHeld {
    pub(crate) sessions: usize,
    pub(crate) groups: usize,
    pub(crate) entries: usize,
    pub(crate) early: usize,
    pub(crate) subscribers: usize,
    pub(crate) news: usize,
    pub(crate) relayed: usize,
}

/// Something about a member that the others should know; what counts is in the log.
#[derive(Debug, Clone)]
pub struct MembershipHint {
    /// The member's user.
    pub user: UserId,
    /// The member's device.
    pub device: DeviceId,
    /// What about it.
    pub kind: MembershipKind,
}

/// What a [`MembershipHint`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipKind {
    /// The device could not join: a member should remove and add it.
    NeedsReAdd,
    /// The device is revoked: its Remove proposal waits for a commit.
    Revoked,
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout")
            .field("sessions", &self.0.sessions.len())
            .field("groups", &self.0.groups.len())
            .finish()
    }
}

impl Fanout {
    /// A fanout without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the sessions that read a group that entries were durably appended. Calls for one group may come
    /// in any order.
    pub fn appended(&self, group: GroupId, entries: Vec<Entry>) {
        self.0.appended.inc_by(entries.len() as u64);
        let Some(live) = self.live(group) else { return };
        let encoded: Vec<Encoded> = entries.iter().map(|entry| encode_entry(group, entry)).collect();
        let subscribers = {
            let mut live = lock(&live);
            for entry in encoded {
                live.ring.push(entry);
            }
            live.subscribers.clone()
        };
        for mailbox in subscribers.iter() {
            mailbox.mark_group(group);
        }
    }

    /// Tells devices that their inbox has new items.
    pub fn inbox_changed(&self, devices: &[DeviceId]) {
        for device in devices {
            self.with_session(*device, Mailbox::mark_inbox);
        }
    }

    /// Tells a device how few one-time key packages it has left.
    pub fn key_packages_low(&self, device: DeviceId, left: usize) {
        self.with_session(device, |mailbox| mailbox.mark_key_packages_low(left));
    }

    /// Tells the connected members of a group about one of them.
    pub fn membership(&self, group: GroupId, hint: MembershipHint) {
        self.relay(group, None, &Relayed::Membership { group, hint: Arc::new(hint) });
    }

    /// Relays an ephemeral message to the other connected devices of a group.
    pub fn ephemeral(&self, group: GroupId, sender: DeviceId, mls: Bytes) {
        self.relay(group, Some(sender), &Relayed::Ephemeral { group, sender, mls });
    }

    /// Tells a device of an administrator who is to be added to a group and removed from it.
    pub fn membership_due(&self, device: DeviceId, due: &Arc<Due>) {
        self.with_session(device, |mailbox| mailbox.relay(Relayed::MembershipDue(due.clone())));
    }

    /// Tells a device of an administrator who wants to join a group.
    pub fn join_requests(&self, device: DeviceId, requests: &Arc<Vec<Request>>) {
        self.with_session(device, |mailbox| mailbox.relay(Relayed::JoinRequests(requests.clone())));
    }

    /// Tells a device of a user that his request to join a group was declined.
    pub fn join_declined(&self, device: DeviceId, declined: &Arc<Declined>) {
        self.with_session(device, |mailbox| mailbox.relay(Relayed::JoinDeclined(declined.clone())));
    }

    /// Number of the connection of a device's session, if it has one.
    #[must_use]
    pub fn connection(&self, device: DeviceId) -> Option<u64> {
        self.0.sessions.get(&device).map(|mailbox| mailbox.value().connection())
    }

    /// Ends the session of a device, if it has one.
    pub fn end_session(&self, device: DeviceId, code: ErrorCode) {
        self.with_session(device, |mailbox| mailbox.end(code));
    }

    /// Ends all sessions, and those that register from now on: the hub shuts down.
    pub fn close(&self) {
        // A session that registers meanwhile is in the map or sees this.
        self.0.closed.store(true, Ordering::SeqCst);
        for mailbox in &self.0.sessions {
            mailbox.end(ErrorCode::ShuttingDown);
        }
    }

    /// Drops entries that have been in memory for a whole round of housekeeping; who still needs them reads
    /// the log.
    pub fn forget_old(&self) {
        for live in &self.0.groups {
            lock(live.value()).ring.forget_old();
        }
    }

    /// Counts entries that were appended, for the metrics.
    #[must_use]
    pub fn appended_counter(&self) -> Counter {
        self.0.appended.clone()
    }

    /// Whether a device has a session.
    #[must_use]
    pub fn has_session(&self, device: DeviceId) -> bool {
        self.0.sessions.contains_key(&device)
    }

    /// Tells a device how far an alert is, if it has a session.
    pub fn alert_status(&self, device: DeviceId, status: &Arc<crate::alert::Status>) {
        self.with_session(device, |mailbox| mailbox.relay(Relayed::AlertStatus(status.clone())));
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }

    /// How many groups are read by at least one session.
    #[must_use]
    pub fn live_groups(&self) -> usize {
        self.0.groups.len()
    }

    /// How much it holds; of each group and mailbox the most that any has.
    pub(crate) fn held(&self) -> FanoutHeld {
        let mut held = FanoutHeld { sessions: self.0.sessions.len(), ..FanoutHeld::default() };
        for live in &self.0.groups {
            let live = lock(live.value());
            let (entries, early) = live.ring.held();
            held.groups += 1;
            held.entries = held.entries.max(entries);
            held.early = held.early.max(early);
            held.subscribers = held.subscribers.max(live.subscribers.len());
        }
        for mailbox in &self.0.sessions {
            let (news, relayed) = mailbox.held();
            held.news = held.news.max(news);
            held.relayed = held.relayed.max(relayed);
        }
        held
    }

    /// Numbers a new connection: later ones are higher.
    #[must_use]
    pub fn next_connection(&self) -> u64 {
        self.0.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens the mailbox of a device's session, which rings `bell`. Of two sessions of a device, that of the later connection
    /// goes on, and the other is told that it is replaced: a proof that comes late over a dying connection
    /// must not end the connection that the device made instead.
    #[must_use]
    pub fn register(&self, device: DeviceId, connection: u64, bell: Arc<Bell>) -> Registration {
        let mailbox = Arc::new(Mailbox::new(device, connection, bell));
        let replaced = match self.0.sessions.entry(device) {
            Place::Vacant(free) => {
                free.insert(mailbox.clone());
                None
            }
            Place::Occupied(taken) if taken.get().connection() > connection => Some(mailbox.clone()),
            Place::Occupied(mut taken) => Some(taken.insert(mailbox.clone())),
        };
        if let Some(replaced) = replaced {
            replaced.end(ErrorCode::SessionReplaced);
        }
        if self.0.closed.load(Ordering::SeqCst) {
            mailbox.end(ErrorCode::ShuttingDown);
        }
        Registration { fanout: self.clone(), mailbox, groups: HashMap::new() }
    }

    fn live(&self, group: GroupId) -> Option<Arc<Mutex<LiveGroup>>> {
        self.0.groups.get(&group).map(|live| live.value().clone())
    }

    fn with_session(&self, device: DeviceId, tell: impl FnOnce(&Mailbox)) {
        let mailbox = self.0.sessions.get(&device).map(|mailbox| mailbox.value().clone());
        if let Some(mailbox) = mailbox {
            tell(&mailbox);
        }
    }

    fn relay(&self, group: GroupId, except: Option<DeviceId>, what: &Relayed) {
        let Some(live) = self.live(group) else { return };
        let subscribers = lock(&live).subscribers.clone();
        for mailbox in subscribers.iter() {
            if Some(mailbox.device()) != except {
                mailbox.relay(what.clone());
            }
        }
    }
}

/// The place of one session: it is registered while this lives, and reads the groups it subscribed to.
/// Dropping it takes the session out of everything.
#[derive(Debug)]
pub struct Registration {
    fanout: Fanout,
    mailbox: Arc<Mailbox>,
    groups: HashMap<GroupId, Arc<Mutex<LiveGroup>>>,
}

impl Registration {
    /// Where the session learns that there is something to read.
    #[must_use]
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// How many groups the session reads.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.groups.len()
    }

    /// Wakes the session from now on when something is appended to the group.
    pub fn subscribe(&mut self, group: GroupId) {
        let std::collections::hash_map::Entry::Vacant(place) = self.groups.entry(group) else { return };
        // The group's lock is taken under the map's shard, so that the last subscriber cannot take the group
        // out of the map in between.
        let live = self.fanout.0.groups.entry(group).or_default();
        Arc::make_mut(&mut lock(&live).subscribers).push(self.mailbox.clone());
        place.insert(live.clone());
    }

    /// No longer wakes the session for the group.
    pub fn unsubscribe(&mut self, group: GroupId) {
        if self.groups.remove(&group).is_some() {
            self.leave(group);
        }
    }

    /// Adds the newest entries of a group after a cursor to `into`, if they are still in memory.
    pub fn read(&self, group: GroupId, after: Seq, into: &mut Vec<Encoded>) -> RingRead {
        self.groups.get(&group).map_or(RingRead::Miss, |live| lock(live).ring.after(after, into))
    }

    fn leave(&self, group: GroupId) {
        self.fanout.0.groups.remove_if(&group, |_, live| {
            let mut live = lock(live);
            let subscribers = Arc::make_mut(&mut live.subscribers);
            subscribers.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            live.subscribers.is_empty()
        });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for group in std::mem::take(&mut self.groups).into_keys() {
            self.leave(group);
        }
        let device = self.mailbox.device();
        self.fanout.0.sessions.remove_if(&device, |_, mailbox| Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

/// Takes a lock. A holder cannot leave these structures half changed, so a poisoned lock is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
