//! Groups that a restored hub does not know, or not this device in them: they wait, an administrator's device
//! makes them again under the same id, and members are added again.

use cercle_proto::id::{GroupId, TimestampMs, UserId};

use super::{Cx, Lane, Step, restored::Aftermath};
use crate::{
    core::GroupState,
    event::{Event, GapReason},
    limits,
    mls::group,
    store::{
        groups::{GroupRecord, GroupRow, Recovery},
        intents::{Change, Intent, IntentRow},
    },
};

impl Cx<'_, '_> {
    /// The hub does not list a group: it has forgotten the group, or that this device was added to it. True
    /// if that is because it was restored: then the group waits, and an administrator makes it again.
    pub(crate) fn forgotten_by_hub(&mut self, group: GroupId) -> Step<bool> {
        let current = self.m.standing.incarnation.clone();
        let Some(lane) = self.lane(group) else { return Ok(false) };
        let before = &lane.row.record.incarnation;
        if before.is_empty() || *before == current {
            return Ok(false);
        }
        if lane.row.record.recovery.as_ref().is_some_and(|recovery| recovery.absent) {
            return Ok(true);
        }
        let turn = self.with_group(group, |_, _, loaded, author| {
            let policy = group::policy(loaded)?;
            let members = group::members(loaded, author.me)?;
            let mut administrators =
                members.iter().filter(|(_, identity)| policy.is_administrator(&identity.user));
            Ok(administrators.position(|(_, identity)| identity.device == author.me.identity.device))
        })?;
        self.begin_recovery(group, GapReason::HubRestored, false)?;
        let not_before = match turn {
            Ok(Some(turn)) => self.now + limits::MAKE_AGAIN_STEP_MS * (turn as u64 + 1),
            _ => TimestampMs::MAX,
        };
        if let Some(recovery) = self.recovery(group) {
            *recovery = Recovery { absent: true, not_before, ..Recovery::new(GapReason::HubRestored, false) };
        }
        self.save(group)?;
        self.touch(group);
        Ok(true)
    }

    /// An administrator's device makes a forgotten group again when its turn has come.
    pub(crate) fn drive_absent(&mut self, group: GroupId, not_before: TimestampMs) -> Step {
        if not_before == TimestampMs::MAX {
            return Ok(());
        }
        if not_before > self.now {
            self.wake_at(group, not_before);
            return Ok(());
        }
        self.make_again(group)
    }

    /// Makes a group of the same id, with the same policy, and invites its members again.
    fn make_again(&mut self, id: GroupId) -> Step {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else { return Ok(()) };
        let Some(hub) = self.m.standing.hub_certificate.clone() else { return Ok(()) };
        let provider = self.provider();
        self.m.cache.forget(id);
        self.tx.mark(0)?;
        let made = match group::create_again(&provider, &identity.keys, &me, id, &hub) {
            Ok(made) => made,
            Err(error) => {
                self.tx.rollback_to_mark(0)?;
                tracing::warn!(group.id = ?id, %error, "a forgotten group cannot be made again");
                return self.wait_for_others(id);
            }
        };
        self.tx.keep_since_mark(0)?;
        let mut record = GroupRecord::new(GroupState::Creating, 0, 0);
        record.enter_epoch(0, group::authenticator(&made.group));
        record.profile_awaited = false;
        record.incarnation.clone_from(&self.m.standing.incarnation);
        record.made_again = true;
        if let Some(old) = self.m.groups.get(&id) {
            record.profile.clone_from(&old.row.record.profile);
        }
        let profile = record.profile.clone();
        self.m.cache.keep(id, made.group);
        let mut lane = Lane::new(GroupRow { cursor: 0, record });
        lane.aftermath = Aftermath::begin(self.now);
        self.m.groups.insert(id, lane);
        self.save(id)?;
        self.register_group(id, profile, made.group_info, made.tree)?;
        let others = made.users.iter().filter(|user| **user != me.identity.user);
        let users: Vec<String> = others.map(|user: &UserId| user.as_str().to_owned()).collect();
        if let Some(lane) = self.lane(id) {
            lane.row.record.awaited.clone_from(&users);
        }
        self.save(id)?;
        let invite = match users.is_empty() {
            true => 0,
            false => self.add_intent(id, Change::Invite { users, claim: self.random() }, false)?,
        };
        self.say_again(id, 0, invite)
    }

    /// Another administrator was faster, or the hub knows the group and not this device: members will add it.
    pub(crate) fn wait_for_others(&mut self, group: GroupId) -> Step {
        for row in self.tx.intents_of(group)? {
            self.tx.delete_intent(row.id)?;
            self.m.waiting.remove(&row.id);
        }
        let Some(lane) = self.lane(group) else { return Ok(()) };
        lane.busy = false;
        lane.row.record.state = GroupState::Recovering;
        // Not compared with this incarnation yet: that happens when the hub lists it.
        lane.row.record.incarnation = b"none".to_vec();
        lane.row.record.recovery = Some(Recovery {
            absent: true,
            not_before: TimestampMs::MAX,
            ..Recovery::new(GapReason::HubRestored, false)
        });
        self.save(group)?;
        self.emit(Event::Recovering { group, reason: GapReason::HubRestored });
        Ok(())
    }

    /// A welcome brings this device back into a group that the hub had forgotten.
    pub(crate) fn welcomed_back(&mut self, group: GroupId, old: &Lane) -> Step {
        let (now, current) = (self.now, self.m.standing.incarnation.clone());
        let absent = old.row.record.recovery.as_ref().is_some_and(|recovery| recovery.absent);
        if let Some(lane) = self.lane(group) {
            lane.row.record.incarnation = current;
            lane.aftermath = old.aftermath.clone();
            if absent {
                lane.aftermath = Aftermath::begin(now);
            }
        }
        self.save(group)?;
        if absent { self.say_again(group, 0, 0) } else { Ok(()) }
    }

    /// An invitation has ended. Users who were added again and had no key package yet, because their devices
    /// have not seen the restored hub, are invited once more later.
    pub(crate) fn invite_awaited(&mut self, row: &IntentRow) -> Step {
        let (Change::Invite { users, .. }, Some(claimed)) = (&row.intent.change, &row.intent.claimed) else {
            return Ok(());
        };
        let Some(lane) = self.lane(row.group).filter(|lane| !lane.row.record.awaited.is_empty()) else {
            return Ok(());
        };
        let awaited = &mut lane.row.record.awaited;
        let (missing, invited): (Vec<_>, Vec<_>) =
            users.iter().cloned().partition(|user| claimed.missing.contains(user));
        let missing: Vec<String> = missing.into_iter().filter(|user| awaited.contains(user)).collect();
        awaited.retain(|user| !invited.contains(user));
        let closed = lane.state() == GroupState::Closed;
        self.save(row.group)?;
        if missing.is_empty() || closed || row.intent.attempts >= limits::INVITED_AGAIN_MAX {
            return Ok(());
        }
        let mut again = Intent::new(Change::Invite { users: missing, claim: self.random() }, false);
        again.attempts = row.intent.attempts + 1;
        let at = self.now + limits::INVITED_AGAIN_MS * u64::from(again.attempts);
        self.tx.add_intent(row.group, at, &again)?;
        self.wake_at(row.group, at);
        Ok(())
    }
}
