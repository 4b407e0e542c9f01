//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Operations that may wait for the writer. More callers than that wait at the door (back-pressure), none
/// is dropped. Eight full batches: enough to keep the writer busy, little enough that the wait stays short.
pub const QUEUE_OPERATIONS_MAX: usize = 1_024;

/// Operations in one physical commit. A B-tree row costs tens of microseconds, so 128 keep a commit, and
/// with it the delay of whoever comes next, near the cost of its two disk syncs.
pub const BATCH_OPERATIONS_MAX: usize = 128;

/// Bytes of bodies in one physical commit, for the same reason; the first operation always fits.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// How long the writer keeps a batch open that is smaller than the one before. Callers that were answered
/// by the commit before are about to ask again; without this pause they would just miss the batch, and
/// every second commit would be almost empty. Little against the two disk syncs of a commit.
pub const BATCH_GATHER_MAX: Duration = Duration::from_micros(500);

/// Reads that run at the same time. Reads are short (no caller holds a snapshot), and a cold disk gains
/// from a few in parallel; more would only take memory and the writer's share of the processor.
pub const READS_AT_ONCE_MAX: usize = 8;

/// Groups that one call of `expire` looks at, besides its budget of rows: bounds a call that finds nothing.
pub const EXPIRE_GROUPS_PER_CALL_MAX: usize = 4_096;

/// Rows that one operation of the writer deletes on behalf of `expire`: a larger budget is spent in
/// slices, so that appends get their turn in between.
pub const EXPIRE_ROWS_PER_WRITE_MAX: usize = 1_000;

/// Memory for cached pages of an engine, in bytes. Holds the upper levels of every tree and the newest
/// entries of active groups; the operating system caches the file besides.
pub const ENGINE_CACHE_BYTES: usize = 64 << 20;

/// Seconds of one bucket of the expiry index: coarse enough that a busy commit writes one row to it.
pub const EXPIRY_BUCKET_MS: u64 = 1_000;

/// How often sled's own lock is asked for, which a closed sled lets go in the background.
#[cfg(feature = "sled")]
pub const SLED_LOCK_ATTEMPTS_MAX: usize = 200;

/// Pause between two such attempts; together at most 2 s.
#[cfg(feature = "sled")]
pub const SLED_LOCK_WAIT: Duration = Duration::from_millis(10);

const _: () = assert!(BATCH_OPERATIONS_MAX <= QUEUE_OPERATIONS_MAX, "a full batch must fit into the queue");
const _: () = assert!(EXPIRE_ROWS_PER_WRITE_MAX > 0 && READS_AT_ONCE_MAX > 0 && EXPIRY_BUCKET_MS > 0);
