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

use super::{
    Cx, Step,
    agenda::Appointment,
    siblings::{LINK, LINKED, LinkNote, Linked, is_worth_handing_over},
};
use crate::{
    core::{HistoryFetch, HistoryUpload},
    error::Error,
    event::{Event, Message},
    history::{self, HistoryError},
    limits,
    message::{self, Body, Content, Document, HistoryHandedOver, HistoryPolicy, OwnHistory},
    store::{StoreKey, messages::MessageRow, seal::Sealer},
};

/// Notes of parts that are to be put on the hub; the key is random.
pub(crate) const UPLOADS: &str = "history_upload";
/// Notes of parts that are to be fetched from the hub; the key is the id of the message that names them.
pub(crate) const FETCHES: &str = "history_fetch";

/// Bound to every part that is for one's own device.
const CONTEXT: &[u8] = b"cercle own history v1";

/// One part of a history that is to be handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub(super) group: [u8; 16],
    pub(super) devices: Vec<[u8; 16]>,
    pub(super) since_ms: Option<TimestampMs>,
    /// Place of the joining.
    pub(super) before_seq: Seq,
    /// This part holds what stands before this place.
    pub(super) below: Seq,
    pub(super) part: u32,
    pub(super) parts: u32,
    /// The group of own devices, if it is for one that was linked.
    #[serde(default)]
    pub(super) carrier: Option<[u8; 16]>,
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
                carrier: None,
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
        if handover.carrier.is_some() && self.tx.count_notes(UPLOADS)? >= limits::OWN_HISTORY_WAITING_MAX {
            let later = self.now + limits::OWN_HISTORY_PAUSE_MS;
            return self.remind(later, &Appointment::HandOver(handover));
        }
        let mut rows = match handover.carrier {
            Some(_) => self.own_part_rows(group, handover.below, handover.part == 1)?,
            None => self.part_rows(group, handover.below, handover.since_ms)?,
        };
        // What names other archives, with their keys, is nobody's business but theirs.
        rows.retain(is_worth_handing_over);
        let Ok(messages) = u32::try_from(rows.len()) else { return Ok(()) };
        let sealed = history::seal(group, handover.before_seq, &rows, &identity.keys, &me.certificate);
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "a history cannot be signed");
                return Ok(());
            }
        };
        let Some(sealed) = self.seal_for_linked(&handover, sealed)? else { return Ok(()) };
        if sealed.len() > limits::HISTORY_INLINE_BYTES_MAX {
            let group = handover.carrier.unwrap_or(handover.group);
            let note = UploadNote { group, handover, messages, sealed };
            let group = GroupId::new(group);
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
        let of = GroupId::new(handover.group);
        let group = handover.carrier.map_or(of, GroupId::new);
        let own = match handover.carrier {
            Some(_) => self.own_history_of(of)?,
            None => None,
        };
        if let (Some(_), [device, ..]) = (handover.carrier, handover.devices.as_slice()) {
            self.part_is_through(device)?;
        }
        if self.usable(group).is_err() {
            return Ok(());
        }
        let body = Body::HistoryHandedOver(HistoryHandedOver {
            own,
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

    /// Seals a part for the device that it is for, if that is one's own; `None` if it is not known any more.
    fn seal_for_linked(&self, handover: &Handover, part: Vec<u8>) -> Step<Option<Vec<u8>>> {
        let (Some(_), [device, ..]) = (handover.carrier, handover.devices.as_slice()) else {
            return Ok(Some(part));
        };
        let linked = self.tx.note::<Linked>(LINKED, device)?;
        Ok(linked.map(|linked| sealer(&linked.key).seal(&[CONTEXT, &handover.group], &part)))
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
        } else if let (Some(_), [device, ..]) = (note.handover.carrier, note.handover.devices.as_slice()) {
            self.part_is_through(device)?;
        }
        Ok(Ok(()))
    }

    /// A member hands over a history: takes it, or has it fetched, if it is for this device.
    pub(crate) fn history_announced(&mut self, message: &Message, handed: &HistoryHandedOver) -> Step {
        let own = self.own_device();
        if message.own || !handed.devices.iter().any(|device| Some(*device) == own) {
            return Ok(());
        }
        if let Some(history) = &handed.own {
            let (own_group, user) = (self.is_personal(message.group), self.m.me.clone());
            if !own_group || user.is_none_or(|me| me.identity.user != message.sender) {
                return Ok(());
            }
            // It may come before this device has seen that it is in the group.
            let note = FetchNote { group: *message.group.as_bytes() };
            self.tx.write_note(FETCHES, message.id.as_bytes(), &note)?;
            return self.import_deferred(history.group);
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
            (Body::HistoryHandedOver(HistoryHandedOver { own: Some(history), part, parts, .. }), None) => {
                self.part_has_come(history.group, *part, *parts)?;
                Err(HistoryError::Damaged)
            }
            _ => Err(HistoryError::Damaged),
        };
        if let Err(error) = &imported {
            self.emit(Event::HistoryRefused { group, error: error.clone() });
        }
        Ok(imported.map_err(Error::History))
    }

    /// Takes what came for a group before this device was in it: small parts at once, for others the shell
    /// is told.
    pub(crate) fn import_deferred(&mut self, group: GroupId) -> Step {
        for (key, note) in self.tx.notes::<FetchNote>(FETCHES)? {
            let (Ok(id), carrier) = (MessageId::try_from(key.as_slice()), GroupId::new(note.group)) else {
                continue;
            };
            let Some(row) = self.tx.message(carrier, id)? else { continue };
            let content = Content::decode_stored(&row.record.envelope);
            let message = super::entries::read_message(carrier, &row, content)?;
            let Body::HistoryHandedOver(handed) = &message.body else { continue };
            let Some(history) = handed.own.as_ref().filter(|history| history.group == group) else {
                continue;
            };
            if !self.is_ready_for(history) {
                continue;
            }
            if handed.document.is_some() {
                self.emit(Event::HistoryWaits { group });
                continue;
            }
            self.tx.delete_note(FETCHES, &key)?;
            if let Err(error) = self.import(&message, handed, &handed.sealed)? {
                self.emit(Event::HistoryRefused { group, error });
            }
        }
        Ok(())
    }

    /// Whether a part can be taken: this device is in the group, or the group is no more.
    fn is_ready_for(&self, history: &OwnHistory) -> bool {
        match self.m.groups.get(&history.group) {
            Some(lane) => !lane.is_new_here(),
            None => history.closed,
        }
    }

    fn is_personal(&self, group: GroupId) -> bool {
        self.m.groups.get(&group).is_some_and(|lane| lane.row.record.personal)
    }

    /// Opens a part that is for this device alone, and makes room for a group that is no more.
    fn open_own(
        &mut self,
        history: &OwnHistory,
        before_seq: Seq,
        sealed: &[u8],
    ) -> Step<Result<Vec<u8>, HistoryError>> {
        let Some(link) = self.tx.note::<LinkNote>(LINK, &[])? else { return Ok(Err(HistoryError::Damaged)) };
        let context: &[&[u8]] = &[CONTEXT, history.group.as_bytes()];
        let Ok(open) = sealer(&link.key).open(context, sealed) else { return Ok(Err(HistoryError::Damaged)) };
        if history.closed && !self.m.groups.contains_key(&history.group) {
            self.remember_closed(history, before_seq)?;
        }
        if let Some(lane) = self.lane(history.group)
            && lane.row.record.settle(&history.profile)
        {
            self.save(history.group)?;
            self.emit(Event::GroupChanged { group: history.group });
        }
        Ok(Ok(open))
    }

    /// Verifies a part and stores its messages at their places.
    fn import(
        &mut self,
        carrier: &Message,
        handed: &HistoryHandedOver,
        sealed: &[u8],
    ) -> Step<Result<(), HistoryError>> {
        if let Some(history) = &handed.own {
            self.part_has_come(history.group, handed.part, handed.parts)?;
            self.returned_read(history.group, history.read_up_to)?;
        }
        let opened = match &handed.own {
            Some(history) => self.open_own(history, handed.before_seq, sealed)?,
            None => Ok(sealed.to_vec()),
        };
        let sealed = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let group = handed.own.as_ref().map_or(carrier.group, |history| history.group);
        let (Some(me), Some(lane)) = (self.m.me.clone(), self.m.groups.get(&group)) else {
            return Ok(Err(HistoryError::OtherContent));
        };
        let (joined_at, cursor) = (lane.row.record.joined_at, lane.row.cursor);
        let root = me.verifier.root();
        let rows = match history::open(&sealed, group, handed.before_seq, carrier.device, root) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        let mut added = 0;
        for mut row in rows {
            if handed.own.is_none() {
                row.record.exported_by = Some(carrier.sender.as_str().to_owned());
            }
            // From its joining on a device has its own copy of everything, and nobody's word counts.
            // What other own devices have is as good as an own copy.
            let wanted = row.seq <= joined_at || handed.own.is_some() && row.seq <= cursor;
            if wanted && !self.tx.has_message(group, row.id)? {
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
    pub(crate) fn history_fetches(
        tx: &crate::store::Tx<'_>,
        ready: impl Fn(&OwnHistory) -> bool,
    ) -> Step<Vec<HistoryFetch>> {
        let mut fetches = Vec::new();
        for (key, note) in tx.notes::<FetchNote>(FETCHES)? {
            let (Ok(message), group) = (MessageId::try_from(key.as_slice()), GroupId::new(note.group)) else {
                continue;
            };
            let Some(row) = tx.message(group, message)? else { continue };
            if let Body::HistoryHandedOver(HistoryHandedOver { document: Some(document), own, .. }) =
                Content::decode_stored(&row.record.envelope).body
                && own.is_none_or(|history| ready(&history))
            {
                fetches.push(HistoryFetch { group, message, document });
            }
        }
        Ok(fetches)
    }
}

fn sealer(key: &[u8; 32]) -> Sealer {
    Sealer::new(&StoreKey::new(*key))
}
