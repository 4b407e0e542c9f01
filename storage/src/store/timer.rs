//! Durable timers: they fire exactly once, with their effects in the same write.

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::{AuditEntry, NoteKey, ReadError, WriteError};

/// Something to do at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Who it belongs to; arming the same id again replaces it.
    pub id: [u8; 16],
    /// When it is due.
    pub due: TimestampMs,
    /// What to do, in the words of the service that armed it.
    pub payload: Bytes,
}

/// What a firing timer writes with the fact that it fired, and what a change of notes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Arms another (or the same) timer.
    Arm(Timer),
    /// Disarms a timer, if it is armed.
    Disarm([u8; 16]),
    /// Writes a note, or replaces it.
    Put(NoteKey, Bytes),
    /// Deletes a note, if it is there.
    Erase(NoteKey),
    /// Appends to the audit log.
    Audit(AuditEntry),
}

/// Turns a due timer into its effects; pure, may be called again for the same timer after a failed write.
/// Runs on the store's writer: it must neither wait nor panic.
pub type TimerEffects = dyn Fn(&Timer) -> Vec<Effect> + Send + Sync;

/// Durable timers.
#[async_trait::async_trait]
pub trait Timers: Send + Sync {
    /// Arms a timer, or replaces the one with the same id.
    ///
    /// # Errors
    /// As any write.
    async fn arm(&self, timer: Timer) -> Result<(), WriteError>;

    /// Disarms a timer; nothing happens if it is not armed.
    ///
    /// # Errors
    /// As any write.
    async fn disarm(&self, id: [u8; 16]) -> Result<(), WriteError>;

    /// Fires due timers, earliest first, at most `limit`: removes them and writes their effects in one
    /// commit, then returns them. A due timer that an effect before it arms for later does not fire.
    ///
    /// # Errors
    /// As any write.
    async fn fire_due(
        &self,
        now: TimestampMs,
        limit: usize,
        effects: std::sync::Arc<TimerEffects>,
    ) -> Result<Vec<Timer>, WriteError>;

    /// When the next timer is due.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn next_due(&self) -> Result<Option<TimestampMs>, ReadError>;
}
