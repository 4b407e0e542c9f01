//! New groups: one member at epoch 0, checked like everything that comes after.

use bytes::Bytes;
use cercle_proto::{certificate::DeviceIdentity, id::TimestampMs};
use cercle_storage::store::{AppendError, CreateGroup, Joined};
use openmls::treesync::RatchetTreeIn;
use tls_codec::Deserialize;

use super::{
    Accepted, CreateGroupRequest, Delivery, Error, group_info, group_state::GroupState, profile, to_the_end,
    verify::Rules,
};
use crate::{auth::Identity, limits};

impl Delivery {
    /// Registers a group of one member, the caller's device, at epoch 0.
    ///
    /// # Errors
    /// [`Error::GroupExists`], [`Error::GroupInfoMismatch`], [`Error::MlsInvalid`],
    /// [`Error::CertificateRefused`], [`Error::PolicyDenied`] when the caller is no administrator of his own
    /// group, [`Error::TooMany`] groups, or a store failure.
    pub async fn create_group(
        &self,
        identity: &Identity,
        request: CreateGroupRequest,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let (this, identity) = (self.clone(), identity.clone());
        to_the_end(async move { this.create(identity, request, now).await }).await
    }

    async fn create(
        &self,
        identity: Identity,
        request: CreateGroupRequest,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let (group, message_id, device) = (request.group, request.message_id, identity.device);
        if let Some(accepted) = self.first_verdict(device, group, message_id).await? {
            return Ok(accepted);
        }
        if self.inner.store.memberships(device).await?.len() >= limits::GROUPS_PER_DEVICE_MAX {
            return Err(Error::TooMany("groups for one device"));
        }
        let group_info = request.group_info.clone();
        let rules = self.inner.rules.clone();
        let founded = self.inner.groups.compute(move || found(&request, &identity, &rules, now)).await?;
        self.check_enrolled(device, std::slice::from_ref(&founded.creator)).await?;
        let creator = Joined { device, user: founded.creator.user, leaf: founded.leaf, may_post: true };
        let record = CreateGroup {
            group,
            message_id,
            creator,
            group_info,
            group_state: founded.blob.clone(),
            posting_restricted: founded.posting_restricted,
            at: now,
        };
        let appended = match self.inner.store.create_group(record).await {
            Ok(appended) => appended,
            Err(AppendError::GroupExists) => return Err(Error::GroupExists),
            Err(error) => return Err(self.refusal(error, group, device).await),
        };
        self.inner.groups.keep(group, founded.blob, founded.state);
        Ok(Accepted::new(group, message_id, appended))
    }
}

/// A group that passed.
struct Founded {
    state: GroupState,
    blob: Bytes,
    creator: DeviceIdentity,
    leaf: u32,
    posting_restricted: bool,
}

fn found(
    request: &CreateGroupRequest,
    identity: &Identity,
    rules: &Rules,
    now: TimestampMs,
) -> Result<Founded, Error> {
    let group_info = group_info::parse(&request.group_info)?;
    if group_info.group_id().as_slice() != request.group.as_bytes() {
        return Err(Error::GroupInfoMismatch("it is of another group"));
    }
    if group_info.epoch().as_u64() != 0 {
        return Err(Error::GroupInfoMismatch("a new group is at epoch 0"));
    }
    let tree = RatchetTreeIn::tls_deserialize_exact(&request.ratchet_tree)
        .map_err(|error| Error::MlsInvalid(error.to_string()))?;
    let (state, _) = GroupState::from_external(&rules.crypto, tree, group_info).map_err(Error::MlsInvalid)?;
    let policy = profile::check_context(state.group().group_context(), &rules.hub)?;
    let mut leaves = state.group().treesync().full_leaves();
    let (Some((index, leaf)), None) = (leaves.next(), leaves.next()) else {
        return Err(Error::MlsInvalid("a new group has one member".to_owned()));
    };
    let creator = profile::check_new_leaf(leaf, &rules.root, now).map_err(Error::CertificateRefused)?;
    if creator.device != identity.device || creator.user != identity.user {
        return Err(Error::CertificateRefused("the creator's leaf names another device"));
    }
    if !policy.is_administrator(&identity.user) {
        return Err(Error::PolicyDenied("the creator must be an administrator of his group"));
    }
    let (leaf, posting_restricted) = (index.u32(), policy.posting_is_restricted());
    drop(leaves);
    let blob = state.encode()?;
    Ok(Founded { blob, creator, leaf, posting_restricted, state })
}
