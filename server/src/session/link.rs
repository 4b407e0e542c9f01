//! What a session needs of its transport: whole frames in, whole frames out. The WebSocket and the gRPC
//! adapter implement it; so do tests.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures_util::{Sink, Stream};

/// One connection that carries frames.
pub trait Link:
    Stream<Item = Result<Inbound, LinkError>> + Sink<Bytes, Error = LinkError> + Send + Unpin + 'static
{
    /// Name of the transport, for metrics.
    const NAME: &'static str;

    /// The peer is authenticated: it may send frames of full size.
    fn trust(&mut self);

    /// Says goodbye after the last frame and waits, no longer than `limit`, until the peer has closed too, so
    /// that the last frame is not lost with a reset connection.
    fn finish(self, limit: Duration) -> impl Future<Output = ()> + Send;
}

/// What a transport received.
#[derive(Debug)]
pub enum Inbound {
    /// A frame.
    Frame(Bytes),
    /// Something of the transport itself that shows the peer is alive.
    Alive,
}

/// Why a transport cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer is gone.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer sent more than a frame may hold.
    #[error("a frame was too large")]
    TooLarge,
    /// The peer sent something that is not a binary frame.
    #[error("a message was not a binary frame")]
    NotBinary,
}
