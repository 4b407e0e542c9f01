//! Who is in a group and who administers it, for the service that compares groups with the directory.

use std::collections::BTreeSet;

use cercle_proto::{
    id::{DeviceId, GroupId, Seq, UserId},
    policy::Policy,
};
use cercle_storage::store::{Cursor, RosterEntry};

use super::{Delivery, Error, group_state::GroupState, profile};

/// The members of a group and its policy.
#[derive(Debug, Clone)]
pub struct Standing {
    policy: Policy,
    members: Vec<RosterEntry>,
}

impl Delivery {
    /// Who is in a group, and who administers it.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], or a store failure.
    pub async fn standing(&self, group: GroupId) -> Result<Standing, Error> {
        let record = self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?;
        let rules = self.inner.rules.clone();
        let work =
            move |state: &mut GroupState| profile::check_context(state.group().group_context(), &rules.hub);
        let blob = record.group_state;
        let (state, policy) = self.inner.groups.run(group, blob.clone(), work).await?;
        self.inner.groups.keep(group, blob, state);
        Ok(Standing { policy, members: self.members(group).await? })
    }
}

impl Delivery {
    /// The newest entry of a group.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], or a store failure.
    pub async fn head(&self, group: GroupId) -> Result<Seq, Error> {
        Ok(self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?.head)
    }

    /// Takes the devices of a user out of the roster that were removed from the group, as if they had read up to
    /// their removal; returns them. Devices that are in it stay.
    ///
    /// # Errors
    /// A store failure.
    pub async fn let_go(&self, group: GroupId, user: &UserId) -> Result<Vec<DeviceId>, Error> {
        let roster = self.inner.store.roster(group).await?.into_iter().filter(|entry| entry.user == *user);
        let removed = roster.filter_map(|RosterEntry { device, removed_at, .. }| Some((device, removed_at?)));
        let cursors: Vec<Cursor> = removed.map(|(device, up_to)| Cursor { group, device, up_to }).collect();
        let devices = cursors.iter().map(|cursor| cursor.device).collect();
        if !cursors.is_empty() {
            self.inner.store.acknowledge_all(cursors).await?;
        }
        Ok(devices)
    }
}

impl Standing {
    /// Whether a device is in the group and its user administers it.
    #[must_use]
    pub fn is_administrator(&self, device: DeviceId) -> bool {
        self.administrators().any(|administrator| administrator == device)
    }

    /// Devices of administrators.
    pub fn administrators(&self) -> impl Iterator<Item = DeviceId> {
        let administrate = |entry: &&RosterEntry| self.policy.is_administrator(&entry.user);
        self.members.iter().filter(administrate).map(|entry| entry.device)
    }

    /// Users in the group.
    #[must_use]
    pub fn users(&self) -> BTreeSet<UserId> {
        self.members.iter().map(|entry| entry.user.clone()).collect()
    }

    /// Users in the group who do not administer it.
    #[must_use]
    pub fn others(&self) -> BTreeSet<UserId> {
        let others = self.members.iter().filter(|entry| !self.policy.is_administrator(&entry.user));
        others.map(|entry| entry.user.clone()).collect()
    }
}
