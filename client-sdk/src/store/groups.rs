//! Table `groups`: what this device knows of each of its groups, beside the MLS state.

use cercle_proto::id::{Epoch, GroupId, MessageId, Seq, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{StoreError, Tx, integer, intents::Change, unsigned};
use crate::{core::GroupState, event::GapReason, limits, message::GroupProfile};

/// One group.
#[derive(Debug, Clone)]
pub(crate) struct GroupRow {
    /// Everything up to and including this entry is applied.
    pub(crate) cursor: Seq,
    /// The rest.
    pub(crate) record: GroupRecord,
}

/// The sealed part of a group's row.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    /// As a member said it last; without title: not known.
    pub(crate) profile: GroupProfile,
    /// This device has just come (again) and cannot know of changes: the next profile counts, whoever sends
    /// it. Later only those of administrators do.
    #[serde(default)]
    pub(crate) profile_awaited: bool,
    /// User who let this device in, until he has said what the group is: on which side of
    /// [`ThreadKind::may_become`](crate::message::ThreadKind::may_become) it stands is his word alone.
    #[serde(default)]
    pub(crate) let_in_by: Option<String>,
    /// Whether it can be used.
    pub(crate) state: GroupState,
    /// MLS epoch.
    pub(crate) epoch: Epoch,
    /// Reading began after this entry.
    pub(crate) joined_at: Seq,
    /// Epoch of the first join: messages of earlier epochs were not meant for this device.
    pub(crate) joined_epoch: Epoch,
    /// This device came in by itself, because another one of its user was there: what was said to the user,
    /// also by who had not seen the new device yet, is meant for it too.
    #[serde(default)]
    pub(crate) joined_by_itself: bool,
    /// In state `Recovering`: how far.
    pub(crate) recovery: Option<Recovery>,
    /// Own leaf is to be renewed at this time: after a batch of adds, or with a renewed certificate.
    pub(crate) refresh_at: Option<TimestampMs>,
    /// Proposals wait for a commit.
    pub(crate) proposals_wait: bool,
    /// First bytes of the epoch authenticator of recent epochs, newest last.
    pub(crate) authenticators: Vec<(Epoch, [u8; 8])>,
    /// Messages of the current epoch that did not decrypt, one after the other.
    pub(crate) undecryptable: u32,
    /// Incarnation of the hub in which the cursor counts; empty: of a connection before this was noted.
    #[serde(default)]
    pub(crate) incarnation: Vec<u8>,
    /// Own changes that are in the log, newest last, for a hub that forgets them.
    #[serde(default)]
    pub(crate) done: Vec<(Seq, Change)>,
    /// Users whom this device adds again because the hub has forgotten them, until they have key packages.
    #[serde(default)]
    pub(crate) awaited: Vec<String>,
    /// This device is making the group again, which the hub has forgotten.
    #[serde(default)]
    pub(crate) made_again: bool,
    /// It is the group of this user's own devices.
    #[serde(default)]
    pub(crate) personal: bool,
    /// Parts of its history that another device of this user has handed over, until all of them have come;
    /// `None`: nothing is awaited.
    #[serde(default)]
    pub(crate) history_awaited: Option<Vec<u32>>,
}

impl std::fmt::Debug for GroupRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("GroupRecord");
        out.field("state", &self.state).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// A group that is being joined again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// Why.
    pub(crate) reason: GapReason,
    /// External commits that were refused.
    pub(crate) attempts: u32,
    /// External commits that came too late, because another member's was first.
    #[serde(default)]
    pub(crate) overtaken: u32,
    /// No attempt before this time.
    pub(crate) not_before: TimestampMs,
    /// The old MLS state can still open messages: read on until it cannot.
    pub(crate) readable: bool,
    /// This device had asked to leave.
    pub(crate) leaving: bool,
    /// The members were asked to add this device again.
    pub(crate) asked: bool,
    /// The external commit that is on its way.
    pub(crate) rejoin: Option<Rejoin>,
    /// Entries up to here were looked at for their headers only.
    #[serde(default)]
    pub(crate) counted: Option<Seq>,
    /// Messages among them that this device does not have.
    #[serde(default)]
    pub(crate) missed: u64,
    /// A restored hub does not know the group, or not this device in it.
    #[serde(default)]
    pub(crate) absent: bool,
}

/// An external commit that is on its way. The MLS state is already that of its epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rejoin {
    /// Its message id.
    pub(crate) message: [u8; 16],
    /// The frame, encoded, with request number 0.
    pub(crate) frame: Vec<u8>,
}

impl GroupRecord {
    /// A group in use.
    pub(crate) fn new(state: GroupState, epoch: Epoch, joined_at: Seq) -> Self {
        Self {
            profile: GroupProfile::default(),
            profile_awaited: true,
            let_in_by: None,
            state,
            epoch,
            joined_at,
            joined_epoch: epoch,
            joined_by_itself: false,
            recovery: None,
            refresh_at: None,
            proposals_wait: false,
            authenticators: Vec::new(),
            undecryptable: 0,
            incarnation: Vec::new(),
            done: Vec::new(),
            awaited: Vec::new(),
            made_again: false,
            personal: false,
            history_awaited: None,
        }
    }

    /// Notes that the group is in an epoch, with the first bytes of its authenticator.
    pub(crate) fn enter_epoch(&mut self, epoch: Epoch, authenticator: [u8; 8]) {
        self.epoch = epoch;
        self.undecryptable = 0;
        self.proposals_wait = false;
        self.authenticators.retain(|(known, _)| *known < epoch);
        self.authenticators.push((epoch, authenticator));
        let excess = self.authenticators.len().saturating_sub(limits::AUTHENTICATORS_KEPT);
        self.authenticators.drain(..excess);
    }
}

impl Recovery {
    /// Begins.
    pub(crate) fn new(reason: GapReason, readable: bool) -> Self {
        Self {
            reason,
            attempts: 0,
            overtaken: 0,
            not_before: 0,
            readable,
            leaving: false,
            asked: false,
            rejoin: None,
            counted: None,
            missed: 0,
            absent: false,
        }
    }
}

impl Rejoin {
    /// Its message id.
    pub(crate) fn message(&self) -> MessageId {
        MessageId::new(self.message)
    }
}

impl Tx<'_> {
    /// Every group.
    pub(crate) fn groups(&self) -> Result<Vec<(GroupId, GroupRow)>, StoreError> {
        let sql = "SELECT group_id, cursor, record FROM groups";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            let id: [u8; 16] = row.get(0)?;
            let sealed: Vec<u8> = row.get(2)?;
            let record = self.open(&[b"groups", &id], &sealed)?;
            groups.push((GroupId::new(id), GroupRow { cursor: unsigned(row.get(1)?), record }));
        }
        Ok(groups)
    }

    /// Writes a group whole.
    pub(crate) fn write_group(&self, group: GroupId, row: &GroupRow) -> Result<(), StoreError> {
        let sealed = self.seal(&[b"groups", group.as_bytes()], &row.record);
        let sql = "INSERT INTO groups(group_id, cursor, record) VALUES (?1, ?2, ?3)
                   ON CONFLICT(group_id) DO UPDATE SET cursor = excluded.cursor, record = excluded.record";
        self.transaction.prepare_cached(sql)?.execute((group.as_bytes(), integer(row.cursor), sealed))?;
        Ok(())
    }

    /// Forgets a group that was never joined.
    pub(crate) fn delete_group(&self, group: GroupId) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("DELETE FROM groups WHERE group_id = ?1")?
            .execute([group.as_bytes()])?;
        Ok(())
    }

    /// Writes how far a group is applied.
    pub(crate) fn write_cursor(&self, group: GroupId, cursor: Seq) -> Result<(), StoreError> {
        let sql = "UPDATE groups SET cursor = ?2 WHERE group_id = ?1";
        self.transaction.prepare_cached(sql)?.execute((group.as_bytes(), integer(cursor)))?;
        Ok(())
    }
}
