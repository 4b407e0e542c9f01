//! Rows of the expiry index: which rows to look at once their time has passed.
//!
//! One row lists all subjects of one kind and one second that a commit has written, so that the index
//! costs a busy writer about one row per commit instead of one per message. It is a hint: whoever follows
//! it looks at the subject itself before deleting anything.

use cercle_proto::id::TimestampMs;

use super::{Corrupt, Reader, Record, Writer, corrupt};
use crate::{
    limits,
    table::{Key, Table},
};

/// What kind of row may be due. The subject is the row's key in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Verdict = 1,
    Claim = 2,
    Welcome = 3,
    Invitation = 4,
    SpentKeyPackage = 5,
}

/// The subjects of one index row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpiryRow {
    pub(crate) subjects: Vec<Key>,
}

impl Record for ExpiryRow {
    const TABLE: Table = Table::Expiry;

    fn write(&self, out: &mut Writer) {
        out.list(&self.subjects, |out, subject| out.bytes(subject));
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { subjects: fields.list(|fields| Ok(fields.bytes()?.to_vec()))? })
    }
}

/// The bucket that a time falls into.
pub(crate) const fn bucket(at: TimestampMs) -> u64 {
    at / limits::EXPIRY_BUCKET_MS
}

/// Key of an index row: unique, because a subject is noted once per bucket and never in two rows of it.
pub(crate) fn key(bucket: u64, kind: Kind, first_subject: &[u8]) -> Key {
    [bucket.to_be_bytes().as_slice(), &[kind as u8], first_subject].concat()
}

/// Reads what [`key`] wrote: bucket and kind.
pub(crate) fn parse_key(key: &[u8]) -> Result<(u64, Kind), Corrupt> {
    let (bucket, rest) =
        key.split_first_chunk::<8>().ok_or_else(|| corrupt(Table::Expiry, "a key cut short".into()))?;
    let kind = match rest.first() {
        Some(1) => Kind::Verdict,
        Some(2) => Kind::Claim,
        Some(3) => Kind::Welcome,
        Some(4) => Kind::Invitation,
        Some(5) => Kind::SpentKeyPackage,
        _ => return Err(corrupt(Table::Expiry, "an unknown kind of subject".into())),
    };
    Ok((u64::from_be_bytes(*bucket), kind))
}
