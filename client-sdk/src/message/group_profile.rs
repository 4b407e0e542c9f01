//! What a group says about itself to its members only: its title.

use super::{Body, wire};
use crate::{error::Error, limits};

/// Checks a title that is to be sent.
///
/// # Errors
/// When it is empty or too long.
pub(super) fn to_wire(title: &str) -> Result<wire::GroupProfile, Error> {
    match title.len() {
        0 => Err(Error::Invalid("a title must not be empty")),
        1..=limits::TITLE_BYTES_MAX => Ok(wire::GroupProfile { title: title.to_owned() }),
        _ => Err(Error::Invalid("a title has at most 256 bytes")),
    }
}

/// Reads a received title; `None` if its sender broke the rules.
pub(super) fn from_wire(profile: wire::GroupProfile) -> Option<Body> {
    let fits = (1..=limits::TITLE_BYTES_MAX).contains(&profile.title.len());
    fits.then_some(Body::GroupProfile { title: profile.title })
}
