//! What a message means for this device once it has its place in the log: the one place where the sync
//! machine looks at kinds of content.

use cercle_proto::id::GroupId;

use super::{Cx, Memory, Step, entries::read_message};
use crate::{
    event::{Event, Message},
    limits,
    message::{Body, Content},
    store::Tx,
    thread::Thread,
};

impl Memory {
    /// What a group's messages add up to.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn thread(&mut self, tx: &Tx<'_>, group: GroupId) -> Step<&mut Thread> {
        if !self.threads.contains_key(&group) {
            let mut thread = Thread::default();
            let mut after = 0;
            loop {
                let rows = tx.messages(group, after, limits::MESSAGES_PER_QUERY_MAX)?;
                let Some(last) = rows.last() else { break };
                after = last.seq;
                for row in &rows {
                    let content = Content::decode_stored(&row.record.envelope);
                    thread.apply(&read_message(group, row, content)?);
                }
            }
            self.threads.insert(group, thread);
        }
        Ok(self.threads.get_mut(&group).expect("it was made above"))
    }
}

impl Cx<'_, '_> {
    /// A message is stored at its place in the log, in this transaction; it is the newest of its group.
    pub(crate) fn content_stored(&mut self, message: &Message) -> Step {
        if let Some(thread) = self.m.threads.get_mut(&message.group) {
            thread.apply(message);
        }
        match &message.body {
            Body::GroupProfile(profile) => {
                if let Some(lane) = self.lane(message.group) {
                    lane.row.record.profile.clone_from(profile);
                }
                self.save(message.group)?;
                self.emit(Event::GroupChanged { group: message.group });
            }
            Body::Text(_)
            | Body::Document(_)
            | Body::CrisisAlert(_)
            | Body::AlertAnswer(_)
            | Body::Unknown { .. } => {}
        }
        Ok(())
    }
}
