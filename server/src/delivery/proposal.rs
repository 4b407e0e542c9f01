//! Proposals of members: to leave, or to take another device of the same user out. They wait in the log and
//! in the public group until a commit carries them out.

use bytes::Bytes;
use cercle_proto::{
    id::{DeviceId, GroupId, MessageId, TimestampMs},
    mls_message::{Content, Header, Sender as HeaderSender, read_header},
};
use cercle_storage::store::{Append, CommitRecord, Entry, GroupRecord, Kind, RosterEntry};
use openmls::{
    framing::{MlsMessageIn, ProcessedMessageContent, Sender},
    group::QueuedProposal,
};
use tls_codec::Deserialize;

use super::{
    Accepted, Delivery, Error,
    group_state::GroupState,
    to_the_end,
    verify::{Rules, removal_target},
};
use crate::{auth::Identity, limits};

impl Delivery {
    /// Appends a proposal. The last member's proposal to leave closes the group instead, because nobody is
    /// left to commit it: the entry ends the membership and is of kind commit.
    ///
    /// # Errors
    /// [`Error::EpochConflict`], [`Error::MlsInvalid`], [`Error::PolicyDenied`] for any other proposal than
    /// the removal of an own device, [`Error::TooMany`] waiting, [`Error::NotMember`], or a store failure.
    pub async fn send_proposal(
        &self,
        identity: &Identity,
        group: GroupId,
        message_id: MessageId,
        mls: Bytes,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        if mls.len() > limits::PROPOSAL_BYTES_MAX {
            return Err(Error::TooLarge("mls"));
        }
        let proposed = Proposed { identity: identity.clone(), group, message_id, mls, now };
        let this = self.clone();
        to_the_end(async move { this.propose(proposed).await }).await
    }

    async fn propose(&self, proposed: Proposed) -> Result<Accepted, Error> {
        let Proposed { identity, group, message_id, mls, now } = proposed;
        let _guard = self.inner.groups.lock(group).await;
        if let Some(accepted) = self.first_verdict(identity.device, group, message_id).await? {
            return Ok(accepted);
        }
        let epoch = read_proposal_epoch(&mls, group)?;
        let record = self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?;
        self.member(group, identity.device).await?;
        if epoch != record.epoch {
            return Err(Error::EpochConflict { current_epoch: record.epoch, winner_seq: record.last_commit });
        }
        let roster = self.members(group).await?;
        let alone = roster.len() == 1;
        let (rules, sender, message) = (self.inner.rules.clone(), identity.clone(), mls.clone());
        let work = move |state: &mut GroupState| {
            let proposal = verify(state, &rules, &message, &sender, &roster)?;
            if !alone {
                state.add_proposal(proposal)?;
            }
            Ok(state.encode()?)
        };
        let (state, blob) = self.inner.groups.run(group, record.group_state.clone(), work).await?;
        if alone {
            return self.close(identity.device, group, message_id, mls, record, now).await;
        }
        let append = Append {
            group,
            sender: Some(identity.device),
            message_id,
            kind: Kind::Proposal,
            epoch,
            epochs_behind_max: 0,
            at: now,
            body: mls,
            group_state: Some(blob.clone()),
            blobs: Vec::new(),
        };
        let accepted = self.append(append, identity.device).await?;
        self.inner.groups.keep(group, blob, state);
        Ok(accepted)
    }

    /// Ends a group with its last member: his row ends at this entry, and no roster is left. `mls` is the
    /// proposal that takes him out.
    pub(super) async fn close(
        &self,
        device: DeviceId,
        group: GroupId,
        message_id: MessageId,
        mls: Bytes,
        record: GroupRecord,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let commit = CommitRecord {
            group,
            sender: device,
            external: false,
            message_id,
            epoch: record.epoch,
            body: mls.clone(),
            group_info: record.group_info,
            group_state: record.group_state,
            joined: Vec::new(),
            removed: vec![device],
            may_post: Vec::new(),
            posting_restricted: record.posting_restricted,
            welcome: None,
            application: None,
            application_blobs: Vec::new(),
            at: now,
        };
        let appended = match self.inner.store.commit(commit).await {
            Ok(appended) => appended,
            Err(error) => return Err(self.refusal(error, group, device).await),
        };
        let entry = Entry {
            seq: appended.seq,
            kind: Kind::Commit,
            epoch: record.epoch,
            sender: Some(device),
            message_id,
            at: appended.at,
            body: mls,
        };
        self.inner.fanout.appended(group, vec![entry]);
        Ok(Accepted::new(group, message_id, appended))
    }

    /// The rows of current members.
    pub(super) async fn members(&self, group: GroupId) -> Result<Vec<RosterEntry>, Error> {
        let mut roster = self.inner.store.roster(group).await?;
        roster.retain(|entry| entry.removed_at.is_none());
        Ok(roster)
    }
}

struct Proposed {
    identity: Identity,
    group: GroupId,
    message_id: MessageId,
    mls: Bytes,
    now: TimestampMs,
}

/// Verifies a proposal by MLS and that it takes out a device of the sender's own user.
fn verify(
    state: &GroupState,
    rules: &Rules,
    message: &[u8],
    identity: &Identity,
    roster: &[RosterEntry],
) -> Result<QueuedProposal, Error> {
    let proposal = process(state, rules, message)?;
    let entry_at = |leaf: u32| roster.iter().find(|entry| entry.leaf == leaf);
    let sender = match proposal.sender() {
        Sender::Member(leaf) => entry_at(leaf.u32()),
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => None,
    };
    if sender.is_none_or(|sender| sender.device != identity.device) {
        return Err(Error::MlsInvalid("the proposing leaf is not that of this device".to_owned()));
    }
    let target = removal_target(&proposal).and_then(entry_at);
    if target.is_none_or(|target| target.user != identity.user) {
        return Err(Error::PolicyDenied("a member may propose only to remove a device of his own"));
    }
    if state.pending()?.len() >= limits::PROPOSALS_PENDING_MAX {
        return Err(Error::TooMany("proposals wait in this epoch"));
    }
    Ok(proposal)
}

/// Verifies a proposal by MLS alone.
pub(super) fn process(state: &GroupState, rules: &Rules, message: &[u8]) -> Result<QueuedProposal, Error> {
    let invalid = |why: String| Error::MlsInvalid(why);
    let parsed = MlsMessageIn::tls_deserialize_exact(message).map_err(|error| invalid(error.to_string()))?;
    let parsed = parsed.try_into_protocol_message().map_err(|error| invalid(error.to_string()))?;
    let processed = state.group().process_message(&rules.crypto, parsed);
    match processed.map_err(|error| invalid(error.to_string()))?.into_content() {
        ProcessedMessageContent::ProposalMessage(proposal) => Ok(*proposal),
        _ => Err(invalid("it is not a proposal of a member".to_owned())),
    }
}

fn read_proposal_epoch(mls: &[u8], group: GroupId) -> Result<u64, Error> {
    match read_header(mls).map_err(|error| Error::MlsInvalid(error.to_string()))? {
        Header::Public {
            group: named,
            epoch,
            sender: HeaderSender::Member(_),
            content: Content::Proposal,
        } => {
            if named == group {
                Ok(epoch)
            } else {
                Err(Error::InvalidField("mls is of another group"))
            }
        }
        _ => Err(Error::MlsInvalid("it is not a PublicMessage with a proposal of a member".to_owned())),
    }
}
