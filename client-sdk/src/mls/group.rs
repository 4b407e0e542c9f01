//! Making, loading and describing groups, and the bounded cache of loaded ones.

use std::collections::HashMap;

use cercle_proto::{
    certificate::DeviceIdentity,
    id::{GroupId, UserId},
    policy::Policy,
};
use openmls::prelude::{LeafNodeIndex, MlsGroup, MlsMessageOut, PastEpochDeletionPolicy};
use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use super::{
    MlsError,
    identity::{DeviceKeys, Myself},
    profile,
    provider::Provider,
    refused,
};
use crate::limits;

/// The MLS group id of a group.
pub(crate) fn mls_id(group: GroupId) -> openmls::prelude::GroupId {
    openmls::prelude::GroupId::from_slice(group.as_bytes())
}

/// Makes a group of one and returns it with what registers it at the hub: (GroupInfo, ratchet tree).
///
/// # Errors
/// When openmls refuses.
pub(crate) fn create(
    provider: &impl OpenMlsProvider,
    keys: &DeviceKeys,
    me: &Myself,
    group: GroupId,
    policy: &Policy,
    hub_certificate: &[u8],
) -> Result<(MlsGroup, Vec<u8>, Vec<u8>), MlsError> {
    let hub = me.verifier.hub(hub_certificate)?;
    let config = profile::create_config(policy, hub_certificate, &hub.public_key)?;
    let signer = keys.signer();
    let made = MlsGroup::new_with_group_id(provider, signer, &config, mls_id(group), me.credential.clone())
        .map_err(refused("create group"))?;
    let info = group_info(provider, keys, &made)?;
    let tree = made.export_ratchet_tree().tls_serialize_detached().map_err(refused("ratchet tree"))?;
    Ok((made, info, tree))
}

/// A group that was made again, with what registers it at the hub.
pub(crate) struct MadeAgain {
    pub(crate) group: MlsGroup,
    pub(crate) group_info: Vec<u8>,
    pub(crate) tree: Vec<u8>,
    /// Who was in it.
    pub(crate) users: Vec<UserId>,
}

/// Replaces the state of a group by that of a new group of one, with the same id and policy.
///
/// # Errors
/// When there is no old state, it is damaged, or openmls refuses.
pub(crate) fn create_again(
    provider: &Provider<'_>,
    keys: &DeviceKeys,
    me: &Myself,
    group: GroupId,
    hub_certificate: &[u8],
) -> Result<MadeAgain, MlsError> {
    let old = load(provider, group)?;
    let policy = policy(&old)?;
    let users = users(members(&old, me)?.iter().map(|(_, identity)| identity));
    delete(provider, group)?;
    let (group, group_info, tree) = create(provider, keys, me, group, &policy, hub_certificate)?;
    Ok(MadeAgain { group, group_info, tree, users })
}

/// The GroupInfo of the group's epoch as the hub wants it: with `external_pub`, without tree.
///
/// # Errors
/// When this device is no longer a member.
pub(crate) fn group_info(
    provider: &impl OpenMlsProvider,
    keys: &DeviceKeys,
    group: &MlsGroup,
) -> Result<Vec<u8>, MlsError> {
    group
        .export_group_info(provider.crypto(), keys.signer(), false)
        .map_err(refused("group info"))?
        .to_bytes()
        .map_err(refused("group info"))
}

/// Loads a group from the store.
///
/// # Errors
/// When it is not there or damaged.
pub(crate) fn load(provider: &Provider<'_>, group: GroupId) -> Result<MlsGroup, MlsError> {
    MlsGroup::load(provider.storage(), &mls_id(group))
        .map_err(refused("load group"))?
        .ok_or(MlsError::NoGroup)
}

/// Deletes the MLS state of a group, if there is any.
///
/// # Errors
/// When the store fails.
pub(crate) fn delete(provider: &Provider<'_>, group: GroupId) -> Result<(), MlsError> {
    let found = MlsGroup::load(provider.storage(), &mls_id(group)).map_err(refused("load group"))?;
    match found {
        Some(mut old) => old.delete(provider.storage()).map_err(refused("delete group")),
        None => Ok(()),
    }
}

/// First bytes of the epoch authenticator (RFC 9420 section 8.7).
pub(crate) fn authenticator(group: &MlsGroup) -> [u8; 8] {
    let whole = group.epoch_authenticator().as_slice();
    whole[..8].try_into().expect("an authenticator has 32 bytes")
}

/// The group's policy.
///
/// # Errors
/// When it has none: it was not checked when it was entered.
pub(crate) fn policy(group: &MlsGroup) -> Result<Policy, MlsError> {
    profile::policy_of(group.extensions())
}

/// Every leaf with its identity; a leaf that does not verify is an error.
///
/// # Errors
/// See [`super::identity::Verifier::verify_member`].
pub(crate) fn members(
    group: &MlsGroup,
    me: &Myself,
) -> Result<Vec<(LeafNodeIndex, DeviceIdentity)>, MlsError> {
    let identify = |member: openmls::prelude::Member| {
        let identity = me.verifier.verify_member(&member.credential, &member.signature_key)?;
        Ok((member.index, identity))
    };
    group.members().map(identify).collect()
}

/// Leaves of these users.
///
/// # Errors
/// As [`members`].
pub(crate) fn leaves_of(
    group: &MlsGroup,
    me: &Myself,
    wanted: impl Fn(&DeviceIdentity) -> bool,
) -> Result<Vec<LeafNodeIndex>, MlsError> {
    let members = members(group, me)?;
    Ok(members.into_iter().filter(|(_, identity)| wanted(identity)).map(|(index, _)| index).collect())
}

/// Adapts how many past epochs are kept to the size of the group.
///
/// # Errors
/// When the store fails.
pub(crate) fn fit_past_epochs(provider: &Provider<'_>, group: &mut MlsGroup) -> Result<(), MlsError> {
    let large = group.members().count() > limits::LARGE_GROUP_MEMBERS;
    let epochs = if large { limits::PAST_EPOCHS_LARGE_GROUP } else { limits::PAST_EPOCHS };
    let wanted = PastEpochDeletionPolicy::MaxEpochs(epochs);
    if *group.past_epoch_deletion_policy() == wanted {
        return Ok(());
    }
    group.set_past_epoch_deletion_policy(provider, wanted).map_err(refused("past epochs"))
}

/// Encodes a message for the wire.
///
/// # Errors
/// When openmls cannot encode it.
pub(crate) fn to_bytes(message: &MlsMessageOut) -> Result<Vec<u8>, MlsError> {
    message.to_bytes().map_err(refused("encode"))
}

/// Users of a list, each once, in order.
pub(crate) fn users<'a>(identities: impl Iterator<Item = &'a DeviceIdentity>) -> Vec<UserId> {
    let mut users: Vec<UserId> = identities.map(|identity| identity.user.clone()).collect();
    users.sort();
    users.dedup();
    users
}

/// Loaded groups. A group is taken out to be worked on and kept again after success; what is not kept is
/// loaded from the store next time.
#[derive(Default)]
pub(crate) struct Cache {
    groups: HashMap<GroupId, (MlsGroup, u64)>,
    uses: u64,
}

impl Cache {
    /// Takes a group out, or loads it.
    ///
    /// # Errors
    /// As [`load`].
    pub(crate) fn take(&mut self, provider: &Provider<'_>, group: GroupId) -> Result<MlsGroup, MlsError> {
        match self.groups.remove(&group) {
            Some((loaded, _)) => Ok(loaded),
            None => load(provider, group),
        }
    }

    /// Keeps a group that equals its stored state.
    pub(crate) fn keep(&mut self, group: GroupId, loaded: MlsGroup) {
        self.uses += 1;
        self.groups.insert(group, (loaded, self.uses));
        if self.groups.len() > limits::LOADED_GROUPS_MAX {
            let oldest = self.groups.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.map(|id| self.groups.remove(&id));
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets a group's memory: its stored state was rolled back or replaced.
    pub(crate) fn forget(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}
