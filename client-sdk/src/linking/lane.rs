//! Slots of a lane over HTTPS: written, and read as soon as something is in them.
//!
//! Runs on the transfer thread. A broken line is opened again, for as long as that may take; a slot that was
//! written twice by the same device is written once.

use std::{io, time::Duration};

use bytes::Bytes;
use cercle_proto::{id::LaneId, link::LinkCode};
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{AUTHORIZATION, HOST},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use super::channel::Place;
use crate::{
    connection::{limits::CONNECT_TIMEOUT, trust::TlsTrust},
    limits::{LANE_LINE_TRIES_MAX, LANE_LOOK, LANE_SLOT_BYTES_MAX},
    transfer::http::{Hub, authorization, open_line},
};

type Line = SendRequest<Full<Bytes>>;

/// How it went; `None`: to be tried again.
type Done = Option<Result<Vec<u8>, LaneError>>;

/// Why a slot was not written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneError {
    /// There is no such lane any more.
    Ended,
    /// Something else is in the slot.
    Taken,
    /// The hub cannot be reached.
    Unreachable,
}

/// One end of a lane. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane {
    hub: Hub,
    place: Place,
}

impl Lane {
    /// The lane of a code.
    pub(super) fn new(code: &LinkCode, place: Place) -> Self {
        let trust = if code.web_certificate { TlsTrust::Web } else { TlsTrust::Root(code.root_fingerprint) };
        Self { hub: Hub { address: code.address.clone(), trust }, place }
    }

    /// Its id.
    pub(super) const fn id(&self) -> LaneId {
        self.place.lane
    }

    /// Writes a slot.
    pub(super) async fn put(self, slot: u32, content: Vec<u8>) -> Result<(), LaneError> {
        self.insist(slot, Some(content.into())).await.map(drop)
    }

    /// Reads a slot as soon as something is in it.
    pub(super) async fn take(self, slot: u32) -> Result<Vec<u8>, LaneError> {
        self.insist(slot, None).await
    }

    /// Opens lines until one has carried the work (something to write, else reading), or too many in a row
    /// came to nothing.
    async fn insist(&self, slot: u32, content: Option<Bytes>) -> Result<Vec<u8>, LaneError> {
        for _ in 0..LANE_LINE_TRIES_MAX {
            let line = timeout(CONNECT_TIMEOUT, Box::pin(open_line(&self.hub))).await;
            let line = line.map_err(io::Error::from).and_then(|opened| opened);
            if let Ok(line) = line
                && let Ok((mut sender, connection)) = handshake(TokioIo::new(line)).await
            {
                let connection = tokio::spawn(async move {
                    let ended = connection.await;
                    tracing::debug!(?ended, "a line of a lane ended");
                });
                let done = match content.clone() {
                    Some(content) => self.write(&mut sender, slot, content).await,
                    None => self.read(&mut sender, slot).await,
                };
                connection.abort();
                if let Ok(Some(done)) = done {
                    return done;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
        Err(LaneError::Unreachable)
    }

    async fn write(&self, line: &mut Line, slot: u32, content: Bytes) -> io::Result<Done> {
        let (status, _) = self.ask(line, Method::PUT, slot, content).await?;
        Ok(match status {
            StatusCode::NO_CONTENT | StatusCode::OK => Some(Ok(Vec::new())),
            StatusCode::CONFLICT => Some(Err(LaneError::Taken)),
            StatusCode::UNAUTHORIZED => Some(Err(LaneError::Ended)),
            _ => None,
        })
    }

    async fn read(&self, line: &mut Line, slot: u32) -> io::Result<Done> {
        loop {
            let (status, content) = self.ask(line, Method::GET, slot, Bytes::new()).await?;
            match status {
                StatusCode::OK => return Ok(Some(Ok(content.to_vec()))),
                StatusCode::UNAUTHORIZED => return Ok(Some(Err(LaneError::Ended))),
                StatusCode::NO_CONTENT => sleep(LANE_LOOK).await,
                _ => return Ok(None),
            }
        }
    }

    async fn ask(
        &self,
        line: &mut Line,
        method: Method,
        slot: u32,
        content: Bytes,
    ) -> io::Result<(StatusCode, Bytes)> {
        let mut request = Request::new(Full::new(content));
        *request.method_mut() = method;
        let path = format!("/v1/lanes/{}/{slot}", self.place.lane.to_hex());
        *request.uri_mut() = path.parse().expect("hexadecimal digits are a path");
        let host = HeaderValue::from_str(&self.hub.address).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(AUTHORIZATION, authorization(&self.place.token));
        line.ready().await.map_err(io::Error::other)?;
        let response = line.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LANE_SLOT_BYTES_MAX);
        let content = timeout(CONNECT_TIMEOUT, body.collect()).await.map_err(io::Error::from)?;
        Ok((status, content.map_err(io::Error::other)?.to_bytes()))
    }
}
