//! Groups that their administrators list, and requests to join them: what is kept of both, among the local files of
//! the directory. Called by [`crate::joining`].

use std::collections::BTreeMap;

use cercle_proto::id::{GroupId, UserId};
use serde::{Deserialize, Serialize};

use super::{error::Error, fold::words};
use crate::limits;

/// What everybody sees of a listed group.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Title that everybody sees.
    pub title: String,
    /// What the group is for.
    pub about: String,
}

/// A request to join, or that it was declined.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Join {
    /// When he asked, ms.
    pub asked_at_ms: u64,
    /// When he was declined, ms; 0: was not.
    pub declined_at_ms: u64,
    /// Why; may be empty.
    pub reason: String,
    /// A device of his was told that he was declined.
    pub told: bool,
}

/// Requests of each group.
pub type Joins = BTreeMap<GroupId, BTreeMap<UserId, Join>>;

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("asked_at_ms", &self.asked_at_ms).finish_non_exhaustive()
    }
}

impl Listing {
    /// Checks the bounds.
    ///
    /// # Errors
    /// When the title is missing, or a text too long.
    pub fn check(&self) -> Result<(), Error> {
        let title = self.title.trim().chars().count();
        if title == 0 || title > limits::LISTING_TITLE_CHARS_MAX {
            return Err(Error::Field("listing.title must have 1 to 128 characters"));
        }
        if self.about.chars().count() > limits::LISTING_ABOUT_CHARS_MAX {
            return Err(Error::Field("listing.about is longer than 280 characters"));
        }
        Ok(())
    }

    /// Whether each word of a text begins a word here.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let known = words(&format!("{} {}", self.title, self.about));
        words(text).iter().all(|word| known.iter().any(|known| known.starts_with(word.as_str())))
    }
}

impl Join {
    /// Whether it waits for an answer.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.declined_at_ms == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_found_by_beginnings_without_accents() {
        let listing = Listing { title: "Équipe Plaies".into(), about: "Avis et photos".into() };
        assert!(listing.fits("equ pla") && listing.fits("PHOTOS") && listing.fits(""));
        assert!(!listing.fits("equipe diabete"));
    }

    #[test]
    fn a_listing_out_of_bounds_is_refused_by_field() {
        let long = Listing { title: "x".into(), about: "x".repeat(281) };
        assert!(long.check().unwrap_err().to_string().contains("about"));
        assert!(Listing { title: " ".into(), ..Listing::default() }.check().is_err());
    }
}
