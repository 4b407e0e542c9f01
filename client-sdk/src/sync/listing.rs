//! Which groups there are, subscribing to them, and the signs of a restored store or hub.

use cercle_proto::{
    ErrorCode,
    id::{GroupId, Seq},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, Lane, Step, session::Pending};
use crate::{
    core::GroupState,
    event::{Event, GapReason},
    limits,
    store::groups::{GroupRecord, GroupRow, Recovery},
};

impl Cx<'_, '_> {
    /// The hub says where this device stands in each of its groups.
    pub(crate) fn groups_listed(&mut self, states: Vec<v1::GroupState>) -> Step {
        let mut listed = std::collections::BTreeSet::new();
        for state in states {
            let Ok(group) = GroupId::try_from(&state.group) else { continue };
            listed.insert(group);
            self.compare(group, &state)?;
        }
        let known = self.m.groups.iter();
        let gone = known.filter(|(group, lane)| {
            let awaited =
                matches!(lane.state(), GroupState::Creating | GroupState::Closed) || lane.is_new_here();
            !listed.contains(group) && !awaited
        });
        let gone: Vec<GroupId> = gone.map(|(group, _)| *group).collect();
        for group in gone {
            if !self.forgotten_by_hub(group)? {
                self.close_group(group, None)?;
            }
        }
        let active = self.m.groups.iter().filter(|(_, lane)| match lane.state() {
            GroupState::Creating | GroupState::Closed => false,
            GroupState::Recovering => {
                lane.row.record.recovery.as_ref().is_some_and(|r| r.readable || r.counted.is_some())
            }
            GroupState::Active | GroupState::Leaving => true,
        });
        let active: Vec<GroupId> = active.map(|(group, _)| *group).collect();
        self.subscribe_first(&active);
        let groups: Vec<GroupId> = self.m.groups.keys().copied().collect();
        self.m.dirty.extend(groups);
        Ok(())
    }

    /// Compares what the hub and this store say of a group.
    fn compare(&mut self, group: GroupId, state: &v1::GroupState) -> Step {
        let Some(lane) = self.m.groups.get(&group) else {
            if state.removed_at == 0 {
                let due = self.now + limits::WELCOME_PATIENCE_MS;
                self.m.session.orphans.insert(group, (state.joined_at, due));
            }
            return Ok(());
        };
        let (cursor, epoch) = (lane.row.cursor, lane.row.record.epoch);
        if lane.row.record.incarnation != self.m.standing.incarnation
            && self.compare_with_copy(group, state)?
        {
            return Ok(());
        }
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let following = matches!(lane.state(), GroupState::Active | GroupState::Leaving);
        let closed = lane.state() == GroupState::Closed;
        let rejoining = lane.row.record.recovery.as_ref().is_some_and(|recovery| recovery.rejoin.is_some());
        // What lies before the device's newest join is not given out to it any more.
        let readable = state.joined_at <= cursor;
        if following && state.acked < cursor && cursor <= state.head {
            // It was told and stopped before it had stored that.
            self.acknowledge(group)?;
        }
        if following && state.acked > cursor {
            self.rollback_detected()?;
            self.begin_recovery(group, GapReason::Rollback, readable)?;
        } else if !readable && !rejoining && !closed {
            // Added again by somebody: the welcome is on its way, or was lost with an older store.
            self.begin_recovery(group, GapReason::WelcomeLost, false)?;
            self.await_welcome(group)?;
        } else if following && (state.head < cursor || (state.head == cursor && state.epoch < epoch)) {
            self.begin_recovery(group, GapReason::HubRestored, false)?;
        }
        for device in &state.needs_re_add {
            if let Ok(device) = cercle_proto::id::DeviceId::try_from(device) {
                self.note_re_add(group, device);
            }
        }
        Ok(())
    }

    /// This store is older than what the hub knows: once per connection the app is told, and key packages
    /// whose private keys may be lost are replaced.
    pub(crate) fn rollback_detected(&mut self) -> Step {
        if self.m.session.rollback_noted {
            return Ok(());
        }
        self.m.session.rollback_noted = true;
        self.emit(Event::RollbackDetected);
        self.new_generation()
    }

    fn subscribe_first(&mut self, groups: &[GroupId]) {
        let mut waves = groups.chunks(limits::GROUPS_PER_WAVE);
        let first = waves.next().unwrap_or_default();
        let numbers: Vec<u64> =
            std::iter::once(first).chain(waves).map(|wave| self.subscribe(wave)).collect();
        self.m.session.first_waves.extend(numbers);
    }

    /// Subscribes to groups from their cursors and returns the number of the wave.
    pub(crate) fn subscribe(&mut self, groups: &[GroupId]) -> u64 {
        self.m.session.last_wave += 1;
        let wave = self.m.session.last_wave;
        let mut cursors = Vec::new();
        for group in groups {
            if let Some(lane) = self.lane(*group) {
                lane.subscribed = true;
                lane.live = false;
                let seq = lane.row.cursor;
                cursors.push(v1::Cursor { group: group.to_bytes(), seq });
            }
        }
        self.m.session.waves.insert(wave, groups.to_vec());
        let inbox_after = self.m.standing.inbox;
        let subscribe = v1::Subscribe { wave, groups: cursors, inbox_after, remove: Vec::new() };
        self.request(Request::Subscribe(subscribe), Pending::Subscribe { wave });
        wave
    }

    /// The history of a wave is complete: its groups are read to their heads.
    pub(crate) fn catchup_complete(&mut self, complete: v1::CatchupComplete) -> Step {
        let groups = self.m.session.waves.remove(&complete.wave).unwrap_or_default();
        self.m.session.acknowledgements.hurry();
        let answered = Pending::Subscribe { wave: complete.wave };
        self.m.session.pending.retain(|_, (pending, _)| *pending != answered);
        for refused in &complete.refused {
            let Ok(group) = GroupId::try_from(&refused.group) else { continue };
            let Some(lane) = self.lane(group) else { continue };
            lane.subscribed = false;
            match ErrorCode::from_number(refused.code) {
                Some(ErrorCode::ResyncRequired) => {
                    self.begin_recovery(group, GapReason::Expired, false)?;
                }
                Some(ErrorCode::NotMember | ErrorCode::GroupUnknown) => self.close_group(group, None)?,
                _ => {}
            }
        }
        for group in groups {
            if let Some(lane) = self.lane(group).filter(|lane| lane.subscribed) {
                lane.live = true;
                let proposals_wait = lane.row.record.proposals_wait;
                self.touch(group);
                if proposals_wait {
                    self.proposal_waits(group)?;
                }
            }
        }
        self.m.session.first_waves.remove(&complete.wave);
        self.tell_if_caught_up();
        Ok(())
    }

    /// Says once per session that everything is read and, for a device that had to publish key packages,
    /// that the hub has answered: who waits for this can be added to a group from then on.
    pub(crate) fn tell_if_caught_up(&mut self) {
        let session = &mut self.m.session;
        let read = session.last_wave > 0 && session.first_waves.is_empty();
        if read && !session.publishing && !session.caught_up {
            session.caught_up = true;
            self.emit(Event::CaughtUp);
        }
    }

    /// Groups whose welcome did not come in time are joined by external commit.
    pub(crate) fn adopt_orphans(&mut self) -> Step {
        let now = self.now;
        let due = self.m.session.orphans.iter().filter(|(_, (_, due))| *due <= now);
        let due: Vec<(GroupId, Seq)> = due.map(|(group, (joined_at, _))| (*group, *joined_at)).collect();
        for (group, joined_at) in due {
            self.m.session.orphans.remove(&group);
            if !self.m.groups.contains_key(&group) {
                self.adopt(group, joined_at)?;
            }
        }
        Ok(())
    }

    /// Begins to recover a group that this device is in but has no state of.
    pub(crate) fn adopt(&mut self, group: GroupId, joined_at: Seq) -> Step {
        let mut record = GroupRecord::new(GroupState::Recovering, 0, joined_at);
        record.recovery = Some(Recovery::new(GapReason::WelcomeLost, false));
        self.m.groups.insert(group, Lane::new(GroupRow { cursor: joined_at, record }));
        self.save(group)?;
        self.emit(Event::Recovering { group, reason: GapReason::WelcomeLost });
        self.touch(group);
        Ok(())
    }
}
