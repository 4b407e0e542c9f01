//! What commits change: who is in the group, its policy, and what this device must do about it.

use cercle_proto::{
    certificate::DeviceIdentity,
    id::{GroupId, Seq, TimestampMs},
};
use std::collections::BTreeSet;

use super::{Cx, Step};
use crate::{
    core::GroupState,
    error::Error,
    event::{Actor, Event, MembershipChange, RefusedReason},
    mls::{
        check::{CommitView, Wish},
        group,
    },
    store::intents::Change,
};

impl Cx<'_, '_> {
    /// A commit was merged: tells the app, and takes the consequences.
    pub(crate) fn commit_applied(
        &mut self,
        group: GroupId,
        (seq, at_ms): (Seq, TimestampMs),
        view: &CommitView,
    ) -> Step {
        if view.self_removed {
            let own = self.own_device();
            let by = view.removed.iter().find(|(identity, _)| Some(identity.device) == own);
            let by = by.and_then(|(_, wish)| match wish {
                Wish::Hub => Some(Actor::Hub),
                Wish::Own => None,
                Wish::Committer => Some(member(&view.committer)),
            });
            return self.close_group(group, by);
        }
        self.tell_membership(group, (seq, at_ms), view)?;
        if view.policy_changed {
            self.emit(Event::GroupChanged { group });
        }
        if let Some(lane) = self.lane(group) {
            lane.commit_due = None;
            for identity in &view.added {
                lane.re_add_due.remove(&identity.device);
            }
        }
        let leaving = self.m.groups.get(&group).is_some_and(|lane| lane.state() == GroupState::Leaving);
        let asked = self.tx.intents_of(group)?.iter().any(|row| row.intent.change == Change::Leave);
        if leaving && !asked {
            // The commit left this device's wish out: it wishes again.
            self.add_intent(group, Change::Leave, false)?;
        }
        let devices: Vec<_> = view.added.iter().map(|identity| identity.device).collect();
        self.hand_over_to_linked(group, &devices)?;
        if view.external {
            self.another_came(group);
        }
        self.save(group)?;
        if view.external && self.greets(group, &view.committer)? {
            self.queue_profile(group, None)?;
        }
        self.touch(group);
        Ok(())
    }

    /// Whether it is this device that tells the title to one who joined by external commit, and may have
    /// lost it: the first leaf of another user that may post does, because other devices of his own may be lost
    /// too, and only where there is none the first of those.
    fn greets(&mut self, group: GroupId, joiner: &DeviceIdentity) -> Step<bool> {
        let first = self.with_group(group, |_, _, loaded, author| {
            let policy = group::policy(loaded)?;
            let members = group::members(loaded, author.me)?;
            let others = members.into_iter().map(|(_, identity)| identity);
            let others = others.filter(|other| other.device != joiner.device && policy.may_post(&other.user));
            // Of several the first; false comes before true.
            Ok(others.min_by_key(|other| other.user == joiner.user).map(|other| other.device))
        })?;
        Ok(first.ok().flatten().is_some_and(|device| Some(device) == self.own_device()))
    }

    fn tell_membership(&mut self, group: GroupId, place: (Seq, TimestampMs), view: &CommitView) -> Step {
        let after = self.with_group(group, |_, _, loaded, author| group::members(loaded, author.me))?;
        let present: BTreeSet<_> = after
            .unwrap_or_default()
            .into_iter()
            .map(|(_, identity)| (identity.user, identity.device))
            .collect();
        let others = |identity: &DeviceIdentity| {
            present.iter().any(|(user, device)| *user == identity.user && *device != identity.device)
        };
        for (identity, wish) in &view.removed {
            let by = match wish {
                Wish::Committer => member(&view.committer),
                Wish::Own => member(identity),
                Wish::Hub => Actor::Hub,
            };
            self.tell_change(group, place, identity, by, false, others(identity))?;
        }
        for identity in &view.added {
            let by = member(&view.committer);
            self.tell_change(group, place, identity, by, true, others(identity))?;
        }
        Ok(())
    }

    fn tell_change(
        &mut self,
        group: GroupId,
        (seq, at_ms): (Seq, TimestampMs),
        identity: &DeviceIdentity,
        by: Actor,
        joined: bool,
        has_other_devices: bool,
    ) -> Step {
        let (user, device) = (identity.user.clone(), identity.device);
        if !joined && self.m.groups.get(&group).is_some_and(|lane| lane.row.record.personal) {
            self.emit(Event::OwnDeviceOut { device });
        }
        self.emit(Event::MembershipChanged(MembershipChange {
            group,
            seq,
            joined,
            user: user.clone(),
            device,
            display_name: identity.display_name.clone(),
            by,
        }));
        if has_other_devices {
            self.note_device_change(group, (seq, at_ms), identity, joined)?;
            let admission = identity.admission;
            self.emit(Event::DeviceChange { group, user, device, added: joined, admission });
        }
        Ok(())
    }

    /// This device is out of a group: nothing more is read or sent; what was received stays.
    pub(crate) fn close_group(&mut self, group: GroupId, by: Option<Actor>) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        if lane.state() == GroupState::Closed {
            return Ok(());
        }
        lane.row.record.state = GroupState::Closed;
        lane.row.record.recovery = None;
        lane.row.record.refresh_at = None;
        lane.in_flight.clear();
        self.save(group)?;
        let provider = self.provider();
        if let Err(error) = group::delete(&provider, group) {
            tracing::warn!(group.id = ?group, %error, "the keys of a closed group were not deleted");
        }
        self.m.cache.forget(group);
        for row in self.tx.outbox_of(group, 0, usize::MAX >> 1)? {
            self.tx.delete_outbox(row.id)?;
            let reason = RefusedReason::NotMember;
            self.emit(Event::MessageRefused { group, message: row.id, reason });
        }
        for row in self.tx.intents_of(group)? {
            self.finish_intent(&row, Err(Error::NotMember(group)))?;
        }
        self.emit(Event::GroupLeft { group, by });
        Ok(())
    }
}

fn member(identity: &DeviceIdentity) -> Actor {
    Actor::Member {
        user: identity.user.clone(),
        device: identity.device,
        display_name: identity.display_name.clone(),
    }
}
