//! Earlier messages, handed over to people who joined: where they lie and whom they are for.
//!
//! What is in an archive, and how it is signed, is in [`crate::history`].

use cercle_proto::id::{BlobId, DeviceId, GroupId, Seq, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{
    Document, GroupProfile, Kind, Language,
    kind::{Wire, at_most, hidden},
    wire,
};
use crate::{error::Error, limits};

/// One part of the history that a member hands over. Only the devices that it names take it; for the others
/// it is a trace of who was given what.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryHandedOver {
    /// Devices that it is for, hexadecimal.
    #[serde(with = "hex_devices")]
    pub devices: Vec<DeviceId>,
    /// Nothing older than this is in it; `None`: no bound.
    pub since_ms: Option<TimestampMs>,
    /// Every message in it stands before this place of the log.
    pub before_seq: Seq,
    /// Of several parts, from 1; the newest messages are in the first.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// How many messages are in this part.
    pub messages: u32,
    /// Where the part lies, if it is too large for the message.
    pub document: Option<Document>,
    /// The part, if it is small. Not in the JSON form.
    #[serde(skip)]
    pub sealed: Vec<u8>,
    /// It is of another group, for another device of the same user. Not in the JSON form.
    #[serde(skip)]
    pub own: Option<OwnHistory>,
}

/// What one device of a user tells another of a group whose history it hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHistory {
    /// The group.
    pub group: GroupId,
    /// What it is.
    pub profile: GroupProfile,
    /// The user is no longer in it.
    pub closed: bool,
    /// How far the user had read it.
    pub read_up_to: Seq,
}

hidden!(HistoryHandedOver);

impl Kind for HistoryHandedOver {
    fn check(&self) -> Result<(), Error> {
        let unfit = |field, problem: &'static str| Err(Error::Field { field, problem: problem.into() });
        if self.devices.is_empty() {
            return unfit("devices", "is missing");
        }
        at_most("devices", &self.devices, limits::HISTORY_DEVICES_MAX)?;
        at_most("sealed", &self.sealed, limits::HISTORY_INLINE_BYTES_MAX)?;
        if self.part == 0 || self.part > self.parts {
            return unfit("part", "is not between 1 and the number of parts");
        }
        match &self.document {
            None if self.sealed.is_empty() => unfit("document", "is missing"),
            None => Ok(()),
            Some(document) => document.check(),
        }
    }

    fn render(&self, language: Language) -> String {
        let count = self.messages;
        let (part, parts) = (self.part, self.parts);
        let which = if parts > 1 { format!(" {part}/{parts}") } else { String::new() };
        match language {
            Language::French => format!("Historique remis{which} : {count} message(s)"),
            Language::English => format!("History handed over{which}: {count} message(s)"),
        }
    }

    /// Not among the documents that an app fetches: the device takes it by itself.
    fn blobs(&self) -> Vec<BlobId> {
        self.document.iter().flat_map(Kind::blobs).collect()
    }
}

impl Wire for HistoryHandedOver {
    type Message = wire::HistoryHandedOver;

    fn to_wire(&self) -> wire::HistoryHandedOver {
        wire::HistoryHandedOver {
            devices: self.devices.iter().map(|device| device.as_bytes().to_vec()).collect(),
            since_ms: self.since_ms.unwrap_or(0),
            before_seq: self.before_seq,
            part: self.part,
            parts: self.parts,
            messages: self.messages,
            document: self.document.as_ref().map(Wire::to_wire),
            sealed: self.sealed.clone(),
            of_group: self.own.as_ref().map_or_else(Vec::new, |own| own.group.as_bytes().to_vec()),
            of_profile: self.own.as_ref().map(|own| own.profile.to_wire()),
            of_closed: self.own.as_ref().is_some_and(|own| own.closed),
            of_read_up_to: self.own.as_ref().map_or(0, |own| own.read_up_to),
        }
    }

    fn from_wire(message: wire::HistoryHandedOver) -> Option<Self> {
        let device = |bytes: &Vec<u8>| DeviceId::try_from(bytes.as_slice()).ok();
        let document = match message.document {
            Some(document) => Some(Document::from_wire(document)?),
            None => None,
        };
        let own = match message.of_profile {
            Some(profile) => Some(OwnHistory {
                group: GroupId::try_from(message.of_group.as_slice()).ok()?,
                profile: GroupProfile::from_wire(profile)?,
                closed: message.of_closed,
                read_up_to: message.of_read_up_to,
            }),
            None => None,
        };
        Some(Self {
            own,
            devices: message.devices.iter().map(device).collect::<Option<_>>()?,
            since_ms: (message.since_ms != 0).then_some(message.since_ms),
            before_seq: message.before_seq,
            part: message.part,
            parts: message.parts,
            messages: message.messages,
            document,
            sealed: message.sealed,
        })
    }
}

/// Device ids in the JSON form.
mod hex_devices {
    use cercle_proto::id::DeviceId;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(ids: &[DeviceId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(|id| id.to_hex()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DeviceId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| DeviceId::from_hex(text).map_err(D::Error::custom)).collect()
    }
}
