//! Who is in a group and who administers it, for the service that compares groups with the directory.

use std::collections::BTreeSet;

use cercle_proto::{
    id::{DeviceId, GroupId, UserId},
    policy::Policy,
};
use cercle_storage::store::RosterEntry;

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
