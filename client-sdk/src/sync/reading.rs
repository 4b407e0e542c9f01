//! What this user has read, and telling the others where the thread asks for it.
//!
//! A mark is kept for each group. Where readers tell (`read_receipts` of its profile), a receipt follows it: not
//! for each message but after a pause, at most one waiting at a time, and only for what others have said, so
//! that receipts never answer receipts.

use cercle_proto::id::{GroupId, MessageId, Seq, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{Cx, Memory, Step, agenda::Appointment};
use crate::{
    core::GroupState,
    error::Error,
    limits,
    message::{self, Body, Receipt, ReceiptState},
    mls::group,
    store::Tx,
    thread::view::Unread,
};

/// Kind of the notes that hold the marks.
const NOTE: &str = "read";

/// How far this user has read in a group, and what was said of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Mark {
    read: Seq,
    /// The receipt that was queued last: how far it says, when, and its id.
    told: Seq,
    told_at_ms: TimestampMs,
    queued: Option<[u8; 16]>,
    /// An appointment to tell more is made.
    reminded: bool,
}

/// How far this user has read in a group.
///
/// # Errors
/// When the store fails.
pub(crate) fn read_up_to(tx: &Tx<'_>, group: GroupId) -> Step<Seq> {
    Ok(tx.note::<Mark>(NOTE, group.as_bytes())?.unwrap_or_default().read)
}

impl Memory {
    /// What this user has not read in a group. What he read with another device counts where the thread asks
    /// for receipts.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn unread(&mut self, tx: &Tx<'_>, group: GroupId) -> Step<Unread> {
        let Some(me) = self.me.clone() else { return Ok(Unread::default()) };
        let mark = tx.note::<Mark>(NOTE, group.as_bytes())?.unwrap_or_default();
        let chat = self.thread(tx, group)?.chat();
        let told = chat.read().get(&me.identity.user).map_or(0, |place| place.up_to);
        let read_up_to = mark.read.max(told);
        let (messages, mentions) = chat.unread(&me.identity.user, read_up_to);
        Ok(Unread { read_up_to, messages, mentions })
    }
}

impl Cx<'_, '_> {
    /// This user has read a group up to a place.
    ///
    /// # Errors
    /// Inner: [`Error::UnknownGroup`].
    pub(crate) fn mark_read(&mut self, group: GroupId, up_to: Seq) -> Step<Result<(), Error>> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(Err(Error::UnknownGroup(group))) };
        let up_to = up_to.min(lane.row.cursor);
        let mut mark = self.read_mark(group)?;
        if up_to > mark.read {
            mark.read = up_to;
            self.tx.write_note(NOTE, group.as_bytes(), &mark)?;
            self.tell_read(group)?;
            self.own_read_changed(group, up_to)?;
        }
        Ok(Ok(()))
    }

    /// This user had read a group up to a place, with another device: nobody is told again.
    pub(crate) fn returned_read(&mut self, group: GroupId, up_to: Seq) -> Step {
        let mut mark = self.read_mark(group)?;
        if up_to > mark.read {
            mark.read = up_to;
            mark.told = mark.told.max(up_to);
            self.tx.write_note(NOTE, group.as_bytes(), &mark)?;
        }
        Ok(())
    }

    /// The time has come to tell what was read meanwhile.
    pub(crate) fn tell_read_later(&mut self, group: GroupId) -> Step {
        let mut mark = self.read_mark(group)?;
        mark.reminded = false;
        self.tx.write_note(NOTE, group.as_bytes(), &mark)?;
        self.tell_read(group)
    }

    /// Queues a receipt, if one is due.
    pub(crate) fn tell_read(&mut self, group: GroupId) -> Step {
        let (Some(lane), Some(me)) = (self.m.groups.get(&group), self.m.me.clone()) else { return Ok(()) };
        if lane.state() != GroupState::Active || !lane.row.record.profile.read_receipts {
            return Ok(());
        }
        let mut mark = self.read_mark(group)?;
        if let Some(queued) = mark.queued
            && self.tx.outbox_row(MessageId::new(queued))?.is_some()
        {
            // It goes on when that receipt is in the log.
            return Ok(());
        }
        let user = &me.identity.user;
        let chat = self.m.thread(self.tx, group)?.chat();
        let known = chat.read().get(user).map_or(0, |place| place.up_to).max(mark.told);
        let place = chat.newest_of_others(user, mark.read);
        if place <= known {
            return Ok(());
        }
        let due = mark.told_at_ms + limits::RECEIPT_INTERVAL_MS;
        if self.now < due {
            if !mark.reminded {
                mark.reminded = true;
                self.tx.write_note(NOTE, group.as_bytes(), &mark)?;
                self.remind(due, &Appointment::TellRead { group: *group.as_bytes() })?;
            }
            return Ok(());
        }
        let may = self.with_group(group, |_, _, loaded, _| Ok(group::policy(loaded)?.may_post(user)))?;
        if !may.unwrap_or(false) {
            return Ok(());
        }
        let receipt = Body::Receipt(Receipt { state: ReceiptState::Read, up_to: place });
        let Ok(content) = message::compose(&receipt.into(), self.now) else { return Ok(()) };
        let queued = Some(*self.queue(group, &content)?.as_bytes());
        let mark =
            Mark { read: mark.read, told: place, told_at_ms: self.now, queued, reminded: mark.reminded };
        self.tx.write_note(NOTE, group.as_bytes(), &mark)
    }

    fn read_mark(&self, group: GroupId) -> Step<Mark> {
        Ok(self.tx.note(NOTE, group.as_bytes())?.unwrap_or_default())
    }
}
