//! Judges a commit against the public group and the roster, without IO: everything that docs/protocol.md
//! section 6 demands and a hub without secrets can see.
//!
//! The order is MLS, committer, new leaves, removals, policy, group context, size, Welcome, GroupInfo. Only
//! a commit that passes all of it moves the public group to the next epoch.

use std::collections::HashSet;

use bytes::Bytes;
use cercle_proto::{
    certificate::{DeviceIdentity, Root},
    id::{DeviceId, TimestampMs},
    policy::{CommitFacts, Policy},
};
use cercle_storage::store::{Joined, RosterEntry};
use openmls::{
    ciphersuite::hash_ref::KeyPackageRef,
    extensions::ExternalSender,
    framing::{MlsMessageIn, ProcessedMessageContent, ProtocolMessage, Sender},
    group::{QueuedProposal, StagedCommit},
    messages::{
        ConfirmationTag,
        proposals::{Proposal, ProposalOrRefType},
    },
};
use openmls_rust_crypto::RustCrypto;
use tls_codec::Deserialize;

use super::{
    CommitRequest, Error, group_info,
    group_state::{GroupState, StateError},
    profile, welcome,
};
use crate::auth::Identity;

/// What never changes between commits.
#[derive(Debug)]
pub(super) struct Rules {
    /// Verifies signatures.
    pub(super) crypto: RustCrypto,
    /// Issues every certificate.
    pub(super) root: Root,
    /// How groups name the hub.
    pub(super) hub: ExternalSender,
    /// Size of a group.
    pub(super) devices_max: usize,
}

/// Who commits what, and who is in the group before it.
pub(super) struct Case {
    pub(super) committer: Identity,
    pub(super) request: CommitRequest,
    /// Members only.
    pub(super) roster: Vec<RosterEntry>,
    pub(super) now: TimestampMs,
}

/// What an accepted commit changes.
pub(super) struct Outcome {
    /// The sender joins by this commit.
    pub(super) external: bool,
    /// State of the new epoch.
    pub(super) group_state: Bytes,
    pub(super) joined: Vec<Joined>,
    pub(super) removed: Vec<DeviceId>,
    pub(super) may_post: Vec<(DeviceId, bool)>,
    pub(super) posting_restricted: bool,
    /// The committer may post in the new epoch.
    pub(super) committer_may_post: bool,
    /// Devices that the Welcome is for.
    pub(super) welcomed: Vec<DeviceId>,
    /// Owners of new leaves: each must be enrolled and not revoked.
    pub(super) new_leaves: Vec<DeviceIdentity>,
    /// Leaves whose removal the hub had proposed and that are still in the tree.
    pub(super) removals_left: Vec<u32>,
}

/// Judges a commit; on success the state is that of the new epoch.
///
/// # Errors
/// Says which demand is not met; the state is unchanged then.
pub(super) fn verify(state: &mut GroupState, rules: &Rules, case: &Case) -> Result<Outcome, Error> {
    let commit = Commit::stage(state, rules, case)?;
    commit.check_committer(case)?;
    let NewLeaves { joined, renewed } = commit.new_leaves(rules, case)?;
    commit.check_removals(case)?;
    let policy = commit.check_policy(state, rules, case, &joined)?;
    let members_after = case.roster.len() - commit.removed.len() + joined.len();
    if members_after > rules.devices_max && !joined.is_empty() {
        return Err(Error::GroupFull(rules.devices_max));
    }
    let references: Vec<KeyPackageRef> = commit.added.iter().map(|added| added.reference.clone()).collect();
    welcome::check(case.request.welcome.as_deref(), &references)?;
    commit.check_group_info(state, rules, case)?;
    let mut outcome = commit.merge(state, case, &policy, joined)?;
    outcome.new_leaves.extend(renewed);
    Ok(outcome)
}

/// Owners of the leaves that a commit brings.
struct NewLeaves {
    /// Who is new in the group, or new on his leaf.
    joined: Vec<DeviceIdentity>,
    /// The committer, if he stays on his leaf and renews it.
    renewed: Option<DeviceIdentity>,
}

/// A commit that is MLS, with what is read out of it.
struct Commit {
    staged: StagedCommit,
    confirmation_tag: ConfirmationTag,
    /// Leaf of the committer in the new epoch.
    committer_leaf: u32,
    external: bool,
    added: Vec<Added>,
    removed: Vec<Removed>,
    /// Removals that wait in the log.
    pending: Vec<Pending>,
}

/// A removal that waits for a commit.
pub(super) struct Pending {
    /// Leaf to remove.
    pub(super) leaf: u32,
    /// The hub wants it: the device is revoked.
    pub(super) by_hub: bool,
    /// The device itself wants to leave.
    pub(super) by_itself: bool,
}

struct Added {
    identity: DeviceIdentity,
    reference: KeyPackageRef,
}

struct Removed {
    leaf: u32,
    /// The committer himself wants it: neither the hub nor the leaving device had proposed it.
    by_committer: bool,
}

impl Commit {
    /// MLS: signature, tree, proposals; and that waiting proposals are covered.
    fn stage(state: &GroupState, rules: &Rules, case: &Case) -> Result<Self, Error> {
        let (message, confirmation_tag) = parse(&case.request.commit)?;
        let processed = state
            .group()
            .process_message(&rules.crypto, message)
            .map_err(|error| Error::MlsInvalid(error.to_string()))?;
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(invalid("it is not a commit"));
        };
        let (external, committer_leaf) = match sender {
            Sender::Member(leaf) => (false, leaf.u32()),
            Sender::NewMemberCommit => {
                let leaf = state.group().ext_commit_sender_index(&staged);
                (true, leaf.map_err(|_| invalid("no leaf is free"))?.u32())
            }
            Sender::External(_) | Sender::NewMemberProposal => {
                return Err(invalid("its sender cannot commit"));
            }
        };
        let pending = pending_removals(state)?;
        let mut commit = Self {
            staged: *staged,
            confirmation_tag,
            committer_leaf,
            external,
            added: Vec::new(),
            removed: Vec::new(),
            pending,
        };
        commit.read_proposals(rules, case.now)?;
        commit.check_pending()?;
        Ok(commit)
    }

    fn read_proposals(&mut self, rules: &Rules, now: TimestampMs) -> Result<(), Error> {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for queued in self.staged.queued_proposals() {
            if self.external && queued.proposal_or_ref_type() == ProposalOrRefType::Reference {
                return Err(invalid("an external commit holds nothing by reference"));
            }
            match queued.proposal() {
                Proposal::Add(add) => {
                    let package = add.key_package();
                    let identity = profile::check_new_leaf(package.leaf_node(), &rules.root, now)
                        .map_err(Error::CertificateRefused)?;
                    let reference = package
                        .hash_ref(&rules.crypto)
                        .map_err(|_| invalid("a key package has no reference"))?;
                    added.push(Added { identity, reference });
                }
                Proposal::Remove(_) | Proposal::SelfRemove => {
                    let leaf = removal_target(queued).ok_or_else(|| invalid("a removal names no leaf"))?;
                    let pending = self.pending.iter().any(|pending| pending.leaf == leaf);
                    removed.push(Removed { leaf, by_committer: !pending });
                }
                Proposal::GroupContextExtensions(_) | Proposal::ExternalInit(_) => {}
                _ => return Err(invalid("it holds a proposal outside the profile")),
            }
        }
        (self.added, self.removed) = (added, removed);
        Ok(())
    }

    /// Every waiting proposal is carried out, except one that the committer cannot (RFC 9420 section 12.2):
    /// to leave himself. An external commit carries out none; what waited is proposed again in the new epoch.
    fn check_pending(&self) -> Result<(), Error> {
        let carried_out = |pending: &Pending| {
            let own_leave = pending.by_itself && pending.leaf == self.committer_leaf;
            own_leave || self.removed.iter().any(|removed| removed.leaf == pending.leaf)
        };
        if self.external || self.pending.iter().all(carried_out) {
            Ok(())
        } else {
            Err(Error::ProposalsPending)
        }
    }

    /// The committing leaf is that of the session's device; who joins is of a user who is in the group.
    fn check_committer(&self, case: &Case) -> Result<(), Error> {
        let device = case.committer.device;
        if self.external {
            let user_is_in = case.roster.iter().any(|entry| entry.user == case.committer.user);
            return if user_is_in { Ok(()) } else { Err(Error::ExternalJoinDenied) };
        }
        let committer = case.roster.iter().find(|entry| entry.leaf == self.committer_leaf);
        if committer.is_some_and(|entry| entry.device == device) {
            Ok(())
        } else {
            Err(invalid("the committing leaf is not that of this device"))
        }
    }

    /// Reads the committer's new leaf, if any, and whoever is new in the group.
    fn new_leaves(&self, rules: &Rules, case: &Case) -> Result<NewLeaves, Error> {
        let mut joined: Vec<DeviceIdentity> = self.added.iter().map(|added| added.identity.clone()).collect();
        let mut renewed = None;
        if let Some(leaf) = self.staged.update_path_leaf_node() {
            let identity = profile::check_new_leaf(leaf, &rules.root, case.now);
            let identity = identity.map_err(Error::CertificateRefused)?;
            if identity.device != case.committer.device || identity.user != case.committer.user {
                return Err(Error::CertificateRefused("the committer's leaf names another device"));
            }
            if self.external {
                joined.push(identity);
            } else {
                renewed = Some(identity);
            }
        }
        let stays = |entry: &&RosterEntry| !self.removed.iter().any(|removed| removed.leaf == entry.leaf);
        let staying = case.roster.iter().filter(stays).map(|entry| entry.device);
        let mut devices: HashSet<DeviceId> = staying.collect();
        if !joined.iter().all(|identity| devices.insert(identity.device)) {
            return Err(Error::CertificateRefused("a device would be in the group twice"));
        }
        Ok(NewLeaves { joined, renewed })
    }

    /// Removed leaves are members; who joins by external commit removes nobody but his own old leaf.
    fn check_removals(&self, case: &Case) -> Result<(), Error> {
        for removed in &self.removed {
            let entry = case.roster.iter().find(|entry| entry.leaf == removed.leaf);
            let entry = entry.ok_or_else(|| invalid("a removed leaf is not in the roster"))?;
            if self.external && entry.device != case.committer.device {
                return Err(Error::PolicyDenied(
                    "an external commit may remove only the joiner's own old leaf",
                ));
            }
        }
        Ok(())
    }

    /// Policy before the commit, on users; returns the policy after it.
    fn check_policy(
        &self,
        state: &GroupState,
        rules: &Rules,
        case: &Case,
        joined: &[DeviceIdentity],
    ) -> Result<Policy, Error> {
        let (before, after) = (state.group().group_context(), self.staged.group_context());
        let old_policy = profile::check_context(before, &rules.hub)?;
        let new_policy = profile::check_context(after, &rules.hub)?;
        if before.required_capabilities() != after.required_capabilities() {
            return Err(invalid("the required capabilities must not change"));
        }
        let user_of =
            |leaf: u32| case.roster.iter().find(|entry| entry.leaf == leaf).map(|entry| &entry.user);
        let by_committer = self.removed.iter().filter(|removed| removed.by_committer);
        let stays = |entry: &&RosterEntry| !self.removed.iter().any(|removed| removed.leaf == entry.leaf);
        let staying = case.roster.iter().filter(stays).map(|entry| entry.user.clone());
        let facts = CommitFacts {
            added: joined.iter().map(|identity| identity.user.clone()).collect(),
            removed: by_committer.filter_map(|removed| user_of(removed.leaf).cloned()).collect(),
            new_policy: (new_policy != old_policy).then(|| new_policy.clone()),
            members_after: staying.chain(joined.iter().map(|identity| identity.user.clone())).collect(),
        };
        old_policy.judge(&case.committer.user, &facts).map_err(|error| {
            use cercle_proto::policy::PolicyError;
            Error::PolicyDenied(match error {
                PolicyError::Malformed => "the group policy is damaged",
                PolicyError::Add => "only an administrator of the group may add members",
                PolicyError::Remove => "only an administrator of the group may remove members",
                PolicyError::Change => "only an administrator of the group may change its policy",
                PolicyError::NoAdministrator => "the group would be left without an administrator",
            })
        })?;
        Ok(new_policy)
    }

    fn check_group_info(&self, state: &GroupState, rules: &Rules, case: &Case) -> Result<(), Error> {
        let uploaded = group_info::parse(&case.request.group_info)?;
        let old_leaf = state.group().leaf(openmls::prelude::LeafNodeIndex::new(self.committer_leaf));
        let leaf = self.staged.update_path_leaf_node().or(old_leaf);
        let expected = group_info::Expected {
            context: self.staged.group_context(),
            confirmation_tag: &self.confirmation_tag,
            signer: self.committer_leaf,
            signer_key: leaf.ok_or_else(|| invalid("the committer has no leaf"))?.signature_key(),
        };
        group_info::check(&uploaded, &expected, &rules.crypto)
    }

    /// Moves the state to the new epoch and says what changes in the roster.
    fn merge(
        self,
        state: &mut GroupState,
        case: &Case,
        policy: &Policy,
        joined_by: Vec<DeviceIdentity>,
    ) -> Result<Outcome, Error> {
        let Self { staged, external, added, removed, pending, .. } = self;
        state.merge(staged)?;
        let mut joined = Vec::with_capacity(joined_by.len());
        if !joined_by.is_empty() {
            // Signature keys are unique in a tree (RFC 9420 section 7.3).
            let members: Vec<_> = state.group().members().collect();
            for identity in &joined_by {
                let member = members.iter().find(|member| member.signature_key == identity.public_key);
                joined.push(Joined {
                    device: identity.device,
                    user: identity.user.clone(),
                    leaf: member.ok_or(Error::Internal("an added leaf is not in the tree"))?.index.u32(),
                    may_post: policy.may_post(&identity.user),
                });
            }
        }
        let is_removed = |leaf: u32| removed.iter().any(|removed| removed.leaf == leaf);
        let is_joined = |device: DeviceId| joined.iter().any(|joined| joined.device == device);
        let gone = case.roster.iter().filter(|entry| is_removed(entry.leaf) && !is_joined(entry.device));
        let staying = case.roster.iter().filter(|entry| !is_removed(entry.leaf));
        let changed = staying.filter(|entry| entry.may_post != policy.may_post(&entry.user));
        let hub_proposed = pending.iter().filter(|pending| pending.by_hub && !is_removed(pending.leaf));
        Ok(Outcome {
            external,
            group_state: state.encode()?,
            removed: gone.map(|entry| entry.device).collect(),
            may_post: changed.map(|entry| (entry.device, policy.may_post(&entry.user))).collect(),
            posting_restricted: policy.posting_is_restricted(),
            committer_may_post: policy.may_post(&case.committer.user),
            welcomed: added.iter().map(|added| added.identity.device).collect(),
            removals_left: hub_proposed.map(|pending| pending.leaf).collect(),
            joined,
            new_leaves: joined_by,
        })
    }
}

/// The leaf that a proposal removes, if it removes one.
pub(super) fn removal_target(queued: &QueuedProposal) -> Option<u32> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), _) => Some(remove.removed().u32()),
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf.u32()),
        _ => None,
    }
}

/// The removals that wait in the log; no other proposal is let in.
///
/// # Errors
/// When the state is damaged.
pub(super) fn pending_removals(state: &GroupState) -> Result<Vec<Pending>, Error> {
    let removal = |queued: &QueuedProposal| {
        let leaf = removal_target(queued)?;
        let by_hub = matches!(queued.sender(), Sender::External(_));
        let by_itself = matches!(queued.sender(), Sender::Member(sender) if sender.u32() == leaf);
        Some(Pending { leaf, by_hub, by_itself })
    };
    Ok(state.pending()?.iter().filter_map(removal).collect())
}

fn parse(message: &[u8]) -> Result<(ProtocolMessage, ConfirmationTag), Error> {
    let parsed =
        MlsMessageIn::tls_deserialize_exact(message).map_err(|error| Error::MlsInvalid(error.to_string()))?;
    let message = parsed.try_into_protocol_message().map_err(|error| Error::MlsInvalid(error.to_string()))?;
    let tag = match &message {
        ProtocolMessage::PublicMessage(public) => public.confirmation_tag().cloned(),
        ProtocolMessage::PrivateMessage(_) => None,
    };
    let tag = tag.ok_or_else(|| invalid("it has no confirmation tag"))?;
    Ok((message, tag))
}

fn invalid(why: &str) -> Error {
    Error::MlsInvalid(why.to_owned())
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        tracing::error!(%error, "the state of a group cannot be read or written");
        Self::Internal("the state of the group is damaged")
    }
}
