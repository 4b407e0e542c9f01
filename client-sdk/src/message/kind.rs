//! What every kind of content can do, and the table from which [`Body`](super::Body) is made.

use cercle_proto::id::BlobId;
use serde::{Serialize, de::DeserializeOwned};

use super::{Document, Language, Patient};
use crate::{error::Error, limits};

/// A kind of content. No floating point numbers: two devices must never read two values.
pub trait Kind: Clone + Eq + Serialize + DeserializeOwned {
    /// Checks required fields and bounds, both before sending and after receiving.
    ///
    /// # Errors
    /// [`Error::Field`] with the first field that breaks a rule.
    fn check(&self) -> Result<(), Error>;

    /// What a person reads: one line, or several for a form. Never empty.
    fn render(&self, language: Language) -> String;

    /// What a client that does not know the kind shows; empty for kinds that every client knows.
    fn fallback(&self) -> String {
        let mut text = self.render(Language::French);
        text.truncate(text.floor_char_boundary(limits::FALLBACK_BYTES_MAX));
        text
    }

    /// Documents that this message carries: an app can fetch them.
    fn documents(&self) -> Vec<&Document> {
        Vec::new()
    }

    /// Bytes on the hub that this message refers to.
    fn blobs(&self) -> Vec<BlobId> {
        self.documents().into_iter().map(|document| document.blob).collect()
    }

    /// Whether it says who a patient is, or makes sense for one known patient only: refused outside patient
    /// circles and direct threads ([`guard`](super::guard)).
    fn about_patient(&self) -> bool {
        !self.patients().is_empty()
    }

    /// People whom this message is about: their identities are checked before it is sent.
    fn patients(&self) -> Vec<&Patient> {
        Vec::new()
    }
}

/// How a kind goes over the wire. Only the message module sees generated types.
pub(super) trait Wire: Kind {
    /// The generated type.
    type Message;

    /// To the generated type; `self` was checked.
    fn to_wire(&self) -> Self::Message;

    /// From the generated type; `None` if a field cannot be read. The result is checked by the caller.
    fn from_wire(message: Self::Message) -> Option<Self>;
}

/// A large kind is kept apart, so that an event or command that holds another is small.
impl<T: Kind> Kind for Box<T> {
    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }

    fn render(&self, language: Language) -> String {
        (**self).render(language)
    }

    fn fallback(&self) -> String {
        (**self).fallback()
    }

    fn documents(&self) -> Vec<&Document> {
        (**self).documents()
    }

    fn blobs(&self) -> Vec<BlobId> {
        (**self).blobs()
    }

    fn about_patient(&self) -> bool {
        (**self).about_patient()
    }

    fn patients(&self) -> Vec<&Patient> {
        (**self).patients()
    }
}

/// The same for the way over the wire, for each large kind by name: the kinds made by
/// [`field`](super::field) have a general way of their own.
macro_rules! boxed {
    ($($large:ty),+) => {
        $(impl Wire for Box<$large> {
            type Message = <$large as Wire>::Message;

            fn to_wire(&self) -> Self::Message {
                (**self).to_wire()
            }

            fn from_wire(message: Self::Message) -> Option<Self> {
                <$large>::from_wire(message).map(Self::new)
            }
        })+
    };
}

boxed!(super::Request, super::Transition, super::Handover);

/// Checks that a text is there and not too long, bytes of UTF-8.
///
/// # Errors
/// [`Error::Field`].
pub(crate) fn required(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::Field { field, problem: "is missing".into() });
    }
    bounded(field, text, bytes_max)
}

/// Checks that a text is not too long, bytes of UTF-8.
///
/// # Errors
/// [`Error::Field`].
pub(crate) fn bounded(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.len() > bytes_max {
        let problem = format!("has {} bytes, at most {bytes_max}", text.len()).into();
        return Err(Error::Field { field, problem });
    }
    Ok(())
}

/// Checks that a list is not too long.
///
/// # Errors
/// [`Error::Field`].
pub(crate) fn at_most<T>(field: &'static str, list: &[T], max: usize) -> Result<(), Error> {
    if list.len() > max {
        let problem = format!("has {} elements, at most {max}", list.len()).into();
        return Err(Error::Field { field, problem });
    }
    Ok(())
}

/// Ids in the JSON form: 32 hexadecimal digits.
pub(crate) mod hex_id {
    use cercle_proto::id::BlobId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(id: &BlobId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&id.to_hex())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BlobId, D::Error> {
        BlobId::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Ids of messages in the JSON form: 32 hexadecimal digits.
pub(crate) mod hex_message {
    use cercle_proto::id::MessageId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&id.to_hex())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageId, D::Error> {
        MessageId::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Ids of users in the JSON form: `<local>@<domain>`.
pub(crate) mod users {
    use cercle_proto::id::UserId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(users: &[UserId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(users.iter().map(UserId::as_str))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| UserId::parse(text).map_err(D::Error::custom)).collect()
    }
}

/// Hashes in the JSON form: hexadecimal digits.
pub(crate) mod hex_bytes {
    use cercle_proto::id::{from_hex, to_hex};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = from_hex(&String::deserialize(deserializer)?).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom("must be 64 hexadecimal digits"))
    }
}

/// Makes [`Body`](super::Body) from the list of kinds: documentation, variant, type, name in JSON.
macro_rules! table {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $name:literal;)*) => {
        /// What a message says. `Debug` shows the kind only.
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        #[expect(clippy::large_enum_variant, reason = "a body is moved once; a box would be in every match")]
        pub enum Body {
            $($(#[$doc])* #[serde(rename = $name)] $variant($type),)*
            /// A kind that this version does not know: shown by its fallback, kept whole.
            #[serde(rename = "unknown")]
            Unknown {
                /// What the sender wants shown; may be empty.
                fallback: String,
            },
        }

        impl std::fmt::Debug for Body {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                    Self::Unknown { .. } => "Unknown",
                })
            }
        }

        impl Body {
            /// Names of all kinds, as in JSON.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Whether it is about one patient ([`guard`]).
            #[must_use]
            pub fn about_patient(&self) -> bool {
                match self {
                    $(Self::$variant(content) => Kind::about_patient(content),)*
                    Self::Unknown { .. } => false,
                }
            }

            /// Name of the kind, as in JSON.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown { .. } => "unknown",
                }
            }

            /// What a person reads; empty only for an unknown kind without fallback.
            #[must_use]
            pub fn render(&self, language: Language) -> String {
                match self {
                    $(Self::$variant(content) => content.render(language),)*
                    Self::Unknown { fallback } => fallback.clone(),
                }
            }

            /// Documents that this message carries.
            #[must_use]
            pub fn documents(&self) -> Vec<&Document> {
                match self {
                    $(Self::$variant(content) => content.documents(),)*
                    Self::Unknown { .. } => Vec::new(),
                }
            }

            /// Bytes on the hub that this message refers to.
            #[must_use]
            pub fn blobs(&self) -> Vec<BlobId> {
                match self {
                    $(Self::$variant(content) => content.blobs(),)*
                    Self::Unknown { .. } => Vec::new(),
                }
            }

            /// People whom this message is about.
            #[must_use]
            pub fn patients(&self) -> Vec<&$crate::message::Patient> {
                match self {
                    $(Self::$variant(content) => content.patients(),)*
                    Self::Unknown { .. } => Vec::new(),
                }
            }

            fn fallback(&self) -> String {
                match self {
                    $(Self::$variant(content) => content.fallback(),)*
                    Self::Unknown { .. } => String::new(),
                }
            }

            /// Checks required fields and bounds, as before sending.
            ///
            /// # Errors
            /// [`Error::Field`] with the first field that breaks a rule.
            pub fn check_fields(&self) -> Result<(), Error> {
                match self {
                    $(Self::$variant(content) => content.check(),)*
                    Self::Unknown { .. } => {
                        Err(Error::Invalid("a message of an unknown kind cannot be sent"))
                    }
                }
            }

            fn to_wire(&self) -> Result<wire::envelope::Body, Error> {
                match self {
                    $(Self::$variant(content) => {
                        content.check()?;
                        Ok(wire::envelope::Body::$variant(kind::Wire::to_wire(content)))
                    })*
                    Self::Unknown { .. } => {
                        Err(Error::Invalid("a message of an unknown kind cannot be sent"))
                    }
                }
            }

            /// What breaks the rules of its kind is kept as an unknown kind.
            fn from_wire(body: Option<wire::envelope::Body>, fallback: String) -> Self {
                let known = match body {
                    $(Some(wire::envelope::Body::$variant(message)) => {
                        <$type as kind::Wire>::from_wire(message)
                            .filter(|content| content.check().is_ok())
                            .map(Self::$variant)
                    })*
                    None => None,
                };
                known.unwrap_or(Self::Unknown { fallback })
            }
        }
    };
}

/// `Debug` of content shows its type only: logs hold nothing that a person wrote.
macro_rules! hidden {
    ($($name:ident),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        })+
    };
}

pub(crate) use hidden;
pub(super) use table;
