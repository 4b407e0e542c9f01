//! A hub that was restored from an older copy: what it has forgotten comes back from the devices.
//!
//! The hub says where each group's log stood in the copy (its forks, docs/protocol.md section 7). A device
//! that has read further than that goes back to the fork. If the epoch is still the same, it reads on from
//! there with the state that it has; else it joins again by external commit. Then every device says again
//! what it had said since: its own messages, under their old ids and in their old order, and its own changes
//! of the group. Who has a message already moves it to its new place.

use std::collections::{BTreeMap, BTreeSet};

use cercle_proto::{
    ErrorCode,
    id::{Epoch, GroupId, MessageId, Seq, TimestampMs},
    v1::{self, EntryKind},
};

use super::{Cx, Step};
use crate::{
    core::GroupState,
    event::GapReason,
    limits,
    store::{
        intents::{Change, Intent},
        messages::MessageRow,
    },
};

/// What is special in a group for a while after the hub was restored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aftermath {
    /// When it began on this connection; 0: nothing is special.
    since: TimestampMs,
    /// Nothing is said before this time: others come back first, and shall be able to read it.
    quiet_until: TimestampMs,
    /// Over which time the members come back if each takes its turn.
    spread_ms: TimestampMs,
    /// Messages of others that the hub has forgotten, by their former places, until they are said again.
    lost: BTreeMap<Seq, MessageId>,
    /// Messages whose documents the hub has forgotten: they are said again without them.
    pub(crate) without_blobs: BTreeSet<MessageId>,
}

impl Aftermath {
    pub(crate) fn begin(now: TimestampMs) -> Self {
        Self { since: now, quiet_until: now + limits::RESTORED_QUIET_MS, ..Self::default() }
    }

    /// In a group of so many there is more to wait for.
    fn expect(&mut self, members: usize) {
        self.spread_ms = limits::RESTORED_SPREAD_MS * members as u64;
        self.quiet_until = self.quiet_until.max(self.since + self.quiet_ms());
    }

    /// Nobody can have been out of turn for longer than this and still be coming.
    const fn quiet_ms(&self) -> TimestampMs {
        limits::RESTORED_QUIET_MS + self.spread_ms
    }

    /// Somebody comes back: a little more patience, but not for ever.
    fn another_came(&mut self, now: TimestampMs) {
        if self.since > 0 && now <= self.quiet_until {
            let longest = limits::RESTORED_QUIET_MS_MAX + limits::RESTORED_SLOW_FACTOR * self.spread_ms;
            let end = self.since + longest.min(limits::RESTORED_QUIET_MS_LONGEST);
            self.quiet_until = (now + self.quiet_ms()).min(end);
        }
    }

    /// How many messages others have not said again.
    pub(crate) fn lost(&self) -> usize {
        self.lost.len()
    }

    /// Until when messages are said again in their former order.
    const fn ordered_until(&self) -> TimestampMs {
        self.quiet_until + limits::RESTORED_ORDER_MS
    }
}

/// What a device knows of the place to which the hub went back.
struct GoneBack {
    /// The last entry that both have.
    to: Seq,
    /// The epoch there, if known.
    epoch: Option<Epoch>,
}

impl Cx<'_, '_> {
    /// Whether a refused session is worth another try with the certificate: a hub that was restored from a
    /// copy does not know the devices that it enrolled since.
    pub(crate) fn offers_certificate(&mut self, error: &v1::Error) -> bool {
        let unknown = ErrorCode::from_number(error.code) == Some(ErrorCode::DeviceUnknown);
        unknown && self.m.me.is_some() && !std::mem::replace(&mut self.m.session.readmitting, true)
    }

    /// The hub is another incarnation than the one this device spoke to last.
    pub(crate) fn hub_restored(&mut self, before: &[u8]) -> Step {
        // What comes into the inbox is numbered again from where the copy stood.
        self.m.standing.inbox = 0;
        let unknown = self.m.groups.iter().filter(|(_, lane)| lane.row.record.incarnation.is_empty());
        let unknown: Vec<GroupId> = unknown.map(|(group, _)| *group).collect();
        for group in unknown {
            if let Some(lane) = self.lane(group) {
                lane.row.record.incarnation = before.to_vec();
            }
            self.save(group)?;
        }
        self.new_generation()
    }

    /// Compares a listed group with what this device has of it, once per incarnation; true if nothing else
    /// is to be done about it.
    pub(crate) fn compare_with_copy(&mut self, group: GroupId, state: &v1::GroupState) -> Step<bool> {
        let (now, current) = (self.now, self.m.standing.incarnation.clone());
        let lineage = self.m.session.lineage.clone();
        let Some(lane) = self.lane(group) else { return Ok(false) };
        if lane.row.record.incarnation == current {
            return Ok(false);
        }
        let before = std::mem::replace(&mut lane.row.record.incarnation, current);
        if before.is_empty() || matches!(lane.state(), GroupState::Closed | GroupState::Creating) {
            self.save(group)?;
            return Ok(false);
        }
        lane.aftermath = Aftermath::begin(now);
        let absent = lane.row.record.recovery.as_mut().filter(|recovery| recovery.absent);
        if let Some(recovery) = absent {
            // Added again by the member who had added it before; the welcome is on its way.
            recovery.absent = false;
            lane.row.cursor = state.joined_at;
            self.await_welcome(group)?;
            self.say_again(group, 0, 0)?;
            return Ok(true);
        }
        let back = gone_back(&lineage, &before, state);
        if back.epoch.is_some() && lane.row.cursor <= back.to {
            self.save(group)?;
            return Ok(false);
        }
        self.go_back(group, &back)?;
        Ok(true)
    }

    fn go_back(&mut self, group: GroupId, back: &GoneBack) -> Step {
        let lost = self.others_after(group, back.to)?;
        self.say_again(group, back.to, 0)?;
        self.change_again(group, back.to)?;
        let (turn, members) = self.turn_among_members(group)?;
        let Some(lane) = self.lane(group) else { return Ok(()) };
        lane.aftermath.lost = lost;
        lane.aftermath.expect(members);
        lane.row.cursor = back.to.min(lane.row.cursor);
        let record = &mut lane.row.record;
        record.undecryptable = 0;
        let same = back.epoch == Some(record.epoch) && !record.proposals_wait;
        if same && matches!(record.state, GroupState::Active | GroupState::Leaving) {
            return self.save(group);
        }
        self.come_back(group, back.to, turn)
    }

    /// Which of how many members this device is.
    fn turn_among_members(&mut self, group: GroupId) -> Step<(usize, usize)> {
        let found = self.with_group(group, |_, _, loaded, _| {
            let own = loaded.own_leaf_index();
            let turn = loaded.members().position(|member| member.index == own);
            Ok((turn.unwrap_or_default(), loaded.members().count()))
        })?;
        Ok(found.unwrap_or((0, 1)))
    }

    /// Joins again by external commit, one member after the other: of several at once the hub takes one. What is
    /// between the fork and that commit is read for its headers only, to know what is missing.
    fn come_back(&mut self, group: GroupId, from: Seq, turn: usize) -> Step {
        let at = self.now + limits::RESTORED_SPREAD_MS * turn as u64;
        self.begin_recovery(group, GapReason::HubRestored, false)?;
        if let Some(recovery) = self.recovery(group) {
            recovery.reason = GapReason::HubRestored;
            recovery.readable = false;
            recovery.rejoin = None;
            recovery.counted = Some(from);
            recovery.missed = 0;
            recovery.not_before = recovery.not_before.max(at);
        }
        self.save(group)?;
        self.touch(group);
        Ok(())
    }

    /// Messages of other devices behind a place.
    fn others_after(&self, group: GroupId, after: Seq) -> Step<BTreeMap<Seq, MessageId>> {
        let rows = self.tx.messages(group, after, limits::SAID_AGAIN_MAX)?;
        Ok(rows.iter().filter(|row| !row.record.own).map(|row| (row.seq, row.id)).collect())
    }

    /// Puts own messages behind a place into the outbox again, before what waits there.
    pub(crate) fn say_again(&mut self, group: GroupId, after: Seq, after_intent: u64) -> Step {
        let rows = self.tx.messages(group, after, limits::SAID_AGAIN_MAX)?;
        let own: Vec<MessageRow> =
            rows.into_iter().filter(|row| row.record.own && row.record.exported_by.is_none()).collect();
        if own.is_empty() {
            return Ok(());
        }
        let waiting = self.tx.outbox_of(group, 0, usize::MAX >> 1)?;
        for row in &waiting {
            self.tx.delete_outbox(row.id)?;
        }
        for row in own {
            if !waiting.iter().any(|waiting| waiting.id == row.id) {
                self.tx.queue_message(group, row.id, self.now, after_intent, &row.record.envelope)?;
            }
        }
        for row in waiting {
            let after_intent = row.after_intent.max(after_intent);
            self.tx.queue_message(group, row.id, row.queued_at_ms, after_intent, &row.content)?;
        }
        Ok(())
    }

    /// Wants own changes again that were made behind a place.
    fn change_again(&mut self, group: GroupId, after: Seq) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let done = std::mem::take(&mut lane.row.record.done);
        let (again, kept): (Vec<_>, Vec<_>) = done.into_iter().partition(|(seq, _)| *seq > after);
        lane.row.record.done = kept;
        let at = self.now + limits::RESTORED_QUIET_MS;
        for (_, mut change) in again {
            if let Change::Invite { users, claim } = &mut change {
                *claim = self.random();
                let users = users.clone();
                if let Some(lane) = self.lane(group) {
                    lane.row.record.awaited.extend(users);
                }
            }
            self.tx.add_intent(group, at, &Intent::new(change, false))?;
        }
        self.wake_at(group, at);
        Ok(())
    }

    /// Remembers an own change that is in the log, for a hub that forgets it.
    pub(crate) fn remember_change(&mut self, group: GroupId, seq: Seq, change: &Change) {
        if !matches!(change, Change::Invite { .. } | Change::Remove { .. } | Change::Administrators { .. }) {
            return;
        }
        if let Some(lane) = self.lane(group) {
            let done = &mut lane.row.record.done;
            done.push((seq, change.clone()));
            let excess = done.len().saturating_sub(limits::CHANGES_REMEMBERED_MAX);
            done.drain(..excess);
        }
    }

    // --- saying again

    /// Whether nothing may be said in a group yet; the group is looked at again then.
    pub(crate) fn must_be_quiet(&mut self, group: GroupId) -> bool {
        let now = self.now;
        let until = self.lane(group).map_or(0, |lane| lane.aftermath.quiet_until);
        if until > now {
            self.wake_at(group, until);
        }
        until > now
    }

    /// Whether a message of another device came before this one and is not said again yet.
    pub(crate) fn waits_for_earlier(&mut self, group: GroupId, message: MessageId) -> Step<bool> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(false) };
        let (first, until) = (lane.aftermath.lost.keys().next().copied(), lane.aftermath.ordered_until());
        let (Some(first), true) = (first, until > self.now) else { return Ok(false) };
        let waits = self.tx.message(group, message)?.is_some_and(|row| first < row.seq);
        if waits {
            self.wake_at(group, until);
        }
        Ok(waits)
    }

    /// A message that this device has is in the log again: it moves to its new place. False if this device
    /// does not have it from this sender.
    pub(crate) fn said_again(&mut self, group: GroupId, entry: &v1::Entry) -> Step<bool> {
        let Ok(id) = MessageId::try_from(&entry.message_id) else { return Ok(false) };
        let Some(row) = self.tx.message(group, id)? else { return Ok(false) };
        if row.record.device().as_bytes() != entry.sender.as_ref() || row.record.exported_by.is_some() {
            return Ok(false);
        }
        self.move_message(group, row, entry.seq)?;
        Ok(true)
    }

    /// Gives a stored message another place.
    pub(crate) fn move_message(&mut self, group: GroupId, mut row: MessageRow, seq: Seq) -> Step {
        let former = row.seq;
        row.seq = seq;
        if former != seq {
            self.tx.delete_message(group, former, row.id)?;
            self.tx.insert_message(group, &row)?;
            self.m.history_changed(group);
        }
        if let Some(lane) = self.lane(group) {
            lane.aftermath.lost.retain(|_, id| *id != row.id);
        }
        self.touch(group);
        Ok(())
    }

    // --- reading headers while coming back

    /// Takes entries of a group that is being joined again for what they are called; true if this is such a
    /// group.
    pub(crate) fn count_entries(&mut self, group: GroupId, entries: &[v1::Entry]) -> Step<bool> {
        let own = self.own_device();
        let Some(recovery) = self.recovery(group) else { return Ok(false) };
        let Some(mut counted) = recovery.counted else { return Ok(false) };
        let mut missed = recovery.missed;
        for entry in entries {
            if entry.seq <= counted {
                continue;
            }
            counted = entry.seq;
            if entry.kind != i32::from(EntryKind::Application) {
                continue;
            }
            let mine = own.is_some_and(|own| own.as_bytes() == entry.sender.as_ref());
            if !self.said_again(group, entry)? && !mine {
                missed += 1;
            }
        }
        if let Some(recovery) = self.recovery(group) {
            (recovery.counted, recovery.missed) = (Some(counted), missed);
        }
        self.save(group)?;
        Ok(true)
    }

    /// A device has joined again by external commit, perhaps because of the restore.
    pub(crate) fn another_came(&mut self, group: GroupId) {
        let now = self.now;
        if let Some(lane) = self.lane(group) {
            lane.aftermath.another_came(now);
        }
    }

    /// This device is back.
    pub(crate) fn came_back(&mut self, group: GroupId) {
        let now = self.now;
        if let Some(lane) = self.lane(group)
            && lane.aftermath.since > 0
        {
            lane.aftermath.quiet_until = now + lane.aftermath.quiet_ms();
        }
    }

    /// How long a device that was not the first to come back waits before it tries again: the more often that
    /// happened, the more of them there must be.
    pub(crate) fn rejoin_again_in(&mut self, group: GroupId) -> TimestampMs {
        let Some(lane) = self.lane(group) else { return 0 };
        let longest = lane.aftermath.spread_ms.max(limits::REJOIN_DELAY_MS);
        let Some(recovery) = lane.row.record.recovery.as_mut() else { return 0 };
        let window = (limits::REJOIN_DELAY_MS << recovery.overtaken.min(16)).min(longest);
        recovery.overtaken = recovery.overtaken.saturating_add(1);
        self.random_below(window)
    }
}

/// Where the hub went back to since an incarnation. Without an epoch: nothing of the log is certain.
fn gone_back(lineage: &[Vec<u8>], before: &[u8], state: &v1::GroupState) -> GoneBack {
    let place = |incarnation: &[u8]| lineage.iter().position(|known| known == incarnation);
    let lowest = |forks: &mut dyn Iterator<Item = &v1::Fork>| {
        forks.min_by_key(|fork| fork.head).map(|fork| (fork.head, fork.epoch))
    };
    match place(before) {
        Some(known) => {
            let mut later = state.forks.iter().filter(|fork| place(&fork.incarnation) > Some(known));
            match lowest(&mut later) {
                Some((to, epoch)) => GoneBack { to, epoch: Some(epoch) },
                // It is listed and was in no copy since: somebody made it again.
                None => GoneBack { to: 0, epoch: None },
            }
        }
        // The copy is older than that incarnation: how far both agree is not known.
        None => GoneBack { to: lowest(&mut state.forks.iter()).map_or(0, |(to, _)| to), epoch: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(forks: &[(u8, Seq, Epoch)]) -> v1::GroupState {
        let fork = |(incarnation, head, epoch): &(u8, Seq, Epoch)| v1::Fork {
            incarnation: vec![*incarnation].into(),
            head: *head,
            epoch: *epoch,
        };
        v1::GroupState { forks: forks.iter().map(fork).collect(), ..v1::GroupState::default() }
    }

    fn back(lineage: &[u8], before: u8, forks: &[(u8, Seq, Epoch)]) -> (Seq, Option<Epoch>) {
        let lineage: Vec<Vec<u8>> = lineage.iter().map(|one| vec![*one]).collect();
        let GoneBack { to, epoch } = gone_back(&lineage, &[before], &state(forks));
        (to, epoch)
    }

    #[test]
    fn the_lowest_fork_since_the_incarnation_that_was_seen_last_counts() {
        let forks = [(2, 10, 1), (3, 7, 1), (4, 30, 5)];
        assert_eq!(back(&[1, 2, 3, 4], 1, &forks), (7, Some(1)));
        assert_eq!(back(&[1, 2, 3, 4], 2, &forks), (7, Some(1)));
        assert_eq!(back(&[1, 2, 3, 4], 3, &forks), (30, Some(5)));
    }

    #[test]
    fn nothing_is_certain_of_a_group_made_anew_or_of_an_incarnation_that_the_copy_does_not_know() {
        assert_eq!(back(&[1, 2], 1, &[]), (0, None));
        assert_eq!(back(&[1, 3], 2, &[(3, 12, 4)]), (12, None));
    }

    #[test]
    fn patience_grows_with_everybody_who_comes_and_ends() {
        let mut aftermath = Aftermath::begin(1_000);
        let first = aftermath.quiet_until;
        aftermath.another_came(first - 1);
        assert!(aftermath.quiet_until > first);
        for _ in 0..1_000 {
            let now = aftermath.quiet_until;
            aftermath.another_came(now);
        }
        assert_eq!(aftermath.quiet_until, 1_000 + limits::RESTORED_QUIET_MS_MAX);
        let mut large = Aftermath::begin(1_000);
        large.expect(1_000);
        assert!(large.quiet_until > first + 100_000, "in a large group each takes its turn");
        for _ in 0..10_000 {
            let now = large.quiet_until;
            large.another_came(now);
        }
        assert_eq!(large.quiet_until, 1_000 + limits::RESTORED_QUIET_MS_LONGEST);
        let mut calm = Aftermath::default();
        calm.another_came(5);
        assert_eq!(calm.quiet_until, 0, "without a restore nobody waits");
    }
}
