//! What a restored store knows of its past.

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{Fork, Restore},
    table::Table,
};

/// Key of the list of restores in the table `meta`.
pub(crate) const RESTORES_KEY: &[u8] = b"restores";

/// Every restore, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RestoresRow(pub(crate) Vec<Restore>);

impl Record for RestoresRow {
    const TABLE: Table = Table::Meta;

    fn write(&self, out: &mut Writer) {
        out.list(&self.0, |out, restore| {
            out.fixed(&restore.before);
            out.fixed(&restore.after);
            out.u64(restore.copy_at);
            out.u64(restore.restored_at);
        });
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let restore = |fields: &mut Reader<'_>| {
            Ok(Restore {
                before: fields.array()?,
                after: fields.array()?,
                copy_at: fields.u64()?,
                restored_at: fields.u64()?,
            })
        };
        Ok(Self(fields.list(restore)?))
    }
}

/// The forks of a group, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ForksRow(pub(crate) Vec<Fork>);

impl Record for ForksRow {
    const TABLE: Table = Table::Forks;

    fn write(&self, out: &mut Writer) {
        out.list(&self.0, |out, fork| {
            out.fixed(&fork.incarnation);
            out.u64(fork.head);
            out.u64(fork.epoch);
        });
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let fork = |fields: &mut Reader<'_>| {
            Ok(Fork { incarnation: fields.array()?, head: fields.u64()?, epoch: fields.u64()? })
        };
        Ok(Self(fields.list(fork)?))
    }
}
