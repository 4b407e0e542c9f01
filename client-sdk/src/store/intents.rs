//! Table `intents`: changes of a group that this device wants and that are not in the log yet, and table
//! `owed`: requests that the hub must still confirm.
//!
//! An intent says what is wanted, not how: when another member's commit wins the epoch, the commit is made
//! again on top. It is deleted when its own entry is in the log, or can never be.

use cercle_proto::id::{Epoch, GroupId, MessageId, TimestampMs};
use serde::{Deserialize, Serialize};

use crate::message::GroupProfile;

use super::{StoreError, Tx, integer, unsigned};

/// A change of a group that this device wants.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// What is wanted.
    pub(crate) change: Change,
    /// The app asked for it; else it is a duty of the device.
    pub(crate) by_user: bool,
    /// How often it lost.
    pub(crate) attempts: u32,
    /// Key packages for it, once claimed; kept over conflicts.
    pub(crate) claimed: Option<Claimed>,
    /// What was made of it in the epoch it was made in, and is on its way.
    pub(crate) staged: Option<Staged>,
}

/// What is wanted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// Register a group that was made here.
    Create { profile: GroupProfile },
    /// Add every device of these users.
    Invite { users: Vec<String>, claim: [u8; 16] },
    /// Remove every device of these users.
    Remove { users: Vec<String> },
    /// Ask the others to remove this device.
    Leave,
    /// Renew own keys, and the certificate in the own leaf.
    Update,
    /// Name the administrators.
    Administrators { users: Vec<String> },
    /// Commit what others proposed.
    Pending,
    /// Remove and add a device that cannot join by itself.
    ReAdd { user: String, device: [u8; 16], claim: [u8; 16] },
}

/// Key packages that the hub gave out for an intent.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Claimed {
    /// Each an encoded `v1::ClaimedKeyPackage`.
    pub(crate) packages: Vec<Vec<u8>>,
    /// Users without one.
    pub(crate) missing: Vec<String>,
}

/// A commit, proposal or creation that is on its way.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Staged {
    /// Its message id.
    pub(crate) message: [u8; 16],
    /// Epoch that it was made in.
    pub(crate) epoch: Epoch,
    /// The frame, encoded, with request number 0.
    pub(crate) frame: Vec<u8>,
}

/// An intent's row.
pub(crate) struct IntentRow {
    pub(crate) id: u64,
    pub(crate) group: GroupId,
    pub(crate) not_before: TimestampMs,
    pub(crate) intent: Intent,
}

impl Intent {
    /// A new one.
    pub(crate) fn new(change: Change, by_user: bool) -> Self {
        Self { change, by_user, attempts: 0, claimed: None, staged: None }
    }
}

impl Change {
    /// Messages that are written after it wait for it, because it decides who reads them.
    pub(crate) const fn holds_messages(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Invite { .. } | Self::Remove { .. })
    }
}

impl Staged {
    /// Its message id.
    pub(crate) fn message(&self) -> MessageId {
        MessageId::new(self.message)
    }
}

impl Tx<'_> {
    /// Adds an intent at the end of its group's queue and returns its number.
    pub(crate) fn add_intent(
        &self,
        group: GroupId,
        not_before: TimestampMs,
        intent: &Intent,
    ) -> Result<u64, StoreError> {
        let sealed = self.seal(&[b"intents", group.as_bytes()], intent);
        let sql = "INSERT INTO intents(group_id, not_before, record) VALUES (?1, ?2, ?3)";
        let values = (group.as_bytes(), integer(not_before), sealed);
        let id = self.transaction.prepare_cached(sql)?.insert(values)?;
        Ok(unsigned(id))
    }

    /// Writes an intent.
    pub(crate) fn write_intent(&self, row: &IntentRow) -> Result<(), StoreError> {
        let sealed = self.seal(&[b"intents", row.group.as_bytes()], &row.intent);
        let sql = "UPDATE intents SET not_before = ?2, record = ?3 WHERE id = ?1";
        let values = (integer(row.id), integer(row.not_before), sealed);
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Removes an intent.
    pub(crate) fn delete_intent(&self, id: u64) -> Result<(), StoreError> {
        self.transaction.prepare_cached("DELETE FROM intents WHERE id = ?1")?.execute([integer(id)])?;
        Ok(())
    }

    /// The intents of a group, in order.
    pub(crate) fn intents_of(&self, group: GroupId) -> Result<Vec<IntentRow>, StoreError> {
        let sql = "SELECT id, not_before, record FROM intents WHERE group_id = ?1 ORDER BY id";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([group.as_bytes()])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let sealed: Vec<u8> = row.get(2)?;
            let intent = self.open(&[b"intents", group.as_bytes()], &sealed)?;
            let (id, not_before) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
            out.push(IntentRow { id, group, not_before, intent });
        }
        Ok(out)
    }

    /// Notes a request that must reach the hub even if this connection ends.
    pub(crate) fn add_owed(&self, frame: &[u8]) -> Result<u64, StoreError> {
        let id = self.transaction.prepare_cached("INSERT INTO owed(frame) VALUES (?1)")?.insert([frame])?;
        Ok(unsigned(id))
    }

    /// Every owed request, in order.
    pub(crate) fn owed(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut statement = self.transaction.prepare_cached("SELECT id, frame FROM owed ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The hub has confirmed it.
    pub(crate) fn delete_owed(&self, id: u64) -> Result<(), StoreError> {
        self.transaction.prepare_cached("DELETE FROM owed WHERE id = ?1")?.execute([integer(id)])?;
        Ok(())
    }
}
