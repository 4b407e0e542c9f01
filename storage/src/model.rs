//! The operations once more, over plain maps: no keys, no bytes, no threads.
//!
//! Written to be read, not to be fast: it says what the store means. The conformance suite and the random
//! tests compare every engine with it, and tests of the hub may use it as a store. It keeps nothing.

mod account;
mod blob;
mod group;
mod inbox;
mod key_package;
mod log;
mod register;
mod timer;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cercle_proto::id::{BlobId, DeviceId, Epoch, GroupId, MessageId, RegisterId, Seq, TimestampMs, UserId};

use crate::{
    record::expiry::bucket,
    store::{
        Appended, AuditRecord, BlobRecord, Caps, Claim, ClaimedPackage, DeviceRecord, Entry, ExpirePolicy,
        Expired, GroupRecord, InboxBody, InvitationRecord, KeyPackageRecord, Maintenance, NoteKey,
        RosterEntry, Timer, UserRecord, WriteError,
    },
};

/// A store that is nothing but maps.
#[derive(Debug, Default)]
pub struct Model {
    state: Mutex<State>,
}

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics in the middle of an operation has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<GroupId, Group>,
    verdicts: BTreeMap<(Option<DeviceId>, MessageId), Appended>,
    inboxes: BTreeMap<DeviceId, InboxState>,
    welcomes: BTreeMap<(GroupId, Epoch), Welcome>,
    stocks: BTreeMap<DeviceId, Stock>,
    spent: BTreeMap<(DeviceId, [u8; 32]), TimestampMs>,
    claims: BTreeMap<(DeviceId, [u8; 16]), (TimestampMs, Vec<ClaimedPackage>)>,
    users: BTreeMap<UserId, UserRecord>,
    devices: BTreeMap<DeviceId, DeviceRecord>,
    invitations: BTreeMap<[u8; 32], InvitationRecord>,
    timers: BTreeMap<[u8; 16], Timer>,
    notes: BTreeMap<NoteKey, Bytes>,
    audit: Vec<AuditRecord>,
    registers: BTreeMap<RegisterId, Claim>,
    blobs: BTreeMap<BlobId, BlobRecord>,
}

#[derive(Debug)]
struct Group {
    record: GroupRecord,
    /// Epoch that the last external commit led to: older application messages are refused.
    open_since: Epoch,
    entries: BTreeMap<Seq, Entry>,
    roster: BTreeMap<DeviceId, RosterEntry>,
}

#[derive(Debug, Default)]
struct InboxState {
    newest: u64,
    items: BTreeMap<u64, InboxBody>,
}

#[derive(Debug)]
struct Welcome {
    body: Bytes,
    at: TimestampMs,
    pointers: usize,
}

#[derive(Debug, Default)]
struct Stock {
    generation: u64,
    packages: BTreeMap<[u8; 32], KeyPackageRecord>,
    last_resort: Option<KeyPackageRecord>,
}

impl Group {
    fn members(&self) -> impl Iterator<Item = &RosterEntry> {
        self.roster.values().filter(|row| row.removed_at.is_none())
    }

    fn member(&self, device: DeviceId) -> Option<&RosterEntry> {
        self.roster.get(&device).filter(|row| row.removed_at.is_none())
    }

    fn member_mut(&mut self, device: DeviceId) -> Option<&mut RosterEntry> {
        self.roster.get_mut(&device).filter(|row| row.removed_at.is_none())
    }

    /// Deletes what every member has acknowledged and what is too old, from the front.
    fn expire(&mut self, keep_after: TimestampMs) -> usize {
        let acked = self.members().map(|row| row.acked).min().unwrap_or(0);
        let before = self.entries.len();
        while let Some(first) = self.entries.first_entry() {
            if *first.key() > acked && first.get().at >= keep_after {
                break;
            }
            self.record.floor = *first.key();
            first.remove();
        }
        let floor = self.record.floor;
        self.roster.retain(|_, row| row.removed_at.is_none_or(|removed_at| removed_at > floor));
        before - self.entries.len()
    }
}

#[async_trait::async_trait]
impl Maintenance for Model {
    fn caps(&self) -> Caps {
        Caps { name: "model", power_loss_durable: false }
    }

    fn incarnation(&self) -> [u8; 16] {
        [0; 16]
    }

    /// Deletes everything that may go, whatever the budget.
    async fn expire(&self, policy: ExpirePolicy) -> Result<Expired, WriteError> {
        let state = &mut *self.state();
        let entries = state.groups.values_mut().map(|group| group.expire(policy.keep_after)).sum();
        let keep = |at: TimestampMs| bucket(at) >= bucket(policy.keep_records_after);
        let records = |state: &State| {
            let welcomes = state.welcomes.len() + state.invitations.len();
            state.verdicts.len() + state.claims.len() + state.spent.len() + welcomes
        };
        let before = records(state);
        state.verdicts.retain(|_, verdict| keep(verdict.at));
        state.claims.retain(|_, (at, _)| keep(*at));
        state.spent.retain(|_, at| keep(*at));
        state.welcomes.retain(|_, welcome| keep(welcome.at));
        state.invitations.retain(|_, invitation| keep(invitation.expires_at));
        Ok(Expired { entries, records: before - records(state), more: false })
    }

    fn is_healthy(&self) -> bool {
        true
    }
}
