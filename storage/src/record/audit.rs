//! Rows of the audit log, and the hash that chains them.

use ring::digest::{Context, SHA256};

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{AuditEntry, AuditRecord},
    table::Table,
};

impl Record for AuditRecord {
    const TABLE: Table = Table::Audit;

    fn write(&self, out: &mut Writer) {
        write_entry(self.number, &self.entry, out);
        out.fixed(&self.hash);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            number: fields.u64()?,
            entry: AuditEntry {
                at: fields.u64()?,
                actor: fields.text()?,
                action: fields.text()?,
                object: fields.text()?,
            },
            hash: fields.array()?,
        })
    }
}

impl AuditRecord {
    /// Whether this record follows another (`None`: is the first), unchanged, without one between them. A record that
    /// was emptied keeps its place and its hash, which is taken as it is; a chain may begin with one.
    #[must_use]
    pub fn follows(&self, before: Option<&Self>) -> bool {
        self.follows_head(before.map(AuditHeadRow::of).as_ref())
    }

    pub(crate) fn follows_head(&self, before: Option<&AuditHeadRow>) -> bool {
        if self.is_emptied() {
            return before.is_none_or(|before| self.number == before.number + 1);
        }
        *self == before.cloned().unwrap_or_default().next(self.entry.clone())
    }
}

/// The newest record's place, kept apart so that an append need not search for it, and so that a log
/// that was cut off at its end is noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditHeadRow {
    pub(crate) number: u64,
    pub(crate) hash: [u8; 32],
}

impl AuditHeadRow {
    /// The record that follows this one.
    pub(crate) fn next(&self, entry: AuditEntry) -> AuditRecord {
        let number = self.number + 1;
        let mut encoding = Writer::default();
        write_entry(number, &entry, &mut encoding);
        let mut digest = Context::new(&SHA256);
        digest.update(&self.hash);
        digest.update(&encoding.into_bytes());
        let hash = digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        AuditRecord { number, entry, hash }
    }

    /// The place of a record.
    pub(crate) const fn of(record: &AuditRecord) -> Self {
        Self { number: record.number, hash: record.hash }
    }
}

impl Record for AuditHeadRow {
    const TABLE: Table = Table::Meta;

    fn write(&self, out: &mut Writer) {
        out.u64(self.number);
        out.fixed(&self.hash);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { number: fields.u64()?, hash: fields.array()? })
    }
}

/// The encoding that is hashed: number, time, and three texts with their lengths.
fn write_entry(number: u64, entry: &AuditEntry, out: &mut Writer) {
    out.u64(number);
    out.u64(entry.at);
    out.bytes(entry.actor.as_bytes());
    out.bytes(entry.action.as_bytes());
    out.bytes(entry.object.as_bytes());
}
