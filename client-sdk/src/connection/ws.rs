//! Frames over one WebSocket over one TLS connection: the device's side of docs/protocol.md section 1.
//!
//! [`dial`] opens it within a time limit and names the kind of failure; [`Receiver`] and [`Sender`] are its
//! two halves. [`super::driver`] is the only caller. Nothing here decides anything.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use cercle_proto::{
    frame::{self, FRAME_BYTES_MAX, FrameError, SUBPROTOCOL, WEBSOCKET_PATH},
    v1,
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{
    limits::{CLOSE_TIMEOUT, CONNECT_TIMEOUT, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES_MAX, WRITE_TIMEOUT},
    trust::{self, TlsTrust},
};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Name look-up, TCP or TLS failed, or took too long.
    #[error("the hub cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The certificate is not one that the invitation vouches for.
    #[error("the hub's certificate does not lead to the pinned root")]
    Untrusted(#[source] io::Error),
    /// Something answers there, but it is not a hub.
    #[error("what answers there is not a Cercle hub")]
    NotAHub(#[source] Box<tungstenite::Error>),
    /// The address in the profile is damaged.
    #[error("the hub's address is not host:port")]
    Address,
}

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// The hub closed it.
    #[error("the hub closed the connection")]
    Closed,
    /// Nothing came from the hub, or it took nothing, for too long.
    #[error("the hub went silent")]
    Silent,
    /// The socket failed.
    #[error("the connection failed")]
    Socket(#[source] Box<tungstenite::Error>),
    /// The hub sent what is no frame.
    #[error("the hub sent what is no frame")]
    Malformed(#[from] FrameError),
    /// The hub sent text.
    #[error("the hub sent a text message")]
    Text,
}

/// The half that sends.
pub(crate) struct Sender(SplitSink<Socket, Message>);

/// The half that receives.
pub(crate) struct Receiver(SplitStream<Socket>);

/// Opens a connection to `host:port`.
pub(crate) async fn dial(address: &str, trust: TlsTrust) -> Result<(Sender, Receiver), DialError> {
    let late = || DialError::Unreachable(io::ErrorKind::TimedOut.into());
    let socket = timeout(CONNECT_TIMEOUT, Box::pin(open(address, trust))).await.map_err(|_| late())??;
    let (sender, receiver) = socket.split();
    Ok((Sender(sender), Receiver(receiver)))
}

async fn open(address: &str, trust: TlsTrust) -> Result<Socket, DialError> {
    let (host, _) = address.rsplit_once(':').ok_or(DialError::Address)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|_| DialError::Address)?;
    let mut request =
        format!("wss://{address}{WEBSOCKET_PATH}").into_client_request().map_err(|_| DialError::Address)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));

    let tcp = TcpStream::connect(address).await.map_err(DialError::Unreachable)?;
    tcp.set_nodelay(true).map_err(DialError::Unreachable)?;
    let config =
        trust::client_config(trust).map_err(|error| DialError::Unreachable(io::Error::other(error)))?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(tls_error)?;
    let (socket, _) = Box::pin(client_async_with_config(request, tls, Some(websocket_config())))
        .await
        .map_err(|error| match error {
            tungstenite::Error::Io(error) => DialError::Unreachable(error),
            other => DialError::NotAHub(Box::new(other)),
        })?;
    Ok(socket)
}

fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
}

/// rustls reports through `io::Error`; a refused certificate is the one that trying again cannot mend.
fn tls_error(error: io::Error) -> DialError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => DialError::Untrusted(error),
        _ => DialError::Unreachable(error),
    }
}

impl Receiver {
    /// The next frame, or why there is none.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<v1::ServerFrame, EndError> {
        loop {
            let message = timeout(silence, self.0.next()).await.map_err(|_| EndError::Silent)?;
            match message.ok_or(EndError::Closed)?.map_err(end_error)? {
                Message::Binary(bytes) => return Ok(frame::decode_server(bytes)?),
                Message::Text(_) => return Err(EndError::Text),
                Message::Close(_) => return Err(EndError::Closed),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

impl Sender {
    /// Puts a frame into the write buffer.
    pub(crate) async fn feed(&mut self, frame: &v1::ClientFrame) -> Result<(), EndError> {
        let bytes: Bytes = frame::encode(frame);
        within(WRITE_TIMEOUT, self.0.feed(Message::Binary(bytes))).await
    }

    /// Hands the write buffer to the network.
    pub(crate) async fn flush(&mut self) -> Result<(), EndError> {
        within(WRITE_TIMEOUT, self.0.flush()).await
    }

    /// Says goodbye; whether the hub hears it does not matter.
    pub(crate) async fn close(mut self) {
        let _ = within(CLOSE_TIMEOUT, self.0.close()).await;
    }
}

async fn within(
    limit: Duration,
    write: impl Future<Output = Result<(), tungstenite::Error>>,
) -> Result<(), EndError> {
    timeout(limit, write).await.map_err(|_| EndError::Silent)?.map_err(end_error)
}

fn end_error(error: tungstenite::Error) -> EndError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => EndError::Closed,
        other => EndError::Socket(Box::new(other)),
    }
}
