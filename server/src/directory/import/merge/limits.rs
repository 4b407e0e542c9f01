//! Bounds of imports beside those in [`crate::limits`], with their reasons.

/// Bytes of fragments, as they are stored, that an import holds in memory at once, new ones and those that were there
/// before together: some thousand entries, which take about ten times as much while they are compared. A part that
/// is larger is taken in pieces.
pub(super) const MERGE_BYTES: u64 = 2 << 20;
