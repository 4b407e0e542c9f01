//! Telling the hub how far this device has read.
//!
//! An acknowledgement is a cursor, so a later one says everything that an earlier one said. The first after a
//! pause goes at once; what is read within [`limits::ACKNOWLEDGE_EVERY_MS`] of it is told together at the end
//! of that time, however many entries and groups it is. The end of a catch-up is told at once. What a lost
//! connection takes with it is told when the hub next lists the groups ([`super::listing`]).

use std::collections::BTreeMap;

use cercle_proto::{
    id::{GroupId, Seq, TimestampMs},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, session::Phase};
use crate::limits;

/// What the hub has not been told on this connection.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    waiting: BTreeMap<GroupId, Seq>,
    /// Nothing is told before this time.
    not_before: TimestampMs,
}

impl Acknowledgements {
    /// The store holds everything of a group up to here, once the present transaction is committed.
    pub(crate) fn note(&mut self, group: GroupId, up_to: Seq) {
        let noted = self.waiting.entry(group).or_default();
        *noted = up_to.max(*noted);
    }

    /// How many groups wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What waits is told with the next step.
    pub(crate) fn hurry(&mut self) {
        self.not_before = 0;
    }

    /// When something is to be told.
    pub(crate) fn due_at(&self) -> Option<TimestampMs> {
        (!self.waiting.is_empty()).then_some(self.not_before)
    }

    /// What is to be told now, whether its time has come or not.
    pub(crate) fn take(&mut self, now: TimestampMs) -> Vec<v1::Ack> {
        self.not_before = now + limits::ACKNOWLEDGE_EVERY_MS;
        let waiting = std::mem::take(&mut self.waiting);
        let cursors = waiting.into_iter().map(|(group, seq)| v1::Cursor { group: group.to_bytes(), seq });
        let cursors: Vec<_> = cursors.collect();
        let acks = cursors.chunks(limits::GROUPS_PER_WAVE);
        acks.map(|groups| v1::Ack { groups: groups.to_vec(), inbox: 0 }).collect()
    }
}

impl Cx<'_, '_> {
    /// Tells the hub what is due. The frames leave once everything that they say is committed.
    pub(crate) fn acknowledge_what_is_due(&mut self) {
        let now = self.now;
        let session = &mut self.m.session;
        // A clock that was set back must not keep it waiting.
        let is_due = |due| due <= now || due > now + limits::ACKNOWLEDGE_EVERY_MS;
        if session.phase == Phase::Ready && session.acknowledgements.due_at().is_some_and(is_due) {
            for ack in session.acknowledgements.take(now) {
                self.tell(Request::Ack(ack));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(acks: &[v1::Ack]) -> Vec<(u8, Seq)> {
        acks.iter().flat_map(|ack| &ack.groups).map(|cursor| (cursor.group[0], cursor.seq)).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_those_behind_it_together() {
        let mut acknowledgements = Acknowledgements::default();
        assert_eq!(acknowledgements.due_at(), None);
        let (first, second) = (GroupId::new([1; 16]), GroupId::new([2; 16]));
        acknowledgements.note(first, 1);
        assert!(acknowledgements.due_at() <= Some(1_000));
        assert_eq!(told(&acknowledgements.take(1_000)), [(1, 1)]);
        assert_eq!(acknowledgements.due_at(), None);
        for seq in [2, 3, 4] {
            acknowledgements.note(first, seq);
        }
        acknowledgements.note(second, 9);
        assert_eq!(acknowledgements.due_at(), Some(1_000 + limits::ACKNOWLEDGE_EVERY_MS));
        assert_eq!(told(&acknowledgements.take(1_000 + limits::ACKNOWLEDGE_EVERY_MS)), [(1, 4), (2, 9)]);
    }

    #[test]
    fn a_cursor_never_goes_back_and_the_end_of_a_catch_up_does_not_wait() {
        let mut acknowledgements = Acknowledgements::default();
        acknowledgements.take(1_000);
        let group = GroupId::new([1; 16]);
        acknowledgements.note(group, 7);
        acknowledgements.note(group, 5);
        acknowledgements.hurry();
        assert!(acknowledgements.due_at() <= Some(1_000));
        assert_eq!(told(&acknowledgements.take(1_000)), [(1, 7)]);
    }

    #[test]
    fn many_groups_are_told_in_frames_that_every_hub_takes() {
        let mut acknowledgements = Acknowledgements::default();
        for number in 0..=limits::GROUPS_PER_WAVE {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            acknowledgements.note(GroupId::new(id), 1);
        }
        let acks = acknowledgements.take(0);
        assert_eq!(acks.iter().map(|ack| ack.groups.len()).collect::<Vec<_>>(), [limits::GROUPS_PER_WAVE, 1]);
    }
}
