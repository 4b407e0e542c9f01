//! The WebSocket adapter: one binary message is one frame.
//!
//! tungstenite reads, and writes what belongs to the protocol (pongs, the closing handshake). Frames of ours are
//! written here, because they are all alike: a few bytes of header and the payload. So everything that waits
//! goes to TLS in one piece, and the buffer is given back when it is sent; tungstenite keeps the largest that it
//! ever needed.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::frame::{FRAME_BYTES_MAX, SUBPROTOCOL};
use futures_util::{Sink, SinkExt, Stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::allowance::{Allowance, LimitedIo};
use crate::{
    limits,
    session::link::{Inbound, Link, LinkError},
};

type Socket = WebSocketStream<LimitedIo<TokioIo<Upgraded>>>;

/// A WebSocket that carries frames.
///
/// Reading and writing take turns: whoever has begun to write frames polls [`Sink::poll_flush`] until it is done
/// before it reads again, so that a pong never lands in the middle of a frame.
pub struct WsLink {
    socket: Box<Socket>,
    allowance: Allowance,
    outgoing: Outgoing,
    /// tungstenite may have something to write.
    owes_answer: bool,
}

/// Frames that wait to be written.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl std::fmt::Debug for WsLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WsLink").finish_non_exhaustive()
    }
}

impl WsLink {
    /// Takes over an upgraded connection.
    pub async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::WS_READ_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let allowance = Allowance::new();
        let stream = LimitedIo::new(TokioIo::new(upgraded), allowance.clone());
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { socket: Box::new(socket), allowance, outgoing: Outgoing::default(), owes_answer: false }
    }

    /// Hands everything that waits to TLS.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.owes_answer {
            ready!(self.socket.poll_flush_unpin(cx)).map_err(|error| link_error(&error))?;
            self.owes_answer = false;
        }
        let Outgoing { bytes, written } = &mut self.outgoing;
        while *written < bytes.len() {
            match ready!(Pin::new(self.socket.get_mut()).poll_write(cx, &bytes[*written..])) {
                Ok(0) | Err(_) => return Poll::Ready(Err(LinkError::Closed)),
                Ok(count) => *written += count,
            }
        }
        bytes.clear();
        *written = 0;
        Poll::Ready(Ok(()))
    }
}

impl Outgoing {
    /// Adds a frame as one unmasked, unfragmented binary message (RFC 6455 section 5.2).
    fn put(&mut self, frame: &[u8]) {
        const FIN_BINARY: u8 = 0x82;
        let bytes = &mut self.bytes;
        bytes.reserve(frame.len() + 10);
        bytes.push(FIN_BINARY);
        match (u8::try_from(frame.len()), u16::try_from(frame.len())) {
            (Ok(length @ 0..=125), _) => bytes.push(length),
            (_, Ok(length)) => {
                bytes.push(126);
                bytes.extend(length.to_be_bytes());
            }
            (_, Err(_)) => {
                bytes.push(127);
                bytes.extend((frame.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(frame);
    }
}

/// Checks the headers of an upgrade to our subprotocol (RFC 6455 section 4.2.1) and makes the answer.
///
/// # Errors
/// The status to refuse with, and why.
pub fn accept(headers: &HeaderMap) -> Result<Response<()>, (StatusCode, &'static str)> {
    let lists = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name);
        let mut items = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        items.any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    let upgrade = lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket");
    if !upgrade || !lists(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this is a WebSocket, version 13, over HTTP/1.1"));
    }
    if !lists(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err((StatusCode::BAD_REQUEST, "the subprotocol must be cercle.hub.v1"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing"))?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .expect("base64 is made of visible characters");
    response.headers_mut().extend([
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ]);
    Ok(response)
}

impl Link for WsLink {
    const NAME: &'static str = "websocket";

    fn trust(&mut self) {
        self.allowance.lift();
    }

    async fn finish(mut self, limit: Duration) {
        // What is read from here on is thrown away, and bounded below.
        self.allowance.lift();
        let goodbye = async {
            let _ = SinkExt::close(&mut *self.socket).await;
            let raw = self.socket.get_mut();
            // Without close_notify the peer cannot tell the end from an attack; and a socket closed with
            // unread input is reset, which may destroy our last frame on its way.
            let _ = raw.shutdown().await;
            let mut scratch = [0; 1024];
            for _ in 0..limits::GOODBYE_BYTES_MAX / scratch.len() {
                match raw.read(&mut scratch).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        };
        let _ = timeout(limit, goodbye).await;
    }
}

impl Stream for WsLink {
    type Item = Result<Inbound, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.socket).poll_next(cx));
        self.owes_answer |= matches!(next, Some(Ok(Message::Ping(_) | Message::Close(_))));
        Poll::Ready(match next {
            None => None,
            Some(Ok(Message::Binary(frame))) => Some(Ok(Inbound::Frame(frame))),
            Some(Ok(Message::Text(_))) => Some(Err(LinkError::NotBinary)),
            Some(Ok(Message::Close(_))) => Some(Err(LinkError::Closed)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Some(Ok(Inbound::Alive)),
            Some(Err(_)) if self.allowance.is_spent() => Some(Err(LinkError::TooLarge)),
            Some(Err(error)) => Some(Err(link_error(&error))),
        })
    }
}

impl Sink<Bytes> for WsLink {
    type Error = LinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.outgoing.bytes.len() < limits::WS_WRITE_BUFFER_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_out(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.outgoing.put(&frame);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        ready!(self.poll_write_out(cx))?;
        ready!(Pin::new(self.socket.get_mut()).poll_flush(cx)).map_err(|_| LinkError::Closed)?;
        if self.outgoing.bytes.capacity() > limits::WS_WRITE_BUFFER_KEPT_BYTES {
            self.outgoing.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        ready!(self.poll_write_out(cx))?;
        self.socket.poll_close_unpin(cx).map_err(|error| link_error(&error))
    }
}

fn link_error(error: &Error) -> LinkError {
    match error {
        Error::Capacity(_) => LinkError::TooLarge,
        Error::Utf8(_) => LinkError::NotBinary,
        _ => LinkError::Closed,
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        FrameSocket,
        coding::{Data, OpCode},
    };

    use super::*;

    fn headers(replace: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers: HeaderMap = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "other, cercle.hub.v1"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
        for (name, value) in replace {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn frames_have_the_header_that_their_length_asks_for() {
        let mut outgoing = Outgoing::default();
        let lengths = [0, 125, 126, 65_535, 65_536];
        for length in lengths {
            outgoing.put(&vec![7; length]);
        }
        // Read by the library that clients use.
        let mut reader = FrameSocket::new(std::io::Cursor::new(outgoing.bytes));
        for length in lengths {
            let frame = reader.read(None).unwrap().unwrap();
            assert!(frame.header().is_final && frame.header().mask.is_none());
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Binary));
            assert_eq!(frame.payload(), vec![7; length]);
        }
        assert!(reader.read(None).unwrap().is_none());
    }

    #[test]
    fn an_upgrade_to_our_subprotocol_is_accepted() {
        let response = accept(&headers(&[])).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        // The example of RFC 6455 section 1.3.
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong() {
        let refused = |name, value| accept(&headers(&[(name, value)])).unwrap_err().0;
        assert_eq!(refused("upgrade", "h2c"), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refused("sec-websocket-version", "8"), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refused("sec-websocket-protocol", "mqtt"), StatusCode::BAD_REQUEST);
    }
}
