//! One upload request: bytes behind those that are stored, part by part.
//!
//! A part is collected in memory, written and synced before the next is read, so that a fast sender costs no
//! more than one part. Whatever ends the request, what has arrived is kept.

use bytes::{Bytes, BytesMut};
use cercle_proto::id::{BlobId, TimestampMs};
use tokio::time::timeout;

use super::{Attachments, Direction, Secret, Ticket, TransferError, bodies::Parts, turns::Turn};
use crate::limits;

/// The body of a request. Implemented by the transport; a test may use a list.
pub trait Chunks: Send {
    /// The next bytes; `None` at the end; an error when the body was cut.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, Cut>>> + Send;
}

/// A body ended before its time.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

impl Attachments {
    /// Appends the bytes of a body at `offset`; returns how many bytes of the blob are stored then. The caller
    /// runs it to its end: it keeps what has arrived when the body is cut.
    ///
    /// # Errors
    /// As [`TransferError`] says.
    pub async fn upload(
        &self,
        secret: &Secret,
        blob: BlobId,
        offset: u64,
        body: &mut impl Chunks,
        now: TimestampMs,
    ) -> Result<u64, TransferError> {
        let ticket = self.authorise(secret, blob, now).await?;
        if ticket.direction != Direction::Upload {
            return Err(TransferError::Unauthorised);
        }
        let _place = self.inner.transfers.enter(ticket.device).ok_or(TransferError::Busy)?;
        let turn = self.inner.turns.take(blob).await;
        let record = self.inner.store.blob(blob).await?.ok_or(TransferError::Unauthorised)?;
        if record.completed_at.is_some() {
            return self.nothing_more(offset, record.size, body).await;
        }
        self.inner.bodies.remove_unfinished(blob).await?;
        let mut parts = self.inner.bodies.parts(blob).await?;
        if offset != parts.stored() {
            return Err(TransferError::WrongOffset { stored: parts.stored() });
        }
        let ended = self.take_body(&ticket, &turn, &mut parts, record.size, body).await;
        if parts.stored() == record.size {
            self.inner.store.complete_blob(blob, now).await?;
        }
        ended.map(|()| parts.stored())
    }

    /// Writes a body part by part, up to its end or whatever ends it before.
    async fn take_body(
        &self,
        ticket: &Ticket,
        turn: &Turn,
        parts: &mut Parts,
        size: u64,
        body: &mut impl Chunks,
    ) -> Result<(), TransferError> {
        let silence_max = self.inner.settings.silence_max;
        let mut part = BytesMut::new();
        let mut ended = Ok(());
        loop {
            let next = tokio::select! {
                biased;
                () = ticket.ended.cancelled() => Some(Err(Cut)),
                () = turn.superseded.cancelled() => Some(Err(Cut)),
                next = timeout(silence_max, body.next()) => next.unwrap_or(Some(Err(Cut))),
            };
            match next {
                None => break,
                Some(Err(Cut)) => {
                    ended = Err(());
                    break;
                }
                Some(Ok(bytes)) => {
                    let room = size - parts.stored() - part.len() as u64;
                    if bytes.len() as u64 > room {
                        return Err(TransferError::TooLarge);
                    }
                    part.extend_from_slice(&bytes);
                }
            }
            if part.len() >= limits::BLOB_PART_BYTES {
                self.append(parts, &mut part).await?;
            }
        }
        if !part.is_empty() {
            self.append(parts, &mut part).await?;
        }
        ended.map_err(|()| TransferError::Cut { stored: parts.stored() })
    }

    async fn append(&self, parts: &mut Parts, part: &mut BytesMut) -> Result<(), TransferError> {
        if parts.count() >= limits::BLOB_PARTS_MAX {
            return Err(TransferError::TooManyParts);
        }
        let bytes = part.split().freeze();
        self.inner.metrics.attachment_bytes("upload", bytes.len());
        Ok(self.inner.bodies.append(parts, bytes).await?)
    }

    /// Answers an upload of a complete blob, which is only good if it adds nothing: the answer to the last
    /// piece may have been lost.
    async fn nothing_more(
        &self,
        offset: u64,
        stored: u64,
        body: &mut impl Chunks,
    ) -> Result<u64, TransferError> {
        if offset != stored {
            return Err(TransferError::WrongOffset { stored });
        }
        match timeout(self.inner.settings.silence_max, body.next()).await {
            Ok(None) => Ok(stored),
            Ok(Some(Ok(_))) => Err(TransferError::TooLarge),
            Ok(Some(Err(Cut))) | Err(_) => Err(TransferError::Cut { stored }),
        }
    }
}
