//! What a device does by itself: key packages, its certificate, and duties towards other members.
//!
//! Duties (committing what others proposed, adding a lost device again) are anybody's. Each device waits a
//! time that depends on its leaf, so that usually one acts and the others see it done.

use cercle_proto::{
    id::{DeviceId, GroupId, TimestampMs},
    v1::{self, client_frame::Body as Request, membership_event::Kind},
};

use super::{
    Cx, Memory, Step,
    session::{Pending, Phase},
    verdict::{Verdict, verdict},
};
use crate::{
    core::GroupState,
    event::Event,
    limits,
    mls::{MlsError, commit, group, key_packages},
    store::intents::Change,
};

impl Memory {
    /// When the certificate should be renewed: after two thirds of its life.
    pub(crate) fn renewal_at(&self) -> Option<TimestampMs> {
        let me = self.me.as_ref()?;
        if self.session.phase != Phase::Ready || self.session.renewing {
            return None;
        }
        let life = me.identity.not_after_ms.saturating_sub(me.identity.not_before_ms);
        Some((me.identity.not_before_ms + life / 3 * 2).max(self.standing.renew_not_before))
    }
}

impl Cx<'_, '_> {
    /// What is due for the device as a whole.
    pub(crate) fn upkeep(&mut self) -> Step {
        self.adopt_orphans()?;
        let now = self.now;
        if self.m.session.retry_at.take_if(|at| *at <= now).is_some() {
            self.send_all_owed()?;
            self.send_claims()?;
        }
        if self.m.session.caught_up && !self.m.session.requests_reviewed {
            self.m.session.requests_reviewed = true;
            self.widen_late()?;
        }
        self.ask_for_rules();
        self.ask_for_sibling_groups();
        if self.m.renewal_at().is_some_and(|at| at <= self.now) {
            self.renew(None);
        }
        self.publish_key_packages()
    }

    // --- key packages

    /// Publishes key packages if the stock is low.
    fn publish_key_packages(&mut self) -> Step {
        let first = self.m.standing.generation == 0;
        let left = self.m.session.key_packages_left;
        let low = left.is_some_and(|left| left < limits::KEY_PACKAGES_LOW);
        let later = self.m.session.publish_not_before > self.now;
        if self.m.session.publishing || later || !(first || low) {
            return Ok(());
        }
        if first {
            self.new_generation()?;
        }
        self.m.session.publishing = true;
        let generation = self.m.standing.generation;
        let mut waiting = self.tx.unpublished_key_packages(generation)?;
        if waiting.is_empty() {
            let last_resort = !self.tx.has_last_resort(generation)?;
            let left = self.m.session.key_packages_left.unwrap_or(0);
            waiting = self.make_key_packages(left, last_resort)?;
        }
        let (last, once): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(last_resort, _)| *last_resort);
        let publish = v1::PublishKeyPackages {
            generation,
            key_packages: once.into_iter().map(|(_, encoded)| encoded.into()).collect(),
            last_resort: last.into_iter().next().map(|(_, encoded)| encoded).unwrap_or_default().into(),
        };
        self.request(Request::PublishKeyPackages(publish), Pending::Publish);
        Ok(())
    }

    fn make_key_packages(&mut self, left: u32, last_resort: bool) -> Step<Vec<(bool, Vec<u8>)>> {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else {
            return Ok(Vec::new());
        };
        let provider = self.provider();
        let missing = limits::KEY_PACKAGES_STOCK.saturating_sub(left);
        let kinds = std::iter::repeat_n(false, missing as usize).chain(last_resort.then_some(true));
        let mut made = Vec::new();
        for last_resort in kinds {
            let generation = self.m.standing.generation;
            match key_packages::make(&provider, &identity.keys, &me, generation, last_resort, self.now) {
                Ok(row) => {
                    self.tx.add_key_package(&row)?;
                    made.push((last_resort, row.encoded));
                }
                Err(error) => tracing::error!(%error, "a key package cannot be made"),
            }
        }
        self.forget_ended_key_packages()?;
        Ok(made)
    }

    fn forget_ended_key_packages(&mut self) -> Step {
        let before = self.now.saturating_sub(limits::KEY_PACKAGE_KEEP_MS);
        let provider = self.provider();
        for reference in self.tx.take_ended_key_packages(before)? {
            if let Err(error) = key_packages::forget(&provider, &reference) {
                tracing::warn!(%error, "the keys of an ended key package were not deleted");
            }
        }
        Ok(())
    }

    /// The hub has the key packages.
    pub(crate) fn published(&mut self, left: u32) -> Step {
        self.m.session.publishing = false;
        self.m.session.key_packages_left = Some(left);
        self.tell_if_caught_up();
        self.tx.mark_key_packages_published(self.m.standing.generation)
    }

    /// The hub does not take the key packages. Those of this generation are not offered again.
    pub(crate) fn publish_refused(&mut self, error: &v1::Error) -> Step {
        if let Verdict::Later(delay) = verdict(error) {
            self.m.session.publish_not_before = self.now + delay;
            self.m.session.publishing = false;
            self.retry_after(delay);
            self.tell_if_caught_up();
            return Ok(());
        }
        tracing::warn!(code = error.code, "the hub does not take key packages");
        self.m.session.key_packages_left = None;
        self.m.session.publishing = false;
        self.tell_if_caught_up();
        self.tx.mark_key_packages_published(self.m.standing.generation)
    }

    /// Starts over with new key packages: the private keys of the old ones may be lost, or they hold an
    /// old certificate. The number is a time, so that it is new even to a store that was set back.
    pub(crate) fn new_generation(&mut self) -> Step {
        self.m.standing.generation = (self.m.standing.generation + 1).max(self.now);
        self.m.session.key_packages_left = Some(0);
        self.m.session.publishing = false;
        self.tx.write_standing(&self.m.standing)
    }

    // --- certificate

    /// Asks for a fresh certificate.
    pub(crate) fn renew(&mut self, command: Option<u64>) {
        self.m.session.renewing = true;
        self.request(Request::RenewCertificate(v1::RenewCertificate {}), Pending::Renew { command });
    }

    /// A fresh certificate is stored: new key packages carry it, and each group is told in time.
    pub(crate) fn certificate_renewed(&mut self) -> Step {
        let Some(me) = self.m.me.clone() else { return Ok(()) };
        self.emit(Event::CertificateRenewed { expires_at_ms: me.identity.not_after_ms });
        self.new_generation()?;
        let groups: Vec<GroupId> = self.m.groups.keys().copied().collect();
        for group in groups {
            let at = self.now + self.random_below(limits::CREDENTIAL_SPREAD_MS);
            self.plan_refresh(group, at)?;
        }
        Ok(())
    }

    // --- own leaf

    fn plan_refresh(&mut self, group: GroupId, at: TimestampMs) -> Step {
        if let Some(lane) = self.lane(group).filter(|lane| lane.state() != GroupState::Closed) {
            let earlier = lane.row.record.refresh_at.map_or(at, |planned| planned.min(at));
            lane.row.record.refresh_at = Some(earlier);
            self.save(group)?;
            self.touch(group);
        }
        Ok(())
    }

    /// After a join: own keys are renewed some time later if the group is large, or the key package held an old
    /// certificate.
    ///
    /// Only who came does so: every part of the tree that an add leaves blank or unmerged (RFC 9420 section
    /// 7.7) lies above a newcomer, and his commit fills it. If all others renewed theirs as well, a group would
    /// see as many commits as it has members after each add, and each of them costs every member.
    pub(crate) fn plan_refresh_after_join(&mut self, group: GroupId) -> Step {
        let state = self.with_group(group, |_, _, loaded, author| {
            Ok((loaded.members().count(), commit::leaf_is_outdated(loaded, author.me)))
        })?;
        let Ok((members, outdated)) = state else { return Ok(()) };
        if self.m.settings.lazy_updates && members > limits::LAZY_UPDATE_MEMBERS_MIN {
            let at = self.now + self.random_below(limits::lazy_update_spread_ms(members));
            self.plan_refresh(group, at)?;
        }
        if outdated {
            let at = self.now + self.random_below(limits::CREDENTIAL_SPREAD_MS);
            self.plan_refresh(group, at)?;
        }
        Ok(())
    }

    // --- duties

    /// Proposals of others wait for a commit: this device makes it, if nobody does before.
    pub(crate) fn proposal_waits(&mut self, group: GroupId) -> Step {
        let urgent = self.tx.has_outbox(group)?;
        let position = self.with_group(group, |_, _, loaded, _| {
            Ok(commit::can_commit_pending(loaded).then(|| commit::duty_position(loaded)))
        })?;
        let step = if urgent { limits::URGENT_DUTY_STEP_MS } else { limits::DUTY_STEP_MS };
        let Ok(Some(position)) = position else { return Ok(()) };
        let at = if self.has_ended_device(group)? { self.now } else { self.now + step * (position + 1) };
        if let Some(lane) = self.lane(group) {
            let earlier = lane.commit_due.map_or(at, |planned| planned.min(at));
            lane.commit_due = Some(earlier);
            self.wake_at(group, earlier);
        }
        Ok(())
    }

    /// Whether a device is in a group that this one has ended itself.
    fn has_ended_device(&mut self, group: GroupId) -> Step<bool> {
        if self.m.session.ended.is_empty() {
            return Ok(false);
        }
        let members = self.with_group(group, |_, _, loaded, author| group::members(loaded, author.me))?;
        let ended = &self.m.session.ended;
        Ok(members.is_ok_and(|members| members.iter().any(|(_, member)| ended.contains(&member.device))))
    }

    /// The hub says that something should be done for another member's device.
    pub(crate) fn membership_event(&mut self, event: &v1::MembershipEvent) {
        let ids = (GroupId::try_from(&event.group), DeviceId::try_from(&event.device));
        if let ((Ok(group), Ok(device)), Ok(Kind::NeedsReAdd)) = (ids, Kind::try_from(event.kind)) {
            self.note_re_add(group, device);
        }
    }

    /// A device cannot join a group by itself.
    pub(crate) fn note_re_add(&mut self, group: GroupId, device: DeviceId) {
        if Some(device) == self.own_device() {
            return;
        }
        let Some(lane) = self.m.groups.get(&group) else { return };
        if lane.state() != GroupState::Active || lane.re_add_due.contains_key(&device) {
            return;
        }
        let position = self.random_below(limits::DUTY_POSITIONS);
        let at = self.now + limits::DUTY_STEP_MS * position / 2;
        if let Some(lane) = self.lane(group) {
            lane.re_add_due.insert(device, at);
        }
        self.wake_at(group, at);
        self.touch(group);
    }

    /// Turns duties that are due into intents.
    pub(crate) fn drive_duties(&mut self, group: GroupId) -> Step {
        let now = self.now;
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let commit = lane.commit_due.take_if(|at| *at <= now).is_some();
        let refresh = lane.row.record.refresh_at.take_if(|at| *at <= now).is_some();
        let devices = lane.re_add_due.iter().filter(|(_, at)| **at <= now);
        let devices: Vec<DeviceId> = devices.map(|(device, _)| *device).collect();
        for device in &devices {
            lane.re_add_due.remove(device);
        }
        let later = lane.re_add_due.values().copied();
        let later = later.chain(lane.commit_due).chain(lane.row.record.refresh_at).min();
        if refresh {
            self.save(group)?;
            self.add_duty(group, Change::Update)?;
        }
        if commit {
            self.add_duty(group, Change::Pending)?;
        }
        for device in devices {
            self.re_add(group, device)?;
        }
        if let Some(at) = later {
            self.wake_at(group, at);
        }
        Ok(())
    }

    fn add_duty(&mut self, group: GroupId, change: Change) -> Step {
        let known = self.tx.intents_of(group)?.iter().any(|row| row.intent.change == change);
        if !known {
            self.add_intent(group, change, false)?;
        }
        Ok(())
    }

    fn re_add(&mut self, group: GroupId, device: DeviceId) -> Step {
        let user = self.with_group(group, |_, _, loaded, author| {
            let members = group::members(loaded, author.me)?;
            let found = members.into_iter().find(|(_, identity)| identity.device == device);
            let (_, identity) = found.ok_or(MlsError::NoGroup)?;
            let policy = group::policy(loaded)?;
            Ok(commit::may_re_add(&policy, author.me, &identity).then_some(identity.user))
        })?;
        let Ok(Some(user)) = user else { return Ok(()) };
        let device = *device.as_bytes();
        let known =
            self.tx.intents_of(group)?.iter().any(
                |row| matches!(&row.intent.change, Change::ReAdd { device: other, .. } if *other == device),
            );
        if !known {
            let (user, claim) = (user.as_str().to_owned(), self.random());
            self.add_intent(group, Change::ReAdd { user, device, claim }, false)?;
        }
        Ok(())
    }
}
