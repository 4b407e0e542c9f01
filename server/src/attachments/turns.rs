//! One writer per blob: two uploads of a blob at once, or an upload and its deletion, take turns.
//!
//! Who comes later goes first: a device whose connection died without a word comes back while the hub still
//! waits for the dead one. So the request before is told to stop, keeps what it has, and makes way.

use std::sync::{Arc, Mutex, PoisonError};

use cercle_proto::id::BlobId;
use dashmap::DashMap;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// The turns of all blobs that are being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<DashMap<BlobId, Arc<Place>>>);

#[derive(Debug, Default)]
struct Place {
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Tells the newest to make way.
    newest: Mutex<CancellationToken>,
}

/// The right to change a blob's bytes; given back on drop.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    blob: BlobId,
    /// Cancelled when somebody else wants to write.
    pub(super) superseded: CancellationToken,
    writing: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Tells whoever writes the blob to stop, and waits until he has. Cancel-safe.
    pub(super) async fn take(&self, blob: BlobId) -> Turn {
        let superseded = CancellationToken::new();
        let writing = {
            let place = self.0.entry(blob).or_default();
            let mut newest = place.newest.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *newest, superseded.clone()).cancel();
            place.writing.clone()
        };
        // Made before the wait, so that a caller who gives up leaves no trace.
        let mut turn = Turn { turns: self.clone(), blob, superseded, writing: None };
        turn.writing = Some(writing.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.writing.take());
        // A guard, a waiter and the place each hold the lock: the last one takes the place away.
        self.turns.0.remove_if(&self.blob, |_, place| Arc::strong_count(&place.writing) == 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_comes_later_is_told_first_and_writes_alone() {
        let turns = Turns::default();
        let blob = BlobId::new([1; 16]);
        let first = turns.take(blob).await;
        let mut second = Box::pin(turns.take(blob));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.superseded.is_cancelled());
        drop(first);
        let second = second.await;
        assert!(!second.superseded.is_cancelled());
        drop(second);
        assert!(turns.0.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_no_trace() {
        let turns = Turns::default();
        let blob = BlobId::new([1; 16]);
        let first = turns.take(blob).await;
        assert!(turns.take(blob).now_or_never().is_none());
        drop(first);
        assert!(turns.0.is_empty());
    }
}
