//! How much the hub holds in memory of everything that grows, beside its bound: for simulations, and for whoever
//! looks for a leak. What a session holds of its own requests it checks itself ([`crate::session::requests`]).

use crate::{dispatch::Dispatch, limits};

/// How much of one thing is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Of what, in words.
    pub what: &'static str,
    /// How much.
    pub count: usize,
    /// Never more than this.
    pub max: usize,
}

const fn held_of(what: &'static str, count: usize, max: usize) -> Held {
    Held { what, count, max }
}

/// Everything that is counted. Of things that each group or session has it is the most that any has.
#[must_use]
pub fn holdings(dispatch: &Dispatch) -> Vec<Held> {
    let fanout = dispatch.fanout.held();
    vec![
        held_of("newest entries of a group", fanout.entries, limits::RING_ENTRIES_MAX),
        held_of("entries that came early", fanout.early, limits::RING_EARLY_MAX),
        held_of("readers of a group", fanout.subscribers, 2 * fanout.sessions),
        held_of("groups of a mailbox", fanout.news, limits::GROUPS_PER_SESSION_MAX),
        held_of("hints of a mailbox", fanout.relayed, limits::RELAYED_MAX),
        held_of("groups that are read", fanout.groups, fanout.sessions * limits::GROUPS_PER_SESSION_MAX),
        held_of("groups that are verified", dispatch.delivery.loaded_groups(), limits::GROUP_CACHE_MAX),
        held_of(
            "cursors that are not stored",
            dispatch.delivery.waiting_cursors(),
            limits::CURSORS_WAITING_MAX,
        ),
    ]
}
