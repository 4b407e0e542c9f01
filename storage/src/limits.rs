//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Operations that may wait for the writer. More callers than that wait at the door (back-pressure), none
/// is dropped. Eight full batches: enough to keep the writer busy, little enough that the wait stays short.
pub const QUEUE_OPERATIONS_MAX: usize = 1_024;

/// Operations in one physical commit, unless the engine says otherwise. A B-tree row costs tens of microseconds, so 128 keep a commit, and
/// with it the delay of whoever comes next, near the cost of its two disk syncs.
pub const BATCH_OPERATIONS_MAX: usize = 128;

/// Operations in one record of the journal. A row costs about a microsecond there, so everything that waits
/// shares a sync, however long that takes.
pub const JOURNAL_BATCH_OPERATIONS_MAX: usize = QUEUE_OPERATIONS_MAX;

/// Bytes of bodies in one physical commit, for the same reason; the first operation always fits.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// How long the writer keeps a batch open that is smaller than the one before, at most; and never longer
/// than the commit before took. Callers that were answered by it are about to ask again; without this pause
/// they would just miss the batch, and every second commit would be almost empty. Who is alone never waits.
pub const BATCH_GATHER_MAX: Duration = Duration::from_micros(500);

/// Groups of a device that are listed where it is asked for; more are read on another thread.
pub const GROUPS_BRIEF_MAX: usize = 32;

/// Reads that run at the same time on threads of their own. Reads are short (no caller holds a snapshot), and a cold disk gains
/// from a few in parallel; more would only take memory and the writer's share of the processor.
pub const READS_AT_ONCE_MAX: usize = 8;

/// Groups that one call of `expire` looks at, besides its budget of rows: bounds a call that finds nothing.
pub const EXPIRE_GROUPS_PER_CALL_MAX: usize = 4_096;

/// Rows that one operation of the writer deletes on behalf of `expire`: a larger budget is spent in
/// slices, so that appends get their turn in between.
pub const EXPIRE_ROWS_PER_WRITE_MAX: usize = 1_000;

/// Cursors that one operation of the writer records, so that appends get their turn in between.
pub const CURSORS_PER_WRITE_MAX: usize = 1_000;

/// Rows of one commit while a copy is imported: nobody waits, so commits are large and few.
pub const IMPORT_ROWS_PER_WRITE_MAX: usize = 4_096;

/// Bytes of one commit while a copy is imported: bounds the memory that it takes.
pub const IMPORT_BYTES_PER_WRITE_MAX: usize = 8 << 20;

/// Memory for cached pages of an engine, in bytes. Holds the upper levels of every tree and the newest
/// entries of active groups; the operating system caches the file besides.
pub const ENGINE_CACHE_BYTES: usize = 64 << 20;

/// Bytes of a redb file that is verified whole, against its checksums, when it is opened; for a moment they are
/// all in memory. Of the default engine it is the index only: some million entries that are kept.
pub const VERIFY_BYTES_MAX: u64 = 64 << 20;

/// Seconds of one bucket of the expiry index: coarse enough that a busy commit writes one row to it.
pub const EXPIRY_BUCKET_MS: u64 = 1_000;

/// Bytes that a record of the journal begins at a multiple of: what disks and the page cache write as one, so
/// that writing a record cannot damage the one before it.
pub const JOURNAL_BLOCK_BYTES: usize = 4_096;

/// Bytes of the first journal file of a store; each further one is twice as large as the one before. A file
/// is filled when it is made, and most stores of a test or a trial never need more.
pub const JOURNAL_FILE_BYTES_MIN: usize = 256 << 10;

/// Bytes of a journal file in the end: few changes of file, and little to read when opening.
pub const JOURNAL_FILE_BYTES_MAX: usize = 16 << 20;

/// Journal files that are kept to be used again, because making one costs the writer tens of milliseconds:
/// as many as a checkpoint sets free.
pub const JOURNAL_FILES_SPARE_MAX: usize = 2;

/// Memory of rows that are in the journal alone, in bytes, which starts a checkpoint. Bounds what opening
/// has to read, and memory: three times as much at the very most, while writers are held back. Large, because
/// entries of one group lie together as far as one checkpoint reaches.
pub const CHECKPOINT_BYTES: usize = 32 << 20;

/// Keys of earlier processes that are kept to read what they sealed, of 0.5 KB each; made again when needed.
pub const SEALER_KEYS_MAX: usize = 256;

/// Records of the audit log that one write removes, and empties, at most: writers wait for it.
pub const AUDIT_PRUNED_PER_WRITE_MAX: usize = 1_000;

/// Memory that a row takes besides its key and value, about: its place in the tree.
pub const OVERLAY_ROW_BYTES: usize = 160;

/// Bytes of a file of bodies. A file goes as a whole, or is copied together when half of it is dead; so no
/// checkpoint copies more than half of this.
pub const BODY_FILE_BYTES_MAX: u64 = 64 << 20;

/// Files of bodies that are kept open, out of the process's file descriptors: 4 GB of newest messages.
pub const BODY_FILES_OPEN_MAX: usize = 64;

/// Bytes of bodies that are read at once: bounds the memory of a scan.
pub const BODY_READ_BYTES_MAX: u64 = 1 << 20;

/// Rows of the first page of a scan: most scans want few.
pub const SCAN_ROWS_FIRST: usize = 16;

/// Rows of a page of a long scan.
pub const SCAN_ROWS_MAX: usize = 512;

/// How often sled's own lock is asked for, which a closed sled lets go in the background.
#[cfg(feature = "sled")]
pub const SLED_LOCK_ATTEMPTS_MAX: usize = 200;

/// Pause between two such attempts; together at most 2 s.
#[cfg(feature = "sled")]
pub const SLED_LOCK_WAIT: Duration = Duration::from_millis(10);

const _: () = assert!(BATCH_OPERATIONS_MAX <= QUEUE_OPERATIONS_MAX, "a full batch must fit into the queue");
const _: () = assert!(EXPIRE_ROWS_PER_WRITE_MAX > 0 && READS_AT_ONCE_MAX > 0 && EXPIRY_BUCKET_MS > 0);
