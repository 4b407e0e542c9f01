//! The alerts that are not over, in memory: what the notes say, kept beside them so that a cursor that moves
//! and a tally that is asked for read no store. Rebuilt from the notes at every start.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cercle_proto::id::{DeviceId, TimestampMs, UserId};

use super::{
    Status,
    record::{AlertId, AlertRecord, RecipientRecord},
};

/// One alert in memory.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: AlertId,
    state: Mutex<State>,
    /// Held while watchers are told, so that an older status never comes after a newer one.
    telling: Mutex<()>,
}

#[derive(Debug)]
struct State {
    record: AlertRecord,
    recipients: BTreeMap<UserId, RecipientRecord>,
    tally: Tally,
    watchers: HashSet<DeviceId>,
}

/// How many recipients are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Recipients altogether, those in line included.
    pub recipients: usize,
    /// The hub tried to reach them.
    pub sent: usize,
    /// A device has the message.
    pub delivered: usize,
    /// They have seen it.
    pub seen: usize,
    /// They acknowledged it.
    pub acknowledged: usize,
}

impl Tally {
    fn add(&mut self, recipient: &RecipientRecord) {
        self.change(recipient, |count| *count += 1);
    }

    fn take(&mut self, recipient: &RecipientRecord) {
        self.change(recipient, |count| *count -= 1);
    }

    fn change(&mut self, recipient: &RecipientRecord, change: impl Fn(&mut usize)) {
        change(&mut self.recipients);
        for (is, count) in [
            (recipient.sent_at, &mut self.sent),
            (recipient.delivered_at, &mut self.delivered),
            (recipient.seen_at, &mut self.seen),
            (recipient.acknowledged_at, &mut self.acknowledged),
        ] {
            if is.is_some() {
                change(count);
            }
        }
    }
}

impl Live {
    pub(super) fn new(
        id: AlertId,
        record: AlertRecord,
        recipients: BTreeMap<UserId, RecipientRecord>,
    ) -> Self {
        let mut tally = Tally::default();
        recipients.values().for_each(|recipient| tally.add(recipient));
        let state = State { record, recipients, tally, watchers: HashSet::new() };
        Self { id, state: Mutex::new(state), telling: Mutex::new(()) }
    }

    pub(super) fn record(&self) -> AlertRecord {
        self.state().record.clone()
    }

    pub(super) fn set_record(&self, record: AlertRecord) {
        self.state().record = record;
    }

    pub(super) fn recipient(&self, user: &UserId) -> Option<RecipientRecord> {
        self.state().recipients.get(user).cloned()
    }

    /// Recipients who have not acknowledged and whose turn it is, unless enough others have.
    pub(super) fn pending(&self, in_line: u32) -> Vec<(UserId, RecipientRecord)> {
        let state = self.state();
        let needed = state.record.policy.needed as usize;
        if needed > 0 && state.tally.acknowledged >= needed {
            return Vec::new();
        }
        let waiting = state.recipients.iter();
        let waiting =
            waiting.filter(|(_, known)| known.acknowledged_at.is_none() && known.in_line <= in_line);
        waiting.map(|(user, known)| (user.clone(), known.clone())).collect()
    }

    /// Takes over what was durably noted of a recipient.
    pub(super) fn merge(&self, user: &UserId, known: &RecipientRecord) {
        let mut state = self.state();
        let State { recipients, tally, .. } = &mut *state;
        if let Some(recipient) = recipients.get_mut(user) {
            tally.take(recipient);
            recipient.merge(known);
            tally.add(recipient);
        }
    }

    pub(super) fn status(&self, now: TimestampMs) -> Status {
        let state = self.state();
        Status::new(self.id, &state.record, state.tally, now)
    }

    /// Lets a session watch; `false` if too many do.
    pub(super) fn watch(&self, device: DeviceId, watchers_max: usize) -> bool {
        let mut state = self.state();
        let free = state.watchers.len() < watchers_max || state.watchers.contains(&device);
        if free {
            state.watchers.insert(device);
        }
        free
    }

    /// Keeps others from telling until it is dropped; nothing may wait meanwhile.
    pub(super) fn telling(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watchers(&self) -> Vec<DeviceId> {
        self.state().watchers.iter().copied().collect()
    }

    pub(super) fn forget_watcher(&self, device: DeviceId) {
        self.state().watchers.remove(&device);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A holder cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
