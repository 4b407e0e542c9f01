//! Typed messages inside MLS: versioned, unknown kinds are kept and shown as such.
//!
//! One kind of content is one file of `proto/cercle/content/v1`, one module here, and one variant of
//! [`Body`]. Nothing below (store, sync, MLS) knows kinds; nothing outside this module reads protobuf.

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
