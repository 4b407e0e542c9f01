//! Reading: the list of groups, cursors, and what an external commit needs. Entries themselves are read by
//! the sessions, from [`crate::fanout`] and the log.

use std::collections::BTreeSet;

use cercle_proto::id::{GroupId, Seq, TimestampMs};
use cercle_storage::store::{Delivered, Fork, Membership};
use tls_codec::Serialize;

use super::{Delivery, Error, GroupInfoReply, group_state::GroupState};
use crate::{auth::Identity, limits};

impl Delivery {
    /// The groups in whose roster the device is, also those that removed it and that it may still read.
    ///
    /// # Errors
    /// A store failure.
    pub async fn list_groups(&self, identity: &Identity) -> Result<Vec<Membership>, Error> {
        let mut memberships = self.inner.store.memberships(identity.device).await?;
        self.inner.cursors.overlay(identity.device, &mut memberships);
        Ok(memberships)
    }

    /// The same, each with its forks if this hub was restored from a copy.
    ///
    /// # Errors
    /// A store failure.
    pub async fn list_groups_and_forks(
        &self,
        identity: &Identity,
    ) -> Result<Vec<(Membership, Vec<Fork>)>, Error> {
        let memberships = self.list_groups(identity).await?;
        let forks = match self.inner.store.copies() {
            Some(copies) => copies.forks(memberships.iter().map(|one| one.group).collect()).await?,
            None => memberships.iter().map(|_| Vec::new()).collect(),
        };
        Ok(memberships.into_iter().zip(forks).collect())
    }

    /// Groups of other devices of the user that this device is not in: it may join them by external commit.
    ///
    /// # Errors
    /// A store failure.
    pub async fn list_sibling_groups(&self, identity: &Identity) -> Result<Vec<Membership>, Error> {
        let store = &self.inner.store;
        let present = |membership: &Membership| membership.entry.removed_at.is_none();
        let own = store.memberships(identity.device).await?;
        let mut seen: BTreeSet<GroupId> =
            own.into_iter().filter(present).map(|membership| membership.group).collect();
        let mut groups = Vec::new();
        for sibling in store.devices_of(&identity.user).await? {
            let memberships = store.memberships(sibling.device).await?;
            groups.extend(memberships.into_iter().filter(|m| present(m) && seen.insert(m.group)));
        }
        Ok(groups)
    }

    /// How far each device of a group has acknowledged.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], [`Error::NotMember`], or a store failure.
    pub async fn delivery_status(
        &self,
        identity: &Identity,
        group: GroupId,
    ) -> Result<Vec<Delivered>, Error> {
        self.inner.cursors.store_of(group).await?;
        self.member(group, identity.device).await?;
        Ok(self.inner.store.delivered(group).await?)
    }

    /// Notes what the device has safely stored; it is written with the cursors of others a little later. A
    /// group that removed it leaves its list once the removal is acknowledged.
    ///
    /// # Errors
    /// [`Error::TooMany`] groups, or a store failure.
    pub async fn acknowledge(
        &self,
        identity: &Identity,
        cursors: &[(GroupId, Seq)],
        inbox: u64,
    ) -> Result<(), Error> {
        if cursors.len() > limits::ACK_GROUPS_MAX {
            return Err(Error::TooMany("groups in one Ack"));
        }
        if !self.inner.cursors.note(identity.device, cursors) {
            self.inner.cursors.store().await?;
        }
        if inbox > 0 {
            self.inner.store.acknowledge_inbox(identity.device, inbox).await?;
        }
        Ok(())
    }

    /// What an external commit needs, for a device whose user has a device in the group.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], [`Error::NotMember`], [`Error::RateLimited`], or a store failure.
    pub async fn group_info(
        &self,
        identity: &Identity,
        group: GroupId,
        now: TimestampMs,
    ) -> Result<GroupInfoReply, Error> {
        let limited = self.inner.group_infos.check((identity.device, group), now);
        limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })?;
        if !self.members(group).await?.iter().any(|entry| entry.user == identity.user) {
            return Err(self.member(group, identity.device).await.err().unwrap_or(Error::NotMember));
        }
        let record = self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?;
        let work = |state: &mut GroupState| {
            let tree = state.group().export_ratchet_tree().tls_serialize_detached();
            tree.map_err(|_| Error::Internal("the tree cannot be encoded"))
        };
        let blob = record.group_state;
        let (state, tree) = self.inner.groups.run(group, blob.clone(), work).await?;
        self.inner.groups.keep(group, blob, state);
        Ok(GroupInfoReply {
            group,
            epoch: record.epoch,
            head: record.head,
            group_info: record.group_info,
            ratchet_tree: tree.into(),
        })
    }
}
