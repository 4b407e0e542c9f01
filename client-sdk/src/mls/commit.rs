//! Building commits and the proposal to leave (RFC 9420 section 12).

use cercle_proto::{certificate::DeviceIdentity, id::TimestampMs, policy::Policy};
use openmls::prelude::{
    Extensions, GroupContext, KeyPackage, LeafNodeIndex, MlsGroup, MlsMessageOut, Proposal, ProtocolVersion,
    QueuedProposal, Sender,
};
use openmls_traits::OpenMlsProvider as _;

use super::{
    MlsError,
    check::{self, CommitView},
    group,
    identity::{DeviceKeys, Myself},
    profile,
    provider::Provider,
    refused,
};
use crate::{limits, store::Tx};

/// What a commit is to do, beside committing what others have proposed.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Devices to add.
    pub(crate) add: Vec<KeyPackage>,
    /// Leaves to remove.
    pub(crate) remove: Vec<LeafNodeIndex>,
    /// New policy.
    pub(crate) policy: Option<Policy>,
}

/// A commit that is staged in the group, and what the hub needs to accept it.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// MLSMessage with the commit.
    pub(crate) commit: Vec<u8>,
    /// MLSMessage with the welcome; empty if nobody is added.
    pub(crate) welcome: Vec<u8>,
    /// MLSMessage with the GroupInfo of the next epoch.
    pub(crate) group_info: Vec<u8>,
}

/// What commits are built with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    /// Signs.
    pub(crate) keys: &'a DeviceKeys,
    /// Is named.
    pub(crate) me: &'a Myself,
    /// When.
    pub(crate) now: TimestampMs,
}

/// Builds a commit and stages it in the group, where it waits for the hub's verdict. It is judged like
/// anybody's commit, so that what the hub or the members would refuse is never sent.
///
/// On an error the caller rolls the transaction back to its mark and drops `group`.
///
/// # Errors
/// When openmls, a certificate or the policy refuses.
pub(crate) fn stage(
    provider: &Provider<'_>,
    tx: &Tx<'_>,
    group: &mut MlsGroup,
    author: Author<'_>,
    plan: Plan,
) -> Result<Bundle, MlsError> {
    let adds = !plan.add.is_empty();
    let pure_add = adds && plan.remove.is_empty() && plan.policy.is_none();
    let crowded = group.members().count() > limits::LARGE_GROUP_MEMBERS;
    let extensions = plan.policy.map(|policy| with_policy(group, &policy)).transpose()?;
    let mut builder = group.commit_builder().propose_adds(plan.add).propose_removals(plan.remove);
    if !(pure_add && crowded) {
        // A path renews the own leaf, which then carries the newest certificate. It costs one ciphertext
        // per blank subtree, too much for an add to a large group that was filled at once.
        builder = builder.force_self_update(true).leaf_node_parameters(profile::leaf(&author.me.credential));
    }
    if let Some(extensions) = extensions {
        builder = builder.propose_group_context_extensions(extensions).map_err(refused("policy"))?;
    }
    let (commit, welcome, _) = builder
        .load_psks(provider.storage())
        .map_err(refused("commit"))?
        .use_ratchet_tree_extension(adds)
        .create_group_info(false)
        .build(provider.rand(), provider.crypto(), author.keys.signer(), |_| true)
        .map_err(refused("commit"))?
        .stage_commit(provider)
        .map_err(refused("commit"))?
        .into_contents();
    pending_view(group, author)?;
    let welcome = welcome.map(|welcome| MlsMessageOut::from_welcome(welcome, ProtocolVersion::Mls10));
    Ok(Bundle {
        commit: group::to_bytes(&commit)?,
        welcome: welcome.map(|welcome| group::to_bytes(&welcome)).transpose()?.unwrap_or_default(),
        group_info: next_group_info(provider, tx, group, author.keys)?,
    })
}

/// The group's extensions with another policy.
fn with_policy(group: &MlsGroup, policy: &Policy) -> Result<Extensions<GroupContext>, MlsError> {
    let mut extensions = group.extensions().clone();
    extensions.add_or_replace(profile::policy_extension(policy)).map_err(refused("policy"))?;
    Ok(extensions)
}

/// What the own pending commit does, judged.
///
/// # Errors
/// When there is none, or a rule refuses it.
pub(crate) fn pending_view(group: &MlsGroup, author: Author<'_>) -> Result<CommitView, MlsError> {
    let staged =
        group.pending_commit().ok_or_else(|| MlsError::Refused("commit", "none is pending".into()))?;
    check::judge(group, staged, &Sender::Member(group.own_leaf_index()), author.me, author.now)
}

/// The GroupInfo of the epoch that the pending commit leads to. Only a group in that epoch can export it
/// without its tree, so a second copy is merged, asked, and rolled back.
fn next_group_info(
    provider: &Provider<'_>,
    tx: &Tx<'_>,
    group: &MlsGroup,
    keys: &DeviceKeys,
) -> Result<Vec<u8>, MlsError> {
    const MARK: u8 = 9;
    let id = group.group_id();
    tx.mark(MARK).map_err(refused("store"))?;
    let peek = || {
        let loaded = MlsGroup::load(provider.storage(), id).map_err(refused("load group"))?;
        let mut copy = loaded.ok_or(MlsError::NoGroup)?;
        copy.merge_pending_commit(provider).map_err(refused("merge"))?;
        group::group_info(provider, keys, &copy)
    };
    let info = peek();
    tx.rollback_to_mark(MARK).map_err(refused("store"))?;
    info
}

/// Proposes that the others remove this device. The proposal waits in the group for their commit.
///
/// # Errors
/// When openmls refuses.
pub(crate) fn leave(
    provider: &Provider<'_>,
    group: &mut MlsGroup,
    keys: &DeviceKeys,
) -> Result<Vec<u8>, MlsError> {
    let proposal = group.leave_group(provider, keys.signer()).map_err(refused("leave"))?;
    group::to_bytes(&proposal)
}

/// Whether proposals of others wait for a commit that this device can make: all but its own removal.
pub(crate) fn can_commit_pending(group: &MlsGroup) -> bool {
    let own = group.own_leaf_index();
    let removes_self = |queued: &QueuedProposal| match queued.proposal() {
        Proposal::Remove(remove) => remove.removed() == own,
        Proposal::SelfRemove => *queued.sender() == Sender::Member(own),
        _ => false,
    };
    group.has_pending_proposals() && !group.pending_proposals().any(removes_self)
}

/// Whose place in the order of duties this device has: small for the first to act.
pub(crate) fn duty_position(group: &MlsGroup) -> u64 {
    let own = u64::from(group.own_leaf_index().u32());
    (own + group.epoch().as_u64()) % limits::DUTY_POSITIONS
}

/// Whether the own leaf carries another certificate than this device has by now.
pub(crate) fn leaf_is_outdated(group: &MlsGroup, me: &Myself) -> bool {
    group.own_leaf().is_some_and(|leaf| *leaf.credential() != me.credential.credential)
}

/// Whether a device may be removed and added again by this one.
pub(crate) fn may_re_add(policy: &Policy, me: &Myself, other: &DeviceIdentity) -> bool {
    me.identity.user == other.user || policy.is_administrator(&me.identity.user)
}
