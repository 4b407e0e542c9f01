//! What a transfer asks of its device: where the hub is, tickets, and to tell the app how far it is.

use std::time::Duration;

use cercle_proto::{ErrorCode, id::BlobId};
use tokio::{sync::broadcast, time::sleep};

use super::{TransferError, http::Hub, limits::PROGRESS_STEPS};
use crate::{
    client::{Client, ClientError, now_ms, random},
    connection::{backoff::Backoff, trust::TlsTrust},
    core::{Command, GroupState, Outcome, Ticket},
    error::Error,
    event::Event,
    sealing::CHUNK_BYTES,
    sync::verdict::passes,
};

/// The device, from the transfer thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Device {
    pub(super) client: Client,
    events: broadcast::Sender<Event>,
}

impl Device {
    /// `client` must not be the one that apps hold, whose end ends the transfers.
    pub(crate) fn new(client: Client, events: broadcast::Sender<Event>) -> Self {
        Self { client, events }
    }

    /// Where the hub is.
    pub(super) async fn hub(&self) -> Result<Hub, TransferError> {
        let trust = self.client.query(|core| core.trust()).await?.ok_or(Error::NotEnrolled)?;
        let root = trust.root_fingerprint;
        let tls = if trust.web_certificate { TlsTrust::Web } else { TlsTrust::Root(root) };
        Ok(Hub { address: trust.address, trust: tls })
    }

    /// Asks for a ticket until the hub gives one or refuses for good; waits for a session as long as it takes.
    pub(super) async fn ticket(&self, request: &Command) -> Result<Ticket, TransferError> {
        let mut backoff = Backoff::default();
        loop {
            self.client.online().await?;
            match self.client.command(request.clone()).await {
                Ok(Outcome::Ticket(ticket)) => return Ok(ticket),
                Ok(_) => return Err(Error::Invalid("the core answered with another outcome").into()),
                Err(ClientError::Busy | ClientError::Core(Error::Offline)) => {}
                Err(ClientError::Core(Error::Refused { code, .. })) => {
                    if !passes(code) && !self.group_is_on_its_way(request, code).await? {
                        return Err(refusal(code));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            sleep(Duration::from_millis(backoff.failed(now_ms(), random()))).await;
        }
    }

    /// Whether the hub does not know the group, or this device in it, only because that is still to come.
    async fn group_is_on_its_way(&self, request: &Command, code: ErrorCode) -> Result<bool, TransferError> {
        let Command::CreateBlob { group, .. } = *request else { return Ok(false) };
        if !matches!(code, ErrorCode::GroupUnknown | ErrorCode::NotMember) {
            return Ok(false);
        }
        let groups = self.client.groups().await?;
        let state = groups.iter().find(|summary| summary.group == group).map(|summary| summary.state);
        Ok(matches!(state, Some(GroupState::Creating | GroupState::Recovering)))
    }

    /// Tells the app.
    pub(super) fn tell(&self, event: Event) {
        // Without a subscriber there is nobody to tell.
        let _ = self.events.send(event);
    }
}

/// Tells the app how far a transfer is, never backwards.
pub(super) struct Progress<'a> {
    device: &'a Device,
    transfer: BlobId,
    total: u64,
    told: Option<u64>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(device: &'a Device, transfer: BlobId, total: u64) -> Self {
        Self { device, transfer, total, told: None }
    }

    /// This many bytes of content are through.
    pub(super) fn at(&mut self, done: u64) {
        let done = done.min(self.total);
        if self.told.is_none_or(|told| told < done) {
            self.told = Some(done);
            let (transfer, total) = (self.transfer, self.total);
            self.device.tell(Event::TransferProgress { transfer, done, total });
        }
    }
}

impl Progress<'_> {
    /// As [`Progress::at`], unless little has changed since the last time.
    pub(super) fn every_now_and_then(&mut self, done: u64) {
        let step = (self.total / PROGRESS_STEPS).max(CHUNK_BYTES as u64);
        if self.told.is_none_or(|told| done >= told + step) {
            self.at(done);
        }
    }
}

fn refusal(code: ErrorCode) -> TransferError {
    match code {
        ErrorCode::GroupUnknown | ErrorCode::NotMember => TransferError::NotMember,
        ErrorCode::BlobUnknown | ErrorCode::BlobIncomplete => TransferError::Gone,
        code => TransferError::Refused(code),
    }
}
