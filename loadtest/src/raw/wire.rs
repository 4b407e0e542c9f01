//! One WebSocket over one TLS connection, as every scenario and the reference hub use it.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use cercle_proto::frame::{FRAME_BYTES_MAX, SUBPROTOCOL, WEBSOCKET_PATH};
use cercle_sdk::connection::trust::{TlsTrust, client_config};
use futures_util::{SinkExt, StreamExt};
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use crate::limits::RAW_READ_BUFFER_BYTES;

/// Where a hub is and what its certificate must lead to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Address {
    place: Arc<str>,
    tls: TlsConnector,
}

/// An open connection.
pub(crate) struct Socket(WebSocketStream<TlsStream<TcpStream>>);

impl Address {
    /// `host:port` and the fingerprint of the root.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(place: &str, root_fingerprint: [u8; 32]) -> anyhow::Result<Self> {
        let mut config = client_config(TlsTrust::Root(root_fingerprint))?;
        // Every connection pays for a whole handshake, as those of different devices do.
        config.resumption = Resumption::disabled();
        Ok(Self { place: place.into(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects.
    ///
    /// # Errors
    /// When the hub cannot be reached or refuses.
    pub(crate) async fn dial(&self) -> anyhow::Result<Socket> {
        let (host, _) = self.place.rsplit_once(':').context("the address is host:port")?;
        let name = ServerName::try_from(host.to_owned())?;
        let tcp = TcpStream::connect(&*self.place).await.context("connecting")?;
        tcp.set_nodelay(true)?;
        let tls = Box::pin(self.tls.connect(name, tcp)).await.context("TLS")?;
        let mut request = format!("wss://{}{WEBSOCKET_PATH}", self.place).into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(RAW_READ_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (socket, _) = Box::pin(client_async_with_config(request, tls, Some(config))).await?;
        Ok(Socket(socket))
    }
}

impl Socket {
    /// The next binary message; `None` when the hub has closed.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(bytes),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        Ok(self.0.send(Message::Binary(bytes)).await?)
    }
}
