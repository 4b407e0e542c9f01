//! One WebSocket over one TLS connection, as every scenario and the reference hub use it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context as Wake, Poll},
};

use anyhow::Context;
use bytes::Bytes;
use cercle_proto::frame::{FRAME_BYTES_MAX, SUBPROTOCOL, WEBSOCKET_PATH};
use cercle_sdk::connection::trust::{TlsTrust, client_config};
use futures_util::{Sink, Stream};
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use crate::{limits::RAW_READ_BUFFER_BYTES, traffic::Counted};

/// Where a hub is and what its certificate must lead to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Address {
    place: Arc<str>,
    tls: TlsConnector,
}

/// An open connection. What is put is written while [`Self::next`] waits, so that neither side can wait for
/// the other to read.
pub(crate) struct Socket {
    stream: WebSocketStream<TlsStream<Counted>>,
    waiting: VecDeque<Bytes>,
    unflushed: bool,
}

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

    /// The same trust at another place: a hub that was restarted.
    pub(crate) fn moved(&self, place: &str) -> Self {
        Self { place: place.into(), tls: self.tls.clone() }
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
        let tls = Box::pin(self.tls.connect(name, Counted(tcp))).await.context("TLS")?;
        let mut request = format!("wss://{}{WEBSOCKET_PATH}", self.place).into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(RAW_READ_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (stream, _) = Box::pin(client_async_with_config(request, tls, Some(config))).await?;
        Ok(Socket { stream, waiting: VecDeque::new(), unflushed: false })
    }
}

impl Socket {
    /// Puts a binary message in the queue; it leaves while somebody waits for the next one.
    pub(crate) fn put(&mut self, bytes: Bytes) {
        self.waiting.push_back(bytes);
    }

    /// The next binary message; `None` when the hub has closed. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|wake| self.poll(wake)).await
    }

    fn poll(&mut self, wake: &mut Wake<'_>) -> Poll<Option<Bytes>> {
        if self.poll_write(wake).is_err() {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut self.stream).poll_next(wake) {
                Poll::Ready(Some(Ok(Message::Binary(bytes)))) => return Poll::Ready(Some(bytes)),
                Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes what the connection takes; several messages leave in one write.
    fn poll_write(&mut self, wake: &mut Wake<'_>) -> Result<(), tungstenite::Error> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.waiting.is_empty() {
            match stream.as_mut().poll_ready(wake) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            let Some(bytes) = self.waiting.pop_front() else { break };
            stream.as_mut().start_send(Message::Binary(bytes))?;
            self.unflushed = true;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = stream.poll_flush(wake)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }
}
