//! An authenticated session of a raw device.

use anyhow::{Context, bail};
use bytes::Bytes;
use cercle_proto::{
    frame,
    id::{GroupId, Seq},
    signing::NONCE_BYTES,
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::bare::BareDevice;

use super::wire::{Address, Socket};

/// An open session.
pub(crate) struct Session {
    socket: Socket,
    requests: u64,
    /// Certificate of the hub, which every group names.
    pub(crate) hub_certificate: Bytes,
}

impl Session {
    /// Connects and enrols a new device with the secret of an invitation, then authenticates it.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) async fn enrol(
        address: &Address,
        device: &mut BareDevice,
        secret: &[u8; 32],
    ) -> anyhow::Result<Self> {
        let (mut session, nonce) = Self::greet(address).await?;
        let enrol = device.enrol(&nonce, secret)?;
        match session.ask(Request::Enrol(enrol)).await? {
            Answer::CertificateIssued(issued) => device.certified(&issued)?,
            other => bail!("enrolling: {other:?}"),
        }
        session.authenticate(device, &nonce).await?;
        Ok(session)
    }

    /// Connects and authenticates an enrolled device.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) async fn open(address: &Address, device: &BareDevice) -> anyhow::Result<Self> {
        let (mut session, nonce) = Self::greet(address).await?;
        session.authenticate(device, &nonce).await?;
        Ok(session)
    }

    async fn greet(address: &Address) -> anyhow::Result<(Self, [u8; NONCE_BYTES])> {
        let mut session = Self { socket: address.dial().await?, requests: 0, hub_certificate: Bytes::new() };
        let client = concat!("cercle-loadtest/", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = v1::Hello { version_min: frame::VERSION, version_max: frame::VERSION, client };
        match session.ask(Request::Hello(hello)).await? {
            Answer::HelloOk(ok) => {
                let nonce = ok.nonce.as_ref().try_into().context("the nonce")?;
                Ok((session, nonce))
            }
            other => bail!("greeting: {other:?}"),
        }
    }

    async fn authenticate(&mut self, device: &BareDevice, nonce: &[u8; NONCE_BYTES]) -> anyhow::Result<()> {
        match self.ask(Request::Authenticate(device.authenticate(nonce)?)).await? {
            Answer::Authenticated(authenticated) => {
                self.hub_certificate = authenticated.hub_certificate;
                Ok(())
            }
            other => bail!("authenticating: {other:?}"),
        }
    }

    /// Sends a request and waits for its answer; other frames in between are dropped.
    ///
    /// # Errors
    /// When the hub refuses it or closes.
    pub(crate) async fn ask(&mut self, body: Request) -> anyhow::Result<Answer> {
        let number = self.put(body);
        loop {
            let answer = self.next().await?.context("the hub closed")?;
            match answer.body {
                Some(Answer::Error(error)) if answer.request == number || answer.request == 0 => {
                    bail!("the hub refuses ({}): {}", error.code, error.message)
                }
                Some(body) if answer.request == number => return Ok(body),
                _ => {}
            }
        }
    }

    /// Queues a request that reads these groups live, from places in their logs.
    pub(crate) fn subscribe(&mut self, wave: u64, groups: &[(GroupId, Seq)], inbox_after: u64) {
        let cursor = |(group, seq): &(GroupId, Seq)| v1::Cursor { group: group.to_bytes(), seq: *seq };
        let groups = groups.iter().map(cursor).collect();
        self.put(Request::Subscribe(v1::Subscribe { wave, groups, inbox_after, ..Default::default() }));
    }

    /// Queues a request, which leaves while somebody waits for the next frame; returns its number.
    pub(crate) fn put(&mut self, body: Request) -> u64 {
        self.requests += 1;
        self.socket.put(frame::encode(&frame::client(self.requests, body)));
        self.requests
    }

    /// The next frame that is no ping; `None` when the hub has closed. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the hub sent what is no frame.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<v1::ServerFrame>> {
        loop {
            let Some(bytes) = self.socket.next().await else { return Ok(None) };
            let frame = frame::decode_server(bytes)?;
            if matches!(frame.body, Some(Answer::Ping(_))) {
                self.socket.put(frame::encode(&frame::client(0, Request::Pong(v1::Pong {}))));
                continue;
            }
            return Ok(Some(frame));
        }
    }
}
