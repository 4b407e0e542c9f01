//! Ids of users, groups and registers in the JSON form: their text, alone, optional or in a list.

use cercle_proto::id::{GroupId, RegisterId, UserId};
use serde::{Deserialize as _, Deserializer, Serializer};

/// An id that has a text.
pub(crate) trait TextId: Sized {
    fn to_text(&self) -> String;
    fn from_text(text: &str) -> Option<Self>;
}

impl TextId for UserId {
    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl TextId for GroupId {
    fn to_text(&self) -> String {
        self.to_hex()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::from_hex(text).ok()
    }
}

impl TextId for RegisterId {
    fn to_text(&self) -> String {
        self.to_hex()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::from_hex(text).ok()
    }
}

/// An id alone.
pub(crate) fn serialize<T: TextId, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_text())
}

/// An id alone.
pub(crate) fn deserialize<'de, T: TextId, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    read(&String::deserialize(deserializer)?)
}

fn read<T: TextId, E: serde::de::Error>(text: &str) -> Result<T, E> {
    T::from_text(text).ok_or_else(|| E::custom("it is not an id of this kind"))
}

/// An id or nothing.
pub(crate) mod option {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{TextId, read};

    pub(crate) fn serialize<T: TextId, S: Serializer>(
        id: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.as_ref().map(TextId::to_text).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: TextId, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?.as_deref().map(read).transpose()
    }
}

/// Several ids.
pub(crate) mod list {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{TextId, read};

    pub(crate) fn serialize<T: TextId, S: Serializer>(ids: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(TextId::to_text))
    }

    pub(crate) fn deserialize<'de, T: TextId, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| read(text)).collect()
    }
}
