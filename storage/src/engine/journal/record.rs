//! One batch as it lies in a journal file: sealed, numbered, at the start of a block.
//!
//! The seal is a keyed hash, not a plain checksum: bodies come from outside, and whoever writes a message
//! must not be able to put something into a file that reads as a record. Blocks, so that the write of a
//! record never touches a block of the one before it, which was acknowledged.

use bytes::Bytes;
use ring::hmac;

use crate::{
    engine::Batch,
    limits::JOURNAL_BLOCK_BYTES,
    table::{Key, Table},
};

/// Magic, length of the content, number; their seal, so that no length is believed that is not ours; the
/// seal of it all.
const HEADER_BYTES: usize = 16 + 16 + 32;
const HEAD: std::ops::Range<usize> = 0..16;
const HEAD_SEAL: std::ops::Range<usize> = 16..32;
const SEAL: std::ops::Range<usize> = 32..HEADER_BYTES;
const MAGIC: [u8; 4] = *b"CJr1";
const PUT: u8 = 1;
const DELETE: u8 = 0;

/// A change of one row, as parts of the record that it came in.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) table: Table,
    pub(super) key: Bytes,
    /// `None` deletes.
    pub(super) value: Option<Bytes>,
}

/// What a record says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) number: u64,
    /// Bytes up to the end of its content.
    end: usize,
}

impl Head {
    /// Bytes of the file that it takes: whole blocks.
    pub(super) const fn bytes(self) -> usize {
        self.end.next_multiple_of(JOURNAL_BLOCK_BYTES)
    }
}

/// Writes a batch as a record.
pub(super) fn seal(key: &hmac::Key, number: u64, batch: &Batch) -> Bytes {
    let mut out = Vec::with_capacity(size(batch).next_multiple_of(JOURNAL_BLOCK_BYTES));
    out.resize(HEADER_BYTES, 0);
    for (table, rows) in batch.tables() {
        out.push(table.number());
        push_length(&mut out, rows.len());
        for (key, value) in rows {
            push_row(&mut out, key, value.as_deref());
        }
    }
    let length = length(out.len() - HEADER_BYTES);
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&length.to_be_bytes());
    out[8..16].copy_from_slice(&number.to_be_bytes());
    let head_seal = hmac::sign(key, &out[HEAD]);
    out[HEAD_SEAL].copy_from_slice(&head_seal.as_ref()[..HEAD_SEAL.len()]);
    let seal = seal_of(key, &out);
    out[SEAL].copy_from_slice(seal.as_ref());
    out.resize(out.len().next_multiple_of(JOURNAL_BLOCK_BYTES), 0);
    out.into()
}

/// Bytes of a batch as a record, before it is filled up to whole blocks.
fn size(batch: &Batch) -> usize {
    let row = |(key, value): (&Key, &Option<Vec<u8>>)| {
        4 + key.len() + 1 + value.as_ref().map_or(0, |value| 4 + value.len())
    };
    let tables = batch.tables().map(|(_, rows)| 1 + 4 + rows.iter().map(row).sum::<usize>());
    HEADER_BYTES + tables.sum::<usize>()
}

fn push_row(out: &mut Vec<u8>, key: &Key, value: Option<&[u8]>) {
    push_length(out, key.len());
    out.extend_from_slice(key);
    match value {
        Some(value) => {
            out.push(PUT);
            push_length(out, value.len());
            out.extend_from_slice(value);
        }
        None => out.push(DELETE),
    }
}

fn push_length(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&length(value).to_be_bytes());
}

fn length(value: usize) -> u32 {
    u32::try_from(value).expect("a batch is far below 4 GiB: its bodies are bounded")
}

/// Over everything that says what it is and what is in it.
fn seal_of(key: &hmac::Key, record: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&record[..SEAL.start]);
    context.update(&record[HEADER_BYTES..]);
    context.sign()
}

/// The head of a record that begins here, if it is ours. Its content may be damaged.
pub(super) fn head(key: &hmac::Key, bytes: &[u8]) -> Option<Head> {
    let header = bytes.get(..HEADER_BYTES)?;
    // Nothing is a secret that is compared here: whoever reads the file may know it.
    if header[..4] != MAGIC || hmac::sign(key, &header[HEAD]).as_ref()[..HEAD_SEAL.len()] != header[HEAD_SEAL]
    {
        return None;
    }
    let length = u32::from_be_bytes(*header[4..].first_chunk()?) as usize;
    let number = u64::from_be_bytes(*header[8..].first_chunk()?);
    Some(Head { number, end: HEADER_BYTES.checked_add(length)? })
}

/// Whether the content behind a head is what was sealed with it.
pub(super) fn is_whole(key: &hmac::Key, bytes: &[u8], head: Head) -> bool {
    bytes.get(..head.end).is_some_and(|record| seal_of(key, record).as_ref() == &record[SEAL])
}

/// The changes of a record that [`seal`] wrote; `None` if they do not read.
pub(super) fn rows(record: &Bytes) -> Option<Vec<Row>> {
    let length = u32::from_be_bytes(*record.get(4..)?.first_chunk()?) as usize;
    let mut left = record.get(HEADER_BYTES..HEADER_BYTES + length)?;
    let mut rows = Vec::new();
    while let Some((number, rest)) = left.split_first() {
        left = rest;
        let table = *Table::ALL.get(usize::from(*number).checked_sub(1)?)?;
        for _ in 0..take_length(&mut left)? {
            let key = record.slice_ref(take(&mut left)?);
            let (flag, rest) = left.split_first()?;
            left = rest;
            let value = match *flag {
                PUT => Some(record.slice_ref(take(&mut left)?)),
                DELETE => None,
                _ => return None,
            };
            rows.push(Row { table, key, value });
        }
    }
    Some(rows)
}

fn take<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(left)? as usize;
    let (taken, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(taken)
}

fn take_length(left: &mut &[u8]) -> Option<u32> {
    let (taken, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u32::from_be_bytes(*taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Change;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn record() -> Bytes {
        let mut batch = Batch::default();
        batch.set(Table::Log, vec![1, 2], Change::Put(vec![7; 5_000]));
        batch.set(Table::Log, vec![1, 3], Change::Delete);
        batch.set(Table::Notes, vec![], Change::Put(vec![]));
        seal(&key(1), 42, &batch)
    }

    fn reads(sealed_with: u8, bytes: &[u8]) -> bool {
        let key = key(sealed_with);
        head(&key, bytes).is_some_and(|head| is_whole(&key, bytes, head))
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_fills_blocks() {
        let record = record();
        assert_eq!(record.len(), 2 * JOURNAL_BLOCK_BYTES);
        let head = head(&key(1), &record).unwrap();
        assert_eq!((head.number, head.bytes()), (42, record.len()));
        assert!(is_whole(&key(1), &record, head));
        let rows = rows(&record).unwrap();
        let read: Vec<_> = rows.iter().map(|row| (row.table, &row.key[..], row.value.as_deref())).collect();
        let body = vec![7; 5_000];
        assert_eq!(read.len(), 3);
        assert_eq!(read[0], (Table::Log, &[1, 2][..], Some(&body[..])));
        assert_eq!(read[1], (Table::Log, &[1, 3][..], None));
        assert_eq!(read[2], (Table::Notes, &[][..], Some(&[][..])));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let record = record();
        let content = HEADER_BYTES + 1 + 4 + (4 + 2 + 1 + 4 + 5_000) + (4 + 2 + 1) + 1 + 4 + (4 + 1 + 4);
        for place in (0..content).step_by(7).chain(0..64) {
            let mut damaged = record.to_vec();
            damaged[place] ^= 1;
            assert!(!reads(1, &damaged), "byte {place}");
        }
        assert!(reads(1, &record[..content]));
        assert!(!reads(1, &record[..content - 1]));
        assert!(!reads(2, &record), "sealed with another key");
    }
}
