//! Something a person wrote.

use super::{Body, wire};
use crate::{error::Error, limits};

/// Checks a text that is to be sent.
///
/// # Errors
/// When it is empty or too long.
pub(super) fn to_wire(text: &str) -> Result<wire::Text, Error> {
    match text.len() {
        0 => Err(Error::Invalid("a message must not be empty")),
        1..=limits::TEXT_BYTES_MAX => Ok(wire::Text { text: text.to_owned() }),
        _ => Err(Error::Invalid("a message has at most 16384 bytes of text")),
    }
}

/// Reads a received text; `None` if its sender broke the rules.
pub(super) fn from_wire(text: wire::Text) -> Option<Body> {
    (1..=limits::TEXT_BYTES_MAX).contains(&text.text.len()).then_some(Body::Text(text.text))
}
