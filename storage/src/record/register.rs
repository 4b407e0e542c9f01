//! Rows of the first-wins registers.

use super::{Corrupt, Reader, Record, Writer};
use crate::{store::Claim, table::Table};

impl Record for Claim {
    const TABLE: Table = Table::Registers;

    fn write(&self, out: &mut Writer) {
        out.bytes(self.user.as_str().as_bytes());
        out.fixed(self.device.as_bytes());
        out.u64(self.at);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { user: fields.user()?, device: fields.device()?, at: fields.u64()? })
    }
}
