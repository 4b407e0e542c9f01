//! Rows of the timers.

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::{Corrupt, Reader, Record, Writer};
use crate::table::Table;

/// An armed timer; the key holds its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimerRow {
    pub(crate) due: TimestampMs,
    pub(crate) payload: Bytes,
}

impl Record for TimerRow {
    const TABLE: Table = Table::Timers;

    fn write(&self, out: &mut Writer) {
        out.u64(self.due);
        out.fixed(&self.payload);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { due: fields.u64()?, payload: fields.rest() })
    }
}
