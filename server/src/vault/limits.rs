//! Bounds of vaults and of the way back, with unit and reason.

use std::time::Duration;

use crate::limits::Rate;

/// Users whose vaults are looked for at once when a hub starts.
pub(crate) const USERS_PER_PAGE: usize = 1_000;
/// How long a user who has enrolled has to come into the groups of his lost devices, ms: his new device does so in its
/// first minutes.
pub(crate) const HELD_AFTER_ENROLMENT_MS: u64 = 60 * 60 * 1_000;
/// Bytes of one chunk of a vault: some hundred messages, compressed; with its frame below the largest frame.
pub(crate) const CHUNK_BYTES_MAX: usize = 768 * 1024;
/// Bytes of a manifest: ten thousand chunks at about 70 bytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 800 * 1024;
/// Bytes of a header: one sealed key.
pub(crate) const HEADER_BYTES_MAX: usize = 1_024;
/// Chunks that one manifest names: two million messages.
pub(crate) const CHUNKS_MAX: usize = 10_000;
/// Files of one vault, those that wait to be deleted included.
pub(crate) const FILES_MAX: usize = 20_000;
/// Bytes of one vault: texts of a professional life; documents stay where they are.
pub(crate) const BYTES_MAX: u64 = 1 << 30;
/// How long a file stays that no manifest names: another device may be about to name it.
pub(crate) const UNNAMED: Duration = Duration::from_secs(60 * 60);
/// Attempts to come back as one user: some with typing errors that the check characters do not find, then one
/// a minute. A code has 128 random bits; this keeps attempts from costing the hub anything.
pub(crate) const RECOVERY_RATE: Rate = Rate { burst: 10, refill_ms: 60_000 };
/// How long the invitation waits that stands for a proof of recovery: it is redeemed at once.
pub(crate) const RECOVERY_INVITATION_MS: u64 = 60_000;
