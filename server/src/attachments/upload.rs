//! One upload request: bytes behind those that are stored, part by part.
//!
//! A part is collected in memory while the one before is written and synced; then nothing is read until that is
//! done, so that a fast sender costs no more than two parts. Whatever ends the request, what has arrived is kept.

use bytes::{Bytes, BytesMut};
use cercle_proto::id::{BlobId, TimestampMs};
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::{
    Attachments, Direction, Secret, Ticket, TransferError,
    bodies::{BodyError, Parts},
    turns::Turn,
};
use crate::limits;

/// The body of a request. Implemented by the transport; a test may use a list.
pub trait Chunks: Send {
    /// The next bytes; `None` at the end; an error when the body was cut.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, Cut>>> + Send;
}

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
    /// More bytes came than were announced.
    TooLarge,
}

/// A part on its way to the disk, or none.
#[derive(Default)]
struct Writing(Option<(u64, BoxFuture<'static, Result<(), BodyError>>)>);

impl Writing {
    /// Bytes that are on their way.
    fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |(bytes, _)| *bytes)
    }

    /// Waits until they are on the disk; for ever if there are none. Cancel-safe.
    async fn done(&mut self) -> Result<u64, BodyError> {
        let Some((bytes, work)) = &mut self.0 else { return std::future::pending().await };
        let (bytes, ended) = (*bytes, work.await);
        self.0 = None;
        ended.map(|()| bytes)
    }
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

    /// Writes a body part by part, up to its end or whatever ends it before: while one part goes to the disk the
    /// next arrives.
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
        let mut writing = Writing::default();
        let end = loop {
            if part.len() >= limits::BLOB_PART_BYTES && writing.bytes() == 0 {
                writing = self.write(parts, &mut part)?;
            }
            let next = tokio::select! {
                biased;
                () = ticket.ended.cancelled() => break End::Cut,
                () = turn.superseded.cancelled() => break End::Cut,
                written = writing.done() => {
                    parts.push(written?);
                    continue;
                }
                next = timeout(silence_max, body.next()), if part.len() < limits::BLOB_PART_BYTES => next,
            };
            match next {
                Ok(None) => break End::Whole,
                Ok(Some(Err(Cut))) | Err(_) => break End::Cut,
                Ok(Some(Ok(bytes))) => {
                    let room = size - parts.stored() - writing.bytes() - part.len() as u64;
                    if bytes.len() as u64 > room {
                        break End::TooLarge;
                    }
                    part.extend_from_slice(&bytes);
                }
            }
        };
        // Whoever has the blob's turn next must find no part that comes afterwards.
        if writing.bytes() > 0 {
            parts.push(writing.done().await?);
        }
        if end == End::TooLarge {
            return Err(TransferError::TooLarge);
        }
        if !part.is_empty() {
            parts.push(self.write(parts, &mut part)?.done().await?);
        }
        if end == End::Whole { Ok(()) } else { Err(TransferError::Cut { stored: parts.stored() }) }
    }

    /// Begins to write a part behind the last.
    fn write(&self, parts: &Parts, part: &mut BytesMut) -> Result<Writing, TransferError> {
        if parts.count() >= limits::BLOB_PARTS_MAX {
            return Err(TransferError::TooManyParts);
        }
        let bytes = part.split().freeze();
        self.inner.metrics.attachment_bytes("upload", bytes.len());
        let length = bytes.len() as u64;
        Ok(Writing(Some((length, Box::pin(self.inner.bodies.clone().write(parts.next(), bytes))))))
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
