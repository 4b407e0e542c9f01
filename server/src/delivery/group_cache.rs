//! Public groups in memory, the locks that order the writes of a group, and the threads that verify.
//!
//! A cached group is used only if the blob it was made from is the one that the store returned, so a cache
//! can never be wrong, only empty. Whoever fails leaves an unmodified group behind, or none.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cercle_proto::id::GroupId;
use lru::LruCache;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{MutexGuard, Semaphore},
};

use super::{Error, group_state::GroupState};
use crate::limits;

/// See the head of this file.
pub(super) struct GroupCache {
    loaded: Arc<Mutex<LruCache<GroupId, Cached>>>,
    locks: Vec<tokio::sync::Mutex<()>>,
    verifications: Arc<Semaphore>,
}

struct Cached {
    blob: Bytes,
    state: GroupState,
}

impl fmt::Debug for GroupCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCache").finish_non_exhaustive()
    }
}

impl GroupCache {
    pub(super) fn new() -> Self {
        let groups = NonZeroUsize::new(limits::GROUP_CACHE_MAX).expect("the limit is not zero");
        Self {
            loaded: Arc::new(Mutex::new(LruCache::new(groups))),
            locks: (0..limits::GROUP_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
            verifications: Arc::new(Semaphore::new(limits::VERIFICATIONS_MAX)),
        }
    }

    /// Waits until nobody else changes the group.
    pub(super) async fn lock(&self, group: GroupId) -> MutexGuard<'_, ()> {
        // Group ids are random: any two of their bytes spread evenly.
        let [.., high, low] = *group.as_bytes();
        self.locks[usize::from(u16::from_be_bytes([high, low])) % self.locks.len()].lock().await
    }

    /// Runs work on a group off the async threads; `blob` is its state in the store. On success the group
    /// comes back for [`GroupCache::keep`]; on failure it stays cached if the work has not modified it.
    ///
    /// # Errors
    /// That of the work, or [`Error::Internal`] when the blob is damaged or the work panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        group: GroupId,
        blob: Bytes,
        work: impl FnOnce(&mut GroupState) -> Result<T, Error> + Send + 'static,
    ) -> Result<(GroupState, T), Error> {
        let loaded = Arc::clone(&self.loaded);
        self.compute(move || {
            let mut state = take(&loaded, group, &blob)?;
            match work(&mut state) {
                Ok(result) => Ok((state, result)),
                Err(error) => {
                    if !state.is_modified() {
                        put(&loaded, group, Cached { blob, state });
                    }
                    Err(error)
                }
            }
        })
        .await
    }

    /// Runs pure computation off the async threads, only so many at a time.
    ///
    /// # Errors
    /// That of the work, or [`Error::Internal`] when it panicked.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            // Nobody is kept waiting who would not be anyway, and a simulation has one order, without threads.
            return work();
        }
        let closed = |_| Error::Internal("the verification threads are gone");
        let permit = Arc::clone(&self.verifications).acquire_owned().await.map_err(closed)?;
        let verification = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        verification.await.map_err(|_| Error::Internal("a verification failed"))?
    }

    /// How many groups are in memory.
    pub(super) fn len(&self) -> usize {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Caches a group under the blob that the store has accepted for it.
    pub(super) fn keep(&self, group: GroupId, blob: Bytes, mut state: GroupState) {
        state.mark_stored();
        put(&self.loaded, group, Cached { blob, state });
    }
}

fn take(
    loaded: &Mutex<LruCache<GroupId, Cached>>,
    group: GroupId,
    blob: &Bytes,
) -> Result<GroupState, Error> {
    let cached = loaded.lock().unwrap_or_else(PoisonError::into_inner).pop(&group);
    if let Some(cached) = cached.filter(|cached| cached.blob == blob) {
        return Ok(cached.state);
    }
    GroupState::decode(blob, group.as_bytes()).map_err(|error| {
        tracing::error!(group.id = ?group, %error, "the state of a group cannot be read");
        Error::Internal("the state of the group is damaged")
    })
}

fn put(loaded: &Mutex<LruCache<GroupId, Cached>>, group: GroupId, cached: Cached) {
    loaded.lock().unwrap_or_else(PoisonError::into_inner).put(group, cached);
}
