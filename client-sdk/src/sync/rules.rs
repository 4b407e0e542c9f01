//! Groups that follow the directory: carries out what the hub says is due, in batches, as commits of this device.
//!
//! The hub has no keys, so it names users to devices of administrators, when they have read everything and when it
//! changes. Each device waits as many steps as there are administrators on leaves before its own, so that usually one
//! acts and the others find it done. Only a group whose profile says so follows: what the hub names for any other
//! is ignored.

use std::collections::BTreeSet;

use cercle_proto::{
    id::{GroupId, TimestampMs, UserId},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, Step, session::Pending, user_ids};
use crate::{core::GroupState, limits, mls::group, store::intents::Change};

/// What is to be done in a group, and when this device begins.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    add: Vec<UserId>,
    remove: Vec<UserId>,
    at: TimestampMs,
}

/// Who is in a group, as this device knows by the certificates that it has checked.
struct Present {
    users: BTreeSet<UserId>,
    administrators: Vec<UserId>,
    /// Leaves of administrators before the own one; `None`: this user is none.
    position: Option<u64>,
}

impl Cx<'_, '_> {
    /// Asks once for each connection, if a group follows the directory.
    pub(crate) fn ask_for_rules(&mut self) {
        if !self.m.session.caught_up || self.m.session.rules_asked {
            return;
        }
        self.m.session.rules_asked = true;
        let follows = |lane: &super::Lane| {
            lane.state() == GroupState::Active && lane.row.record.profile.follows_directory
        };
        if self.m.groups.values().any(follows) {
            self.request(Request::GetGroupRules(v1::GetGroupRules::default()), Pending::GroupRules);
        }
    }

    /// The hub says what is due in groups.
    pub(crate) fn memberships_due(&mut self, groups: Vec<v1::MembershipDue>) -> Step {
        groups.iter().try_for_each(|due| self.membership_due(due))
    }

    /// The hub says what is due in a group; it replaces what it said before.
    pub(crate) fn membership_due(&mut self, due: &v1::MembershipDue) -> Step {
        let Ok(group) = GroupId::try_from(&due.group) else { return Ok(()) };
        let Some(position) = self.present(group)?.and_then(|present| present.position) else {
            return Ok(());
        };
        let at = self.now + limits::MEMBERSHIP_STEP_MS * position;
        let due = Due { add: user_ids(&due.add), remove: user_ids(&due.remove), at };
        if let Some(lane) = self.lane(group) {
            lane.due = Some(due);
        }
        self.touch(group);
        Ok(())
    }

    /// Turns the next batch of what is due into an intent, when the one before it has ended. What was done by
    /// others meanwhile is left out.
    pub(crate) fn follow_directory(&mut self, group: GroupId) -> Step {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let profile = &lane.row.record.profile;
        let follows = profile.follows_directory && profile.thread.may_follow_directory();
        let Some(due) = lane.due.clone().filter(|_| follows) else { return Ok(()) };
        if due.at > self.now {
            self.wake_at(group, due.at);
            return Ok(());
        }
        let is_batch = |change: &Change| matches!(change, Change::Invite { .. } | Change::Remove { .. });
        let intents = self.tx.intents_of(group)?;
        if intents.iter().any(|row| !row.intent.by_user && is_batch(&row.intent.change)) {
            return Ok(());
        }
        let Some(present) = self.present(group)?.filter(|present| present.position.is_some()) else {
            return Ok(());
        };
        let Due { mut add, mut remove, at } = due;
        remove.retain(|user| present.users.contains(user) && !present.administrators.contains(user));
        add.retain(|user| !present.users.contains(user));
        let removes = !remove.is_empty();
        let list = if removes { &mut remove } else { &mut add };
        let size = list.len().min(limits::MEMBERSHIP_BATCH_USERS);
        let batch: Vec<String> = list.drain(..size).map(|user| user.as_str().to_owned()).collect();
        let rest = Due { add, remove, at };
        if let Some(lane) = self.lane(group) {
            lane.due = (!rest.add.is_empty() || !rest.remove.is_empty()).then_some(rest);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let claim = self.random();
        let change =
            if removes { Change::Remove { users: batch } } else { Change::Invite { users: batch, claim } };
        self.add_intent(group, change, false)?;
        Ok(())
    }

    fn present(&mut self, group: GroupId) -> Step<Option<Present>> {
        if !self.m.groups.contains_key(&group) {
            return Ok(None);
        }
        let present = self.with_group(group, |_, _, loaded, author| {
            let policy = group::policy(loaded)?;
            let members = group::members(loaded, author.me)?;
            let own = loaded.own_leaf_index();
            let administrators =
                members.iter().filter(|(_, identity)| policy.is_administrator(&identity.user));
            let before = administrators.filter(|(leaf, _)| *leaf < own).count() as u64;
            Ok(Present {
                position: policy.is_administrator(&author.me.identity.user).then_some(before),
                administrators: policy.administrators().to_vec(),
                users: members.into_iter().map(|(_, identity)| identity.user).collect(),
            })
        })?;
        Ok(present.ok())
    }
}
