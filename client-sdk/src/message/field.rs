//! The fields of typed messages: how they go over the wire, how they are checked, how they are shown.
//!
//! [`content!`] and [`choice!`] write a struct or enum of content once: its JSON form and its way to and from
//! the generated type of the same name and fields. The kinds of this folder are made with them.

use cercle_proto::id::MessageId;

use super::{AlertId, Kind, Language, Patient, kind::Wire, kind::required, wire};
use crate::{error::Error, limits};

/// A value as a field of a generated type.
pub(super) trait OnWire: Sized {
    /// Type of the field.
    type Wire;

    /// To the generated type.
    fn write(&self) -> Self::Wire;

    /// From the generated type; `None` if it cannot be read.
    fn read(wire: Self::Wire) -> Option<Self>;
}

impl<T: Kind + OnWire> Wire for T {
    type Message = T::Wire;

    fn to_wire(&self) -> T::Wire {
        self.write()
    }

    fn from_wire(message: T::Wire) -> Option<Self> {
        Self::read(message)
    }
}

macro_rules! plain {
    ($($type:ty),+) => {
        $(impl OnWire for $type {
            type Wire = Self;

            fn write(&self) -> Self {
                self.clone()
            }

            fn read(wire: Self) -> Option<Self> {
                Some(wire)
            }
        })+
    };
}

plain!(String, bool, u32, i64);

impl<T: OnWire> OnWire for Vec<T> {
    type Wire = Vec<T::Wire>;

    fn write(&self) -> Self::Wire {
        self.iter().map(T::write).collect()
    }

    fn read(wire: Self::Wire) -> Option<Self> {
        wire.into_iter().map(T::read).collect()
    }
}

impl<T: OnWire> OnWire for Option<T> {
    type Wire = Option<T::Wire>;

    fn write(&self) -> Self::Wire {
        self.as_ref().map(T::write)
    }

    fn read(wire: Self::Wire) -> Option<Self> {
        wire.map_or(Some(None), |wire| T::read(wire).map(Some))
    }
}

impl OnWire for Option<MessageId> {
    type Wire = Vec<u8>;

    fn write(&self) -> Vec<u8> {
        self.map_or_else(Vec::new, |id| id.as_bytes().to_vec())
    }

    fn read(wire: Vec<u8>) -> Option<Self> {
        if wire.is_empty() {
            return Some(None);
        }
        MessageId::try_from(wire.as_slice()).ok().map(Some)
    }
}

impl OnWire for Option<AlertId> {
    type Wire = Vec<u8>;

    fn write(&self) -> Vec<u8> {
        self.map_or_else(Vec::new, |id| id.0.to_vec())
    }

    fn read(wire: Vec<u8>) -> Option<Self> {
        if wire.is_empty() {
            return Some(None);
        }
        Some(Some(AlertId(wire.try_into().ok()?)))
    }
}

impl OnWire for Patient {
    type Wire = wire::Patient;

    fn write(&self) -> wire::Patient {
        self.to_wire()
    }

    fn read(wire: wire::Patient) -> Option<Self> {
        Some(Self::from_wire(wire))
    }
}

/// Makes a struct of content. In JSON every field may be left out, which the kind's check answers by name; a
/// field that does not exist is refused.
macro_rules! content {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$about:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
        }

        $crate::message::kind::hidden!($name);

        impl $crate::message::field::OnWire for $name {
            type Wire = $crate::message::wire::$name;

            fn write(&self) -> Self::Wire {
                Self::Wire { $($field: $crate::message::field::OnWire::write(&self.$field),)* }
            }

            fn read(wire: Self::Wire) -> Option<Self> {
                Some(Self { $($field: $crate::message::field::OnWire::read(wire.$field)?,)* })
            }
        }
    };
}

/// Makes an enum of content with its names for a person, French first. `Unspecified` comes first: not said, or
/// a value of a newer version, which a check refuses, so that the message is shown by its fallback.
macro_rules! choice {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$about:meta])* $variant:ident = $fr:literal, $en:literal;)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            /// Not said.
            #[default]
            Unspecified,
            $($(#[$about])* $variant,)*
        }

        impl $name {
            /// Its name for a person.
            #[must_use]
            pub const fn label(self, language: $crate::message::Language) -> &'static str {
                match self {
                    Self::Unspecified => language.pick("non précisé", "not said"),
                    $(Self::$variant => language.pick($fr, $en),)*
                }
            }

            /// Checks that it is said.
            pub(crate) fn chosen(self, field: &'static str) -> Result<(), $crate::error::Error> {
                if self == Self::Unspecified {
                    return Err($crate::message::field::missing(field));
                }
                Ok(())
            }
        }

        impl $crate::message::field::OnWire for $name {
            type Wire = i32;

            fn write(&self) -> i32 {
                match self {
                    Self::Unspecified => $crate::message::wire::$name::Unspecified.into(),
                    $(Self::$variant => $crate::message::wire::$name::$variant.into(),)*
                }
            }

            fn read(wire: i32) -> Option<Self> {
                use $crate::message::wire::$name as Wire;
                Some(match Wire::try_from(wire) {
                    $(Ok(Wire::$variant) => Self::$variant,)*
                    Ok(Wire::Unspecified) | Err(_) => Self::Unspecified,
                })
            }
        }
    };
}

pub(super) use choice;
pub(super) use content;

/// Message ids in the JSON form: 32 hexadecimal digits, or null.
pub(super) mod hex_message {
    use cercle_proto::id::MessageId;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(in super::super) fn serialize<S: Serializer>(
        id: &Option<MessageId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.map(MessageId::to_hex).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<MessageId>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
        text.map(|text| MessageId::from_hex(&text).map_err(D::Error::custom)).transpose()
    }
}

/// The error of a required field that is not there.
pub(crate) fn missing(field: &'static str) -> Error {
    Error::Field { field, problem: "is missing".into() }
}

/// The error of a field that breaks a rule.
pub(crate) fn wrong(field: &'static str, problem: &'static str) -> Error {
    Error::Field { field, problem: problem.into() }
}

/// Checks that an optional field is there.
pub(crate) fn present<T>(field: &'static str, value: Option<&T>) -> Result<(), Error> {
    value.map(drop).ok_or_else(|| missing(field))
}

/// Checks that a list has 1 to `max` texts, each 1 to `bytes_max` bytes.
pub(crate) fn texts(field: &'static str, list: &[String], max: usize, bytes_max: usize) -> Result<(), Error> {
    filled(field, list, max)?;
    list.iter().try_for_each(|text| required(field, text, bytes_max))
}

/// Checks that a list has 1 to `max` elements.
pub(crate) fn filled<T>(field: &'static str, list: &[T], max: usize) -> Result<(), Error> {
    if list.is_empty() {
        return Err(missing(field));
    }
    super::kind::at_most(field, list, max)
}

/// Checks a web address: https, with a host, without a name or password in it.
pub(crate) fn https(field: &'static str, url: &str) -> Result<(), Error> {
    required(field, url, limits::URL_BYTES_MAX)?;
    let parsed: Result<http::Uri, _> = url.parse();
    let fine = parsed.is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if fine { Ok(()) } else { Err(wrong(field, "must be an address that starts with https://")) }
}

/// What a person reads of a form: a heading, and a line for each field that is not empty.
pub(crate) struct Page {
    text: String,
    language: Language,
}

impl Page {
    pub(crate) fn new(language: Language, heading: &str) -> Self {
        Self { text: heading.to_owned(), language }
    }

    /// Adds `Label : value`; nothing for an empty value.
    pub(crate) fn line(mut self, french: &str, english: &str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        if !value.is_empty() {
            let label = self.language.pick(french, english);
            let colon = self.language.pick(" : ", ": ");
            self.text.push('\n');
            self.text.push_str(label);
            self.text.push_str(colon);
            self.text.push_str(value);
        }
        self
    }

    /// Adds a line as it is; nothing for an empty one.
    pub(crate) fn plain(mut self, line: &str) -> Self {
        if !line.is_empty() {
            self.text.push('\n');
            self.text.push_str(line);
        }
        self
    }

    pub(crate) fn patient(self, patient: Option<&Patient>) -> Self {
        let Some(patient) = patient else { return self };
        let line = patient.traits(self.language);
        self.line("Patient", "Patient", line)
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}
