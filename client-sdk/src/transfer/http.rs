//! One HTTPS connection to the hub: the device's side of the table in docs/protocol.md section 9.
//!
//! Opened with the same trust as the session. [`super::upload`] and [`super::download`] decide what to ask
//! for and when to open another; nothing here tries twice.

use std::{io, sync::Arc};

use bytes::Bytes;
use cercle_proto::id::BlobId;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, RANGE},
};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::body::Body;
use crate::{
    connection::{
        limits::CONNECT_TIMEOUT,
        trust::{self, TlsTrust},
    },
    core::Ticket,
};

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Where the hub is and what to believe there.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    /// `host:port`.
    pub(crate) address: String,
    /// What its certificate must lead to.
    pub(crate) trust: TlsTrust,
}

/// Opens TLS to a hub.
pub(crate) async fn open_line(hub: &Hub) -> io::Result<TlsStream<TcpStream>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "the hub's address is not host:port");
    let (host, _) = hub.address.rsplit_once(':').ok_or_else(invalid)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|_| invalid())?;
    let tcp = TcpStream::connect(&hub.address).await?;
    tcp.set_nodelay(true)?;
    let config = trust::client_config(hub.trust).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or it broke: open another.
    #[error("the line broke")]
    Line(#[source] io::Error),
    /// The ticket has ended: ask for another.
    #[error("the ticket has ended")]
    Ticket,
    /// The hub holds this many bytes: go on there.
    #[error("the hub holds another number of bytes")]
    Offset(u64),
    /// As many transfers are under way as may be: later.
    #[error("the hub has too many transfers under way")]
    Busy,
    /// The hub had a fault, or waited too long for bytes.
    #[error("the hub answered with {0}")]
    Fault(StatusCode),
    /// The hub does not have these bytes.
    #[error("the hub does not have it")]
    Gone,
    /// The hub takes no more bytes of this blob: begin anew.
    #[error("the hub takes no more of this blob")]
    Full,
    /// An answer that the protocol does not have.
    #[error("the hub answered with {0}")]
    Unexpected(StatusCode),
}

/// A connection; closed on drop.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    driver: JoinHandle<()>,
    host: HeaderValue,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Opens a connection.
    pub(super) async fn open(hub: &Hub) -> Result<Self, Failure> {
        let late = |_| Failure::Line(io::ErrorKind::TimedOut.into());
        timeout(CONNECT_TIMEOUT, Box::pin(Self::dial(hub))).await.map_err(late)?
    }

    async fn dial(hub: &Hub) -> Result<Self, Failure> {
        let tls = open_line(hub).await.map_err(Failure::Line)?;
        let (sender, connection) = handshake(TokioIo::new(tls)).await.map_err(line)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a transfer connection ended");
            }
        });
        let host = HeaderValue::from_str(&hub.address).map_err(|_| address())?;
        Ok(Self { sender, driver, host })
    }

    /// Asks how many bytes of an upload the hub holds.
    pub(super) async fn stored(&mut self, ticket: &Ticket) -> Result<u64, Failure> {
        let request = self.request(Method::HEAD, ticket, Body::empty());
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK => offset(response.headers()),
            status => Err(refused(status, response.headers())),
        }
    }

    /// Appends a piece at an offset; returns how many bytes the hub holds then.
    pub(super) async fn append(&mut self, ticket: &Ticket, at: u64, piece: Body) -> Result<u64, Failure> {
        let length = piece.left();
        let mut request = self.request(Method::PATCH, ticket, piece);
        request.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(at));
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::OK => offset(response.headers()),
            status => Err(refused(status, response.headers())),
        }
    }

    /// Reads from an offset to the end.
    pub(super) async fn read(&mut self, ticket: &Ticket, from: u64) -> Result<Incoming, Failure> {
        let mut request = self.request(Method::GET, ticket, Body::empty());
        if from > 0 {
            let range = HeaderValue::from_str(&format!("bytes={from}-"));
            request.headers_mut().insert(RANGE, range.expect("digits are a header"));
        }
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK if from == 0 => Ok(response.into_body()),
            StatusCode::PARTIAL_CONTENT if begins_at(response.headers(), from) => Ok(response.into_body()),
            status => Err(refused(status, response.headers())),
        }
    }

    fn request(&self, method: Method, ticket: &Ticket, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path(ticket.blob).parse().expect("hexadecimal digits are a path");
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(AUTHORIZATION, authorization(&ticket.secret));
        request
    }

    async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await.map_err(line)?;
        self.sender.send_request(request).await.map_err(line)
    }
}

/// The next bytes of a body; `None` at its end.
pub(super) async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    use http_body_util::BodyExt as _;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(_) => continue,
            },
            Some(Err(error)) => return Err(line(error)),
            None => return Ok(None),
        }
    }
}

fn path(blob: BlobId) -> String {
    format!("/v1/blobs/{}", blob.to_hex())
}

/// The header that shows a token.
pub(crate) fn authorization(token: &[u8; 32]) -> HeaderValue {
    let text = format!("Bearer {}", base64(token));
    let mut value = HeaderValue::from_str(&text).expect("base64url is a header");
    value.set_sensitive(true);
    value
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

fn offset(headers: &HeaderMap) -> Result<u64, Failure> {
    number(headers.get(UPLOAD_OFFSET)).ok_or_else(malformed)
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.parse().ok()
}

/// `Content-Range: bytes <from>-…`
fn begins_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    begin.is_some_and(|begin| begin.parse() == Ok(from))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Failure {
    match status {
        StatusCode::UNAUTHORIZED => Failure::Ticket,
        StatusCode::CONFLICT => offset(headers).map_or_else(|failure| failure, Failure::Offset),
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::Gone,
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::RANGE_NOT_SATISFIABLE
        | StatusCode::UNPROCESSABLE_ENTITY => Failure::Full,
        StatusCode::TOO_MANY_REQUESTS => Failure::Busy,
        status if status == StatusCode::REQUEST_TIMEOUT || status.is_server_error() => Failure::Fault(status),
        status => Failure::Unexpected(status),
    }
}

fn line(error: hyper::Error) -> Failure {
    Failure::Line(io::Error::other(error))
}

fn address() -> Failure {
    Failure::Line(io::Error::new(io::ErrorKind::InvalidInput, "the hub's address is not host:port"))
}

fn malformed() -> Failure {
    Failure::Line(io::Error::new(io::ErrorKind::InvalidData, "the hub's answer lacks a header"))
}
