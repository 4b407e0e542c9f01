//! When a device cannot follow: a Welcome that does not open, a request to be added again, a commit that the
//! hub accepted and a member cannot process.
//!
//! The hub only passes these on, to the members or administrators who can act; it changes no group itself.

use cercle_proto::{
    id::{DeviceId, GroupId, Seq, TimestampMs},
    policy::Policy,
};
use cercle_storage::store::{InboxBody, Kind, ReadFrom, ReadLimit, RosterEntry};

use super::{Delivery, Error, WelcomeOutcome, group_state::GroupState, profile};
use crate::{
    auth::Identity,
    fanout::{MembershipHint, MembershipKind},
};

impl Delivery {
    /// Notes what became of a welcome. A device that could not join waits to be added again, and connected
    /// members are told.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], [`Error::NotMember`], or a store failure.
    pub async fn welcome_ack(
        &self,
        identity: &Identity,
        group: GroupId,
        outcome: WelcomeOutcome,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let entry = self.member(group, identity.device).await?;
        match outcome {
            WelcomeOutcome::Joined if entry.needs_re_add => {
                Ok(self.inner.store.set_needs_re_add(group, identity.device, false).await?)
            }
            WelcomeOutcome::Joined => Ok(()),
            WelcomeOutcome::NoMatchingKeyPackage | WelcomeOutcome::Invalid => {
                self.needs_re_add(group, entry, now).await
            }
        }
    }

    /// Asks the members to remove and add this device.
    ///
    /// # Errors
    /// [`Error::GroupUnknown`], [`Error::NotMember`], [`Error::RateLimited`], or a store failure.
    pub async fn request_re_add(
        &self,
        identity: &Identity,
        group: GroupId,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let entry = self.member(group, identity.device).await?;
        self.limit_assistance(identity.device, group, now)?;
        self.needs_re_add(group, entry, now).await
    }

    /// Tells the group's administrators that a member cannot process an accepted commit.
    ///
    /// # Errors
    /// [`Error::InvalidField`] when the entry is no commit that the device may read, [`Error::RateLimited`],
    /// [`Error::GroupUnknown`], [`Error::NotMember`], or a store failure.
    pub async fn report_invalid_commit(
        &self,
        identity: &Identity,
        group: GroupId,
        seq: Seq,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let reporter = self.member(group, identity.device).await?;
        self.limit_assistance(identity.device, group, now)?;
        if seq <= reporter.joined_at || !self.is_commit(group, seq).await? {
            return Err(Error::InvalidField("seq is not a commit that the device may read"));
        }
        let object = format!("{}/{seq}", group.to_hex());
        self.audit(now, identity.user.as_str(), "commit.reported", object).await;
        let policy = self.policy(group).await?;
        let mut roster = self.members(group).await?;
        roster.retain(|entry| policy.is_administrator(&entry.user) && entry.device != identity.device);
        let devices: Vec<DeviceId> = roster.into_iter().map(|entry| entry.device).collect();
        let body = InboxBody::InvalidCommitReported { group, seq, reporter: identity.device };
        self.inner.store.notify(devices.clone(), body).await?;
        self.inner.fanout.inbox_changed(&devices);
        Ok(())
    }

    async fn needs_re_add(&self, group: GroupId, entry: RosterEntry, now: TimestampMs) -> Result<(), Error> {
        if !entry.needs_re_add {
            self.inner.store.set_needs_re_add(group, entry.device, true).await?;
            let object = format!("{}/{}", group.to_hex(), entry.device.to_hex());
            self.audit(now, entry.user.as_str(), "member.needs_re_add", object).await;
        }
        let hint =
            MembershipHint { user: entry.user, device: entry.device, kind: MembershipKind::NeedsReAdd };
        self.inner.fanout.membership(group, hint);
        Ok(())
    }

    fn limit_assistance(&self, device: DeviceId, group: GroupId, now: TimestampMs) -> Result<(), Error> {
        let limited = self.inner.assistance.check((device, group), now);
        limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })
    }

    async fn is_commit(&self, group: GroupId, seq: Seq) -> Result<bool, Error> {
        let from = ReadFrom { group, after: seq.saturating_sub(1), until: seq };
        let pages = self.inner.store.read(vec![from], ReadLimit { entries: 1, bytes: 0 }).await?;
        let entry = pages.first().and_then(|page| page.entries.first());
        Ok(entry.is_some_and(|entry| entry.seq == seq && entry.kind == Kind::Commit))
    }

    async fn policy(&self, group: GroupId) -> Result<Policy, Error> {
        let record = self.inner.store.group(group).await?.ok_or(Error::GroupUnknown)?;
        let (rules, blob) = (self.inner.rules.clone(), record.group_state);
        let work =
            move |state: &mut GroupState| profile::check_context(state.group().group_context(), &rules.hub);
        let (state, policy) = self.inner.groups.run(group, blob.clone(), work).await?;
        self.inner.groups.keep(group, blob, state);
        Ok(policy)
    }
}
