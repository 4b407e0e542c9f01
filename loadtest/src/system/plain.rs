//! A TCP connection without TLS, as the peers are talked to.

use std::{
    future::poll_fn,
    io,
    task::{Context as Wake, Poll},
};

use anyhow::Context;
use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;

use crate::{limits::PLAIN_READ_BYTES, traffic};

/// An open connection. What is put into `out` is written while [`Self::fill`] waits.
#[derive(Debug)]
pub(crate) struct Plain {
    stream: TcpStream,
    /// Bytes to write.
    pub(crate) out: BytesMut,
    /// Bytes that were read and not consumed.
    pub(crate) read: BytesMut,
}

impl Plain {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn dial(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: BytesMut::new(), read: BytesMut::new() })
    }

    /// This side's port.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) fn local_port(&self) -> anyhow::Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Waits until there is more to read; false when the other side has closed. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        poll_fn(|wake| self.poll(wake)).await
    }

    fn poll(&mut self, wake: &mut Wake<'_>) -> Poll<io::Result<bool>> {
        while !self.out.is_empty() {
            let Poll::Ready(ready) = self.stream.poll_write_ready(wake) else { break };
            ready?;
            match self.stream.try_write(&self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        loop {
            let Poll::Ready(ready) = self.stream.poll_read_ready(wake) else { return Poll::Pending };
            ready?;
            self.read.reserve(PLAIN_READ_BYTES);
            match self.stream.try_read_buf(&mut self.read) {
                Ok(count) => {
                    traffic::count(count);
                    return Poll::Ready(Ok(count > 0));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// A port that is free at this moment. Who wants it may find it taken and must ask again.
///
/// # Errors
/// When the system has none.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
