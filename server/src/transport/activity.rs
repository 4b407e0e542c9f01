//! Whether anything is going on on an HTTP connection: what the watchdog of the [`super::listener`] looks at.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

/// Requests of one connection that are being answered, and how many there were.
#[derive(Debug, Default)]
pub struct Activity {
    running: AtomicUsize,
    begun: AtomicUsize,
    given_up: CancellationToken,
}

/// One request is being answered while this lives.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Activity {
    /// A request has come.
    #[must_use]
    pub fn begin(self: Arc<Self>) -> Busy {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// The peer takes nothing: the connection is to be ended.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Waits until the connection is given up. Cancel-safe.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// How many requests have come, and whether none is being answered.
    #[must_use]
    pub fn look(&self) -> (usize, bool) {
        (self.begun.load(Ordering::Relaxed), self.running.load(Ordering::Relaxed) == 0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body that counts as activity until it is sent or dropped.
#[derive(Debug)]
pub struct Tracked {
    body: Body,
    _busy: Busy,
}

impl Tracked {
    /// Ties a body to its request.
    #[must_use]
    pub fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use super::*;

    #[test]
    fn a_connection_is_busy_until_the_last_response_is_gone() {
        let activity = Arc::new(Activity::default());
        assert_eq!(activity.look(), (0, true));
        let body = Tracked::new(Body::empty(), activity.clone().begin());
        assert_eq!(activity.look(), (1, false));
        drop(body);
        assert_eq!(activity.look(), (1, true));
    }
}
