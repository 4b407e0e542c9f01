//! How entries become `Entries` frames: by hand, so that an entry costs one allocation for all its readers, and
//! a page of the log one for each frame.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use cercle_proto::{
    id::{DeviceId, GroupId, Seq},
    v1,
};
use cercle_storage::store::{Entry, Kind};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::limits;

/// Field number of `ServerFrame.entries`.
const FRAME_ENTRIES: u32 = 10;
/// Field numbers of `Entries`.
const ENTRIES_GROUP: u32 = 1;
const ENTRIES_WAVE: u32 = 2;
const ENTRIES_ENTRIES: u32 = 3;
/// Field numbers of `Entry`.
const ENTRY_SEQ: u32 = 1;
const ENTRY_KIND: u32 = 2;
const ENTRY_EPOCH: u32 = 3;
const ENTRY_SENDER: u32 = 4;
const ENTRY_MESSAGE_ID: u32 = 5;
const ENTRY_AT: u32 = 6;
const ENTRY_MLS: u32 = 7;

/// An entry that can be put into a frame for a reader; its sender gets it without the MLS message.
pub trait ForReaders {
    /// Place in the log.
    fn seq(&self) -> Seq;

    /// Device that sent it.
    fn sender(&self) -> Option<DeviceId>;

    /// It ends an epoch, so that the roster may differ after it.
    fn is_commit(&self) -> bool;

    /// How many bytes the entry adds to a frame for a reader.
    fn len_for(&self, reader: DeviceId) -> usize;

    /// Adds it to a frame.
    fn put_for(&self, reader: DeviceId, frame: &mut BytesMut);

    /// A whole live frame with this entry alone, if there is one that readers share.
    fn shared_frame(&self, _reader: DeviceId) -> Option<Bytes> {
        None
    }
}

/// An entry encoded once for all its readers. Clones share the bytes.
pub type Encoded = Arc<EncodedEntry>;

/// The bytes that readers share.
#[derive(Debug)]
pub struct EncodedEntry {
    /// Place in the log.
    pub seq: Seq,
    /// It ends an epoch, so that the roster may differ after it.
    pub is_commit: bool,
    /// Device that sent it; it gets the header only.
    pub sender: Option<DeviceId>,
    /// A whole live frame with this entry alone.
    frame: Bytes,
    /// Where in it the entry begins as a field of `Entries`.
    field_at: usize,
    /// Where the entry itself begins.
    entry_at: usize,
    /// Where its MLS message begins, and everything before it ends.
    mls_at: usize,
}

impl EncodedEntry {
    /// How much memory the entry takes, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.frame.len() + size_of::<Self>()
    }

    fn header(&self) -> &[u8] {
        &self.frame[self.entry_at..self.mls_at]
    }
}

impl ForReaders for Encoded {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn sender(&self) -> Option<DeviceId> {
        self.sender
    }

    fn is_commit(&self) -> bool {
        self.is_commit
    }

    fn len_for(&self, reader: DeviceId) -> usize {
        if self.sender == Some(reader) {
            delimited_len(ENTRIES_ENTRIES, self.header().len())
        } else {
            self.frame.len() - self.field_at
        }
    }

    fn put_for(&self, reader: DeviceId, frame: &mut BytesMut) {
        if self.sender == Some(reader) {
            put_delimited(ENTRIES_ENTRIES, self.header(), frame);
        } else {
            frame.put_slice(&self.frame[self.field_at..]);
        }
    }

    fn shared_frame(&self, reader: DeviceId) -> Option<Bytes> {
        (self.sender != Some(reader)).then(|| self.frame.clone())
    }
}

impl ForReaders for Entry {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn sender(&self) -> Option<DeviceId> {
        self.sender
    }

    fn is_commit(&self) -> bool {
        self.kind == Kind::Commit
    }

    fn len_for(&self, reader: DeviceId) -> usize {
        delimited_len(ENTRIES_ENTRIES, header_len(self) + mls_len(self, reader))
    }

    fn put_for(&self, reader: DeviceId, frame: &mut BytesMut) {
        let mls_len = mls_len(self, reader);
        put_head(ENTRIES_ENTRIES, header_len(self) + mls_len, frame);
        put_header(self, frame);
        if mls_len > 0 {
            put_delimited(ENTRY_MLS, &self.body, frame);
        }
    }
}

/// Encodes an entry of a group.
#[must_use]
pub fn encode_entry(group: GroupId, entry: &Entry) -> Encoded {
    let (header_len, mls_len) = (header_len(entry), bytes_len(ENTRY_MLS, entry.body.len()));
    let field_len = delimited_len(ENTRIES_ENTRIES, header_len + mls_len);
    let mut frame = frame_head(group, 0, field_len);
    let field_at = frame.len();
    put_head(ENTRIES_ENTRIES, header_len + mls_len, &mut frame);
    let entry_at = frame.len();
    put_header(entry, &mut frame);
    let mls_at = frame.len();
    if mls_len > 0 {
        put_delimited(ENTRY_MLS, &entry.body, &mut frame);
    }
    Arc::new(EncodedEntry {
        seq: entry.seq,
        is_commit: entry.kind == Kind::Commit,
        sender: entry.sender,
        frame: frame.freeze(),
        field_at,
        entry_at,
        mls_at,
    })
}

/// Adds frames with these entries of one group for one reader, each well below the frame limit; `wave` 0 means
/// live. An entry is never cut, and a single live one is the shared bytes themselves.
pub fn put_frames<E: ForReaders>(
    group: GroupId,
    wave: u64,
    mut entries: &[E],
    reader: DeviceId,
    frames: &mut Vec<Bytes>,
) {
    while let Some(first) = entries.first() {
        let mut bytes = first.len_for(reader);
        let mut count = 1;
        for entry in &entries[1..] {
            let with_entry = bytes + entry.len_for(reader);
            if with_entry > limits::ENTRIES_FRAME_BYTES_MAX {
                break;
            }
            (bytes, count) = (with_entry, count + 1);
        }
        let (chunk, rest) = entries.split_at(count);
        entries = rest;
        let shared = if count == 1 && wave == 0 { first.shared_frame(reader) } else { None };
        frames.push(shared.unwrap_or_else(|| {
            let mut frame = frame_head(group, wave, bytes);
            for entry in chunk {
                entry.put_for(reader, &mut frame);
            }
            frame.freeze()
        }));
    }
}

/// Everything of an `Entries` frame before its entries, with room for them.
fn frame_head(group: GroupId, wave: u64, entries_bytes: usize) -> BytesMut {
    let group = group.as_bytes();
    let length = bytes_len(ENTRIES_GROUP, group.len()) + number_len(ENTRIES_WAVE, wave) + entries_bytes;
    let mut buffer = BytesMut::with_capacity(delimited_len(FRAME_ENTRIES, length));
    put_head(FRAME_ENTRIES, length, &mut buffer);
    put_delimited(ENTRIES_GROUP, group, &mut buffer);
    put_number(ENTRIES_WAVE, wave, &mut buffer);
    buffer
}

/// Bytes of everything of an entry before its MLS message.
fn header_len(entry: &Entry) -> usize {
    let ids = entry.sender.map_or(0, |sender| bytes_len(ENTRY_SENDER, sender.as_bytes().len()))
        + bytes_len(ENTRY_MESSAGE_ID, entry.message_id.as_bytes().len());
    number_len(ENTRY_SEQ, entry.seq)
        + number_len(ENTRY_KIND, wire_kind(entry.kind))
        + number_len(ENTRY_EPOCH, entry.epoch)
        + ids
        + number_len(ENTRY_AT, entry.at)
}

fn put_header(entry: &Entry, into: &mut BytesMut) {
    put_number(ENTRY_SEQ, entry.seq, into);
    put_number(ENTRY_KIND, wire_kind(entry.kind), into);
    put_number(ENTRY_EPOCH, entry.epoch, into);
    if let Some(sender) = &entry.sender {
        put_delimited(ENTRY_SENDER, sender.as_bytes(), into);
    }
    put_delimited(ENTRY_MESSAGE_ID, entry.message_id.as_bytes(), into);
    put_number(ENTRY_AT, entry.at, into);
}

/// Bytes of the MLS message of an entry, as a field, for a reader.
fn mls_len(entry: &Entry, reader: DeviceId) -> usize {
    if entry.sender == Some(reader) { 0 } else { bytes_len(ENTRY_MLS, entry.body.len()) }
}

fn wire_kind(kind: Kind) -> u64 {
    let kind = match kind {
        Kind::Application => v1::EntryKind::Application,
        Kind::Commit => v1::EntryKind::Commit,
        Kind::Proposal => v1::EntryKind::Proposal,
    };
    u64::from(i32::from(kind).unsigned_abs())
}

// Fields as protobuf has them: zero and empty are left out, except where a message holds them for certain.

fn number_len(field: u32, number: u64) -> usize {
    if number == 0 { 0 } else { key_len(field) + encoded_len_varint(number) }
}

fn put_number(field: u32, number: u64, into: &mut BytesMut) {
    if number != 0 {
        encode_key(field, WireType::Varint, into);
        encode_varint(number, into);
    }
}

fn bytes_len(field: u32, length: usize) -> usize {
    if length == 0 { 0 } else { delimited_len(field, length) }
}

fn delimited_len(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

fn put_head(field: u32, length: usize, into: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, into);
    encode_varint(length as u64, into);
}

fn put_delimited(field: u32, bytes: &[u8], into: &mut BytesMut) {
    put_head(field, bytes.len(), into);
    into.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use cercle_proto::{frame, id::MessageId};

    use super::*;

    const GROUP: GroupId = GroupId::new([9; 16]);
    const ANNE: DeviceId = DeviceId::new([1; 16]);
    const BRUNO: DeviceId = DeviceId::new([2; 16]);

    fn entry(seq: Seq, body: usize) -> Entry {
        Entry {
            seq,
            kind: if seq.is_multiple_of(2) { Kind::Commit } else { Kind::Application },
            epoch: seq / 3,
            sender: (!seq.is_multiple_of(5)).then_some(ANNE),
            message_id: MessageId::new([3; 16]),
            at: seq * 1_000_000_007,
            body: vec![7; body].into(),
        }
    }

    /// What prost, which made the decoder of every client, would have written.
    fn expected(wave: u64, entries: &[Entry], reader: DeviceId) -> Bytes {
        let wire = |entry: &Entry| v1::Entry {
            seq: entry.seq,
            kind: i32::try_from(wire_kind(entry.kind)).unwrap(),
            epoch: entry.epoch,
            sender: entry.sender.map(DeviceId::to_bytes).unwrap_or_default(),
            message_id: entry.message_id.to_bytes(),
            at_ms: entry.at,
            mls: if entry.sender == Some(reader) { Bytes::new() } else { entry.body.clone() },
        };
        let entries = entries.iter().map(wire).collect();
        let entries = v1::Entries { group: GROUP.to_bytes(), wave, entries };
        frame::encode(&frame::server(0, v1::server_frame::Body::Entries(entries)))
    }

    #[test]
    fn frames_are_byte_for_byte_what_the_schema_says() {
        let entries: Vec<_> =
            [(1, 0), (2, 1), (3, 127), (5, 128), (300, 20_000)].map(|(seq, body)| entry(seq, body)).into();
        let encoded: Vec<_> = entries.iter().map(|entry| encode_entry(GROUP, entry)).collect();
        for (wave, reader) in [(0, ANNE), (0, BRUNO), (7, ANNE), (300, BRUNO)] {
            for range in [0..1, 1..2, 0..5] {
                let (mut from_ring, mut from_log) = (Vec::new(), Vec::new());
                put_frames(GROUP, wave, &encoded[range.clone()], reader, &mut from_ring);
                put_frames(GROUP, wave, &entries[range.clone()], reader, &mut from_log);
                assert_eq!(from_ring, [expected(wave, &entries[range], reader)]);
                assert_eq!(from_log, from_ring);
            }
        }
    }

    #[test]
    fn many_entries_are_cut_into_frames_between_entries() {
        let size = limits::ENTRIES_FRAME_BYTES_MAX / 3;
        let entries: Vec<_> = (1..=7).map(|number| entry(number * 2 + 5, size)).collect();
        let large = Entry { body: vec![1; 2 * limits::ENTRIES_FRAME_BYTES_MAX].into(), ..entry(77, 1) };
        let entries = [entries, vec![large, entry(79, 1)]].concat();
        let mut frames = Vec::new();
        put_frames(GROUP, 1, &entries, BRUNO, &mut frames);
        let counts = [2, 2, 2, 1, 1, 1];
        let mut rest = &entries[..];
        for (frame, count) in frames.iter().zip(counts) {
            let (chunk, others) = rest.split_at(count);
            assert_eq!(*frame, expected(1, chunk, BRUNO));
            rest = others;
        }
        assert_eq!(frames.len(), counts.len());
    }
}
