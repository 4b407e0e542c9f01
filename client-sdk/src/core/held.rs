//! How much a device holds of everything that grows, beside its bound: for simulations, and for whoever looks for
//! a leak.

use super::Core;
use crate::{error::Error, limits};

/// How much of one thing is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Of what, in words.
    pub what: &'static str,
    /// How much.
    pub count: usize,
    /// Never more than this.
    pub max: usize,
    /// When nothing is under way there is none of it.
    pub passes: bool,
}

const fn kept(what: &'static str, count: usize, max: usize) -> Held {
    Held { what, count, max, passes: false }
}

const fn passing(what: &'static str, count: usize, max: usize) -> Held {
    Held { what, count, max, passes: true }
}

impl Core {
    /// Everything that is counted. Of things that each group has it is the most that any group has.
    ///
    /// # Errors
    /// When the store fails.
    pub fn held(&self) -> Result<Vec<Held>, Error> {
        let memory = &self.memory;
        let lanes = || memory.groups.values();
        let groups = memory.groups.len();
        let tx = self.store.begin()?;
        let mut changes = 0;
        for group in memory.groups.keys() {
            changes = changes.max(tx.intents_of(*group)?.len());
        }
        let outbox = usize::try_from(tx.outbox_length()?).unwrap_or(usize::MAX);
        let outbox_max = usize::try_from(limits::OUTBOX_MESSAGES_MAX).unwrap_or(usize::MAX);
        // Of each group its messages and one change; of the device its duties, which are asked one by one.
        let unanswered_max = groups * (limits::IN_FLIGHT_PER_GROUP_MAX + 1) + limits::DUTIES_UNDER_WAY_MAX;
        let most = |count: &dyn Fn(&crate::sync::Lane) -> usize| lanes().map(count).max().unwrap_or_default();
        Ok(vec![
            kept("groups", groups, limits::GROUPS_MAX),
            kept("loaded groups", memory.cache.len(), limits::LOADED_GROUPS_MAX),
            kept(
                "verified identities",
                memory.me.as_ref().map_or(0, |me| me.verifier.known()),
                limits::VERIFIED_IDENTITIES_MAX,
            ),
            kept(
                "authenticators of a group",
                most(&|lane| lane.row.record.authenticators.len()),
                limits::AUTHENTICATORS_KEPT,
            ),
            kept(
                "own changes that are remembered",
                most(&|lane| lane.row.record.done.len()),
                limits::CHANGES_REMEMBERED_MAX,
            ),
            passing("messages to be sent", outbox, outbox_max),
            passing(
                "messages of a group that are not answered",
                most(&|lane| lane.in_flight.len()),
                limits::IN_FLIGHT_PER_GROUP_MAX,
            ),
            passing("changes that wait in a group", changes, limits::INTENTS_PER_GROUP_MAX + 1),
            passing(
                "messages to be said again by others",
                most(&|lane| lane.aftermath.lost()),
                limits::SAID_AGAIN_MAX,
            ),
            passing("requests that are not answered", memory.session.pending.len(), unanswered_max),
            passing("requests that are owed", tx.owed()?.len(), limits::DUTIES_UNDER_WAY_MAX),
            passing("waves that are read", memory.session.waves.len(), groups + 1),
            passing("groups to look at", memory.dirty.len(), groups + 1),
            passing("groups that are not acknowledged", memory.session.acknowledgements.len(), groups + 1),
        ])
    }
}
