//! The newest entries of one live group, each encoded once; and the encoding of `Entries` frames from them.
//!
//! A [`Ring`] is a window without gaps onto the log. Writers of one group report in any order, so entries may
//! wait for those before them; what does not come soon is left to the log: a ring may answer "not here", never
//! wrongly.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use cercle_proto::{
    id::{DeviceId, GroupId, Seq},
    v1,
};
use cercle_storage::store::{Entry, Kind};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::limits;

/// Field number of `ServerFrame.entries`.
const FRAME_ENTRIES: u32 = 10;
/// Field numbers of `Entries`.
const ENTRIES_GROUP: u32 = 1;
const ENTRIES_WAVE: u32 = 2;
const ENTRIES_ENTRIES: u32 = 3;

/// An entry, encoded for its readers. Clones share the bytes.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Place in the log.
    pub seq: Seq,
    /// It ends an epoch, so that the roster may differ after it.
    pub is_commit: bool,
    /// Device that sent it; it gets the header only.
    pub sender: Option<DeviceId>,
    /// A whole live frame with this entry alone.
    frame: Bytes,
    /// The entry as a field of `Entries`: the tail of `frame`.
    field: Bytes,
    /// The same without the MLS message.
    header: Bytes,
}

/// What a ring has after a cursor.
#[derive(Debug)]
pub enum RingRead {
    /// Nothing newer was appended.
    UpToDate,
    /// These entries, the first one right after the cursor.
    Entries {
        /// In order, without a gap.
        entries: Vec<Encoded>,
        /// There are newer ones behind a gap: look again.
        more: bool,
    },
    /// The ring does not reach back so far: read the log.
    Miss,
}

/// The newest entries of a group, without a gap.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Encoded>,
    bytes: usize,
    /// Entries that came before those in front of them.
    early: BTreeMap<Seq, Encoded>,
    /// Entries up to here were there at the last [`Ring::forget_old`].
    old: Seq,
}

impl Ring {
    pub(super) fn push(&mut self, group: GroupId, entry: &Entry) {
        match self.entries.back() {
            // It came late: readers have found, or will find, it in the log.
            Some(newest) if entry.seq <= newest.seq => return,
            Some(newest) if entry.seq > newest.seq + 1 => {
                self.early.insert(entry.seq, encode_entry(group, entry));
                if self.early.len() > limits::RING_EARLY_MAX {
                    self.skip_gap();
                }
            }
            _ => self.append(encode_entry(group, entry)),
        }
        while let Some(next) = self.entries.back().and_then(|newest| self.early.remove(&(newest.seq + 1))) {
            self.append(next);
        }
    }

    pub(super) fn after(&self, cursor: Seq) -> RingRead {
        let (Some(oldest), Some(newest)) = (self.entries.front(), self.entries.back()) else {
            return RingRead::Miss;
        };
        let more = !self.early.is_empty();
        if newest.seq <= cursor {
            // Behind the gap there is something, and what fills the gap may have been lost.
            return if more { RingRead::Miss } else { RingRead::UpToDate };
        }
        let Some(skip) = (cursor + 1).checked_sub(oldest.seq).and_then(|n| usize::try_from(n).ok()) else {
            return RingRead::Miss;
        };
        RingRead::Entries { entries: self.entries.range(skip..).cloned().collect(), more }
    }

    /// Drops what was there at the last call already, so that quiet groups take no memory.
    pub(super) fn forget_old(&mut self) {
        while self.entries.front().is_some_and(|oldest| oldest.seq <= self.old) {
            self.drop_oldest();
        }
        self.old = self.entries.back().map_or(self.old, |newest| newest.seq);
    }

    /// What should have filled the gap was lost: goes on behind it.
    fn skip_gap(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        if let Some((_, first)) = self.early.pop_first() {
            self.append(first);
        }
    }

    fn append(&mut self, encoded: Encoded) {
        self.early = self.early.split_off(&encoded.seq);
        self.bytes += encoded.size_bytes();
        self.entries.push_back(encoded);
        // The newest one stays whatever its size: all readers are about to ask for it.
        while self.entries.len() > 1
            && (self.entries.len() > limits::RING_ENTRIES_MAX || self.bytes > limits::RING_BYTES_MAX)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.size_bytes();
        }
    }
}

impl Encoded {
    /// How much memory the entry takes, about.
    fn size_bytes(&self) -> usize {
        self.frame.len() + self.header.len() + size_of::<Self>()
    }

    /// How many bytes the entry adds to a frame for a reader.
    #[must_use]
    pub fn len_for(&self, reader: DeviceId) -> usize {
        self.field_for(reader).len()
    }

    fn field_for(&self, reader: DeviceId) -> &Bytes {
        if self.sender == Some(reader) { &self.header } else { &self.field }
    }
}

/// Encodes an entry of a group.
#[must_use]
pub fn encode_entry(group: GroupId, entry: &Entry) -> Encoded {
    let mut wire = v1::Entry {
        seq: entry.seq,
        kind: wire_kind(entry.kind).into(),
        epoch: entry.epoch,
        sender: entry.sender.map(DeviceId::to_bytes).unwrap_or_default(),
        message_id: entry.message_id.to_bytes(),
        at_ms: entry.at,
        mls: entry.body.clone(),
    };
    let field_length = field_length(&wire);
    let mut buffer = frame_head(group, 0, field_length);
    let head_length = buffer.len();
    put_field(&mut buffer, &wire);
    let frame = buffer.freeze();
    wire.mls = Bytes::new();
    let mut header = BytesMut::with_capacity(64);
    put_field(&mut header, &wire);
    Encoded {
        seq: entry.seq,
        is_commit: entry.kind == Kind::Commit,
        sender: entry.sender,
        field: frame.slice(head_length..),
        frame,
        header: header.freeze(),
    }
}

/// A frame with entries of one group for one reader; `wave` 0 means live. A single live entry is the shared
/// bytes themselves.
#[must_use]
pub fn entries_frame(group: GroupId, wave: u64, entries: &[Encoded], reader: DeviceId) -> Bytes {
    if let ([only], 0) = (entries, wave)
        && only.sender != Some(reader)
    {
        return only.frame.clone();
    }
    let length = entries.iter().map(|entry| entry.len_for(reader)).sum();
    let mut buffer = frame_head(group, wave, length);
    for entry in entries {
        buffer.put_slice(entry.field_for(reader));
    }
    buffer.freeze()
}

/// Everything of an `Entries` frame before its entries, with room for them.
fn frame_head(group: GroupId, wave: u64, entries_bytes: usize) -> BytesMut {
    let wave_bytes = if wave == 0 { 0 } else { key_len(ENTRIES_WAVE) + encoded_len_varint(wave) };
    let group_bytes = key_len(ENTRIES_GROUP) + 1 + group.as_bytes().len();
    let length = group_bytes + wave_bytes + entries_bytes;
    let mut buffer = BytesMut::with_capacity(length + 12);
    encode_key(FRAME_ENTRIES, WireType::LengthDelimited, &mut buffer);
    encode_varint(length as u64, &mut buffer);
    encode_key(ENTRIES_GROUP, WireType::LengthDelimited, &mut buffer);
    encode_varint(group.as_bytes().len() as u64, &mut buffer);
    buffer.put_slice(group.as_bytes());
    if wave != 0 {
        encode_key(ENTRIES_WAVE, WireType::Varint, &mut buffer);
        encode_varint(wave, &mut buffer);
    }
    buffer
}

fn field_length(entry: &v1::Entry) -> usize {
    let length = entry.encoded_len();
    key_len(ENTRIES_ENTRIES) + encoded_len_varint(length as u64) + length
}

fn put_field(buffer: &mut BytesMut, entry: &v1::Entry) {
    encode_key(ENTRIES_ENTRIES, WireType::LengthDelimited, buffer);
    entry.encode_length_delimited(buffer).expect("a BytesMut grows as needed");
}

fn wire_kind(kind: Kind) -> v1::EntryKind {
    match kind {
        Kind::Application => v1::EntryKind::Application,
        Kind::Commit => v1::EntryKind::Commit,
        Kind::Proposal => v1::EntryKind::Proposal,
    }
}
