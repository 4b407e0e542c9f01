//! How far devices have read, in memory until it is stored with the cursors of everybody else.
//!
//! A device acknowledges every few messages; one durable write each would cost more than their delivery. So
//! acknowledgements are kept here, the highest of each device and group, and stored together: by the timer of
//! [`crate::server`], before housekeeping looks for what everybody has, before somebody asks how far others
//! are, and at the end of the hub. What the hub loses when it is killed keeps entries longer than needed, until
//! the device says it again when it next connects; it never loses an entry.
//!
//! [`Cursors::overlay`] lets a device see its own cursors before they are stored.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use cercle_proto::id::{DeviceId, GroupId, Seq};
use cercle_storage::store::{Cursor, Membership, Store, WriteError};
use dashmap::DashMap;
use tokio::sync::Notify;

use crate::limits;

/// Cursors of one group, by device.
type OfGroup = HashMap<DeviceId, Seq>;

/// Cursors that are not stored yet. Cheap to clone.
#[derive(Clone)]
pub struct Cursors(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    waiting: DashMap<GroupId, OfGroup>,
    /// How many are in `waiting`.
    count: AtomicUsize,
    /// Taken out of `waiting` by the write that is running.
    storing: Mutex<HashMap<GroupId, OfGroup>>,
    /// One write at a time.
    turn: tokio::sync::Mutex<()>,
    many: Notify,
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursors").field("waiting", &self.0.count.load(Ordering::Relaxed)).finish()
    }
}

impl Cursors {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Inner {
            store,
            waiting: DashMap::new(),
            count: AtomicUsize::new(0),
            storing: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            many: Notify::new(),
        }))
    }

    /// How many are not stored.
    pub(super) fn len(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Notes how far a device has read. False: so many wait that the caller must [`Cursors::store`] them before
    /// it goes on.
    #[must_use]
    pub fn note(&self, device: DeviceId, cursors: &[(GroupId, Seq)]) -> bool {
        for (group, up_to) in cursors {
            let mut of_group = self.0.waiting.entry(*group).or_default();
            let known = of_group.len();
            let highest = of_group.entry(device).or_default();
            *highest = (*highest).max(*up_to);
            self.0.count.fetch_add(of_group.len() - known, Ordering::Relaxed);
        }
        let count = self.0.count.load(Ordering::Relaxed);
        if count >= limits::CURSORS_WAITING_MANY {
            self.0.many.notify_one();
        }
        count < limits::CURSORS_WAITING_MAX
    }

    /// Returns when so many wait that they should be stored before their time. Cancel-safe.
    pub async fn many(&self) {
        self.0.many.notified().await;
    }

    /// Stores what waits, and what another call is storing. A caller that goes away does not stop it.
    ///
    /// # Errors
    /// As any write; what was to be stored is forgotten then.
    pub async fn store(&self) -> Result<(), WriteError> {
        let this = self.clone();
        let stored = tokio::spawn(async move {
            let _turn = this.0.turn.lock().await;
            let cursors = this.take();
            if cursors.is_empty() {
                return Ok(());
            }
            let stored = this.0.store.acknowledge_all(cursors).await;
            lock(&this.0.storing).clear();
            stored
        });
        stored.await.unwrap_or_else(|_| Err(WriteError::OutcomeUnknown("the write ended early".into())))
    }

    /// Stores everything if something of this group is not stored.
    ///
    /// # Errors
    /// As any write.
    pub async fn store_of(&self, group: GroupId) -> Result<(), WriteError> {
        // In this order: a cursor goes from the one to the other, never back.
        if self.0.waiting.contains_key(&group) || lock(&self.0.storing).contains_key(&group) {
            return self.store().await;
        }
        Ok(())
    }

    /// Applies what is not stored yet to a device's list: cursors, and removals that it has acknowledged.
    pub fn overlay(&self, device: DeviceId, memberships: &mut Vec<Membership>) {
        memberships.retain_mut(|Membership { group, head, entry, .. }| {
            let up_to = self.of(*group, device).min(entry.removed_at.unwrap_or(*head));
            entry.acked = entry.acked.max(up_to);
            entry.removed_at != Some(entry.acked)
        });
    }

    fn of(&self, group: GroupId, device: DeviceId) -> Seq {
        let waiting = self.0.waiting.get(&group).and_then(|of_group| of_group.get(&device).copied());
        let storing = lock(&self.0.storing).get(&group).and_then(|of_group| of_group.get(&device).copied());
        waiting.max(storing).unwrap_or(0)
    }

    /// Moves what waits to what is being stored.
    fn take(&self) -> Vec<Cursor> {
        let mut storing = lock(&self.0.storing);
        let mut cursors = Vec::new();
        self.0.waiting.retain(|group, of_group| {
            self.0.count.fetch_sub(of_group.len(), Ordering::Relaxed);
            cursors.extend(of_group.iter().map(|(device, up_to)| Cursor {
                group: *group,
                device: *device,
                up_to: *up_to,
            }));
            storing.insert(*group, std::mem::take(of_group));
            false
        });
        cursors
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::new([9; 16]);

    fn device(number: u8) -> DeviceId {
        DeviceId::new([number; 16])
    }

    #[tokio::test]
    async fn the_highest_cursor_of_a_device_waits_and_goes_when_it_is_stored() {
        let cursors = Cursors::new(cercle_storage::open_memory());
        for up_to in [3, 7, 5] {
            assert!(cursors.note(device(1), &[(GROUP, up_to)]));
        }
        assert_eq!((cursors.of(GROUP, device(1)), cursors.of(GROUP, device(2))), (7, 0));
        assert_eq!(cursors.0.count.load(Ordering::Relaxed), 1);
        cursors.store_of(GroupId::new([8; 16])).await.unwrap();
        assert_eq!(cursors.of(GROUP, device(1)), 7, "another group's cursors are nobody's hurry");
        cursors.store_of(GROUP).await.unwrap();
        assert_eq!(cursors.of(GROUP, device(1)), 0);
        assert_eq!(cursors.0.count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn beyond_the_bound_the_caller_is_told_to_store() {
        let cursors = Cursors::new(cercle_storage::open_memory());
        let group = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            GroupId::new(id)
        };
        let many: Vec<_> = (1..limits::CURSORS_WAITING_MAX).map(|number| (group(number), 1)).collect();
        assert!(cursors.note(device(1), &many));
        assert!(!cursors.note(device(2), &[(GROUP, 1)]));
        cursors.many().await;
        cursors.store().await.unwrap();
        assert!(cursors.note(device(2), &[(GROUP, 1)]));
    }
}
