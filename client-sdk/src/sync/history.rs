//! History for newcomers: what is owed to whom, made part by part, and taken in by those it is for.
//!
//! When this device has added somebody and the group's policy gives newcomers something of what was said
//! before, it makes an appointment in the transaction in which its commit is found in the log: whatever
//! happens to the device then, the history is handed over. A part that fits goes in the message itself, a
//! larger one waits as a note until the shell has put it on the hub. A newcomer imports a part in the
//! transaction in which its message is stored, or when the shell has fetched it: once, at the places that
//! the messages have in the log, and only before the place of its own joining.

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq, TimestampMs, UserId};
use serde::{Deserialize, Serialize};

use super::{Cx, Step, agenda::Appointment};
use crate::{
    core::{HistoryFetch, HistoryUpload},
    error::Error,
    event::{Event, Message},
    history::{self, HistoryError},
    limits,
    message::{self, Body, Content, Document, HistoryHandedOver, HistoryPolicy},
    store::messages::MessageRow,
};

/// Notes of parts that are to be put on the hub; the key is random.
pub(crate) const UPLOADS: &str = "history_upload";
/// Notes of parts that are to be fetched from the hub; the key is the id of the message that names them.
pub(crate) const FETCHES: &str = "history_fetch";

/// One part of a history that is to be handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handover {
    group: [u8; 16],
    devices: Vec<[u8; 16]>,
    since_ms: Option<TimestampMs>,
    /// Place of the joining.
    before_seq: Seq,
    /// This part holds what stands before this place.
    below: Seq,
    part: u32,
    parts: u32,
}

/// A part that is to be put on the hub.
#[derive(Serialize, Deserialize)]
pub(crate) struct UploadNote {
    group: [u8; 16],
    handover: Handover,
    messages: u32,
    sealed: Vec<u8>,
}

/// A part that is to be fetched from the hub: the message that names it.
#[derive(Serialize, Deserialize)]
pub(crate) struct FetchNote {
    group: [u8; 16],
}

impl Cx<'_, '_> {
    /// People were added, by a commit that is the newest entry applied: what the policy gives them is
    /// handed over.
    pub(crate) fn plan_handover(&mut self, group: GroupId, devices: &[DeviceId]) -> Step {
        let Some(profile) = self.profile_of(group) else { return Ok(()) };
        let since_ms = match profile.history {
            HistoryPolicy::Nothing => return Ok(()),
            HistoryPolicy::Days(days) => Some(self.now.saturating_sub(u64::from(days) * limits::DAY_IN_MS)),
            HistoryPolicy::All => None,
        };
        let before_seq = self.m.groups.get(&group).map_or(0, |lane| lane.row.cursor);
        let bounds = self.part_bounds(group, before_seq, since_ms)?;
        let Ok(parts) = u32::try_from(bounds.len()) else { return Ok(()) };
        for (part, below) in (1..).zip(bounds) {
            let handover = Handover {
                group: *group.as_bytes(),
                devices: devices.iter().map(|device| *device.as_bytes()).collect(),
                since_ms,
                before_seq,
                below,
                part,
                parts,
            };
            self.remind(self.now, &Appointment::HandOver(handover))?;
        }
        Ok(())
    }

    /// The upper bounds of the parts, the newest first.
    fn part_bounds(
        &mut self,
        group: GroupId,
        before_seq: Seq,
        since_ms: Option<TimestampMs>,
    ) -> Step<Vec<Seq>> {
        let mut bounds = Vec::new();
        let mut below = before_seq;
        while bounds.len() < limits::HISTORY_PARTS_MAX {
            let rows = self.part_rows(group, below, since_ms)?;
            let Some(oldest) = rows.last() else { break };
            bounds.push(below);
            below = oldest.seq;
        }
        Ok(bounds)
    }

    /// The messages of one part, the newest first.
    fn part_rows(
        &mut self,
        group: GroupId,
        below: Seq,
        since_ms: Option<TimestampMs>,
    ) -> Step<Vec<MessageRow>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in self.tx.messages_before(group, below, limits::HISTORY_PART_MESSAGES_MAX)? {
            if since_ms.is_some_and(|since| row.record.at_ms < since) {
                continue;
            }
            bytes += row.record.envelope.len();
            if bytes > limits::HISTORY_PART_BYTES_MAX {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// Makes one part and sends it, or keeps it for the shell.
    pub(crate) fn hand_over(&mut self, handover: Handover) -> Step {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else { return Ok(()) };
        let group = GroupId::new(handover.group);
        let mut rows = self.part_rows(group, handover.below, handover.since_ms)?;
        // What names other archives, with their keys, is nobody's business but theirs.
        rows.retain(|row| {
            !matches!(Content::decode_stored(&row.record.envelope).body, Body::HistoryHandedOver(_))
        });
        let Ok(messages) = u32::try_from(rows.len()) else { return Ok(()) };
        let sealed = history::seal(group, handover.before_seq, &rows, &identity.keys, &me.certificate);
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "a history cannot be signed");
                return Ok(());
            }
        };
        if sealed.len() > limits::HISTORY_INLINE_BYTES_MAX {
            let note = UploadNote { group: handover.group, handover, messages, sealed };
            let key: [u8; 16] = self.random();
            self.tx.write_note(UPLOADS, &key, &note)?;
            self.emit(Event::HistoryWaits { group });
            return Ok(());
        }
        self.announce(&handover, messages, None, sealed)
    }

    fn announce(
        &mut self,
        handover: &Handover,
        messages: u32,
        document: Option<Document>,
        sealed: Vec<u8>,
    ) -> Step {
        let group = GroupId::new(handover.group);
        let body = Body::HistoryHandedOver(HistoryHandedOver {
            devices: handover.devices.iter().map(|device| DeviceId::new(*device)).collect(),
            since_ms: handover.since_ms,
            before_seq: handover.before_seq,
            part: handover.part,
            parts: handover.parts,
            messages,
            document,
            sealed,
        });
        match message::compose(&body.into(), self.now) {
            Ok(content) => self.queue(group, &content).map(drop),
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "a history cannot be announced");
                Ok(())
            }
        }
    }

    /// The shell has put a part on the hub, or found that nobody ever can (`None`).
    pub(crate) fn history_uploaded(
        &mut self,
        key: [u8; 16],
        document: Option<Document>,
    ) -> Step<Result<(), Error>> {
        let Some(note) = self.tx.note::<UploadNote>(UPLOADS, &key)? else {
            return Ok(Err(Error::Invalid("no such part of a history waits")));
        };
        self.tx.delete_note(UPLOADS, &key)?;
        if document.is_some() {
            self.announce(&note.handover, note.messages, document, Vec::new())?;
        }
        Ok(Ok(()))
    }

    /// A member hands over a history: takes it, or has it fetched, if it is for this device.
    pub(crate) fn history_announced(&mut self, message: &Message, handed: &HistoryHandedOver) -> Step {
        let own = self.own_device();
        if message.own || !handed.devices.iter().any(|device| Some(*device) == own) {
            return Ok(());
        }
        if handed.document.is_some() {
            let note = FetchNote { group: *message.group.as_bytes() };
            self.tx.write_note(FETCHES, message.id.as_bytes(), &note)?;
            self.emit(Event::HistoryWaits { group: message.group });
            return Ok(());
        }
        if let Err(error) = self.import(message, handed, &handed.sealed)? {
            self.emit(Event::HistoryRefused { group: message.group, error });
        }
        Ok(())
    }

    /// The shell has fetched a part from the hub, or found that nobody ever will (`None`).
    pub(crate) fn history_fetched(
        &mut self,
        group: GroupId,
        id: MessageId,
        sealed: Option<&[u8]>,
    ) -> Step<Result<(), Error>> {
        if self.tx.note::<FetchNote>(FETCHES, id.as_bytes())?.is_none() {
            return Ok(Err(Error::Invalid("no such part of a history is to be fetched")));
        }
        self.tx.delete_note(FETCHES, id.as_bytes())?;
        let Some(row) = self.tx.message(group, id)? else {
            return Ok(Err(Error::Invalid("the message of the history is gone")));
        };
        let content = Content::decode_stored(&row.record.envelope);
        let carrier = super::entries::read_message(group, &row, content)?;
        let imported = match (&carrier.body, sealed) {
            (Body::HistoryHandedOver(handed), Some(sealed)) => self.import(&carrier, handed, sealed)?,
            _ => Err(HistoryError::Damaged),
        };
        if let Err(error) = &imported {
            self.emit(Event::HistoryRefused { group, error: error.clone() });
        }
        Ok(imported.map_err(Error::History))
    }

    /// Verifies a part and stores its messages at their places.
    fn import(
        &mut self,
        carrier: &Message,
        handed: &HistoryHandedOver,
        sealed: &[u8],
    ) -> Step<Result<(), HistoryError>> {
        let group = carrier.group;
        let (Some(me), Some(lane)) = (self.m.me.clone(), self.m.groups.get(&group)) else {
            return Ok(Err(HistoryError::OtherContent));
        };
        let joined_at = lane.row.record.joined_at;
        let root = me.verifier.root();
        let rows = match history::open(sealed, group, handed.before_seq, carrier.device, root) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        let mut added = 0;
        for row in rows {
            // From its joining on a device has its own copy of everything, and nobody's word counts.
            if row.seq <= joined_at && !self.tx.has_message(group, row.id)? {
                self.tx.insert_message(group, &row)?;
                added += 1;
            }
        }
        // What they add up to is made again from the store.
        self.m.history_changed(group);
        self.periods_changed(group)?;
        self.circle_known(group)?;
        let exported_by: UserId = carrier.sender.clone();
        self.emit(Event::HistoryImported { group, messages: added, exported_by });
        Ok(Ok(()))
    }

    /// Parts that the shell is to put on the hub.
    pub(crate) fn history_uploads(tx: &crate::store::Tx<'_>) -> Step<Vec<HistoryUpload>> {
        let notes = tx.notes::<UploadNote>(UPLOADS)?;
        let upload = |(key, note): (Vec<u8>, UploadNote)| {
            let key = key.try_into().ok()?;
            Some(HistoryUpload { key, group: GroupId::new(note.group), bytes: note.sealed })
        };
        Ok(notes.into_iter().filter_map(upload).collect())
    }

    /// Parts that the shell is to fetch from the hub.
    pub(crate) fn history_fetches(tx: &crate::store::Tx<'_>) -> Step<Vec<HistoryFetch>> {
        let mut fetches = Vec::new();
        for (key, note) in tx.notes::<FetchNote>(FETCHES)? {
            let (Ok(message), group) = (MessageId::try_from(key.as_slice()), GroupId::new(note.group)) else {
                continue;
            };
            let Some(row) = tx.message(group, message)? else { continue };
            if let Body::HistoryHandedOver(HistoryHandedOver { document: Some(document), .. }) =
                Content::decode_stored(&row.record.envelope).body
            {
                fetches.push(HistoryFetch { group, message, document });
            }
        }
        Ok(fetches)
    }
}
