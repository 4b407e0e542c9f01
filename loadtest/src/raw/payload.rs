//! What a raw message carries: when it was due, which of which stream it is, and filling.

use cercle_proto::id::{Epoch, GroupId};

/// Bytes in front of the filling: due time, stream, number.
const HEAD_BYTES: usize = 16;

/// One counted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    /// When it was due to be sent, microseconds of the run's clock.
    pub(crate) due_us: u64,
    /// Which sender in which group, by its number in the run.
    pub(crate) stream: u32,
    /// Rises by one with every message of the stream, from 1.
    pub(crate) number: u32,
}

impl Payload {
    /// The bytes, `length` of them (at least the head).
    pub(crate) fn to_bytes(self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length.max(HEAD_BYTES));
        self.write(&mut bytes, length);
        bytes
    }

    /// Appends the bytes.
    pub(crate) fn write(self, to: &mut Vec<u8>, length: usize) {
        let end = to.len() + length.max(HEAD_BYTES);
        to.extend(self.due_us.to_be_bytes());
        to.extend(self.stream.to_be_bytes());
        to.extend(self.number.to_be_bytes());
        to.resize(end, 0xab);
    }

    /// Reads the bytes; `None` if they are too short.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (due_us, rest) = bytes.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        Some(Self {
            due_us: u64::from_be_bytes(*due_us),
            stream: u32::from_be_bytes(*stream),
            number: u32::from_be_bytes(*number),
        })
    }

    /// Stream and number: what tells it from every other message of the run.
    pub(crate) const fn identity(self) -> u64 {
        (self.stream as u64) << 32 | self.number as u64
    }
}

/// An application message as far as the hub can read it (RFC 9420 sections 6 and 6.3): version, wire format,
/// group, epoch, content type. The rest, to a member ciphertext, is the payload.
pub(crate) fn private_message(group: GroupId, epoch: Epoch, payload: &[u8]) -> Vec<u8> {
    let mut mls = private_message_head(group, epoch).to_vec();
    mls.extend_from_slice(payload);
    mls
}

/// The payload of such a message.
pub(crate) fn payload_of(mls: &[u8]) -> Option<Payload> {
    Payload::parse(mls.get(PRIVATE_MESSAGE_HEAD_BYTES..)?)
}

const PRIVATE_MESSAGE_HEAD_BYTES: usize = 2 + 2 + 1 + 16 + 8 + 1;

fn private_message_head(group: GroupId, epoch: Epoch) -> [u8; PRIVATE_MESSAGE_HEAD_BYTES] {
    let mut head = [0; PRIVATE_MESSAGE_HEAD_BYTES];
    head[..5].copy_from_slice(&[0, 1, 0, 2, 16]); // mls10, private message, length of the group id
    head[5..21].copy_from_slice(group.as_bytes());
    head[21..29].copy_from_slice(&epoch.to_be_bytes());
    head[29] = 1; // application
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_survives_its_message_and_the_hub_reads_the_header() {
        let payload = Payload { due_us: 77, stream: 3, number: 5 };
        let group = GroupId::new([3; 16]);
        let mls = private_message(group, 9, &payload.to_bytes(100));
        assert_eq!(mls.len(), PRIVATE_MESSAGE_HEAD_BYTES + 100);
        assert_eq!(payload_of(&mls), Some(payload));
        let header = cercle_proto::mls_message::read_header(&mls).unwrap();
        assert!(matches!(header, cercle_proto::mls_message::Header::Private { epoch: 9, .. }), "{header:?}");
        assert_eq!(payload_of(&mls[..40]), None);
    }
}
