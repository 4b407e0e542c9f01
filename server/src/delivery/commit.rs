//! A commit and everything that becomes true with it: one epoch, one winner, one durable write.

use bytes::Bytes;
use cercle_proto::{
    certificate::DeviceIdentity,
    id::{DeviceId, Epoch, Seq, TimestampMs},
    mls_message::{Content, Header, Sender, read_header},
};
use cercle_storage::store::{Appended, CommitRecord, Entry, Kind, WelcomeRecord};

use super::{
    Accepted, CommitRequest, Delivery, Error,
    application::check_application,
    group_state::GroupState,
    to_the_end,
    verify::{Case, Outcome, verify},
};
use crate::auth::Identity;

impl Delivery {
    /// Verifies a commit, makes it durable together with its Welcome, GroupInfo, roster change and first
    /// application message, and wakes the readers. Exactly one commit is accepted per group and epoch.
    ///
    /// # Errors
    /// [`Error::EpochConflict`] when another commit won; otherwise which demand of docs/protocol.md
    /// section 6 is not met, or a store failure.
    pub async fn commit(
        &self,
        identity: &Identity,
        request: CommitRequest,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let (this, identity) = (self.clone(), identity.clone());
        // In one piece on the heap: the callers' futures stay small.
        let write = Box::pin(async move { this.commit_to_the_end(identity, request, now).await });
        to_the_end(write).await
    }

    async fn commit_to_the_end(
        &self,
        identity: Identity,
        request: CommitRequest,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let (group, message_id, device) = (request.group, request.message_id, identity.device);
        let guard = self.inner.groups.lock(group).await;
        if let Some(accepted) = self.first_verdict(device, group, message_id).await? {
            return Ok(accepted);
        }
        let (epoch, external) = read_commit_header(&request)?;
        let user = identity.user.clone();
        let record = self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?;
        if !external {
            self.member(group, device).await?;
        }
        let roster = self.members(group).await?;
        if external && !roster.iter().any(|entry| entry.user == identity.user) {
            return Err(Error::ExternalJoinDenied);
        }
        if epoch != record.epoch {
            return Err(Error::EpochConflict { current_epoch: record.epoch, winner_seq: record.last_commit });
        }
        let rules = self.inner.rules.clone();
        let case = Case { committer: identity, request: request.clone(), roster, now };
        let work = move |state: &mut GroupState| verify(state, &rules, &case);
        let (state, outcome) = self.inner.groups.run(group, record.group_state, work).await?;
        self.check_enrolled(device, &outcome.new_leaves).await?;
        if request.application.is_some() && !outcome.committer_may_post {
            return Err(Error::PolicyDenied("only an administrator of the group may post in it"));
        }
        let (blob, welcomed) = (outcome.group_state.clone(), outcome.welcomed.clone());
        let removals_left = outcome.removals_left.clone();
        let appended = match self.inner.store.commit(record_of(&request, device, epoch, outcome, now)).await {
            Ok(appended) => appended,
            Err(error) => return Err(self.refusal(error, group, device).await),
        };
        self.inner.groups.keep(group, blob, state);
        if !appended.repeated {
            let with_application = self.has_application(&request, device, appended.seq + 1).await;
            self.inner.fanout.appended(group, entries_of(request, device, epoch, appended, with_application));
            self.inner.fanout.inbox_changed(&welcomed);
        }
        drop(guard);
        self.propose_again(group, &removals_left, now).await;
        if external {
            self.propose_left_behind(&user, group, now).await;
        }
        Ok(Accepted::new(group, message_id, appended))
    }

    /// Whether the bundle's application message is the entry after the commit. It is not if the same message
    /// was accepted before by itself; the readers then find it where it is.
    async fn has_application(&self, request: &CommitRequest, sender: DeviceId, seq: Seq) -> bool {
        let Some(application) = &request.application else { return false };
        let verdict = self.inner.store.verdict(sender, application.message_id).await;
        verdict.is_ok_and(|verdict| verdict.is_some_and(|appended| appended.seq == seq))
    }

    /// The committer and every new leaf belong to a device that is enrolled here, with this key, for this
    /// user, and not revoked.
    pub(super) async fn check_enrolled(
        &self,
        committer: DeviceId,
        leaves: &[DeviceIdentity],
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        if store.device(committer).await?.is_none_or(|record| record.revoked_at.is_some()) {
            return Err(Error::DeviceRevoked);
        }
        for leaf in leaves {
            let record = store.device(leaf.device).await?;
            let record = record.ok_or(Error::CertificateRefused("the device is not enrolled"))?;
            if record.revoked_at.is_some() {
                return Err(Error::CertificateRefused("the device is revoked"));
            }
            if record.user != leaf.user || record.public_key != leaf.public_key {
                return Err(Error::CertificateRefused("the device is enrolled with another key"));
            }
        }
        Ok(())
    }
}

/// Reads epoch and kind (external or not) from the clear headers of a bundle.
fn read_commit_header(request: &CommitRequest) -> Result<(Epoch, bool), Error> {
    let invalid = |why: &str| Error::MlsInvalid(why.to_owned());
    let header = read_header(&request.commit).map_err(|error| invalid(&error.to_string()))?;
    let Header::Public { group, epoch, sender, content: Content::Commit } = header else {
        return Err(invalid("it is not a PublicMessage with a commit"));
    };
    if group != request.group {
        return Err(Error::InvalidField("commit is of another group"));
    }
    let external = match sender {
        Sender::Member(_) => false,
        Sender::NewMemberCommit => true,
        Sender::External(_) | Sender::NewMemberProposal => return Err(invalid("its sender cannot commit")),
    };
    if let Some(application) = &request.application {
        if application.message_id == request.message_id {
            return Err(Error::InvalidField("application has the message id of the commit"));
        }
        if check_application(&application.mls, group)? != epoch.saturating_add(1) {
            return Err(Error::InvalidField("application is not of the epoch that the commit leads to"));
        }
    }
    Ok((epoch, external))
}

fn record_of(
    request: &CommitRequest,
    sender: DeviceId,
    epoch: Epoch,
    outcome: Outcome,
    at: TimestampMs,
) -> CommitRecord {
    let welcome = request.welcome.clone();
    CommitRecord {
        group: request.group,
        sender,
        external: outcome.external,
        message_id: request.message_id,
        epoch,
        body: request.commit.clone(),
        group_info: request.group_info.clone(),
        group_state: outcome.group_state,
        joined: outcome.joined,
        removed: outcome.removed,
        may_post: outcome.may_post,
        posting_restricted: outcome.posting_restricted,
        welcome: welcome.map(|body| WelcomeRecord { body, recipients: outcome.welcomed }),
        application: request.application.as_ref().map(|first| (first.message_id, first.mls.clone())),
        application_blobs: request.application.as_ref().map(|first| first.blobs.clone()).unwrap_or_default(),
        at,
    }
}

/// The entries as the log has them.
fn entries_of(
    request: CommitRequest,
    sender: DeviceId,
    epoch: Epoch,
    appended: Appended,
    with_application: bool,
) -> Vec<Entry> {
    let entry = |seq, kind, epoch, message_id, body: Bytes| Entry {
        seq,
        kind,
        epoch,
        sender: Some(sender),
        message_id,
        at: appended.at,
        body,
    };
    let mut entries = vec![entry(appended.seq, Kind::Commit, epoch, request.message_id, request.commit)];
    if let Some(first) = request.application.filter(|_| with_application) {
        entries.push(entry(appended.seq + 1, Kind::Application, epoch + 1, first.message_id, first.mls));
    }
    entries
}
