//! Carries a ciphertext from the spool to the hub, over as many connections as it takes.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    sync::atomic::Ordering,
};

use cercle_proto::id::{BlobId, GroupId};

use super::{
    TransferError,
    body::{Body, Counter},
    device::{Device, Progress},
    http::{Connection, Failure, Hub},
    limits::PATCH_BYTES_MAX,
    spool::Spool,
    tries::{Tries, while_moving},
};
use crate::core::{Command, Ticket};

/// What is to be uploaded.
#[derive(Clone, Copy)]
pub(super) struct Cargo {
    pub(super) blob: BlobId,
    pub(super) group: GroupId,
    /// Bytes of ciphertext.
    pub(super) sealed_bytes: u64,
    /// Bytes of content, for progress.
    pub(super) size: u64,
}

/// Uploads; returns when the hub holds every byte, durably.
///
/// # Errors
/// When the hub refuses for good, or the file in the spool is gone.
pub(super) async fn upload(device: &Device, spool: &Spool, cargo: Cargo) -> Result<(), TransferError> {
    let Cargo { blob, group, sealed_bytes, size } = cargo;
    let mut tries = Tries::patient(device, Command::CreateBlob { blob, group, sealed_bytes });
    let mut progress = Progress::new(device, blob, size);
    let held = Counter::default();
    loop {
        let ticket = tries.ticket().await?;
        let hub = device.hub().await?;
        let file = open(spool, cargo)?;
        let content = |sealed: u64| share(sealed, size, sealed_bytes);
        match attempt(&hub, &ticket, &file, &held, |sealed| progress.at(content(sealed))).await {
            Ok(()) => {
                progress.at(size);
                return Ok(());
            }
            Err(failure) => tries.failed(failure, held.load(Ordering::Relaxed)).await?,
        }
    }
}

/// One connection's worth. `held` is what the hub has said it holds.
async fn attempt(
    hub: &Hub,
    ticket: &Ticket,
    mut file: &File,
    held: &Counter,
    mut tell: impl FnMut(u64),
) -> Result<(), Failure> {
    let mut connection = Connection::open(hub).await?;
    let mut at = connection.stored(ticket).await?;
    while at < ticket.size {
        held.fetch_max(at, Ordering::Relaxed);
        let length = PATCH_BYTES_MAX.min(ticket.size - at);
        file.seek(SeekFrom::Start(at)).map_err(Failure::Line)?;
        let taken = Counter::new(at.into());
        let piece = Body::of(file.try_clone().map_err(Failure::Line)?, length, taken.clone());
        let appended = connection.append(ticket, at, piece);
        at = match while_moving(appended, &taken, &mut tell).await {
            // Another number than ours: something that was thought lost has arrived, or the reverse.
            Err(Failure::Offset(other)) if other != at => other,
            done => done?,
        };
    }
    Ok(())
}

/// The file, if it is whole.
fn open(spool: &Spool, cargo: Cargo) -> Result<File, TransferError> {
    let file = spool.open(cargo.blob).map_err(TransferError::Unreadable)?;
    let about = file.metadata().map_err(TransferError::Unreadable)?;
    if about.len() != cargo.sealed_bytes {
        return Err(TransferError::Unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(file)
}

/// How much content so many sealed bytes stand for.
fn share(sealed: u64, size: u64, sealed_bytes: u64) -> u64 {
    let share = u128::from(sealed) * u128::from(size) / u128::from(sealed_bytes.max(1));
    u64::try_from(share).unwrap_or(size)
}
