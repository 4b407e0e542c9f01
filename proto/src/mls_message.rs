//! Reads the header of an `MLSMessage` (RFC 9420 section 6) without opening it.
//!
//! The hub routes every application message with this alone; no group state is loaded.

use crate::id::{Epoch, GroupId};

/// What an `MLSMessage` is, as far as its clear header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Signed and readable: handshakes on their way through the hub.
    Public {
        /// Group it belongs to.
        group: GroupId,
        /// Epoch it was made in.
        epoch: Epoch,
        /// Who signed it.
        sender: Sender,
        /// What it holds.
        content: Content,
    },
    /// Encrypted: application messages.
    Private {
        /// Group it belongs to.
        group: GroupId,
        /// Epoch it was made in.
        epoch: Epoch,
        /// What it holds.
        content: Content,
    },
    /// Welcome message.
    Welcome,
    /// Group info object.
    GroupInfo,
    /// Key package.
    KeyPackage,
}

/// `SenderType` of a `PublicMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A member, by leaf index.
    Member(u32),
    /// An external sender, by its place in the group context extension.
    External(u32),
    /// Somebody who proposes to add himself.
    NewMemberProposal,
    /// Somebody who joins by external commit.
    NewMemberCommit,
}

/// `ContentType` of a framed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Application data.
    Application,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
}

/// The bytes are not an MLS 1.0 message that this project uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an MLS 1.0 message: {0}")]
pub struct HeaderError(&'static str);

/// Reads the header.
///
/// # Errors
/// When the bytes end too early, the version or a type is unknown, or the group id is not 16 bytes.
pub fn read_header(message: &[u8]) -> Result<Header, HeaderError> {
    let mut reader = Reader(message);
    if reader.u16()? != 1 {
        return Err(HeaderError("the protocol version is not mls10"));
    }
    match reader.u16()? {
        1 => public(&mut reader),
        2 => {
            let (group, epoch) = (reader.group()?, reader.u64()?);
            Ok(Header::Private { group, epoch, content: reader.content()? })
        }
        3 => Ok(Header::Welcome),
        4 => Ok(Header::GroupInfo),
        5 => Ok(Header::KeyPackage),
        _ => Err(HeaderError("unknown wire format")),
    }
}

fn public(reader: &mut Reader<'_>) -> Result<Header, HeaderError> {
    let (group, epoch) = (reader.group()?, reader.u64()?);
    let sender = match reader.u8()? {
        1 => Sender::Member(reader.u32()?),
        2 => Sender::External(reader.u32()?),
        3 => Sender::NewMemberProposal,
        4 => Sender::NewMemberCommit,
        _ => return Err(HeaderError("unknown sender type")),
    };
    let _authenticated_data = reader.vector()?;
    Ok(Header::Public { group, epoch, sender, content: reader.content()? })
}

/// Takes values off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HeaderError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HeaderError("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        self.take(N)?.try_into().map_err(|_| HeaderError("it ends too early"))
    }

    fn u8(&mut self) -> Result<u8, HeaderError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, HeaderError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A variable-size vector (RFC 9420 section 2.1.2).
    fn vector(&mut self) -> Result<&'a [u8], HeaderError> {
        let (length, rest) = read_varint(self.0).ok_or(HeaderError("a length is damaged"))?;
        self.0 = rest;
        self.take(length)
    }

    fn group(&mut self) -> Result<GroupId, HeaderError> {
        GroupId::try_from(self.vector()?).map_err(|_| HeaderError("the group id is not 16 bytes"))
    }

    fn content(&mut self) -> Result<Content, HeaderError> {
        match self.u8()? {
            1 => Ok(Content::Application),
            2 => Ok(Content::Proposal),
            3 => Ok(Content::Commit),
            _ => Err(HeaderError("unknown content type")),
        }
    }
}

/// Reads the length of a variable-size vector (RFC 9420 section 2.1.2) and returns what follows it.
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let first = *bytes.first()?;
    let size = match first >> 6 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return None,
    };
    let (head, rest) = bytes.split_at_checked(size)?;
    let value =
        head[1..].iter().fold(usize::from(first & 0x3f), |value, byte| value << 8 | usize::from(*byte));
    // The shortest form is mandatory.
    let shortest = match value {
        0..=63 => 1,
        64..=16_383 => 2,
        _ => 4,
    };
    (shortest == size).then_some((value, rest))
}

/// Writes the length of a variable-size vector (RFC 9420 section 2.1.2).
pub(crate) fn write_varint(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    match length {
        0..=63 => out.extend_from_slice(&length.to_be_bytes()[3..]),
        64..=16_383 => out.extend_from_slice(&(length | 0x4000).to_be_bytes()[2..]),
        _ => {
            assert!(length < 1 << 30, "a vector of 1 GiB or more is never built here");
            out.extend_from_slice(&(length | 0x8000_0000).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_message(epoch: u64) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 2, 16];
        bytes.extend([9; 16]);
        bytes.extend(epoch.to_be_bytes());
        bytes.push(1);
        bytes
    }

    #[test]
    fn a_private_message_shows_group_epoch_and_content() {
        let expected =
            Header::Private { group: GroupId::new([9; 16]), epoch: 77, content: Content::Application };
        assert_eq!(read_header(&private_message(77)), Ok(expected));
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = private_message(1);
        for length in 0..whole.len() {
            assert!(read_header(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn lengths_round_trip_in_their_shortest_form() {
        for length in [0, 63, 64, 16_383, 16_384, 1 << 20] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, length);
            assert_eq!(read_varint(&bytes), Some((length, [].as_slice())));
        }
        assert_eq!(read_varint(&[0x40, 5]), None, "longer than needed");
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read_header(&bytes);
        }
    }
}
