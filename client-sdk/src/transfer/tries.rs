//! One transfer over many connections: which ticket to use, how long to wait before the next try, when to
//! give up.

use std::{io, pin::pin, sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{
    TransferError,
    body::Counter,
    device::Device,
    http::Failure,
    limits::{FRUITLESS_TRIES_MAX, PROGRESS_INTERVAL, STALL, TICKET_MARGIN_MS},
};
use crate::{
    client::{Session, now_ms, random},
    connection::backoff::Backoff,
    core::{Command, Ticket},
};
use cercle_proto::ErrorCode;

/// The tries of one transfer.
pub(super) struct Tries<'a> {
    device: &'a Device,
    /// What to ask for tickets with.
    request: Command,
    ticket: Option<Ticket>,
    backoff: Backoff,
    moved: u64,
    fruitless: u32,
    /// Whether to give up after many tries in which nothing moved.
    gives_up: bool,
}

impl<'a> Tries<'a> {
    /// Goes on for ever.
    pub(super) fn patient(device: &'a Device, request: Command) -> Self {
        let backoff = Backoff::default();
        Self { device, request, ticket: None, backoff, moved: 0, fruitless: 0, gives_up: false }
    }

    /// Gives up after a while without any progress.
    pub(super) fn impatient(device: &'a Device, request: Command) -> Self {
        Self { gives_up: true, ..Self::patient(device, request) }
    }

    /// A ticket that has not ended.
    pub(super) async fn ticket(&mut self) -> Result<Ticket, TransferError> {
        let fresh = |ticket: &Ticket| ticket.expires_at_ms > now_ms() + TICKET_MARGIN_MS;
        let ticket = match self.ticket.take().filter(fresh) {
            Some(ticket) => ticket,
            None => self.device.ticket(&self.request).await?,
        };
        self.ticket = Some(ticket.clone());
        Ok(ticket)
    }

    /// A try has failed when this many bytes were through: waits before the next.
    ///
    /// # Errors
    /// When there is to be none.
    pub(super) async fn failed(&mut self, failure: Failure, moved: u64) -> Result<(), TransferError> {
        tracing::debug!(error = %failure, "a transfer was interrupted");
        let fruitless = !matches!(failure, Failure::Busy);
        match failure {
            // The ticket may have ended without having run out: the hub was restarted.
            Failure::Ticket => self.ticket = None,
            Failure::Line(_) | Failure::Fault(_) | Failure::Busy | Failure::Offset(_) => {}
            Failure::Gone => return Err(TransferError::Gone),
            Failure::Full => return Err(TransferError::Refused(ErrorCode::TooMany)),
            Failure::Unexpected(_) => return Err(TransferError::Refused(ErrorCode::InvalidField)),
        }
        if moved > self.moved {
            self.moved = moved;
            self.fruitless = 0;
            self.backoff = Backoff::default();
        } else if fruitless && self.device.client.session() != Session::Offline {
            self.fruitless += 1;
        }
        if self.gives_up && self.fruitless >= FRUITLESS_TRIES_MAX {
            return Err(TransferError::Interrupted);
        }
        let delay = sleep(Duration::from_millis(self.backoff.failed(now_ms(), random())));
        if self.device.client.session() != Session::Offline {
            delay.await;
            return Ok(());
        }
        // The session comes back when the network does: then there is nothing to wait for.
        tokio::select! {
            () = delay => {}
            _ = self.device.client.online() => {}
        }
        Ok(())
    }
}

/// Waits for a request while bytes move; tells every now and then how many have.
///
/// # Errors
/// As the request, or when nothing moves for [`STALL`].
pub(super) async fn while_moving<T>(
    work: impl Future<Output = Result<T, Failure>>,
    moved: &Counter,
    mut tell: impl FnMut(u64),
) -> Result<T, Failure> {
    let mut work = pin!(work);
    let mut last = moved.load(Ordering::Relaxed);
    let mut still = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(PROGRESS_INTERVAL) => {}
        }
        let count = moved.load(Ordering::Relaxed);
        tell(count);
        still = if count == last { still + PROGRESS_INTERVAL } else { Duration::ZERO };
        last = count;
        if still >= STALL {
            return Err(Failure::Line(io::ErrorKind::TimedOut.into()));
        }
    }
}
