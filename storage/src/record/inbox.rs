//! Rows of the inboxes and of the welcomes they point to.

use cercle_proto::id::{DeviceId, Epoch, GroupId, Seq, TimestampMs};

use super::{Corrupt, Reader, Record, Writer};
use crate::table::Table;

/// An inbox item without the welcome's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InboxRow {
    Welcome { group: GroupId, epoch: Epoch, joined_at: Seq },
    InvalidCommitReported { group: GroupId, seq: Seq, reporter: DeviceId },
}

impl Record for InboxRow {
    const TABLE: Table = Table::Inbox;

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Welcome { group, epoch, joined_at } => {
                out.u8(1);
                out.fixed(group.as_bytes());
                out.u64(*epoch);
                out.u64(*joined_at);
            }
            Self::InvalidCommitReported { group, seq, reporter } => {
                out.u8(2);
                out.fixed(group.as_bytes());
                out.u64(*seq);
                out.fixed(reporter.as_bytes());
            }
        }
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match fields.u8()? {
            1 => Ok(Self::Welcome { group: fields.group()?, epoch: fields.u64()?, joined_at: fields.u64()? }),
            2 => Ok(Self::InvalidCommitReported {
                group: fields.group()?,
                seq: fields.u64()?,
                reporter: fields.device()?,
            }),
            _ => Err(fields.corrupt("an unknown kind of item")),
        }
    }
}

/// The numbers of one inbox: they are never used twice, even when all items are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxHeadRow {
    /// Newest item; 0 if there was none.
    pub(crate) newest: u64,
    /// Items up to and including this one are gone.
    pub(crate) acked: u64,
}

impl Record for InboxHeadRow {
    const TABLE: Table = Table::InboxHeads;

    fn write(&self, out: &mut Writer) {
        out.u64(self.newest);
        out.u64(self.acked);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { newest: fields.u64()?, acked: fields.u64()? })
    }
}

/// How many inbox items point to a welcome. Apart from its bytes, which may be many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WelcomePointersRow {
    pub(crate) count: u32,
    /// When the welcome was stored.
    pub(crate) at: TimestampMs,
}

impl Record for WelcomePointersRow {
    const TABLE: Table = Table::WelcomePointers;

    fn write(&self, out: &mut Writer) {
        out.u32(self.count);
        out.u64(self.at);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { count: fields.u32()?, at: fields.u64()? })
    }
}
