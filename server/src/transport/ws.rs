//! The WebSocket adapter: one binary message is one frame.

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
    io::{AsyncReadExt, AsyncWriteExt},
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
pub struct WsLink {
    socket: Box<Socket>,
    allowance: Allowance,
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
            .max_write_buffer_size(limits::WS_WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let allowance = Allowance::new();
        let stream = LimitedIo::new(TokioIo::new(upgraded), allowance.clone());
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { socket: Box::new(socket), allowance }
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
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
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
        self.socket.poll_ready_unpin(cx).map_err(|error| link_error(&error))
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.socket.start_send_unpin(Message::Binary(frame)).map_err(|error| link_error(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.socket.poll_flush_unpin(cx).map_err(|error| link_error(&error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
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
