//! Every bound of the hub, with its unit and its reason.

// --- transport, sessions, operation -------------------------------------------------------------------

/// Entries that a live group keeps in memory. A reader further behind reads the log, so this only needs to
/// cover how far sessions lag in normal load: a burst of one group within a few write times.
pub const RING_ENTRIES_MAX: usize = 256;
/// Bytes that a live group keeps in memory, for groups with large messages.
pub const RING_BYTES_MAX: usize = 256 * 1024;
/// Hints (membership events, ephemeral messages) that wait for one session; older ones are dropped, because
/// they are only hints.
pub const RELAYED_MAX: usize = 64;
