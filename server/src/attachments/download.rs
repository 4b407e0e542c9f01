//! One download request: a range of a complete blob, in pieces that are read when the device takes them.

use std::sync::Arc;

use bytes::Bytes;
use cercle_proto::id::{BlobId, TimestampMs};

use super::{Attachments, Direction, Secret, Ticket, TransferError, bodies::Parts, transfers::Place};
use crate::limits;

/// Which bytes a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last, inclusive; `None`: up to the end.
    pub last: Option<u64>,
}

/// Bytes on their way to a device. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Download {
    attachments: Attachments,
    ticket: Arc<Ticket>,
    parts: Parts,
    range: std::ops::Range<u64>,
    size: u64,
    _place: Place,
}

impl Attachments {
    /// How many bytes of a blob are stored, and how many it has.
    ///
    /// # Errors
    /// As [`TransferError`] says.
    pub async fn look(
        &self,
        secret: &Secret,
        blob: BlobId,
        now: TimestampMs,
    ) -> Result<(u64, u64), TransferError> {
        self.authorise(secret, blob, now).await?;
        let record = self.inner.store.blob(blob).await?.ok_or(TransferError::Unauthorised)?;
        Ok((self.stored(&record).await?, record.size))
    }

    /// Begins to send a complete blob, or a range of it.
    ///
    /// # Errors
    /// As [`TransferError`] says.
    pub async fn download(
        &self,
        secret: &Secret,
        blob: BlobId,
        range: Option<Range>,
        now: TimestampMs,
    ) -> Result<Download, TransferError> {
        let ticket = self.authorise(secret, blob, now).await?;
        if ticket.direction != Direction::Download {
            return Err(TransferError::Unauthorised);
        }
        let place = self.inner.transfers.enter(ticket.device).ok_or(TransferError::Busy)?;
        let record = self.inner.store.blob(blob).await?.ok_or(TransferError::Unauthorised)?;
        let size = record.size;
        let Range { first, last } = range.unwrap_or(Range { first: 0, last: None });
        let end = last.map_or(size, |last| last.saturating_add(1).min(size));
        if first >= end {
            return Err(TransferError::RangeNotSatisfiable { size });
        }
        let parts = self.inner.bodies.parts(blob).await?;
        Ok(Download { attachments: self.clone(), ticket, parts, range: first..end, size, _place: place })
    }

    /// Finds the ticket of a request, if it is for this blob and its device is still a member of the blob's group
    /// and not revoked: ten minutes are long for somebody who was just removed.
    pub(super) async fn authorise(
        &self,
        secret: &Secret,
        blob: BlobId,
        now: TimestampMs,
    ) -> Result<Arc<Ticket>, TransferError> {
        let ticket = self.inner.tickets.find(secret, now).filter(|ticket| ticket.blob == blob);
        let ticket = ticket.ok_or(TransferError::Unauthorised)?;
        self.inner.requests.check(ticket.device, now).map_err(|_| TransferError::Busy)?;
        let device = self.inner.store.device(ticket.device).await?;
        let enrolled = device.is_some_and(|record| record.revoked_at.is_none());
        if enrolled && self.is_member(ticket.group, ticket.device).await? {
            Ok(ticket)
        } else {
            Err(TransferError::Unauthorised)
        }
    }
}

impl Download {
    /// The bytes that are sent: from the first up to, not including, the last.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        self.range.clone()
    }

    /// Bytes of the whole blob.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece; `None` when all is read.
    ///
    /// # Errors
    /// [`TransferError::Cut`] when the ticket was ended, or a failure of the files.
    pub async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        if self.ticket.ended.is_cancelled() {
            return Err(TransferError::Cut { stored: self.size });
        }
        let inner = &self.attachments.inner;
        let bytes = inner.bodies.read(&self.parts, &self.range, limits::DOWNLOAD_PIECE_BYTES).await?;
        inner.metrics.attachment_bytes("download", bytes.len());
        self.range.start += bytes.len() as u64;
        Ok(Some(bytes))
    }
}
