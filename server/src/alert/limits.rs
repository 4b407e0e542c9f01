//! Bounds of the alerts that members open, with their reasons; those of all alerts are in [`crate::limits`].

use cercle_proto::id::TimestampMs;

use crate::limits;

/// Alerts of one member that ring at the same time: more is no longer asking for an acknowledgement.
pub const MEMBER_ALERTS_MAX: usize = 16;
/// Alerts altogether, from which on members open none: half is kept for publishers.
pub const MEMBERS_OPEN_MAX: usize = limits::ALERTS_OPEN_MAX / 2;
/// Longest time that a member's alert rings, ms: two days.
pub const MEMBER_VALID_MAX_MS: TimestampMs = 2 * 24 * 60 * 60 * 1000;
/// Shortest time between two rounds of a member's alert, ms: a minute.
pub const MEMBER_REPEAT_MIN_MS: TimestampMs = 60 * 1000;
/// Rounds of a member's alert after the first: every two minutes, half an hour.
pub const MEMBER_REPEATS_MAX: u32 = 15;

const _: () = assert!(MEMBER_ALERTS_MAX <= MEMBERS_OPEN_MAX);
