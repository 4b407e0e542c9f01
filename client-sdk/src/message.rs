//! Typed messages inside MLS: versioned, unknown kinds are kept and shown as such.
//!
//! One kind of content is one file of `proto/cercle/content/v1`, one module here, and one variant of
//! [`Body`]. Nothing below (store, sync, MLS) knows kinds; nothing outside this module reads protobuf.
//!
//! To add a kind: its message in a `.proto` file, a number in `Envelope.body`, a variant of [`Body`], a
//! module here that checks and converts it, and its two lines in `Body::to_wire` and `Body::from_wire`.

use cercle_proto::id::TimestampMs;
use prost::Message as _;

use crate::{error::Error, limits};
use wire::envelope::Body as WireBody;

mod group_profile;
mod text;
mod wire;

/// What a message says. `Debug` shows the kind only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Something a person wrote.
    Text(String),
    /// The group's title was set (by the creator, or again for newcomers).
    GroupProfile {
        /// The title.
        title: String,
    },
    /// A kind that this version does not know: shown by its fallback, kept whole.
    Unknown {
        /// What the sender wants shown; may be empty.
        fallback: String,
    },
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::GroupProfile { .. } => "GroupProfile",
            Self::Unknown { .. } => "Unknown",
        })
    }
}

/// An application message's plaintext, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// The sender's clock when it was written.
    pub(crate) sent_at_ms: TimestampMs,
    /// First bytes of the sender's epoch authenticator; `None` if he gave none.
    pub(crate) authenticator: Option<[u8; 8]>,
    /// What it says.
    pub(crate) body: Body,
}

impl Content {
    /// Reads a plaintext. Kinds and fields of newer versions are no error.
    ///
    /// Returns `None` when it is too long or not an envelope.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > limits::ENVELOPE_BYTES_MAX {
            return None;
        }
        let envelope = wire::Envelope::decode(bytes).ok()?;
        let authenticator = envelope.epoch_authenticator.as_slice().try_into().ok();
        let body = Body::from_wire(envelope.body, envelope.fallback);
        Some(Self { sent_at_ms: envelope.sent_at_ms, authenticator, body })
    }
}

/// Writes the envelope of a message, without the epoch authenticator, which is known when it is encrypted.
///
/// # Errors
/// When the body is too long, empty, or of an unknown kind.
pub(crate) fn compose(body: &Body, now_ms: TimestampMs) -> Result<Vec<u8>, Error> {
    let (body, fallback) = body.to_wire()?;
    let envelope =
        wire::Envelope { sent_at_ms: now_ms, epoch_authenticator: Vec::new(), fallback, body: Some(body) };
    Ok(envelope.encode_to_vec())
}

/// Adds the epoch authenticator to a composed envelope. Protobuf fields may come in any order, so the
/// field is appended.
pub(crate) fn with_authenticator(envelope: &[u8], authenticator: [u8; 8]) -> Vec<u8> {
    let field = wire::Envelope { epoch_authenticator: authenticator.to_vec(), ..wire::Envelope::default() };
    [envelope, &field.encode_to_vec()].concat()
}

impl Body {
    fn to_wire(&self) -> Result<(WireBody, String), Error> {
        match self {
            Self::Text(text) => Ok((WireBody::Text(text::to_wire(text)?), text.clone())),
            Self::GroupProfile { title } => {
                Ok((WireBody::GroupProfile(group_profile::to_wire(title)?), String::new()))
            }
            Self::Unknown { .. } => Err(Error::Invalid("a message of an unknown kind cannot be sent")),
        }
    }

    fn from_wire(body: Option<WireBody>, fallback: String) -> Self {
        let known = match body {
            Some(WireBody::Text(text)) => text::from_wire(text),
            Some(WireBody::GroupProfile(profile)) => group_profile::from_wire(profile),
            None => None,
        };
        known.unwrap_or(Self::Unknown { fallback })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_round_trips_with_its_authenticator() {
        let body = Body::Text("Bonjour à tous".into());
        let envelope = with_authenticator(&compose(&body, 77).unwrap(), [9; 8]);
        let expected = Content { sent_at_ms: 77, authenticator: Some([9; 8]), body };
        assert_eq!(Content::decode(&envelope), Some(expected));
    }

    #[test]
    fn a_kind_of_a_newer_version_is_shown_by_its_fallback() {
        let mut bytes = wire::Envelope { fallback: "Sondage".into(), ..Default::default() }.encode_to_vec();
        bytes.extend([0xfa, 0x0f, 2, 1, 1]); // field 255, a message this version does not know
        let content = Content::decode(&bytes).unwrap();
        assert_eq!(content.body, Body::Unknown { fallback: "Sondage".into() });
    }

    #[test]
    fn empty_and_oversize_bodies_are_refused() {
        let long = "é".repeat(limits::TEXT_BYTES_MAX / 2 + 1);
        for body in [Body::Text(String::new()), Body::Text(long)] {
            assert!(compose(&body, 0).is_err());
        }
        let profile = Body::GroupProfile { title: "x".repeat(limits::TITLE_BYTES_MAX + 1) };
        assert!(compose(&profile, 0).is_err());
    }

    #[test]
    fn what_is_no_envelope_is_refused_without_panic() {
        assert_eq!(Content::decode(&[0xff; 40]), None);
        assert_eq!(Content::decode(&vec![0; limits::ENVELOPE_BYTES_MAX + 1]), None);
    }
}
