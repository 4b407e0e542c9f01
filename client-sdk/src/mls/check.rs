//! Judging commits: what a commit does, and whether certificates and policy allow it.
//!
//! openmls checks signatures, tree and key schedule (RFC 9420 section 12.4.2). Everything said here about
//! identities, roles and the group context is ours: see docs/protocol.md sections 3 and 6. The hub checks
//! the same before it accepts a commit; a client trusts nobody's word for it, not even its own.

use std::collections::BTreeSet;

use cercle_proto::{
    certificate::DeviceIdentity,
    id::TimestampMs,
    policy::{CommitFacts, Policy},
};
use openmls::prelude::{LeafNode, LeafNodeIndex, MlsGroup, Proposal, QueuedProposal, Sender, StagedCommit};

use super::{MlsError, group, identity::Myself, profile};

/// What a commit does, in terms of devices.
#[derive(Debug)]
pub(crate) struct CommitView {
    /// Who committed; of an external commit: who joined.
    pub(crate) committer: DeviceIdentity,
    /// The committer joined by external commit.
    pub(crate) external: bool,
    /// Devices that are new, without those that were removed and added in one step.
    pub(crate) added: Vec<DeviceIdentity>,
    /// Devices that are gone, and on whose wish.
    pub(crate) removed: Vec<(DeviceIdentity, Wish)>,
    /// This device is gone.
    pub(crate) self_removed: bool,
    /// The policy is another one.
    pub(crate) policy_changed: bool,
}

/// On whose wish a device was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The committer's.
    Committer,
    /// Its own: it asked to leave, or joined again.
    Own,
    /// The hub's: the device was revoked.
    Hub,
}

/// Judges a staged commit against the group before it. `sender` is the message's sender.
///
/// # Errors
/// Says which rule is broken; the commit must not be merged.
pub(crate) fn judge(
    before: &MlsGroup,
    staged: &StagedCommit,
    sender: &Sender,
    me: &Myself,
    now: TimestampMs,
) -> Result<CommitView, MlsError> {
    let members = group::members(before, me)?;
    let committer = committer(&members, staged, sender, me, now)?;
    check_group_context(before, staged)?;
    check_proposals(&members, staged, sender)?;
    check_update_proposals(&members, staged, me, now)?;

    let mut added = Vec::new();
    for proposal in staged.add_proposals() {
        let leaf = proposal.add_proposal().key_package().leaf_node();
        added.push(verify_new(leaf, me, now)?);
    }
    let external = matches!(sender, Sender::NewMemberCommit);
    if external {
        added.push(committer.clone());
    }
    let removed = removals(&members, staged, sender)?;
    check_external(&members, external, &committer, &removed)?;
    let staying = staying(&members, &removed, &added)?;
    judge_policy(before, staged, &committer, &added, &removed, &staying)?;

    let gone: BTreeSet<_> = removed.iter().map(|(_, identity, _)| identity.device).collect();
    let came: BTreeSet<_> = added.iter().map(|identity| identity.device).collect();
    added.retain(|identity| !gone.contains(&identity.device));
    let removed = removed.into_iter().filter(|(_, identity, _)| !came.contains(&identity.device));
    Ok(CommitView {
        committer,
        external,
        added,
        removed: removed.map(|(_, identity, wish)| (identity, wish)).collect(),
        self_removed: staged.self_removed(),
        policy_changed: group::policy(before)? != profile::policy_of(staged.group_context().extensions())?,
    })
}

/// Whether a proposal may wait for a commit: the hub proposes removals, a member that a device of his own
/// user goes, and nobody anything else (docs/protocol.md section 6). What waits is committed by members
/// without asking anybody, so whatever is let in here is as good as done.
///
/// # Errors
/// Says which rule is broken; the proposal must not be kept.
pub(crate) fn judge_proposal(
    group: &MlsGroup,
    proposal: &QueuedProposal,
    me: &Myself,
) -> Result<(), MlsError> {
    check_proposal(&group::members(group, me)?, proposal.proposal(), proposal.sender())
}

fn check_proposal(members: &Leaves, proposal: &Proposal, proposer: &Sender) -> Result<(), MlsError> {
    let refused = |why: &str| Err(MlsError::Refused("proposal", why.to_owned()));
    match (proposal, proposer) {
        (Proposal::Remove(_), Sender::External(_)) | (Proposal::SelfRemove, Sender::Member(_)) => Ok(()),
        (Proposal::Remove(remove), Sender::Member(proposer)) => {
            let own = at(members, *proposer)?.user == at(members, remove.removed())?.user;
            if own { Ok(()) } else { refused("a member may propose to remove own devices only") }
        }
        (_, Sender::External(_)) => refused("the hub may propose removals only"),
        _ => refused("a member may propose to leave only"),
    }
}

/// What others proposed is of the kinds that may wait; what the committer does is of the kinds that the
/// profile has.
fn check_proposals(members: &Leaves, staged: &StagedCommit, committer: &Sender) -> Result<(), MlsError> {
    for queued in staged.queued_proposals() {
        let own = queued.sender() == committer;
        let known = matches!(
            queued.proposal(),
            Proposal::Add(_)
                | Proposal::Remove(_)
                | Proposal::SelfRemove
                | Proposal::Update(_)
                | Proposal::GroupContextExtensions(_)
                | Proposal::ExternalInit(_)
        );
        if !known {
            return Err(MlsError::Refused("commit", "it holds a proposal outside the profile".into()));
        }
        if !own && !matches!(queued.proposal(), Proposal::Update(_)) {
            check_proposal(members, queued.proposal(), queued.sender())?;
        }
    }
    Ok(())
}

type Leaves = [(LeafNodeIndex, DeviceIdentity)];

fn verify_new(leaf: &LeafNode, me: &Myself, now: TimestampMs) -> Result<DeviceIdentity, MlsError> {
    me.verifier.verify_new(leaf.credential(), leaf.signature_key().as_slice(), now)
}

/// Who committed. A leaf that the commit renews must be valid now and name the same device.
fn committer(
    members: &Leaves,
    staged: &StagedCommit,
    sender: &Sender,
    me: &Myself,
    now: TimestampMs,
) -> Result<DeviceIdentity, MlsError> {
    let new = staged.update_path_leaf_node().map(|leaf| verify_new(leaf, me, now)).transpose()?;
    match sender {
        Sender::Member(index) => {
            let old = at(members, *index)?;
            match new {
                Some(new) if !same_device(&new, old) => {
                    Err(MlsError::Refused("commit", "an update changes the identity of its leaf".into()))
                }
                new => Ok(new.unwrap_or_else(|| old.clone())),
            }
        }
        Sender::NewMemberCommit => {
            new.ok_or_else(|| MlsError::Refused("external commit", "it has no leaf".into()))
        }
        Sender::External(_) | Sender::NewMemberProposal => {
            Err(MlsError::Refused("commit", "its sender cannot commit".into()))
        }
    }
}

fn at(members: &Leaves, index: LeafNodeIndex) -> Result<&DeviceIdentity, MlsError> {
    let found = members.iter().find(|(leaf, _)| *leaf == index);
    found
        .map(|(_, identity)| identity)
        .ok_or_else(|| MlsError::Refused("commit", "it names a leaf that is blank".into()))
}

fn same_device(one: &DeviceIdentity, other: &DeviceIdentity) -> bool {
    one.device == other.device && one.user == other.user
}

/// External senders and required capabilities never change; the policy stays well formed.
fn check_group_context(before: &MlsGroup, staged: &StagedCommit) -> Result<(), MlsError> {
    let (old, new) = (before.extensions(), staged.group_context().extensions());
    if old.external_senders() != new.external_senders() {
        return Err(MlsError::Refused("commit", "it changes the external senders".into()));
    }
    if old.required_capabilities() != new.required_capabilities() {
        return Err(MlsError::Refused("commit", "it changes the required capabilities".into()));
    }
    profile::policy_of(new).map(|_| ())
}

fn check_update_proposals(
    members: &Leaves,
    staged: &StagedCommit,
    me: &Myself,
    now: TimestampMs,
) -> Result<(), MlsError> {
    for proposal in staged.update_proposals() {
        let new = verify_new(proposal.update_proposal().leaf_node(), me, now)?;
        let Sender::Member(index) = proposal.sender() else {
            return Err(MlsError::Refused("update proposal", "its sender is no member".into()));
        };
        if !same_device(&new, at(members, *index)?) {
            return Err(MlsError::Refused("update proposal", "it changes the identity of its leaf".into()));
        }
    }
    Ok(())
}

/// Removed leaves, each once, with the one who wanted it.
fn removals(
    members: &Leaves,
    staged: &StagedCommit,
    committer: &Sender,
) -> Result<Vec<(LeafNodeIndex, DeviceIdentity, Wish)>, MlsError> {
    let mut removed = Vec::new();
    for queued in staged.queued_proposals() {
        let (index, wish) = match (queued.proposal(), queued.sender()) {
            (Proposal::Remove(remove), Sender::External(_)) => (remove.removed(), Wish::Hub),
            (Proposal::Remove(remove), sender @ Sender::Member(proposer)) if sender != committer => {
                // A member proposes to remove himself or another device of his own; nobody needs a
                // permission for that. Anything else counts as the committer's wish.
                let own = at(members, *proposer)?.user == at(members, remove.removed())?.user;
                (remove.removed(), if own { Wish::Own } else { Wish::Committer })
            }
            (Proposal::Remove(remove), Sender::NewMemberCommit) => (remove.removed(), Wish::Own),
            (Proposal::Remove(remove), _) => (remove.removed(), Wish::Committer),
            (Proposal::SelfRemove, Sender::Member(leaver)) => (*leaver, Wish::Own),
            _ => continue,
        };
        if !removed.iter().any(|(known, _, _)| *known == index) {
            removed.push((index, at(members, index)?.clone(), wish));
        }
    }
    Ok(removed)
}

/// An external commit is of a device whose user is in the group, and removes at most its own old leaf.
fn check_external(
    members: &Leaves,
    external: bool,
    joiner: &DeviceIdentity,
    removed: &[(LeafNodeIndex, DeviceIdentity, Wish)],
) -> Result<(), MlsError> {
    if !external {
        return Ok(());
    }
    if !members.iter().any(|(_, member)| member.user == joiner.user) {
        return Err(MlsError::Refused("external commit", "its user is not in the group".into()));
    }
    if removed.iter().any(|(_, gone, _)| !same_device(gone, joiner)) {
        return Err(MlsError::Refused("external commit", "it removes another device".into()));
    }
    Ok(())
}

/// Who is in the group after the commit; no device twice.
fn staying(
    members: &Leaves,
    removed: &[(LeafNodeIndex, DeviceIdentity, Wish)],
    added: &[DeviceIdentity],
) -> Result<Vec<DeviceIdentity>, MlsError> {
    let gone: BTreeSet<u32> = removed.iter().map(|(index, _, _)| index.u32()).collect();
    let old = members.iter().filter(|(index, _)| !gone.contains(&index.u32()));
    let staying: Vec<_> = old.map(|(_, identity)| identity).chain(added).cloned().collect();
    let mut devices = BTreeSet::new();
    if staying.iter().all(|identity| devices.insert(identity.device)) {
        Ok(staying)
    } else {
        Err(MlsError::Refused("commit", "a device would be in the group twice".into()))
    }
}

fn judge_policy(
    before: &MlsGroup,
    staged: &StagedCommit,
    committer: &DeviceIdentity,
    added: &[DeviceIdentity],
    removed: &[(LeafNodeIndex, DeviceIdentity, Wish)],
    staying: &[DeviceIdentity],
) -> Result<(), MlsError> {
    let old: Policy = group::policy(before)?;
    let new = profile::policy_of(staged.group_context().extensions())?;
    let wished = removed.iter().filter(|(_, _, wish)| *wish == Wish::Committer);
    let facts = CommitFacts {
        added: group::users(added.iter()),
        removed: group::users(wished.map(|(_, identity, _)| identity)),
        new_policy: (old != new).then_some(new),
        members_after: group::users(staying.iter()),
    };
    Ok(old.judge(&committer.user, &facts)?)
}
