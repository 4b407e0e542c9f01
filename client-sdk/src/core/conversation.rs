//! Threads as an app shows them, what is unread, and search.

use cercle_proto::id::{GroupId, MessageId, Seq};

use super::Core;
use crate::{
    error::Error,
    limits,
    message::Content,
    search::{Hit, Search},
    store::{Tx, messages::MessageRow},
    sync::entries::read_message,
    thread::{
        chat::Chat,
        view::{MessageView, Range, ThreadView, Unread},
    },
};

impl Core {
    /// A part of a thread: messages that stand by themselves, as they are by now.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], or the store fails.
    pub fn thread(&mut self, group: GroupId, range: Range) -> Result<ThreadView, Error> {
        let lane = self.memory.groups.get(&group).ok_or(Error::UnknownGroup(group))?;
        let profile = lane.row.record.profile.clone();
        let tx = self.store.begin()?;
        let unread = self.memory.unread(&tx, group)?;
        let chat = self.memory.thread(&tx, group)?.chat();
        Ok(ThreadView {
            group,
            profile,
            messages: views(&tx, group, chat, range)?,
            pinned: chat.pinned().to_vec(),
            read: chat.read().iter().map(|(user, place)| (user.clone(), *place)).collect(),
            delivered: chat.delivered().iter().map(|(user, place)| (user.clone(), *place)).collect(),
            unread,
        })
    }

    /// What this user has not read, of every group of this device. The first call reads every message.
    ///
    /// # Errors
    /// When the store fails.
    pub fn unread(&mut self) -> Result<Vec<(GroupId, Unread)>, Error> {
        let groups = self.memory.shown_groups();
        let tx = self.store.begin()?;
        let unread = groups.into_iter().map(|group| Ok((group, self.memory.unread(&tx, group)?)));
        unread.collect()
    }

    /// Messages that fit, over everything that this device has, connected or not. The first search of a group
    /// reads all its messages.
    ///
    /// # Errors
    /// When the store fails.
    pub fn search(&mut self, search: &Search) -> Result<Vec<Hit>, Error> {
        let tx = self.store.begin()?;
        Ok(self.memory.search(&tx, search)?)
    }

    /// Messages whose id begins with these hexadecimal digits, with their group and place; at most two, so
    /// that a caller knows whether there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn messages_by_prefix(&self, digits: &str) -> Result<Vec<(GroupId, Seq, MessageId)>, Error> {
        Ok(self.store.begin()?.messages_by_prefix(digits)?)
    }
}

fn views(tx: &Tx<'_>, group: GroupId, chat: &Chat, range: Range) -> Result<Vec<MessageView>, Error> {
    let lines = chat.lines();
    let from = lines.partition_point(|line| line.seq <= range.after);
    let to = lines.partition_point(|line| line.seq < range.before);
    let limit = range.limit.min(limits::MESSAGES_PER_QUERY_MAX);
    let wanted = &lines[from.max(to.saturating_sub(limit)).min(to)..to];
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
    let mut views = Vec::with_capacity(wanted.len());
    let mut after = first.seq.saturating_sub(1);
    while after < last.seq {
        let rows = tx.messages(group, after, wanted.len().max(ROWS_MIN))?;
        let Some(newest) = rows.last() else { break };
        after = newest.seq;
        for row in rows.iter().filter(|row| row.seq <= last.seq) {
            views.extend(view(group, row, chat)?);
        }
    }
    Ok(views)
}

/// Rows read at once: most of them are lines.
const ROWS_MIN: usize = 64;

fn view(group: GroupId, row: &MessageRow, chat: &Chat) -> Result<Option<MessageView>, Error> {
    let Some(line) = chat.line(row.id).filter(|line| line.seq == row.seq) else { return Ok(None) };
    let message = read_message(group, row, Content::decode_stored(&row.record.envelope))?;
    Ok(Some(MessageView::new(message, line, chat)))
}
