//! Quiet hours, as push and alerts see them.

use cercle_proto::id::{TimestampMs, UserId};

/// Knows who does not want to be woken. Asked before every wake-up that is not for an actual alert.
#[async_trait::async_trait]
pub trait QuietHours: Send + Sync {
    /// Until when a user is left in peace, if at this moment. Who cannot be asked about is woken.
    async fn quiet_until(&self, user: &UserId, now: TimestampMs) -> Option<TimestampMs>;
}

/// Nobody has quiet hours.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoQuietHours;

#[async_trait::async_trait]
impl QuietHours for NoQuietHours {
    async fn quiet_until(&self, _: &UserId, _: TimestampMs) -> Option<TimestampMs> {
        None
    }
}
