//! What a message means for this device once it has its place in the log: the one place where the sync
//! machine looks at kinds of content.

use std::collections::hash_map::Entry;

use cercle_proto::{certificate::Root, id::GroupId};

use super::{Cx, Memory, Step, entries::read_message};
use crate::{
    event::Message,
    limits,
    message::{Body, Content},
    store::Tx,
    thread::{Thread, chat::Effect},
};

impl Memory {
    /// What a group's messages add up to.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn thread(&mut self, tx: &Tx<'_>, group: GroupId) -> Step<&mut Thread> {
        let root = self.me.as_ref().map(|me| me.verifier.root());
        match self.threads.entry(group) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(read_thread(tx, root, group, |_, _| {})?)),
        }
    }

    /// Messages were stored among earlier ones: what was made of the group's messages is made again when it is
    /// next asked for.
    pub(crate) fn history_changed(&mut self, group: GroupId) {
        self.threads.remove(&group);
        self.words.forget(group);
    }
}

/// Makes a thread from the store, with the root under which receipts of registers verify; `each` sees every
/// message and what it changed.
///
/// # Errors
/// When the store fails.
pub(crate) fn read_thread(
    tx: &Tx<'_>,
    root: Option<&Root>,
    group: GroupId,
    mut each: impl FnMut(&Message, Effect),
) -> Step<Thread> {
    let mut thread = Thread::default();
    if let Some(root) = root {
        thread.requests.trust(root.clone());
    }
    let mut after = 0;
    loop {
        let rows = tx.messages(group, after, limits::MESSAGES_PER_QUERY_MAX)?;
        let Some(last) = rows.last() else { return Ok(thread) };
        after = last.seq;
        for row in &rows {
            let content = Content::decode_stored(&row.record.envelope);
            let message = read_message(group, row, content)?;
            let effect = thread.apply(&message);
            each(&message, effect);
        }
    }
}

impl Cx<'_, '_> {
    /// A message is stored at its place in the log, in this transaction; it is the newest of its group.
    pub(crate) fn content_stored(&mut self, message: &Message) -> Step {
        let group = message.group;
        match self.m.threads.get_mut(&group) {
            // A hub that was restored from an older copy gives places out again.
            Some(thread) if message.seq <= thread.last() => self.m.history_changed(group),
            Some(thread) => {
                let effect = thread.apply(message);
                self.m.words.take(message, effect);
            }
            None => {}
        }
        match &message.body {
            Body::GroupProfile(profile) => self.profile_said(message, profile)?,
            Body::Receipt(_) if message.own => self.tell_read(group)?,
            Body::Request(_) | Body::Transition(_) | Body::Handover(_) => self.request_stored(message)?,
            Body::CircleOpened(_) | Body::CircleIdentity(_) => {
                self.circle_known(group)?;
                self.periods_changed(group)?;
            }
            Body::CircleMember(_) | Body::CircleConsent(_) => self.periods_changed(group)?,
            Body::OwnState(state) => self.own_state_told(message, state)?,
            Body::HistoryHandedOver(handed) => self.history_announced(message, handed)?,
            _ => {}
        }
        Ok(())
    }
}
