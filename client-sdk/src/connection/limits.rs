//! Every bound of the connection, with its unit and its reason.

use std::time::Duration;

/// From the name look-up to the WebSocket's first frame. Long enough for a handshake over a rural 3G link
/// (300 ms round trips, four of them, with losses), short enough that a dead address is noticed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Writing one batch of frames. A hub that takes nothing for this long is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Closing politely before the socket is dropped. The hub knows what it needs from the acknowledgements.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Silence after which a connection is dead whatever the hub has announced: the core notices sooner, from
/// the hub's own ping interval; this also covers the time before the hub has said anything.
pub const SILENCE_MAX: Duration = Duration::from_secs(240);

/// Upper bound of the first random delay. A hub that restarts in half a second finds its devices spread.
pub const BACKOFF_FIRST_MS: u64 = 250;

/// Upper bound of every later random delay: a device finds its hub again within half a minute.
pub const BACKOFF_MAX_MS: u64 = 30_000;

/// Lower bound of every delay, so that an immediate refusal does not become a busy loop.
pub const BACKOFF_FLOOR_MS: u64 = 20;

/// A connection that lasted this long was good: the next failure starts from the first delay.
pub const STABLE_AFTER_MS: u64 = 10_000;

/// Longest wait that a hub may ask for with `retry_after_ms`.
pub const RETRY_AFTER_MAX_MS: u64 = 300_000;

/// Frames from the hub that wait for the core. When full, the socket is not read and the hub sees a slow
/// reader, which costs nobody anything (docs/protocol.md section 5).
pub const INBOUND_FRAMES_MAX: usize = 64;

/// Frames from the core that wait for the socket; see `client::actor` for what happens beyond.
pub const OUTBOUND_FRAMES_MAX: usize = 256;

/// Read buffer of the WebSocket, bytes: what measured best per idle connection.
pub const READ_BUFFER_BYTES: usize = 4096;

/// Write buffer of the WebSocket, bytes: two frames of the largest size and their headers.
pub const WRITE_BUFFER_BYTES_MAX: usize = 2 * cercle_proto::frame::FRAME_BYTES_MAX + (64 << 10);

/// Certificates that are looked at in the hub's TLS chain: leaf, two intermediates, root, one to spare.
pub const TLS_CHAIN_CERTIFICATES_MAX: usize = 5;

const _: () = assert!(BACKOFF_FLOOR_MS < BACKOFF_FIRST_MS && BACKOFF_FIRST_MS < BACKOFF_MAX_MS);
const _: () = assert!(WRITE_BUFFER_BYTES_MAX > cercle_proto::frame::FRAME_BYTES_MAX);
