//! Sending messages: each is in the log exactly once, in the order it was written.
//!
//! A message is encrypted only while its group is live, that is, read to its head on this connection: a
//! store that was restored from an older copy is recognised before it could use a key twice. The
//! ciphertext is stored before it is sent, and sent again unchanged, with the same id, until the message's
//! own entry is read in the log. Only when the epoch has moved too far is it encrypted again.

use cercle_proto::{
    id::{BlobId, Epoch, GroupId, MessageId, Seq, TimestampMs},
    v1::{self, client_frame::Body as Request},
};

use super::{Cx, Step, entries::read_message, session::Pending};
use crate::{
    core::GroupState,
    event::{Event, RefusedReason},
    limits,
    message::{self, Body, Content, guard::may_identify},
    mls::{application, group},
    store::{
        messages::{MessageRecord, MessageRow},
        outbox::OutboxRow,
    },
};

/// The hub takes messages of this many epochs before its own.
const EPOCHS_BEHIND_MAX: u64 = 2;

/// What came of encrypting a message.
enum Encrypted {
    /// It is encrypted in this epoch.
    In(Epoch, Vec<u8>),
    /// Proposals wait, and must be committed before anything is sent (RFC 9420 section 12.4).
    ProposalsFirst,
    /// The policy does not let this user post.
    Denied,
}

impl Cx<'_, '_> {
    /// Puts a message at the end of its group's queue and returns its id.
    pub(crate) fn queue(&mut self, group: GroupId, content: &[u8]) -> Step<MessageId> {
        let intents = self.tx.intents_of(group)?;
        let holds = intents.iter().rfind(|row| row.intent.change.holds_messages());
        let after_intent = holds.map_or(0, |row| row.id);
        let id = self.message_id();
        self.tx.queue_message(group, id, self.now, after_intent, content)?;
        self.touch(group);
        Ok(id)
    }

    /// Sends what can be sent.
    pub(crate) fn flush_outbox(&mut self, group: GroupId) -> Step {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let epoch = lane.row.record.epoch;
        if lane.state() != GroupState::Active || lane.stale.is_some_and(|stale| epoch <= stale) {
            return Ok(());
        }
        if lane.hold_until > self.now {
            self.wake_at(group, lane.hold_until);
            return Ok(());
        }
        if self.must_be_quiet(group) {
            return Ok(());
        }
        let Some(lane) = self.m.groups.get(&group) else { return Ok(()) };
        let window = if lane.careful { 1 } else { limits::IN_FLIGHT_PER_GROUP_MAX };
        let room = window.saturating_sub(lane.in_flight.len());
        let flushed = lane.flushed;
        if room == 0 {
            return Ok(());
        }
        let intents = self.tx.intents_of(group)?;
        let holds = intents.iter().find(|row| row.intent.change.holds_messages()).map(|row| row.id);
        for row in self.tx.outbox_of(group, flushed, room)? {
            let waits = holds.is_some_and(|intent| intent <= row.after_intent);
            if waits || self.waits_for_earlier(group, row.id)? || !self.send_message(group, row)? {
                break;
            }
        }
        Ok(())
    }

    /// Sends one message; false if it, and all after it, must wait.
    fn send_message(&mut self, group: GroupId, row: OutboxRow) -> Step<bool> {
        let Some(lane) = self.m.groups.get(&group) else { return Ok(false) };
        if lane.in_flight.contains_key(&row.id) {
            return Ok(true);
        }
        let current = lane.row.record.epoch;
        let in_flight = lane.in_flight.values().next().copied();
        let stored = row.encrypted.filter(|(epoch, _)| epoch + EPOCHS_BEHIND_MAX >= current);
        let epoch = stored.as_ref().map_or(current, |(epoch, _)| *epoch);
        if in_flight.is_some_and(|other| other != epoch) {
            // Messages of an older epoch may still be refused; sent beside them, this one would overtake.
            return Ok(false);
        }
        if let Err(at) = self.m.pace.take(self.now) {
            self.wake_at(group, at);
            return Ok(false);
        }
        let mls = match stored {
            Some((_, mls)) => mls,
            None if self.is_overheard(group, row.id, &row.content)? => {
                return self.deny(group, row.id).map(|()| false);
            }
            None => match self.encrypt(group, row.id, &row.content)? {
                Some(mls) => mls,
                None => return Ok(false),
            },
        };
        let mut blobs = queued_body(&row.content).blobs();
        if let Some(lane) = self.lane(group) {
            lane.in_flight.insert(row.id, epoch);
            lane.flushed = lane.flushed.max(row.position);
            if lane.aftermath.without_blobs.contains(&row.id) {
                blobs.clear();
            }
        }
        let send = v1::SendApplication {
            group: group.to_bytes(),
            message_id: row.id.to_bytes(),
            mls: mls.into(),
            blobs: blobs.into_iter().map(BlobId::to_bytes).collect(),
        };
        let pending = Pending::Message { group, message: row.id, position: row.position };
        self.request(Request::SendApplication(send), pending);
        Ok(true)
    }

    /// Whether a message that names a patient would be read by more people than when it was written: a third
    /// person was put into the direct thread. What was in the log once may be said again.
    fn is_overheard(&mut self, group: GroupId, message: MessageId, content: &[u8]) -> Step<bool> {
        if !queued_body(content).about_patient() || self.tx.has_message(group, message)? {
            return Ok(false);
        }
        Ok(!may_identify(self.thread_kind(group)?))
    }

    /// Drops a message that may not be said.
    fn deny(&mut self, group: GroupId, message: MessageId) -> Step {
        self.tx.delete_outbox(message)?;
        self.emit(Event::MessageRefused { group, message, reason: RefusedReason::Denied });
        self.touch(group);
        Ok(())
    }

    /// Encrypts a message in the current epoch and stores the ciphertext. `None`: not possible now.
    fn encrypt(&mut self, group: GroupId, message: MessageId, content: &[u8]) -> Step<Option<Vec<u8>>> {
        let encrypted = self.with_group(group, |provider, _, loaded, author| {
            if !group::policy(loaded)?.may_post(&author.me.identity.user) {
                return Ok(Encrypted::Denied);
            }
            if loaded.has_pending_proposals() {
                return Ok(Encrypted::ProposalsFirst);
            }
            let plaintext = message::with_authenticator(content, group::authenticator(loaded));
            let mls = application::encrypt(provider, loaded, author.keys, &plaintext)?;
            Ok(Encrypted::In(loaded.epoch().as_u64(), mls))
        })?;
        match encrypted {
            Ok(Encrypted::In(epoch, mls)) => {
                self.tx.write_ciphertext(message, Some((epoch, &mls)))?;
                Ok(Some(mls))
            }
            Ok(Encrypted::ProposalsFirst) => {
                self.proposal_waits(group)?;
                Ok(None)
            }
            Ok(Encrypted::Denied) => self.deny(group, message).map(|()| None),
            Err(error) => {
                tracing::error!(group.id = ?group, %error, "a message cannot be encrypted");
                Ok(None)
            }
        }
    }

    /// The hub has stored a message. Its entry in the log confirms it; only if that was passed already
    /// (the log was cut, or this store is an older copy) does this answer.
    pub(crate) fn message_accepted(
        &mut self,
        group: GroupId,
        message: MessageId,
        accepted: &v1::Accepted,
    ) -> Step {
        let Some(lane) = self.lane(group) else { return Ok(()) };
        lane.in_flight.remove(&message);
        lane.careful = false;
        if accepted.seq <= lane.row.cursor {
            self.confirm_message(group, message, accepted.seq, accepted.at_ms)?;
        }
        self.touch(group);
        Ok(())
    }

    /// A message of the outbox is in the log: moves it to the stored messages. False if it is not in the
    /// outbox.
    pub(crate) fn confirm_message(
        &mut self,
        group: GroupId,
        message: MessageId,
        seq: Seq,
        at_ms: TimestampMs,
    ) -> Step<bool> {
        let (Some(row), Some(me)) = (self.tx.outbox_row(message)?, self.m.me.clone()) else {
            return Ok(false);
        };
        if row.group != group {
            return Ok(false);
        }
        let record = MessageRecord {
            sender: me.identity.user.as_str().to_owned(),
            device: *me.identity.device.as_bytes(),
            display_name: me.identity.display_name.clone(),
            own: true,
            expired_certificate: false,
            at_ms,
            envelope: row.content,
            exported_by: None,
            by_administrator: self.administers(group)?,
        };
        self.tx.delete_outbox(message)?;
        if let Some(said_before) = self.tx.message(group, message)? {
            self.move_message(group, said_before, seq)?;
        } else {
            let content = Content::decode_stored(&record.envelope);
            let row = MessageRow { seq, id: message, record };
            self.tx.insert_message(group, &row)?;
            let read = read_message(group, &row, content)?;
            self.content_stored(&read)?;
            self.own_message_stored(group, seq, at_ms, &read.body)?;
        }
        if let Some(lane) = self.lane(group) {
            lane.in_flight.remove(&message);
            lane.whisper.message_confirmed();
        }
        self.emit(Event::MessageAccepted { group, message, seq, at_ms });
        Ok(true)
    }

    /// Queues the group's title for members who cannot have read it. What waits for the change that let them in
    /// comes behind it: first of all they learn where they are.
    pub(crate) fn queue_profile(&mut self, group: GroupId, change: Option<u64>) -> Step {
        let Some(profile) = self.m.groups.get(&group).map(|lane| lane.row.record.profile.clone()) else {
            return Ok(());
        };
        match message::compose(&Body::GroupProfile(profile).into(), self.now) {
            Ok(content) => {
                let id = self.message_id();
                self.tx.queue_message(group, id, self.now, 0, &content)?;
                self.touch(group);
                change.map_or(Ok(()), |change| self.tx.queue_again_after(group, change))
            }
            // Nobody has said a title.
            Err(_) => Ok(()),
        }
    }
}

/// Reads the body of a queued message.
pub(crate) fn queued_body(content: &[u8]) -> Body {
    Content::decode_stored(content).body
}
