//! The body of an upload request: a stretch of a ciphertext, read as the connection takes it.

use std::{
    fs::File,
    io::{self, Read},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::limits::READ_BYTES;

/// Bytes that a connection took, counted up while it takes them.
pub(super) type Counter = Arc<AtomicU64>;

/// A stretch of a file, or nothing. Memory: one piece of [`READ_BYTES`].
pub(super) struct Body {
    file: Option<File>,
    left: u64,
    taken: Counter,
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self { file: None, left: 0, taken: Counter::default() }
    }

    /// The next `length` bytes of a file, from where it stands.
    pub(super) fn of(file: File, length: u64, taken: Counter) -> Self {
        Self { file: Some(file), left: length, taken }
    }

    /// Bytes that were not read yet.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    fn read(&mut self) -> io::Result<Bytes> {
        let Some(file) = &mut self.file else { return Ok(Bytes::new()) };
        let wanted = usize::try_from(self.left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let mut piece = vec![0; wanted];
        // Reading a local file blocks for less than handing the bytes to another thread would cost.
        file.read_exact(&mut piece)?;
        self.left -= wanted as u64;
        self.taken.fetch_add(wanted as u64, Ordering::Relaxed);
        Ok(piece.into())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.read().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
