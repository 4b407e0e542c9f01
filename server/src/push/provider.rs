//! What every push service is to the hub: something that takes a wake-up for an address, or says why not.

use std::time::Duration;

use cercle_proto::id::{DeviceId, TimestampMs};

use super::address::Address;
use crate::limits;

/// A wake-up. It says nothing: the id is random, made for this wake-up alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// Random bytes, all that the device gets.
    pub id: [u8; 16],
    /// How much it matters, for the device's battery.
    pub urgency: Urgency,
    /// How long the service keeps it for a device that is switched off, s.
    pub ttl_s: u32,
    /// A later wake-up with the same number replaces this one.
    pub collapse: Collapse,
}

/// How much a wake-up matters (RFC 8030 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// News.
    Normal,
    /// An alert.
    High,
}

/// Number by which push services replace an older wake-up: made of the device and of what it is woken for,
/// so that it is the same after a restart and says nothing to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collapse([u8; 16]);

/// What a push service made of a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took it.
    Taken,
    /// The address is no longer valid: forget it.
    Gone,
    /// Not at this moment; perhaps it said when.
    Later(Option<Duration>),
    /// It never will.
    Refused,
}

/// A push service, or a kind of them.
#[async_trait::async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Hands over a wake-up, once.
    async fn send(&self, address: &Address, wake: &Wake, now: TimestampMs) -> Outcome;
}

impl Collapse {
    /// For a device and what it is woken for.
    #[must_use]
    pub fn new(device: DeviceId, purpose: &[u8]) -> Self {
        let input = [b"cercle push collapse v1".as_slice(), device.as_bytes(), purpose].concat();
        let hash = ring::digest::digest(&ring::digest::SHA256, &input);
        let half = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        Self(*half)
    }

    /// As text of 22 characters that every service takes (RFC 8030 section 5.4: at most 32 of base64url).
    #[must_use]
    pub fn text(self) -> String {
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, self.0)
    }
}

/// What the status of an answer means with every service (RFC 8030, and the two that follow it).
#[must_use]
pub fn outcome_of_status(status: u16, retry_after: Option<Duration>) -> Outcome {
    match status {
        200..=299 => Outcome::Taken,
        404 | 410 => Outcome::Gone,
        429 | 500..=599 => Outcome::Later(retry_after.map(|wait| wait.min(limits::PUSH_PAUSE_MAX))),
        _ => Outcome::Refused,
    }
}
