//! Documents on their way, as far as they must be remembered: an upload is noted before its first byte goes
//! out, and becomes a message in the transaction that forgets it, so that the message is sent exactly once.
//!
//! [`crate::transfer`] moves the bytes and asks for all of this by commands.

use cercle_proto::{
    frame,
    id::{BlobId, GroupId, TimestampMs},
    v1::{self, client_frame::Body as Request},
};
use serde::{Deserialize, Serialize};

use super::{Cx, Step, commands::Begun, session::Phase};
use crate::{
    core::{Outcome, PendingUpload, Ticket},
    error::Error,
    event::Event,
    limits,
    message::{Content, Draft},
    store::Tx,
};

const KIND: &str = "upload";

/// An upload that is not a message yet.
#[derive(Serialize, Deserialize)]
struct UploadRecord {
    group: [u8; 16],
    sealed_bytes: u64,
    begun_at_ms: TimestampMs,
    /// The message's envelope, as the outbox takes it.
    content: Vec<u8>,
}

impl Cx<'_, '_> {
    /// Notes an upload.
    pub(super) fn begin_upload(
        &mut self,
        id: u64,
        blob: BlobId,
        group: GroupId,
        sealed_bytes: u64,
        draft: &Draft,
    ) -> Step<Begun> {
        let content = match self.sendable(group, draft)? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        if self.tx.notes::<UploadRecord>(KIND)?.len() >= limits::UPLOADS_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        let record = UploadRecord { group: *group.as_bytes(), sealed_bytes, begun_at_ms: self.now, content };
        self.tx.write_note(KIND, blob.as_bytes(), &record)?;
        self.finish(id, Ok(Outcome::Done));
        Ok(Ok(()))
    }

    /// The bytes are on the hub: the upload becomes a message.
    pub(super) fn finish_upload(&mut self, id: u64, blob: BlobId) -> Step<Begun> {
        let Some(record) = self.tx.note::<UploadRecord>(KIND, blob.as_bytes())? else {
            return Ok(Err(Error::Invalid("there is no such transfer")));
        };
        let group = GroupId::new(record.group);
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        if self.tx.outbox_length()? >= limits::OUTBOX_MESSAGES_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        let message = self.queue(group, &record.content)?;
        self.tx.delete_note(KIND, blob.as_bytes())?;
        self.emit(Event::TransferFinished { transfer: blob, group, message });
        self.finish(id, Ok(Outcome::Queued(message)));
        Ok(Ok(()))
    }

    /// Nothing comes of an upload: forgets it, and lets the hub forget the bytes.
    pub(super) fn abandon_upload(&mut self, id: u64, blob: BlobId) -> Step<Begun> {
        if self.tx.note::<UploadRecord>(KIND, blob.as_bytes())?.is_none() {
            return Ok(Err(Error::Invalid("there is no such transfer")));
        }
        self.tx.delete_note(KIND, blob.as_bytes())?;
        let release = Request::ReleaseBlob(v1::ReleaseBlob { blob: blob.to_bytes() });
        if self.m.session.phase == Phase::Ready {
            self.owe(release)?;
        } else {
            // It goes out with everything owed, once the session is open.
            self.tx.add_owed(&frame::encode(&frame::client(0, release)))?;
        }
        self.finish(id, Ok(Outcome::Done));
        Ok(Ok(()))
    }
}

/// Uploads that are not messages yet, in the order of their ids.
///
/// # Errors
/// When the store fails.
pub(crate) fn pending(tx: &Tx<'_>) -> Step<Vec<PendingUpload>> {
    let read = |(key, record): (Vec<u8>, UploadRecord)| {
        Some(PendingUpload {
            blob: BlobId::try_from(key.as_slice()).ok()?,
            group: GroupId::new(record.group),
            sealed_bytes: record.sealed_bytes,
            begun_at_ms: record.begun_at_ms,
            body: Content::decode_stored(&record.content).body,
        })
    };
    Ok(tx.notes(KIND)?.into_iter().filter_map(read).collect())
}

/// Reads the hub's answer to a request for a ticket.
pub(super) fn ticket(answer: &v1::BlobTicket) -> Option<Ticket> {
    Some(Ticket {
        blob: BlobId::try_from(&answer.blob).ok()?,
        secret: answer.ticket.as_ref().try_into().ok()?,
        expires_at_ms: answer.expires_at_ms,
        size: answer.size,
        stored: answer.stored,
    })
}
