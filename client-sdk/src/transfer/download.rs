//! Fetches a ciphertext from the hub, opens it chunk by chunk, and goes on where a connection broke.

use std::sync::atomic::Ordering;

use super::{
    TransferError,
    body::Counter,
    device::{Device, Progress},
    http::{self, Connection, Failure, Hub},
    sink::{Arrived, Sink},
    tries::{Tries, while_moving},
};
use crate::{
    core::{Command, Ticket},
    message::Document,
    sealing::{Damaged, SEALED_CHUNK_BYTES, sealed_size},
};

/// How one connection's worth ended.
enum Ended {
    /// Every chunk has arrived.
    Complete,
    /// Try again, or not, as the failure says.
    Failed(Failure),
    /// No try can help.
    Over(TransferError),
}

/// Downloads into what `open` makes; returns when the whole is there and is what the message says.
///
/// # Errors
/// When the hub refuses or does not have it, it is damaged, the line breaks too often, or the disk fails.
pub(super) async fn download(
    device: &Device,
    document: &Document,
    open: impl Fn() -> Result<Sink, TransferError>,
) -> Result<Arrived, TransferError> {
    let sink = open()?;
    let resumed = sink.was_resumed();
    match run(device, document, sink).await {
        // Chunks of an earlier try were taken as they lay there: once more, without them.
        Err(TransferError::Damaged(_)) if resumed => run(device, document, open()?).await,
        ended => ended,
    }
}

async fn run(device: &Device, document: &Document, mut sink: Sink) -> Result<Arrived, TransferError> {
    match fill(device, document, &mut sink).await {
        Ok(()) => sink.finish(),
        Err(error) => {
            if sink.arrived() == 0 || is_final(&error) {
                sink.discard();
            }
            Err(error)
        }
    }
}

/// Whether no later try can go on with what has arrived: its content is not left lying about.
const fn is_final(error: &TransferError) -> bool {
    matches!(error, TransferError::Damaged(_) | TransferError::Gone | TransferError::NotMember)
}

/// Until every chunk is in the sink.
async fn fill(device: &Device, document: &Document, sink: &mut Sink) -> Result<(), TransferError> {
    let mut tries = Tries::impatient(device, Command::OpenBlob { blob: document.blob });
    let mut progress = Progress::new(device, document.blob, document.size);
    while sink.next_sealed_bytes() > 0 {
        let ticket = tries.ticket().await?;
        if ticket.size != sealed_size(document.size) {
            return Err(Damaged.into());
        }
        let hub = device.hub().await?;
        match attempt(&hub, &ticket, sink, &mut progress).await {
            Ended::Complete => {}
            Ended::Failed(failure) => tries.failed(failure, sink.arrived()).await?,
            Ended::Over(error) => return Err(error),
        }
    }
    progress.at(document.size);
    Ok(())
}

async fn attempt(hub: &Hub, ticket: &Ticket, sink: &mut Sink, progress: &mut Progress<'_>) -> Ended {
    match receive(hub, ticket, sink, progress).await {
        Ok(Ok(())) => Ended::Complete,
        Ok(Err(error)) => Ended::Over(error),
        Err(failure) => Ended::Failed(failure),
    }
}

/// Outer: the line. Inner: the content.
async fn receive(
    hub: &Hub,
    ticket: &Ticket,
    sink: &mut Sink,
    progress: &mut Progress<'_>,
) -> Result<Result<(), TransferError>, Failure> {
    let received = Counter::default();
    let offset = sink.sealed_offset();
    let opening = async {
        let mut connection = Connection::open(hub).await?;
        let body = connection.read(ticket, offset).await?;
        Ok((connection, body))
    };
    let (_connection, mut body) = while_moving(opening, &received, |_| {}).await?;
    let mut pending = Vec::with_capacity(2 * SEALED_CHUNK_BYTES);
    while sink.next_sealed_bytes() > 0 {
        let next = while_moving(http::next_bytes(&mut body), &received, |_| {}).await?;
        let Some(bytes) = next else { return Err(Failure::Line(std::io::ErrorKind::UnexpectedEof.into())) };
        received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        pending.extend_from_slice(&bytes);
        let mut used = 0;
        while let Some(chunk) = next_chunk(&mut pending[used..], sink.next_sealed_bytes()) {
            used += chunk.len();
            if let Err(error) = sink.put(chunk) {
                return Ok(Err(error));
            }
        }
        pending.drain(..used);
        progress.every_now_and_then(sink.arrived());
    }
    // What follows the last chunk is not part of the content.
    Ok(if pending.is_empty() { Ok(()) } else { Err(Damaged.into()) })
}

/// A whole chunk, if it has arrived.
fn next_chunk(pending: &mut [u8], length: usize) -> Option<&mut [u8]> {
    if length == 0 { None } else { pending.get_mut(..length) }
}
