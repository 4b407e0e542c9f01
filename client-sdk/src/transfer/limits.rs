//! Every bound of transfers, with its unit and its reason.

use std::time::Duration;

/// Transfers that run at once: enough to fill a line, few enough that each gets on.
pub const TRANSFERS_AT_ONCE_MAX: usize = 4;

/// Transfers of this process, running and waiting. Beyond, a transfer is refused as busy.
pub const TRANSFERS_MAX: usize = 512;

/// Orders that wait for the transfer thread. When full, callers wait.
pub(crate) const ORDERS_MAX: usize = 64;

/// Bytes of ciphertext in one request. Small enough for proxies that keep a request in memory, large enough
/// that the answers cost nothing.
pub(crate) const PATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes read from the ciphertext at a time.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A transfer that moved nothing for this long is cut and taken up again.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// How often progress is looked at and told.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(150);

/// Times that the progress of a download is told at most.
pub(crate) const PROGRESS_STEPS: u64 = 64;

/// Documents that are prepared at once: each may hold a picture in memory, decoded.
pub(crate) const PREPARING_AT_ONCE_MAX: usize = 2;

/// Wait before the outbox or the store is tried again, when it was full or failed.
pub(crate) const OUTBOX_RETRY: Duration = Duration::from_secs(1);

/// Tries in a row of a download that move nothing, while the session with the hub stands, before it is
/// given up. Uploads are never given up.
pub(crate) const FRUITLESS_TRIES_MAX: u32 = 7;

/// A ticket is not used in its last seconds, milliseconds: clocks and lines are not exact.
pub(crate) const TICKET_MARGIN_MS: u64 = 30_000;

/// Largest picture that is cleaned, bytes: it is held in memory. A raw photo of a large camera is more.
pub const PICTURE_BYTES_MAX: u64 = 40 * 1000 * 1000;

/// Largest side of a picture that gets a thumbnail, pixels.
pub const PICTURE_SIDE_MAX: u32 = 16_384;

/// Memory that decoding a picture may take, bytes: 50 million pixels. Above, there is no thumbnail, so that
/// a small file that claims to be huge takes nothing.
pub const PICTURE_MEMORY_MAX: u64 = 160 * 1024 * 1024;

/// Longest side of a thumbnail, pixels: a line of a list, sharp on a telephone.
pub const THUMBNAIL_SIDE: u32 = 256;

/// Longest file name that is proposed, bytes of UTF-8: what every file system takes, with room for a suffix.
pub const FILE_NAME_BYTES_MAX: usize = 200;

/// Bytes at the start of a file from which its type is told.
pub(crate) const HEAD_BYTES: usize = 4096;

/// Chunks between a picture's data that are looked at; real pictures have a few dozen, animations more.
pub(crate) const PICTURE_CHUNKS_MAX: usize = 100_000;

const _: () = assert!(FILE_NAME_BYTES_MAX <= crate::limits::NAME_BYTES_MAX);
/// Delay before a part of a history whose transfer was interrupted is carried again.
pub const HISTORY_RETRY: Duration = Duration::from_secs(30);
