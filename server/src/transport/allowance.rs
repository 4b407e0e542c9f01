//! How many bytes a peer may send before it is authenticated.
//!
//! Frames may hold a megabyte, and both transports collect a frame before they show it; so thousands of peers
//! that nobody knows could fill the memory with one frame each. Below the WebSocket and below the gRPC stream
//! the bytes are therefore counted until the session is open.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::Status;

use crate::limits;

/// Bytes left to a peer. Clones share the count.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<AtomicUsize>);

/// Left: no limit any more.
const LIFTED: usize = usize::MAX;

impl Allowance {
    /// The whole allowance of a peer that nobody knows yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(limits::UNAUTHENTICATED_BYTES_MAX)))
    }

    /// The peer is known: no limit any more.
    pub fn lift(&self) {
        self.0.store(LIFTED, Ordering::Relaxed);
    }

    /// Whether the peer has sent too much.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Counts bytes; false when they are too many.
    fn spend(&self, bytes: usize) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        if left == LIFTED {
            return true;
        }
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        bytes < left
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

/// A byte stream that ends with an error when the allowance is spent.
#[derive(Debug)]
pub struct LimitedIo<T> {
    io: T,
    allowance: Allowance,
}

impl<T> LimitedIo<T> {
    /// Counts what is read from `io`.
    pub fn new(io: T, allowance: Allowance) -> Self {
        Self { io, allowance }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for LimitedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, into))?;
        let read = into.filled().len() - before;
        let within = self.allowance.spend(read);
        Poll::Ready(if within { Ok(()) } else { Err(io::ErrorKind::QuotaExceeded.into()) })
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for LimitedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A request body that ends with an error when the allowance is spent.
#[derive(Debug)]
pub struct LimitedBody {
    body: Incoming,
    allowance: Allowance,
}

impl LimitedBody {
    /// Counts what comes in `body`.
    #[must_use]
    pub fn new(body: Incoming, allowance: Allowance) -> Self {
        Self { body, allowance }
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(Status::aborted("the stream was reset")))),
            Some(Ok(frame)) => frame,
        };
        let within = frame.data_ref().is_none_or(|data| self.allowance.spend(data.len()));
        let too_much = || Status::resource_exhausted("too many bytes before authentication");
        Poll::Ready(Some(if within { Ok(frame) } else { Err(too_much()) }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_stranger_may_send_little_and_a_known_peer_as_much_as_it_likes() {
        let endless = || tokio::io::repeat(1);
        let mut scratch = vec![0; limits::UNAUTHENTICATED_BYTES_MAX];
        let allowance = Allowance::new();
        let mut stranger = LimitedIo::new(endless(), allowance.clone());
        assert!(stranger.read_exact(&mut scratch).await.is_err());
        assert!(allowance.is_spent());

        let allowance = Allowance::new();
        let mut known = LimitedIo::new(endless(), allowance.clone());
        known.read_exact(&mut scratch[1..]).await.unwrap();
        allowance.lift();
        known.read_exact(&mut scratch).await.unwrap();
    }
}
