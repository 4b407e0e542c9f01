//! What a projection shows of one thing: to a program as JSON, to a person as lines.

use std::collections::BTreeMap;

use cercle_proto::id::{MessageId, UserId};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::message::Language;

/// One thing of a thread: an alert with who acknowledged it, a form with its results.
pub trait Projected: Serialize {
    /// What a person reads of it, one line or several.
    fn render(&self, language: Language) -> String;
}

/// A thing in both forms.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    /// For a program.
    pub json: serde_json::Value,
    /// For a person.
    pub text: String,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl State {
    pub(super) fn of(projected: &impl Projected, language: Language) -> Self {
        Self {
            json: serde_json::to_value(projected).expect("states have text, numbers and lists only"),
            text: projected.render(language),
        }
    }
}

/// Message ids as 32 hexadecimal digits.
pub(super) fn id<S: Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_hex())
}

/// Users as `name@domain`.
pub(super) fn user<S: Serializer>(user: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(user.as_str())
}

/// Users in a list.
pub(super) fn users<S: Serializer>(users: &[UserId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(users.iter().map(UserId::as_str))
}

/// Something by user.
pub(super) fn by_user<T: Serialize, S: Serializer>(
    map: &BTreeMap<UserId, T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_map(Some(map.len()))?;
    for (user, value) in map {
        out.serialize_entry(user.as_str(), value)?;
    }
    out.end()
}
