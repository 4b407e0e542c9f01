//! Rows of the log and of the first verdicts.

use cercle_proto::id::{Epoch, Seq, TimestampMs};

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{Appended, Entry, Kind},
    table::Table,
};

/// An entry. The key holds its number too; both must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryRow(pub(crate) Entry);

impl Record for EntryRow {
    const TABLE: Table = Table::Log;

    fn bytes_about(&self) -> usize {
        // The other fields take 60.
        64 + self.0.body.len()
    }

    fn write(&self, out: &mut Writer) {
        let Self(entry) = self;
        out.u64(entry.seq);
        out.u8(entry.kind as u8);
        out.u64(entry.epoch);
        out.option(entry.sender, |out, sender| out.fixed(sender.as_bytes()));
        out.fixed(entry.message_id.as_bytes());
        out.u64(entry.at);
        out.fixed(&entry.body);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self(Entry {
            seq: fields.u64()?,
            kind: kind(fields)?,
            epoch: fields.u64()?,
            sender: fields.option(Reader::device)?,
            message_id: fields.message_id()?,
            at: fields.u64()?,
            body: fields.rest(),
        }))
    }
}

/// Whether a stored value is the entry of an application message: its body is ciphertext of the members.
pub(crate) fn is_application(value: &[u8]) -> bool {
    // Version, number, kind.
    value.first() == Some(&EntryRow::VERSION) && value.get(9) == Some(&(Kind::Application as u8))
}

fn kind(fields: &mut Reader<'_>) -> Result<Kind, Corrupt> {
    match fields.u8()? {
        1 => Ok(Kind::Application),
        2 => Ok(Kind::Commit),
        3 => Ok(Kind::Proposal),
        _ => Err(fields.corrupt("an unknown kind of entry")),
    }
}

/// The first verdict of a write that carried a message id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerdictRow {
    pub(crate) seq: Seq,
    pub(crate) epoch: Epoch,
    pub(crate) at: TimestampMs,
}

impl VerdictRow {
    /// The answer to a repetition.
    pub(crate) const fn repeated(&self) -> Appended {
        Appended { seq: self.seq, epoch: self.epoch, at: self.at, repeated: true }
    }

    /// The answer to the first attempt.
    pub(crate) const fn first(&self) -> Appended {
        Appended { seq: self.seq, epoch: self.epoch, at: self.at, repeated: false }
    }
}

impl Record for VerdictRow {
    const TABLE: Table = Table::Idempotency;

    fn write(&self, out: &mut Writer) {
        out.u64(self.seq);
        out.u64(self.epoch);
        out.u64(self.at);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { seq: fields.u64()?, epoch: fields.u64()?, at: fields.u64()? })
    }
}
