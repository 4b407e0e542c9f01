//! Rows of a group and its roster.

use cercle_proto::id::{Epoch, Seq};

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{Joined, RosterEntry},
    table::Table,
};

/// A group without its large parts: read and written by every append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub(crate) epoch: Epoch,
    pub(crate) head: Seq,
    pub(crate) floor: Seq,
    pub(crate) last_commit: Seq,
    pub(crate) posting_restricted: bool,
    /// Application messages of an earlier epoch are refused: a device has come in since then by external
    /// commit, and could not open them.
    pub(crate) open_since: Epoch,
}

impl Record for GroupRow {
    const TABLE: Table = Table::Groups;
    const VERSION: u8 = 2;

    fn write(&self, out: &mut Writer) {
        out.u64(self.epoch);
        out.u64(self.head);
        out.u64(self.floor);
        out.u64(self.last_commit);
        out.bool(self.posting_restricted);
        out.u64(self.open_since);
    }

    fn read(version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            epoch: fields.u64()?,
            head: fields.u64()?,
            floor: fields.u64()?,
            last_commit: fields.u64()?,
            posting_restricted: fields.bool()?,
            open_since: if version >= 2 { fields.u64()? } else { 0 },
        })
    }
}

/// A device in a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RosterRow(pub(crate) RosterEntry);

impl RosterRow {
    /// The row of a device that a commit at `seq` puts into the group: it reads what follows.
    pub(crate) fn joined(joined: &Joined, seq: Seq) -> Self {
        Self(RosterEntry {
            device: joined.device,
            user: joined.user.clone(),
            leaf: joined.leaf,
            joined_at: seq,
            removed_at: None,
            acked: seq,
            may_post: joined.may_post,
            needs_re_add: false,
        })
    }

    /// Whether the device is a member.
    pub(crate) const fn is_member(&self) -> bool {
        self.0.removed_at.is_none()
    }
}

impl Record for RosterRow {
    const TABLE: Table = Table::Roster;

    fn write(&self, out: &mut Writer) {
        let Self(row) = self;
        out.fixed(row.device.as_bytes());
        out.bytes(row.user.as_str().as_bytes());
        out.u32(row.leaf);
        out.u64(row.joined_at);
        out.option(row.removed_at, Writer::u64);
        out.u64(row.acked);
        out.bool(row.may_post);
        out.bool(row.needs_re_add);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self(RosterEntry {
            device: fields.device()?,
            user: fields.user()?,
            leaf: fields.u32()?,
            joined_at: fields.u64()?,
            removed_at: fields.option(Reader::u64)?,
            acked: fields.u64()?,
            may_post: fields.bool()?,
            needs_re_add: fields.bool()?,
        }))
    }
}
