//! Changes of groups: each is done exactly once, or given up for a reason that is told.
//!
//! An intent is staged (its commit is made, stored, then sent), and done when its own entry is read in the
//! log: the echo is in the log's order, an answer is not, so that commits of others that came before are
//! always merged first. When another commit wins the epoch, the intent is staged again on top, under a new
//! message id, with the key packages it has claimed.
//!
//! One intent of a group is on its way at a time. What the user asked for goes first, in order.

use cercle_proto::{
    ErrorCode,
    id::{GroupId, MessageId, Seq},
    v1::{self, client_frame::Body as Request},
};
use prost::Message as _;

use super::{
    Cx, Step,
    session::Pending,
    verdict::{Verdict, refusal, verdict},
};
use crate::{
    core::{GroupState, Outcome},
    error::Error,
    event::{Event, GapReason},
    limits,
    mls::{MlsError, application, commit, group},
    store::intents::{Change, Claimed, Intent, IntentRow},
};

impl Cx<'_, '_> {
    /// Notes a change. It begins as soon as it can.
    pub(crate) fn add_intent(&mut self, group: GroupId, change: Change, by_user: bool) -> Step<u64> {
        let id = self.tx.add_intent(group, self.now, &Intent::new(change, by_user))?;
        self.touch(group);
        Ok(id)
    }

    /// Takes the next step of a group's changes.
    pub(crate) fn drive_intents(&mut self, group: GroupId) -> Step {
        // Intents that end at once make room for the next; each ends once.
        for _ in 0..=limits::INTENTS_PER_GROUP_MAX {
            let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
            if lane.busy {
                return Ok(());
            }
            if lane.hold_until > self.now {
                self.wake_at(group, lane.hold_until);
                return Ok(());
            }
            let Some(row) = next(self.tx.intents_of(group)?) else { return Ok(()) };
            if row.not_before > self.now {
                self.wake_at(group, row.not_before);
                return Ok(());
            }
            if !self.step(row)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes one step of an intent; true if it has ended and the next may begin.
    fn step(&mut self, row: IntentRow) -> Step<bool> {
        if let Some(staged) = &row.intent.staged {
            self.send_staged(&row, staged.message(), &staged.frame.clone())?;
            return Ok(false);
        }
        let claim = match &row.intent.change {
            Change::Invite { users, claim } => Some((*claim, users.clone(), Vec::new())),
            Change::ReAdd { user, device, claim } => Some((*claim, vec![user.clone()], device.to_vec())),
            _ => None,
        };
        match claim {
            Some((claim, users, device)) if row.intent.claimed.is_none() => {
                let group = row.group;
                let (claim_id, device) = (claim.to_vec().into(), device.into());
                let claim = v1::ClaimKeyPackages { claim_id, users, group: group.to_bytes(), device };
                self.set_busy(group);
                self.request(Request::ClaimKeyPackages(claim), Pending::Claim { group, intent: row.id });
                Ok(false)
            }
            _ => self.stage(row),
        }
    }

    /// Sends what an intent has staged, for the first time or again.
    pub(crate) fn send_staged(&mut self, row: &IntentRow, message: MessageId, encoded: &[u8]) -> Step {
        let (group, intent) = (row.group, row.id);
        let frame = cercle_proto::frame::decode_client(encoded.to_vec().into());
        match frame.ok().and_then(|frame| frame.body) {
            Some(body) => {
                self.set_busy(group);
                self.request(body, Pending::Change { group, intent, message });
                Ok(())
            }
            None => self.finish_intent(row, Err(Error::Mls("a stored frame is damaged".into()))),
        }
    }

    /// The hub gave out key packages.
    pub(crate) fn claimed(&mut self, group: GroupId, intent: u64, packages: v1::KeyPackages) -> Step {
        self.set_idle(group);
        let Some(mut row) = self.intent(group, intent)? else { return Ok(()) };
        let encoded = packages.key_packages.iter().map(|package| package.encode_to_vec()).collect();
        row.intent.claimed = Some(Claimed { packages: encoded, missing: packages.missing });
        self.tx.write_intent(&row)
    }

    /// The hub gave out no key packages.
    pub(crate) fn claim_refused(&mut self, group: GroupId, intent: u64, error: &v1::Error) -> Step {
        self.set_idle(group);
        let Some(row) = self.intent(group, intent)? else { return Ok(()) };
        match verdict(error) {
            Verdict::Later(delay) => {
                self.hold(group, delay);
                Ok(())
            }
            _ => self.finish_intent(&row, Err(refusal(error))),
        }
    }

    /// The hub has stored a commit, proposal or group. The first two are confirmed by their entry.
    pub(crate) fn change_accepted(
        &mut self,
        group: GroupId,
        intent: u64,
        message: MessageId,
        accepted: &v1::Accepted,
    ) -> Step {
        let Some(row) = self.intent(group, intent)? else {
            self.set_idle(group);
            return Ok(());
        };
        let current = row.intent.staged.as_ref().is_some_and(|staged| staged.message() == message);
        let passed = self.m.groups.get(&group).is_some_and(|lane| accepted.seq <= lane.row.cursor);
        if matches!(row.intent.change, Change::Create { .. }) {
            self.set_idle(group);
            self.group_registered(group, &row)
        } else if current && passed && accepted.seq > 0 {
            // Accepted long ago, and its entry was passed without this store knowing: an older copy.
            self.rollback_detected()?;
            self.begin_recovery(group, GapReason::Rollback, false)
        } else {
            Ok(())
        }
    }

    fn group_registered(&mut self, group: GroupId, row: &IntentRow) -> Step {
        if let Some(lane) = self.lane(group) {
            lane.row.record.state = GroupState::Active;
            lane.row.record.made_again = false;
        }
        self.save(group)?;
        self.finish_intent(row, Ok(Outcome::GroupCreated(group)))?;
        if !self.m.groups.get(&group).is_some_and(|lane| lane.row.record.personal) {
            self.own_groups_changed()?;
        }
        self.queue_profile(group, Some(row.id))?;
        self.emit(Event::GroupJoined { group });
        self.subscribe(&[group]);
        Ok(())
    }

    /// The hub refused a commit, proposal or group.
    pub(crate) fn change_refused(
        &mut self,
        group: GroupId,
        intent: u64,
        message: MessageId,
        error: &v1::Error,
    ) -> Step {
        self.set_idle(group);
        let Some(row) = self.intent(group, intent)? else { return Ok(()) };
        let current = row.intent.staged.as_ref().is_some_and(|staged| staged.message() == message);
        let made_again = self.m.groups.get(&group).is_some_and(|lane| lane.row.record.made_again);
        if made_again && ErrorCode::from_number(error.code) == Some(ErrorCode::GroupExists) {
            return self.wait_for_others(group);
        }
        if !current {
            // It was made again already, on top of the commit that won.
            self.touch(group);
            return Ok(());
        }
        match verdict(error) {
            Verdict::Later(delay) => {
                self.hold(group, delay);
                Ok(())
            }
            Verdict::ReadOn => self.lost(group, row, error),
            Verdict::Rejoin if row.intent.attempts > 0 => {
                self.begin_recovery(group, GapReason::InvalidCommit, false)
            }
            Verdict::Rejoin => self.unstage(row),
            // The removal is in the log and will be read.
            Verdict::NotMember => self.give_up(row, Error::NotMember(group)),
            Verdict::Never if outdated_key_package(&row, error) => self.claim_again(row),
            Verdict::Never => self.give_up(row, refusal(error)),
        }
    }

    /// A device was revoked, or its certificate has ended, since its key package was claimed.
    fn claim_again(&mut self, mut row: IntentRow) -> Step {
        let fresh = self.random();
        if let Change::Invite { claim, .. } | Change::ReAdd { claim, .. } = &mut row.intent.change {
            *claim = fresh;
        }
        row.intent.claimed = None;
        self.unstage(row)
    }

    /// Another member's change came first.
    fn lost(&mut self, group: GroupId, row: IntentRow, error: &v1::Error) -> Step {
        let made_in = row.intent.staged.as_ref().map_or(0, |staged| staged.epoch);
        if let Some(v1::error::Details::EpochConflict(conflict)) = &error.details
            && conflict.current_epoch < made_in
        {
            return self.begin_recovery(group, GapReason::HubRestored, false);
        }
        let cursor = self.m.groups.get(&group).map_or(0, |lane| lane.row.cursor);
        match &error.details {
            Some(v1::error::Details::EpochConflict(conflict)) if conflict.winner_seq > cursor => {
                // The winner is read soon, and what is staged is void then.
                self.set_busy(group);
                Ok(())
            }
            _ => self.unstage(row),
        }
    }

    /// Takes back what an intent has staged; it is made again after a delay.
    pub(crate) fn unstage(&mut self, mut row: IntentRow) -> Step {
        row.intent.staged = None;
        row.intent.attempts += 1;
        if row.intent.attempts > limits::COMMIT_ATTEMPTS_MAX {
            return self.give_up(row, Error::Mls("other changes of the group always came first".into()));
        }
        let (first, longest) = limits::CONFLICT_DELAY_MS;
        let delay = (first << row.intent.attempts.min(16)).min(longest);
        row.not_before = self.now + delay / 2 + self.random_below(delay);
        self.drop_pending(row.group)?;
        self.tx.write_intent(&row)?;
        self.wake_at(row.group, row.not_before);
        Ok(())
    }

    /// Another member's commit was merged: what this device had staged is void.
    pub(crate) fn lost_the_epoch(&mut self, group: GroupId) -> Step {
        for row in self.tx.intents_of(group)? {
            if row.intent.staged.is_some() && !matches!(row.intent.change, Change::Create { .. }) {
                self.set_idle(group);
                self.unstage(row)?;
            }
        }
        Ok(())
    }

    /// The group's MLS state was replaced: everything staged in the old one is void.
    pub(crate) fn unstage_all(&mut self, group: GroupId) -> Step {
        for mut row in self.tx.intents_of(group)? {
            if row.intent.staged.take().is_some() {
                self.tx.write_intent(&row)?;
            }
        }
        if let Some(lane) = self.lane(group) {
            lane.busy = false;
        }
        Ok(())
    }

    fn give_up(&mut self, row: IntentRow, error: Error) -> Step {
        self.drop_pending(row.group)?;
        if matches!(row.intent.change, Change::Create { .. }) {
            self.finish_intent(&row, Err(error))?;
            return self.close_group(row.group, None);
        }
        self.finish_intent(&row, Err(error))
    }

    /// Drops the own pending commit, if there is one.
    pub(crate) fn drop_pending(&mut self, group: GroupId) -> Step {
        let dropped =
            self.with_group(group, |provider, _, loaded, _| application::drop_own(provider, loaded))?;
        if let Err(error) = dropped {
            tracing::debug!(group.id = ?group, %error, "no pending commit was dropped");
        }
        Ok(())
    }

    /// An entry of this device that is no message: if an intent made it, it is done. `None`: unknown.
    pub(crate) fn confirm_change(
        &mut self,
        group: GroupId,
        message: MessageId,
        seq: Seq,
    ) -> Step<Option<Result<(), MlsError>>> {
        let rows = self.tx.intents_of(group)?;
        let made = |row: &IntentRow| row.intent.staged.as_ref().is_some_and(|s| s.message() == message);
        let Some(row) = rows.into_iter().find(made) else { return Ok(None) };
        self.set_idle(group);
        if row.intent.change == Change::Leave {
            self.finish_intent(&row, Ok(Outcome::Done))?;
            let alone = self.with_group(group, |_, _, loaded, _| Ok(loaded.members().count() == 1))?;
            if alone.unwrap_or(false) {
                self.close_group(group, None)?;
            }
            return Ok(Some(Ok(())));
        }
        let merged = self.with_group(group, |provider, _, loaded, author| {
            let view = commit::pending_view(loaded, author)?;
            application::merge_own(provider, loaded)?;
            Ok((view, loaded.epoch().as_u64(), group::authenticator(loaded)))
        })?;
        let (view, epoch, authenticator) = match merged {
            Ok(merged) => merged,
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "an own accepted commit cannot be merged");
                return Ok(Some(Err(error)));
            }
        };
        if let Some(lane) = self.lane(group) {
            lane.row.cursor = seq;
            lane.row.record.enter_epoch(epoch, authenticator);
            lane.row.record.refresh_at = None;
        }
        self.remember_change(group, seq, &row.intent.change);
        self.finish_intent(&row, Ok(outcome(&row.intent, &view.added)))?;
        self.commit_applied(group, (seq, self.now), &view)?;
        if !view.added.is_empty() || matches!(row.intent.change, Change::ReAdd { .. }) {
            self.queue_profile(group, Some(row.id))?;
        }
        Ok(Some(Ok(())))
    }

    /// Deletes an intent and tells the app, if it waits.
    pub(crate) fn finish_intent(&mut self, row: &IntentRow, result: Result<Outcome, Error>) -> Step {
        self.tx.delete_intent(row.id)?;
        self.invite_awaited(row)?;
        self.change_ended(row, &result)?;
        self.set_idle(row.group);
        if let Some(command) = self.m.waiting.remove(&row.id) {
            self.finish(command, result);
        }
        self.touch(row.group);
        Ok(())
    }

    pub(crate) fn intent(&self, group: GroupId, id: u64) -> Step<Option<IntentRow>> {
        Ok(self.tx.intents_of(group)?.into_iter().find(|row| row.id == id))
    }

    fn set_busy(&mut self, group: GroupId) {
        if let Some(lane) = self.lane(group) {
            lane.busy = true;
        }
    }

    fn set_idle(&mut self, group: GroupId) {
        if let Some(lane) = self.lane(group) {
            lane.busy = false;
        }
        self.touch(group);
    }

    fn hold(&mut self, group: GroupId, delay: u64) {
        let until = self.now + delay;
        if let Some(lane) = self.lane(group) {
            lane.hold_until = until;
        }
        self.wake_at(group, until);
    }
}

/// The intent whose turn it is: what is on its way, then what the user wants, then duties.
fn next(rows: Vec<IntentRow>) -> Option<IntentRow> {
    let position = rows
        .iter()
        .position(|row| row.intent.staged.is_some())
        .or_else(|| rows.iter().position(|row| row.intent.by_user))
        .or(if rows.is_empty() { None } else { Some(0) })?;
    rows.into_iter().nth(position)
}

fn outdated_key_package(row: &IntentRow, error: &v1::Error) -> bool {
    row.intent.claimed.is_some()
        && row.intent.attempts == 0
        && ErrorCode::from_number(error.code) == Some(ErrorCode::CertificateRefused)
}

fn outcome(intent: &Intent, added: &[cercle_proto::certificate::DeviceIdentity]) -> Outcome {
    match &intent.change {
        Change::Invite { .. } => Outcome::Invited {
            devices: added.iter().map(|identity| identity.device).collect(),
            missing: super::user_ids(intent.claimed.as_ref().map_or(&[], |claimed| &claimed.missing)),
        },
        _ => Outcome::Done,
    }
}
