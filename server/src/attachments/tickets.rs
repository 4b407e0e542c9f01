//! Tickets: for ten minutes, one device may up- or download one blob.
//!
//! They live in memory only: after a restart devices ask again. A ticket is looked up by the SHA-256 of its
//! secret, so that no comparison depends on the secret itself, and a dump of this table opens nothing.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cercle_proto::{
    id::{BlobId, DeviceId, GroupId, TimestampMs},
    signing::sha256,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::sync::CancellationToken;

use crate::limits;

/// 32 random bytes that a device shows instead of its name.
pub struct Secret([u8; 32]);

impl Secret {
    /// What a device has sent.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sent to the device.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the hub.
    Upload,
    /// From the hub.
    Download,
}

/// What a device may do.
#[derive(Debug)]
pub struct Ticket {
    /// The device.
    pub device: DeviceId,
    /// The blob.
    pub blob: BlobId,
    /// The blob's group.
    pub group: GroupId,
    /// Which way.
    pub direction: Direction,
    /// It is not taken from then on.
    pub expires_at: TimestampMs,
    /// Cancelled when the device is revoked or the hub shuts down: transfers end.
    pub ended: CancellationToken,
}

/// All tickets.
#[derive(Debug)]
pub(super) struct Tickets {
    shutdown: CancellationToken,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    tickets: HashMap<[u8; 32], Arc<Ticket>>,
    /// Of each device, oldest first.
    by_device: HashMap<DeviceId, VecDeque<[u8; 32]>>,
}

impl Tickets {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, table: Mutex::default() }
    }

    /// Makes a ticket and says when it ends; the device's oldest ends for it if it has too many. `None` when
    /// the hub has too many, or the system gives no random bytes.
    pub(super) fn issue(
        &self,
        device: DeviceId,
        blob: BlobId,
        group: GroupId,
        direction: Direction,
        now: TimestampMs,
    ) -> Option<(Secret, TimestampMs)> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).ok()?;
        let expires_at = now + limits::TICKET_VALID_MS;
        let ended = self.shutdown.child_token();
        let ticket = Ticket { device, blob, group, direction, expires_at, ended };
        let mut table = self.lock();
        if table.tickets.len() >= limits::TICKETS_MAX {
            table.forget_expired(now);
        }
        if table.tickets.len() >= limits::TICKETS_MAX {
            return None;
        }
        table.insert(sha256(&secret), ticket);
        Some((Secret(secret), expires_at))
    }

    /// The ticket with this secret, if it has not ended.
    pub(super) fn find(&self, secret: &Secret, now: TimestampMs) -> Option<Arc<Ticket>> {
        let table = self.lock();
        table.tickets.get(&sha256(&secret.0)).filter(|ticket| now < ticket.expires_at).cloned()
    }

    /// Ends all tickets of a device, and the transfers made with them.
    pub(super) fn end(&self, device: DeviceId) {
        let mut table = self.lock();
        for hash in table.by_device.remove(&device).unwrap_or_default() {
            if let Some(ticket) = table.tickets.remove(&hash) {
                ticket.ended.cancel();
            }
        }
    }

    /// Forgets tickets that nobody may use any more; transfers made with them go on.
    pub(super) fn forget_expired(&self, now: TimestampMs) {
        self.lock().forget_expired(now);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change below is complete before anything could panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, hash: [u8; 32], ticket: Ticket) {
        let of_device = self.by_device.entry(ticket.device).or_default();
        if of_device.len() >= limits::TICKETS_PER_DEVICE_MAX
            && let Some(oldest) = of_device.pop_front()
        {
            self.tickets.remove(&oldest);
        }
        of_device.push_back(hash);
        self.tickets.insert(hash, Arc::new(ticket));
    }

    fn forget_expired(&mut self, now: TimestampMs) {
        self.tickets.retain(|_, ticket| now < ticket.expires_at);
        let tickets = &self.tickets;
        self.by_device.retain(|_, hashes| {
            hashes.retain(|hash| tickets.contains_key(hash));
            !hashes.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(tickets: &Tickets, device: u8, now: TimestampMs) -> Secret {
        let (blob, group) = (BlobId::new([1; 16]), GroupId::new([2; 16]));
        tickets.issue(DeviceId::new([device; 16]), blob, group, Direction::Upload, now).unwrap().0
    }

    #[test]
    fn a_ticket_ends_after_ten_minutes() {
        let tickets = Tickets::new(CancellationToken::new());
        let secret = issue(&tickets, 1, 1_000);
        assert!(tickets.find(&secret, 1_000 + limits::TICKET_VALID_MS - 1).is_some());
        assert!(tickets.find(&secret, 1_000 + limits::TICKET_VALID_MS).is_none());
        tickets.forget_expired(1_000 + limits::TICKET_VALID_MS);
        assert!(tickets.lock().tickets.is_empty() && tickets.lock().by_device.is_empty());
    }

    #[test]
    fn a_guessed_secret_opens_nothing() {
        let tickets = Tickets::new(CancellationToken::new());
        let Secret(mut bytes) = issue(&tickets, 1, 1_000);
        bytes[31] ^= 1;
        assert!(tickets.find(&Secret(bytes), 1_000).is_none());
    }

    #[test]
    fn the_oldest_ticket_of_a_device_makes_room_and_others_keep_theirs() {
        let tickets = Tickets::new(CancellationToken::new());
        let other = issue(&tickets, 2, 1_000);
        let mine: Vec<Secret> =
            (0..=limits::TICKETS_PER_DEVICE_MAX).map(|_| issue(&tickets, 1, 1_000)).collect();
        assert!(tickets.find(&mine[0], 1_000).is_none());
        assert!(mine[1..].iter().chain([&other]).all(|secret| tickets.find(secret, 1_000).is_some()));
    }

    #[test]
    fn a_revoked_device_loses_its_tickets_and_its_transfers() {
        let tickets = Tickets::new(CancellationToken::new());
        let (mine, other) = (issue(&tickets, 1, 1_000), issue(&tickets, 2, 1_000));
        let transfer = tickets.find(&mine, 1_000).unwrap();
        tickets.end(transfer.device);
        assert!(transfer.ended.is_cancelled() && tickets.find(&mine, 1_000).is_none());
        assert!(!tickets.find(&other, 1_000).unwrap().ended.is_cancelled());
    }
}
