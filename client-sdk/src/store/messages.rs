//! Table `messages`: what was said, in the order of each group's log.

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq, TimestampMs, UserId};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use super::{StoreError, Tx, integer, unsigned};

/// The sealed part of a message's row.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MessageRecord {
    pub(crate) sender: String,
    pub(crate) device: [u8; 16],
    pub(crate) display_name: String,
    pub(crate) own: bool,
    pub(crate) expired_certificate: bool,
    pub(crate) at_ms: TimestampMs,
    /// The envelope as it came, so that a newer version of this program can read more of it.
    #[serde(with = "serde_bytes_vec")]
    pub(crate) envelope: Vec<u8>,
    /// Who handed it over, if this device was not a member when it was sent.
    #[serde(default)]
    pub(crate) exported_by: Option<String>,
    /// The sender administered the group at this place of the log.
    #[serde(default)]
    pub(crate) by_administrator: bool,
}

/// A message's row.
pub(crate) struct MessageRow {
    pub(crate) seq: Seq,
    pub(crate) id: MessageId,
    pub(crate) record: MessageRecord,
}

impl MessageRecord {
    /// User who sent it.
    ///
    /// # Errors
    /// When the row is damaged.
    pub(crate) fn sender(&self) -> Result<UserId, StoreError> {
        UserId::parse(&self.sender).map_err(|_| StoreError::Damaged("a message without a sender"))
    }

    /// Who handed it over.
    ///
    /// # Errors
    /// When the row is damaged.
    pub(crate) fn exported_by(&self) -> Result<Option<UserId>, StoreError> {
        let parse = |user: &String| UserId::parse(user).map_err(|_| StoreError::Damaged("an exporter"));
        self.exported_by.as_ref().map(parse).transpose()
    }

    /// Device that sent it.
    pub(crate) fn device(&self) -> DeviceId {
        DeviceId::new(self.device)
    }
}

impl Tx<'_> {
    /// Stores a message at its place. Places are unique, except that a hub that was restored from an older
    /// copy gives them out again: then both messages are kept.
    pub(crate) fn insert_message(&self, group: GroupId, row: &MessageRow) -> Result<(), StoreError> {
        let place = row.seq.to_be_bytes();
        let sealed = self.seal(&[b"messages", group.as_bytes(), &place], &row.record);
        let sql = "INSERT OR IGNORE INTO messages(group_id, seq, message_id, record) VALUES (?1, ?2, ?3, ?4)";
        let values = (group.as_bytes(), integer(row.seq), row.id.as_bytes(), sealed);
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Takes a message away from its place.
    pub(crate) fn delete_message(
        &self,
        group: GroupId,
        seq: Seq,
        message: MessageId,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM messages WHERE group_id = ?1 AND seq = ?2 AND message_id = ?3";
        let values = (group.as_bytes(), integer(seq), message.as_bytes());
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Messages after a place, in order, at most `limit`; more only if several share the last place.
    pub(crate) fn messages(
        &self,
        group: GroupId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT seq, message_id, record FROM messages
                   WHERE group_id = ?1 AND seq > ?2 AND seq <= coalesce((SELECT max(seq) FROM (
                       SELECT seq FROM messages WHERE group_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)), 0)
                   ORDER BY seq, message_id";
        self.messages_of(sql, group, after, limit)
    }

    /// Group, place and id of messages whose id begins with these hexadecimal digits, at most two.
    pub(crate) fn messages_by_prefix(
        &self,
        digits: &str,
    ) -> Result<Vec<(GroupId, Seq, MessageId)>, StoreError> {
        let sql = "SELECT group_id, seq, message_id FROM messages
                   WHERE substr(hex(message_id), 1, ?2) = ?1 LIMIT 2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query((digits.to_ascii_uppercase(), digits.len()))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((GroupId::new(row.get(0)?), unsigned(row.get(1)?), MessageId::new(row.get(2)?)));
        }
        Ok(found)
    }

    /// Messages before a place, the newest first, at most `limit`; more only if several share the last place.
    pub(crate) fn messages_before(
        &self,
        group: GroupId,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT seq, message_id, record FROM messages
                   WHERE group_id = ?1 AND seq < ?2 AND seq >= (SELECT min(seq) FROM (
                       SELECT seq FROM messages WHERE group_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3))
                   ORDER BY seq DESC, message_id DESC";
        self.messages_of(sql, group, before, limit)
    }

    /// What a query by group, place and limit gives.
    fn messages_of(
        &self,
        sql: &str,
        group: GroupId,
        place: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query((group.as_bytes(), integer(place), limit))?;
        let mut messages = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = unsigned(row.get(0)?);
            let sealed: Vec<u8> = row.get(2)?;
            let record = self.open(&[b"messages", group.as_bytes(), &seq.to_be_bytes()], &sealed)?;
            messages.push(MessageRow { seq, id: MessageId::new(row.get(1)?), record });
        }
        Ok(messages)
    }

    /// The message with this id.
    pub(crate) fn message(
        &self,
        group: GroupId,
        message: MessageId,
    ) -> Result<Option<MessageRow>, StoreError> {
        let sql = "SELECT seq, record FROM messages WHERE group_id = ?1 AND message_id = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let values = (group.as_bytes(), message.as_bytes());
        let found: Option<(i64, Vec<u8>)> =
            statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((seq, sealed)) = found else { return Ok(None) };
        let seq = unsigned(seq);
        let record = self.open(&[b"messages", group.as_bytes(), &seq.to_be_bytes()], &sealed)?;
        Ok(Some(MessageRow { seq, id: message, record }))
    }

    /// Whether a message with this id is stored.
    pub(crate) fn has_message(&self, group: GroupId, message: MessageId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM messages WHERE group_id = ?1 AND message_id = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let found = statement.query_row((group.as_bytes(), message.as_bytes()), |_| Ok(())).optional()?;
        Ok(found.is_some())
    }
}

/// CBOR byte strings instead of arrays of numbers.
mod serde_bytes_vec {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
