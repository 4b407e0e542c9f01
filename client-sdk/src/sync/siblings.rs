//! Further devices of the same user: joining the groups of the others, the group of own devices, and what a
//! device that was linked is handed over (docs/protocol.md, section "Linking").
//!
//! A device joins every group in which another device of its user is, by external commit and without asking
//! anybody: once after it was enrolled, and whenever it connects as long as it is in a group of own devices. In
//! that group the devices tell each other what only this user is to know. A device that this one has linked
//! is given everything that was said, sealed with the key that both derived while they were linked: other
//! devices of the user, among them one that an administrator let in, cannot open it.

use cercle_proto::{
    id::{DeviceId, GroupId, Seq},
    v1::{self, client_frame::Body as Request},
};
use serde::{Deserialize, Serialize};

use super::{
    Cx, Lane, Memory, Step, agenda::Appointment, commands::Begun, history::Handover, session::Pending,
};
use crate::{
    core::{GroupState, Outcome},
    error::Error,
    event::{Event, GapReason},
    limits,
    message::{Content, GroupProfile, OwnHistory},
    mls::group,
    store::{
        groups::{GroupRecord, GroupRow, Recovery},
        intents::Change,
        messages::MessageRow,
    },
};

/// Notes of devices that this one has linked; the key is the device.
pub(crate) const LINKED: &str = "linked";
/// The note that says with which key this device was linked.
pub(crate) const LINK: &str = "link";

/// A device that this one has linked.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Linked {
    /// Seals what it is handed over.
    pub(crate) key: [u8; 32],
    /// Groups whose history is planned.
    planned: Vec<[u8; 16]>,
    /// Parts that are planned and not announced yet.
    waiting: u32,
}

/// How far a device that this one has linked is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkProgress {
    /// It is in the group of own devices.
    pub joined: bool,
    /// Groups that it is not in yet, or whose history is not planned yet.
    pub groups: usize,
    /// Parts of histories that are not on the hub yet.
    pub parts: u32,
}

impl LinkProgress {
    /// Everything was handed over.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.joined && self.groups == 0 && self.parts == 0
    }
}

/// How this device was linked.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LinkNote {
    /// Opens what it is handed over.
    pub(crate) key: [u8; 32],
}

impl Memory {
    /// The group of this user's own devices. If there are several, all devices use that with the smallest id.
    pub(crate) fn own_group(&self) -> Option<GroupId> {
        let usable = |lane: &&Lane| {
            lane.row.record.personal && matches!(lane.state(), GroupState::Active | GroupState::Creating)
        };
        self.groups.iter().find(|(_, lane)| usable(lane)).map(|(group, _)| *group)
    }

    /// Groups that a person sees: not those of own devices.
    pub(crate) fn shown_groups(&self) -> Vec<GroupId> {
        let shown = self.groups.iter().filter(|(_, lane)| !lane.row.record.personal);
        shown.map(|(group, _)| *group).collect()
    }

    /// Groups that this device is about to join because another device of the user is in them.
    pub(crate) fn joining(&self) -> usize {
        self.groups.values().filter(|lane| lane.is_new_here()).count()
    }
}

impl Lane {
    /// This device has not joined yet what other devices of its user are in.
    pub(crate) fn is_new_here(&self) -> bool {
        let recovery = self.row.record.recovery.as_ref();
        self.state() == GroupState::Recovering
            && recovery.is_some_and(|recovery| recovery.reason == GapReason::NewDevice)
    }
}

impl Cx<'_, '_> {
    /// Asks which groups other devices of this user are in, if that is to be asked on this connection.
    pub(crate) fn ask_for_sibling_groups(&mut self) {
        let due = !self.m.standing.siblings_known || self.m.own_group().is_some();
        if due && self.m.session.caught_up && !self.m.session.siblings_asked {
            self.m.session.siblings_asked = true;
            self.request(Request::ListSiblingGroups(v1::ListSiblingGroups {}), Pending::SiblingGroups);
        }
    }

    /// The hub says which groups other devices of this user are in.
    pub(crate) fn sibling_groups(&mut self, groups: Vec<v1::GroupState>) -> Step {
        for state in groups {
            let Ok(group) = GroupId::try_from(&state.group) else { continue };
            // What this device was in and has left, or was removed from, it does not join again by itself.
            if !self.m.groups.contains_key(&group) && self.m.groups.len() < limits::GROUPS_MAX {
                let mut record = GroupRecord::new(GroupState::Recovering, 0, 0);
                record.recovery = Some(Recovery::new(GapReason::NewDevice, false));
                self.m.groups.insert(group, Lane::new(GroupRow { cursor: 0, record }));
                self.save(group)?;
                self.touch(group);
            }
        }
        if !self.m.standing.siblings_known {
            self.m.standing.siblings_known = true;
            self.tx.write_standing(&self.m.standing)?;
        }
        self.tell_if_settled();
        Ok(())
    }

    /// Says that this device is in every group of its user.
    pub(crate) fn tell_if_settled(&mut self) {
        if self.m.standing.siblings_known && self.m.joining() == 0 {
            self.emit(Event::GroupsJoined);
        }
    }

    /// The external commit into a group of the user's is in the log.
    pub(crate) fn joined_as_sibling(&mut self, group: GroupId, seq: Seq) -> Step {
        let policy = self.with_group(group, |_, _, loaded, _| group::policy(loaded))?;
        let own = self.m.me.as_ref().map(|me| me.identity.user.as_str().to_owned());
        let linked = self.tx.note::<LinkNote>(LINK, &[])?.is_some();
        if let Some(lane) = self.lane(group) {
            let record = &mut lane.row.record;
            record.joined_at = seq;
            record.joined_epoch = record.epoch;
            record.joined_by_itself = true;
            record.personal = policy.is_ok_and(|policy| policy.is_personal());
            record.history_awaited = (linked && !record.personal).then(Vec::new);
            if linked && !record.personal && record.profile.title.is_empty() {
                // The device that linked this one hands over what the group is.
                record.let_in_by = own;
            }
        }
        self.save(group)?;
        self.emit(Event::GroupJoined { group });
        self.import_deferred(group)?;
        self.tell_if_settled();
        Ok(())
    }

    /// This device is not let into a group that another device of the user was in.
    pub(crate) fn forget_unjoined(&mut self, group: GroupId) -> Step {
        self.m.groups.remove(&group);
        self.tx.delete_group(group)?;
        self.tell_if_settled();
        Ok(())
    }

    /// Finds or makes the group of own devices; the command finishes when the hub has it.
    pub(crate) fn prepare_own_group(&mut self, id: u64) -> Step<Begun> {
        if let Some(group) = self.m.own_group() {
            if self.m.groups.get(&group).is_some_and(|lane| lane.state() == GroupState::Active) {
                self.finish(id, Ok(Outcome::GroupCreated(group)));
                return Ok(Ok(()));
            }
            let intents = self.tx.intents_of(group)?;
            let creating = intents.iter().find(|row| matches!(row.intent.change, Change::Create { .. }));
            if let Some(row) = creating.filter(|row| !self.m.waiting.contains_key(&row.id)) {
                self.m.waiting.insert(row.id, id);
                return Ok(Ok(()));
            }
        }
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        let policy = cercle_proto::policy::Policy::personal(me.identity.user.clone());
        match self.make_group_with(GroupProfile::titled("Appareils"), &policy)? {
            Ok((_, intent)) => {
                self.m.waiting.insert(intent, id);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Notes that a device is being linked by this one: whatever happens to this device then, the other is
    /// handed over what was said as soon as it is in.
    pub(crate) fn note_linked(&mut self, device: DeviceId, key: [u8; 32]) -> Step<Result<(), Error>> {
        self.tx.write_note(LINKED, device.as_bytes(), &Linked { key, planned: Vec::new(), waiting: 0 })?;
        Ok(Ok(()))
    }

    /// Devices were added to a group: one that this device has linked is handed over what belongs to it.
    pub(crate) fn hand_over_to_linked(&mut self, group: GroupId, devices: &[DeviceId]) -> Step {
        for device in devices {
            let Some(mut linked) = self.tx.note::<Linked>(LINKED, device.as_bytes())? else { continue };
            let Some(own) = self.m.own_group() else { continue };
            if !self.is_in(own, *device)? {
                continue;
            }
            let groups = if group == own { self.m.shown_groups() } else { vec![group] };
            for group in groups {
                if linked.planned.contains(group.as_bytes()) {
                    continue;
                }
                if let Some(parts) = self.plan_for_linked(own, group, *device)? {
                    linked.planned.push(*group.as_bytes());
                    linked.waiting += parts;
                }
            }
            self.tx.write_note(LINKED, device.as_bytes(), &linked)?;
        }
        Ok(())
    }

    /// One part less waits for a linked device.
    pub(super) fn part_is_through(&mut self, device: &[u8; 16]) -> Step {
        let Some(mut linked) = self.tx.note::<Linked>(LINKED, device)? else { return Ok(()) };
        linked.waiting = linked.waiting.saturating_sub(1);
        self.tx.write_note(LINKED, device, &linked)
    }

    /// How far a linked device is.
    pub(crate) fn link_progress(&mut self, device: DeviceId) -> Step<LinkProgress> {
        let Some(linked) = self.tx.note::<Linked>(LINKED, device.as_bytes())? else {
            return Ok(LinkProgress::default());
        };
        let joined = match self.m.own_group() {
            Some(own) => self.is_in(own, device)?,
            None => false,
        };
        let shown = self.m.shown_groups().into_iter();
        let groups = shown.filter(|group| !linked.planned.contains(group.as_bytes())).count();
        Ok(LinkProgress { joined, groups, parts: linked.waiting })
    }

    /// A part of a group's history has come, from another device of this user.
    pub(super) fn part_has_come(&mut self, group: GroupId, part: u32, parts: u32) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        let Some(mut come) = lane.row.record.history_awaited.take() else { return Ok(()) };
        if !come.contains(&part) {
            come.push(part);
        }
        let complete = u32::try_from(come.len()).is_ok_and(|come| come >= parts);
        lane.row.record.history_awaited = (!complete).then_some(come);
        self.save(group)
    }

    /// Plans the handing over of one group's history; returns the number of parts, `None` if it is too early.
    fn plan_for_linked(&mut self, own: GroupId, group: GroupId, device: DeviceId) -> Step<Option<u32>> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(None) };
        let (closed, before_seq) = (lane.state() == GroupState::Closed, lane.row.cursor + 1);
        if !closed && !self.is_in(group, device)? {
            return Ok(None);
        }
        let bounds = self.own_part_bounds(group, before_seq)?;
        let Ok(parts) = u32::try_from(bounds.len()) else { return Ok(None) };
        for (part, below) in (1..).zip(bounds) {
            let handover = Handover {
                group: *group.as_bytes(),
                devices: vec![*device.as_bytes()],
                since_ms: None,
                before_seq,
                below,
                part,
                parts,
                carrier: Some(*own.as_bytes()),
            };
            // The newest part of every group comes before the second of any.
            self.remind(self.now + u64::from(part - 1), &Appointment::HandOver(handover))?;
        }
        Ok(Some(parts))
    }

    /// The upper bounds of the parts of a whole history, the newest first: the first is small, so that there
    /// is something to read soon, and there is always one, because it says what the group is.
    fn own_part_bounds(&mut self, group: GroupId, before_seq: Seq) -> Step<Vec<Seq>> {
        let mut bounds = vec![before_seq];
        let mut below = before_seq;
        while bounds.len() < limits::OWN_HISTORY_PARTS_MAX {
            let rows = self.own_part_rows(group, below, bounds.len() == 1)?;
            let Some(oldest) = rows.last() else { break };
            below = oldest.seq;
            bounds.push(below);
        }
        if bounds.len() > 1 {
            bounds.pop();
        }
        Ok(bounds)
    }

    /// The messages of one such part, the newest first.
    pub(crate) fn own_part_rows(&mut self, group: GroupId, below: Seq, first: bool) -> Step<Vec<MessageRow>> {
        let count =
            if first { limits::OWN_HISTORY_FIRST_MESSAGES } else { limits::HISTORY_PART_MESSAGES_MAX };
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in self.tx.messages_before(group, below, count)? {
            bytes += row.record.envelope.len();
            if bytes > limits::HISTORY_PART_BYTES_MAX && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// What is said of a group beside its history.
    pub(crate) fn own_history_of(&self, group: GroupId) -> Step<Option<OwnHistory>> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(None) };
        let profile = lane.row.record.profile.clone();
        let read_up_to = super::reading::read_up_to(self.tx, group)?;
        Ok(Some(OwnHistory { group, profile, closed: lane.state() == GroupState::Closed, read_up_to }))
    }

    /// A group that was left before this device came: it is shown with its history, and nothing more.
    pub(crate) fn remember_closed(&mut self, history: &OwnHistory, before_seq: Seq) -> Step {
        let mut record = GroupRecord::new(GroupState::Closed, 0, before_seq.saturating_sub(1));
        record.profile.clone_from(&history.profile);
        let cursor = before_seq.saturating_sub(1);
        self.m.groups.insert(history.group, Lane::new(GroupRow { cursor, record }));
        self.save(history.group)
    }

    /// Whether a device is in a group; false if the group's state cannot be read.
    pub(crate) fn is_in(&mut self, group: GroupId, device: DeviceId) -> Step<bool> {
        let found = self.with_group(group, |_, _, loaded, author| {
            let members = group::members(loaded, author.me)?;
            Ok(members.iter().any(|(_, identity)| identity.device == device))
        })?;
        Ok(found.unwrap_or(false))
    }
}

/// What another of one's own devices is not given again: archives with their keys.
pub(crate) fn is_worth_handing_over(row: &MessageRow) -> bool {
    let body = Content::decode_stored(&row.record.envelope).body;
    !matches!(body, crate::message::Body::HistoryHandedOver(_))
}
