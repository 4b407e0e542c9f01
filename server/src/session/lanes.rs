//! The order of one device's writes to one group.
//!
//! Used by [`super::requests`]. Application messages may be on their way together, because the store keeps the
//! order in which they are handed over; every other write waits for those before it, and those after it wait
//! for it. Different groups do not wait for each other. Bounded by the requests of a session.

use std::collections::{HashMap, VecDeque};

use cercle_proto::id::GroupId;

use crate::dispatch::request::Pipelining;

/// Writes of one session, by group.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: HashMap<GroupId, Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    running: usize,
    /// What is running runs alone.
    alone: bool,
    waiting: VecDeque<(Pipelining, T)>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new() }
    }
}

impl<T> Lanes<T> {
    /// Takes a write: returned if it may start now, kept otherwise.
    pub fn enter(&mut self, group: GroupId, pipelining: Pipelining, write: T) -> Option<T> {
        let lane = self.lanes.entry(group).or_insert_with(|| Lane {
            running: 0,
            alone: false,
            waiting: VecDeque::new(),
        });
        if lane.waiting.is_empty() && lane.has_room_for(pipelining) {
            lane.start(pipelining);
            return Some(write);
        }
        lane.waiting.push_back((pipelining, write));
        None
    }

    /// A write of the group is done: returns those that may start now, in order.
    pub fn leave(&mut self, group: GroupId) -> Vec<T> {
        let Some(lane) = self.lanes.get_mut(&group) else { return Vec::new() };
        lane.running = lane.running.saturating_sub(1);
        let mut started = Vec::new();
        while let Some((pipelining, _)) = lane.waiting.front()
            && lane.has_room_for(*pipelining)
        {
            let Some((pipelining, write)) = lane.waiting.pop_front() else { break };
            lane.start(pipelining);
            started.push(write);
        }
        if lane.running == 0 {
            self.lanes.remove(&group);
        }
        started
    }
}

impl<T> Lane<T> {
    fn has_room_for(&self, pipelining: Pipelining) -> bool {
        match pipelining {
            Pipelining::Together => self.running == 0 || !self.alone,
            Pipelining::Alone => self.running == 0,
        }
    }

    fn start(&mut self, pipelining: Pipelining) {
        self.running += 1;
        self.alone = pipelining == Pipelining::Alone;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Pipelining::{Alone, Together},
        *,
    };

    const GROUP: GroupId = GroupId::new([1; 16]);

    #[test]
    fn application_messages_of_a_group_go_together() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter(GROUP, Together, 1), Some(1));
        assert_eq!(lanes.enter(GROUP, Together, 2), Some(2));
    }

    #[test]
    fn a_commit_waits_for_what_came_before_and_holds_what_comes_after() {
        let mut lanes = Lanes::default();
        lanes.enter(GROUP, Together, 1);
        assert_eq!(lanes.enter(GROUP, Alone, 2), None);
        assert_eq!(lanes.enter(GROUP, Together, 3), None, "it must not overtake the commit");
        assert_eq!(lanes.leave(GROUP), [2]);
        assert_eq!(lanes.enter(GROUP, Together, 4), None);
        assert_eq!(lanes.leave(GROUP), [3, 4]);
    }

    #[test]
    fn groups_do_not_wait_for_each_other() {
        let mut lanes = Lanes::default();
        lanes.enter(GROUP, Alone, 1);
        assert_eq!(lanes.enter(GroupId::new([2; 16]), Alone, 2), Some(2));
    }

    #[test]
    fn a_group_without_writes_is_forgotten() {
        let mut lanes = Lanes::default();
        lanes.enter(GROUP, Alone, 1);
        assert!(lanes.leave(GROUP).is_empty());
        assert!(lanes.lanes.is_empty());
    }
}
