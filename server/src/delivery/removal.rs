//! Gets revoked devices out of their groups, and deletes what nobody needs.
//!
//! The hub cannot commit; it proposes, as external sender, until a member has committed. Proposals die with
//! their epoch, so they are made again after a commit that left the device in, and by housekeeping. A group
//! whose last member is revoked is closed: nobody is left to commit.

use bytes::Bytes;
use cercle_proto::{
    id::{DeviceId, Epoch, GroupId, MessageId, TimestampMs, UserId},
    signing::sha256,
};
use cercle_storage::store::{Append, ExpirePolicy, Kind, RosterEntry};

use super::{Delivery, Error, group_state::GroupState, proposal::process, verify::pending_removals};
use crate::{
    fanout::{MembershipHint, MembershipKind},
    held, limits,
};

impl Delivery {
    /// Proposes the removal of a revoked device in every group that still has it. Repeating it in the same
    /// epoch changes nothing.
    ///
    /// # Errors
    /// The last failure; the other groups were still tried, and housekeeping tries all again.
    pub async fn propose_removals(&self, device: DeviceId, now: TimestampMs) -> Result<(), Error> {
        let memberships = self.inner.store.memberships(device).await?;
        let member_of = memberships.into_iter().filter(|membership| membership.entry.removed_at.is_none());
        self.propose_in(member_of.map(|membership| (device, membership.group)).collect(), now).await
    }

    /// Proposes what is due to be proposed and deletes what is due to be deleted; called by a timer, and at
    /// start.
    ///
    /// # Errors
    /// The last failure of the proposals, or the first of the store; calling again is always safe.
    pub async fn housekeeping(&self, now: TimestampMs) -> Result<(), Error> {
        self.inner.cursors.store().await?;
        let proposed = self.propose_in(self.inner.store.revoked_members().await?, now).await;
        held::forget_old(&*self.inner.store, now).await?;
        let policy = ExpirePolicy {
            keep_after: now.saturating_sub(self.inner.settings.retention_ms),
            keep_records_after: now.saturating_sub(self.inner.settings.record_retention_ms),
            budget_rows: limits::EXPIRE_ROWS,
        };
        for _ in 0..limits::EXPIRE_ROUNDS_MAX {
            if !self.inner.store.expire(policy).await?.more {
                break;
            }
        }
        proposed
    }

    /// Proposes again what an accepted commit has left in the tree. A failure is not the committer's;
    /// housekeeping tries again.
    pub(super) async fn propose_again(&self, group: GroupId, leaves: &[u32], now: TimestampMs) {
        if leaves.is_empty() {
            return;
        }
        let proposed = match self.members(group).await {
            Ok(roster) => {
                let left = roster.iter().filter(|entry| leaves.contains(&entry.leaf));
                self.propose_in(left.map(|entry| (entry.device, group)).collect(), now).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = proposed {
            tracing::warn!(group.id = ?group, %error, "a removal could not be proposed again yet");
        }
    }

    async fn propose_in(&self, members: Vec<(DeviceId, GroupId)>, now: TimestampMs) -> Result<(), Error> {
        let mut outcome = Ok(());
        for (device, group) in members {
            match self.propose_removal(device, group, now).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(group.id = ?group, device.id = ?device, %error, "a removal could not be proposed");
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    async fn propose_removal(&self, device: DeviceId, group: GroupId, now: TimestampMs) -> Result<(), Error> {
        let _guard = self.inner.groups.lock(group).await;
        let Some(record) = self.inner.store.group(group).await? else { return Ok(()) };
        let entry = self.inner.store.roster_entry(group, device).await?;
        let Some(entry) = entry.filter(|entry| entry.removed_at.is_none()) else { return Ok(()) };
        if self.place_is_held(&entry, group, now).await? {
            return Ok(());
        }
        let (this, epoch, leaf) = (self.clone(), record.epoch, entry.leaf);
        let work = move |state: &mut GroupState| this.add_removal(state, group, epoch, leaf);
        let (state, proposed) = self.inner.groups.run(group, record.group_state.clone(), work).await?;
        let Some((body, blob)) = proposed else {
            self.inner.groups.keep(group, record.group_state, state);
            return Ok(());
        };
        let message_id = removal_id(group, device, epoch);
        if self.members(group).await?.len() == 1 {
            self.close(device, group, message_id, body, record, now).await?;
            return Ok(());
        }
        let append = Append {
            group,
            sender: None,
            message_id,
            kind: Kind::Proposal,
            epoch,
            epochs_behind_max: 0,
            at: now,
            body,
            group_state: Some(blob.clone()),
            blobs: Vec::new(),
        };
        self.append(append, device).await?;
        self.inner.groups.keep(group, blob, state);
        let RosterEntry { user, device, .. } = entry;
        self.inner.fanout.membership(group, MembershipHint { user, device, kind: MembershipKind::Revoked });
        Ok(())
    }

    /// Whether a device that its user has lost stays in a group until another one of his has come in.
    async fn place_is_held(
        &self,
        lost: &RosterEntry,
        group: GroupId,
        now: TimestampMs,
    ) -> Result<bool, Error> {
        let store = &self.inner.store;
        if !held::is_held(&**store, lost.device, now).await? {
            return Ok(false);
        }
        for other in self.members(group).await? {
            if other.user == lost.user && !self.is_revoked(other.device).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A device of a user has come into a group by itself: those that it takes the place of go.
    pub(super) async fn propose_left_behind(&self, user: &UserId, group: GroupId, now: TimestampMs) {
        let proposed = async {
            let mut left = Vec::new();
            for entry in self.members(group).await? {
                if entry.user == *user && self.is_revoked(entry.device).await? {
                    left.push((entry.device, group));
                }
            }
            self.propose_in(left, now).await
        };
        // Housekeeping proposes what is not proposed here.
        if let Err(error) = proposed.await {
            tracing::warn!(group.id = ?group, %error, "a lost device could not be proposed for removal yet");
        }
    }

    async fn is_revoked(&self, device: DeviceId) -> Result<bool, Error> {
        let record = self.inner.store.device(device).await?;
        Ok(record.is_none_or(|record| record.revoked_at.is_some()))
    }

    /// Adds the hub's proposal to the public group, unless it waits there already. Returns the message and
    /// the new state.
    fn add_removal(
        &self,
        state: &mut GroupState,
        group: GroupId,
        epoch: Epoch,
        leaf: u32,
    ) -> Result<Option<(Bytes, Bytes)>, Error> {
        if pending_removals(state)?.iter().any(|pending| pending.by_hub && pending.leaf == leaf) {
            return Ok(None);
        }
        let message = self.inner.hub.propose_removal(group, epoch, leaf);
        let message = message.ok_or(Error::Internal("a removal cannot be encoded"))?;
        let proposal = process(state, &self.inner.rules, &message)?;
        state.add_proposal(proposal)?;
        Ok(Some((Bytes::from(message), state.encode()?)))
    }
}

/// The hub's own idempotency key: one removal per group, device and epoch.
fn removal_id(group: GroupId, device: DeviceId, epoch: Epoch) -> MessageId {
    let parts: [&[u8]; 4] =
        [b"cercle hub removal\0", group.as_bytes(), device.as_bytes(), &epoch.to_be_bytes()];
    let digest = sha256(&parts.concat());
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    MessageId::new(id)
}
