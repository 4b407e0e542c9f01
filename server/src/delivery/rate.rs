//! Rate limits per key, with a bounded memory and the time as an argument.
//!
//! The generic cell rate algorithm: for each key the time at which it would be idle again. A key that was
//! forgotten starts afresh, so the memory bound can only make a limit milder.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use cercle_proto::id::TimestampMs;
use lru::LruCache;

use crate::limits::{RATE_KEYS_MAX, Rate};

/// Counts uses per key.
pub(crate) struct RateLimit<K: Hash + Eq> {
    rate: Rate,
    idle_at: Mutex<LruCache<K, TimestampMs>>,
}

impl<K: Hash + Eq> fmt::Debug for RateLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq> RateLimit<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        let keys = NonZeroUsize::new(RATE_KEYS_MAX).expect("the limit is not zero");
        Self { rate, idle_at: Mutex::new(LruCache::new(keys)) }
    }

    /// Counts one use, or says how many milliseconds to wait; a refused use is not counted.
    pub(crate) fn check(&self, key: K, now: TimestampMs) -> Result<(), u32> {
        let mut idle_at = self.idle_at.lock().unwrap_or_else(PoisonError::into_inner);
        let tolerance = u64::from(self.rate.burst.saturating_sub(1)) * self.rate.refill_ms;
        let idle = idle_at.get(&key).copied().unwrap_or(0).max(now);
        if idle > now + tolerance {
            return Err(u32::try_from(idle - now - tolerance).unwrap_or(u32::MAX));
        }
        idle_at.put(key, idle + self.rate.refill_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let limit = RateLimit::new(Rate { burst: 3, refill_ms: 100 });
        for _ in 0..3 {
            assert_eq!(limit.check("a", 1_000), Ok(()));
        }
        assert_eq!(limit.check("a", 1_000), Err(100));
        assert_eq!(limit.check("a", 1_099), Err(1));
        assert_eq!(limit.check("a", 1_100), Ok(()));
        assert_eq!(limit.check("a", 1_100), Err(100));
        assert_eq!(limit.check("b", 1_100), Ok(()), "another key has its own burst");
    }

    #[test]
    fn the_memory_is_bounded() {
        let limit = RateLimit::new(Rate { burst: 1, refill_ms: 1_000_000 });
        for key in 0..2 * RATE_KEYS_MAX {
            assert_eq!(limit.check(key, 1), Ok(()));
        }
        assert_eq!(limit.idle_at.lock().unwrap().len(), RATE_KEYS_MAX);
        assert!(limit.check(2 * RATE_KEYS_MAX - 1, 1).is_err(), "the newest is remembered");
    }
}
