//! An authenticated session of a raw device.

use anyhow::{Context, bail};
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
        let mut session = Self { socket: address.dial().await?, requests: 0 };
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
            Answer::Authenticated(_) => Ok(()),
            other => bail!("authenticating: {other:?}"),
        }
    }

    /// Sends a request and waits for its answer; other frames in between are dropped.
    ///
    /// # Errors
    /// When the hub refuses it or closes.
    pub(crate) async fn ask(&mut self, body: Request) -> anyhow::Result<Answer> {
        self.requests += 1;
        let number = self.requests;
        self.socket.send(frame::encode(&frame::client(number, body))).await?;
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

    /// Reads this group live, from a place in its log.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn subscribe(&mut self, groups: &[(GroupId, Seq)]) -> anyhow::Result<()> {
        let cursor = |(group, seq): &(GroupId, Seq)| v1::Cursor { group: group.to_bytes(), seq: *seq };
        let groups = groups.iter().map(cursor).collect();
        let subscribe = v1::Subscribe { wave: 1, groups, ..Default::default() };
        self.tell(Request::Subscribe(subscribe)).await
    }

    /// Sends a frame without waiting for what it leads to.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn tell(&mut self, body: Request) -> anyhow::Result<()> {
        self.requests += 1;
        self.socket.send(frame::encode(&frame::client(self.requests, body))).await
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
                let pong = frame::client(0, Request::Pong(v1::Pong {}));
                self.socket.send(frame::encode(&pong)).await?;
                continue;
            }
            return Ok(Some(frame));
        }
    }
}
