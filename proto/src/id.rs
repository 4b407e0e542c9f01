//! Validated identifiers. Built at the edges, so that inside an invalid id cannot exist.
//!
//! Ids are random (or opaque strings) and carry no meaning; `Debug` prints only what a log may hold.

use std::fmt;

/// What is wrong with bytes or text that should be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A binary id does not have its fixed length.
    #[error("{what} must be 16 bytes, got {got}")]
    Length {
        /// Which id.
        what: &'static str,
        /// Length of what came instead.
        got: usize,
    },
    /// A user id or domain breaks the rules of [`UserId`].
    #[error("{0}")]
    Text(&'static str),
}

/// Place of an entry in its group's log: dense, from 1. 0 means "before the first".
pub type Seq = u64;
/// MLS epoch of a group (RFC 9420 section 8).
pub type Epoch = u64;
/// Milliseconds since the Unix epoch, UTC.
pub type TimestampMs = u64;

macro_rules! binary_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps 16 bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes as they go on the wire and into keys.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The bytes as a shared buffer, for a frame.
            #[must_use]
            pub fn to_bytes(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(&self.0)
            }

            /// All 32 hexadecimal digits, for command lines and certificates (logs use `Debug`).
            #[must_use]
            pub fn to_hex(self) -> String {
                to_hex(&self.0)
            }

            /// Reads 32 hexadecimal digits.
            ///
            /// # Errors
            /// When the text is anything else.
            pub fn from_hex(text: &str) -> Result<Self, IdError> {
                let error = IdError::Text(concat!($what, " must be 32 hexadecimal digits"));
                from_hex(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(error)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;
            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Length { what: $what, got: bytes.len() })
            }
        }

        impl TryFrom<&bytes::Bytes> for $name {
            type Error = IdError;
            fn try_from(bytes: &bytes::Bytes) -> Result<Self, IdError> {
                Self::try_from(bytes.as_ref())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_hex(&self.0[12..]))
            }
        }
    };
}

binary_id!(
    /// A device: one installation of an app, one leaf in each of its groups.
    DeviceId, "device id"
);
binary_id!(
    /// An MLS group (RFC 9420 section 11: random, never reused).
    GroupId, "group id"
);
binary_id!(
    /// Chosen by the sender for each write (UUIDv7): the idempotency key.
    MessageId, "message id"
);

binary_id!(
    /// Bytes kept on the hub (ciphertext of a document), chosen at random by the device that uploads them.
    BlobId, "blob id"
);
binary_id!(
    /// A first-wins register of the hub, chosen at random: whoever claims it first has it.
    RegisterId, "register id"
);

binary_id!(
    /// A chunk of a user's vault, chosen at random.
    ChunkId, "chunk id"
);
binary_id!(
    /// A lane of the hub on which two devices meet, chosen at random.
    LaneId, "lane id"
);

impl MessageId {
    /// Makes a UUIDv7 (RFC 9562) from a time and 10 random bytes.
    #[must_use]
    pub fn from_time(now_ms: TimestampMs, random: &[u8; 10]) -> Self {
        Self(*uuid::Builder::from_unix_timestamp_millis(now_ms, random).into_uuid().as_bytes())
    }
}

/// A user: `<local>@<domain>`, where local is a national or local identifier.
///
/// Local: 1 to 64 of `A-Z a-z 0-9 . _ -`. Domain: 1 to 128 of `a-z 0-9 . -`. Opaque otherwise, never
/// read as a number. `Debug` prints no part of it, because it may hold a national identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// Joins the two parts.
    ///
    /// # Errors
    /// When a part breaks the rules above.
    pub fn new(local: &str, domain: &str) -> Result<Self, IdError> {
        let local_ok = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if local.is_empty() || local.len() > 64 || !local.bytes().all(local_ok) {
            return Err(IdError::Text("the part of a user id before @ must be 1 to 64 of A-Z a-z 0-9 . _ -"));
        }
        check_domain(domain)?;
        Ok(Self(format!("{local}@{domain}")))
    }

    /// Reads `<local>@<domain>`.
    ///
    /// # Errors
    /// When there is not exactly one `@`, or a part breaks the rules.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (local, domain) = text.split_once('@').ok_or(IdError::Text("a user id is <local>@<domain>"))?;
        Self::new(local, domain)
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }

    /// The part after `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user")
    }
}

/// Checks the right side of a user id.
///
/// # Errors
/// When it is empty, too long or holds anything but `a-z 0-9 . -`.
pub fn check_domain(domain: &str) -> Result<(), IdError> {
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c);
    if domain.is_empty() || domain.len() > 128 || !domain.bytes().all(ok) {
        return Err(IdError::Text("a domain must be 1 to 128 of a-z 0-9 . -"));
    }
    Ok(())
}

/// Lower-case hexadecimal digits of bytes.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of an even number of hexadecimal digits, of either case.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_what_is_not_hex() {
        let id = DeviceId::new([0xab; 16]);
        assert_eq!(DeviceId::from_hex(&id.to_hex()), Ok(id));
        assert!(DeviceId::from_hex("zz").is_err());
        assert!(from_hex("abc").is_none());
        assert!(from_hex("é1").is_none());
    }

    #[test]
    fn a_user_id_has_two_checked_parts() {
        let user = UserId::parse("810001234567@cpts.example").unwrap();
        assert_eq!((user.local(), user.domain()), ("810001234567", "cpts.example"));
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@C"] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_output_names_nobody() {
        let user = UserId::parse("810001234567@cpts.example").unwrap();
        assert_eq!(format!("{user:?}"), "user");
        assert_eq!(format!("{:?}", GroupId::new([7; 16])), "07070707");
    }

    #[test]
    fn message_ids_sort_by_time() {
        let early = MessageId::from_time(1_000, &[0xff; 10]);
        let late = MessageId::from_time(1_001, &[0; 10]);
        assert!(early < late);
    }
}
