//! First-wins registers: who claimed a random number first.

use cercle_proto::id::{DeviceId, RegisterId, TimestampMs, UserId};

use super::WriteError;

/// A claim of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// User of the device.
    pub user: UserId,
    /// Device that claims.
    pub device: DeviceId,
    /// When.
    pub at: TimestampMs,
}

/// First-wins registers. They are kept for ever: a register that was forgotten could be won a second time,
/// by a device that was offline for longer than any retention, and two receipts would contradict each other.
#[async_trait::async_trait]
pub trait Registers: Send + Sync {
    /// Stores the claim if it is the first of its register; returns the first claim, whoever made it.
    ///
    /// # Errors
    /// As any write.
    async fn claim_once(&self, register: RegisterId, claim: Claim) -> Result<Claim, WriteError>;
}
