//! Table `outbox`: messages that are not in the log yet, in the order they were written.
//!
//! A row lives from the command until the message's own entry is read in the log. Its ciphertext is stored
//! before it is sent, so that a repeated send is byte for byte the same.

use cercle_proto::id::{Epoch, GroupId, MessageId, TimestampMs};
use rusqlite::OptionalExtension;
use zeroize::Zeroizing;

use super::{StoreError, Tx, integer, unsigned};

/// A message that is not in the log yet.
pub(crate) struct OutboxRow {
    /// Order within the group.
    pub(crate) position: u64,
    pub(crate) group: GroupId,
    pub(crate) id: MessageId,
    pub(crate) queued_at_ms: TimestampMs,
    /// Waits until this change is done (0: none): who was invited before it was written, reads it.
    pub(crate) after_intent: u64,
    /// The envelope without authenticator.
    pub(crate) content: Vec<u8>,
    /// The epoch it was encrypted in, and the ciphertext.
    pub(crate) encrypted: Option<(Epoch, Vec<u8>)>,
}

impl Tx<'_> {
    /// Puts a message at the end of its group's queue.
    pub(crate) fn queue_message(
        &self,
        group: GroupId,
        message: MessageId,
        queued_at_ms: TimestampMs,
        after_intent: u64,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(&[b"outbox", message.as_bytes()], content);
        let sql = "INSERT INTO outbox(group_id, message_id, queued_at, after_intent, content)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let ids = (group.as_bytes(), message.as_bytes());
        let values = (ids.0, ids.1, integer(queued_at_ms), integer(after_intent), sealed);
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Messages of a group's queue after a position, in order, at most `limit`.
    pub(crate) fn outbox_of(
        &self,
        group: GroupId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = "SELECT position, group_id, message_id, queued_at, after_intent, content, epoch, mls
                   FROM outbox WHERE group_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query((group.as_bytes(), integer(after), limit))?;
        self.collect_outbox(rows)
    }

    /// Puts what waits for a change, or for a later one, to the end of its group's queue, in its order. Each has
    /// a new position then, that no message ever had: what is behind the last one that was sent is not sent.
    pub(crate) fn queue_again_after(&self, group: GroupId, intent: u64) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO outbox(group_id, message_id, queued_at, after_intent, content, epoch, mls)
                   SELECT group_id, message_id, queued_at, after_intent, content, epoch, mls
                   FROM outbox WHERE group_id = ?1 AND after_intent >= ?2 ORDER BY position";
        self.transaction.prepare_cached(sql)?.execute((group.as_bytes(), integer(intent)))?;
        Ok(())
    }

    /// Every queued message, in order.
    pub(crate) fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = "SELECT position, group_id, message_id, queued_at, after_intent, content, epoch, mls
                   FROM outbox ORDER BY position";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query([])?;
        self.collect_outbox(rows)
    }

    /// The queued message with this id.
    pub(crate) fn outbox_row(&self, message: MessageId) -> Result<Option<OutboxRow>, StoreError> {
        let sql = "SELECT position, group_id, message_id, queued_at, after_intent, content, epoch, mls
                   FROM outbox WHERE message_id = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query([message.as_bytes()])?;
        Ok(self.collect_outbox(rows)?.pop())
    }

    /// How many messages wait.
    pub(crate) fn outbox_length(&self) -> Result<u64, StoreError> {
        let mut statement = self.transaction.prepare_cached("SELECT COUNT(*) FROM outbox")?;
        Ok(unsigned(statement.query_row([], |row| row.get(0))?))
    }

    /// Whether a group has a message waiting.
    pub(crate) fn has_outbox(&self, group: GroupId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM outbox WHERE group_id = ?1 LIMIT 1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        Ok(statement.query_row([group.as_bytes()], |_| Ok(())).optional()?.is_some())
    }

    /// Notes the ciphertext of a message, or that it has none.
    pub(crate) fn write_ciphertext(
        &self,
        message: MessageId,
        encrypted: Option<(Epoch, &[u8])>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET epoch = ?2, mls = ?3 WHERE message_id = ?1";
        let (epoch, mls) = encrypted.map_or((None, None), |(epoch, mls)| (Some(integer(epoch)), Some(mls)));
        self.transaction.prepare_cached(sql)?.execute((message.as_bytes(), epoch, mls))?;
        Ok(())
    }

    /// Takes every ciphertext of a group's queue away: the next try encrypts again, under the same id.
    pub(crate) fn clear_ciphertexts(&self, group: GroupId) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET epoch = NULL, mls = NULL WHERE group_id = ?1";
        self.transaction.prepare_cached(sql)?.execute([group.as_bytes()])?;
        Ok(())
    }

    /// Removes a message from the queue.
    pub(crate) fn delete_outbox(&self, message: MessageId) -> Result<(), StoreError> {
        let sql = "DELETE FROM outbox WHERE message_id = ?1";
        self.transaction.prepare_cached(sql)?.execute([message.as_bytes()])?;
        Ok(())
    }

    fn collect_outbox(&self, mut rows: rusqlite::Rows<'_>) -> Result<Vec<OutboxRow>, StoreError> {
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let id: [u8; 16] = row.get(2)?;
            let sealed: Vec<u8> = row.get(5)?;
            let content = Zeroizing::new(self.sealer.open(&[b"outbox", &id], &sealed)?);
            let epoch: Option<i64> = row.get(6)?;
            let mls: Option<Vec<u8>> = row.get(7)?;
            out.push(OutboxRow {
                position: unsigned(row.get(0)?),
                group: GroupId::new(row.get(1)?),
                id: MessageId::new(id),
                queued_at_ms: unsigned(row.get(3)?),
                after_intent: unsigned(row.get(4)?),
                content: content.to_vec(),
                encrypted: epoch.map(unsigned).zip(mls),
            });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::{Store, StoreKey};

    fn queued(tx: &Tx<'_>, group: GroupId) -> Vec<(u64, u8)> {
        let rows = tx.outbox_of(group, 0, 100).unwrap();
        rows.iter().map(|row| (row.position, row.id.as_bytes()[0])).collect()
    }

    #[test]
    fn what_is_queued_again_keeps_its_order_and_no_position_comes_twice() {
        let store = Store::open(Connection::open_in_memory().unwrap(), &StoreKey::new([1; 32])).unwrap();
        let tx = store.begin().unwrap();
        let (group, other) = (GroupId::new([1; 16]), GroupId::new([2; 16]));
        let queue = |group, number: u8, after_intent| {
            tx.queue_message(group, MessageId::new([number; 16]), 1, after_intent, &[number]).unwrap();
        };
        for (number, after_intent) in [(1, 0), (2, 5), (3, 5), (4, 7)] {
            queue(group, number, after_intent);
        }
        queue(other, 5, 5);
        queue(group, 6, 0);
        tx.queue_again_after(group, 5).unwrap();
        let order: Vec<u8> = queued(&tx, group).iter().map(|(_, number)| *number).collect();
        assert_eq!(order, [1, 6, 2, 3, 4]);
        assert_eq!(queued(&tx, other).len(), 1);
        let row = tx.outbox_row(MessageId::new([3; 16])).unwrap().unwrap();
        assert_eq!((row.after_intent, row.queued_at_ms, row.content.as_slice()), (5, 1, [3].as_slice()));

        let last = queued(&tx, group).last().unwrap().0;
        for number in [1, 2, 3, 4, 6] {
            tx.delete_outbox(MessageId::new([number; 16])).unwrap();
        }
        queue(group, 7, 0);
        assert!(queued(&tx, group)[0].0 > last, "who has sent up to there would never send it");
    }
}
