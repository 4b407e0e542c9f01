//! Lanes: where two devices of one user meet that do not trust the hub (docs/protocol.md, section "Linking").
//!
//! A lane is a row of numbered slots in memory, each written once, by whoever shows the lane's token; it is
//! gone after some minutes, with a restart, or when its owner closes it. What is in a slot is ciphertext of
//! keys that the hub never sees. Called by the dispatch (open, close) and by [`crate::transport`] (slots).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cercle_proto::{
    id::{LaneId, TimestampMs, UserId},
    signing::sha256,
};

use crate::{auth::Identity, delivery::rate::RateLimit, limits};

/// Why a lane was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user opens too many.
    #[error("too many lanes; wait {retry_after_ms} ms")]
    RateLimited {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// The user has as many as one may have, or the hub has.
    #[error("as many lanes are open as may be; close one, or wait until one has ended")]
    TooMany,
    /// The id is taken.
    #[error("the lane id is taken; choose a new random one")]
    Exists,
}

/// Why a slot was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// No lane has this id and token, or it was asked too often.
    #[error("no such lane")]
    Unauthorised,
    /// Something else is in the slot.
    #[error("the slot is taken")]
    Taken,
    /// The slot's number or content is beyond what a lane takes.
    #[error("more than a lane takes")]
    TooLarge,
}

/// The lanes of this hub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lanes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    opened: RateLimit<UserId>,
    table: Mutex<HashMap<LaneId, Lane>>,
}

struct Lane {
    owner: UserId,
    token_sha256: [u8; 32],
    expires_at: TimestampMs,
    slots: BTreeMap<u32, Bytes>,
    requests: u32,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Default for Lanes {
    fn default() -> Self {
        let opened = RateLimit::new(limits::LANE_RATE);
        Self { inner: Arc::new(Inner { opened, table: Mutex::new(HashMap::new()) }) }
    }
}

impl Lanes {
    /// Opens a lane and says when it ends. The same request gives the same answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(
        &self,
        by: &Identity,
        lane: LaneId,
        token_sha256: [u8; 32],
        now: TimestampMs,
    ) -> Result<TimestampMs, Error> {
        let mut table = self.table(now);
        if let Some(known) = table.get(&lane) {
            let same = known.owner == by.user && known.token_sha256 == token_sha256;
            return if same { Ok(known.expires_at) } else { Err(Error::Exists) };
        }
        let own = table.values().filter(|other| other.owner == by.user).count();
        if own >= limits::LANES_PER_USER_MAX || table.len() >= limits::LANES_MAX {
            return Err(Error::TooMany);
        }
        let limited = self.inner.opened.check(by.user.clone(), now);
        limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })?;
        let (owner, expires_at) = (by.user.clone(), now + limits::LANE_LIFE_MS);
        let slots = BTreeMap::new();
        table.insert(lane, Lane { owner, token_sha256, expires_at, slots, requests: 0 });
        Ok(expires_at)
    }

    /// Ends a lane of one's own; another's, or none, is left as it is.
    pub fn close(&self, by: &Identity, lane: LaneId, now: TimestampMs) {
        let mut table = self.table(now);
        if table.get(&lane).is_some_and(|known| known.owner == by.user) {
            table.remove(&lane);
        }
    }

    /// Writes a slot, once; the same content again changes nothing.
    ///
    /// # Errors
    /// See [`SlotError`].
    pub fn write(
        &self,
        lane: LaneId,
        token: &[u8; 32],
        slot: u32,
        content: Bytes,
        now: TimestampMs,
    ) -> Result<(), SlotError> {
        let mut table = self.table(now);
        let lane = admitted(&mut table, lane, token)?;
        if slot >= limits::LANE_SLOTS_MAX || content.len() > limits::LANE_SLOT_BYTES_MAX {
            return Err(SlotError::TooLarge);
        }
        match lane.slots.get(&slot) {
            Some(known) if *known == content => Ok(()),
            Some(_) => Err(SlotError::Taken),
            None => {
                lane.slots.insert(slot, content);
                Ok(())
            }
        }
    }

    /// What is in a slot; `None` if nothing is yet.
    ///
    /// # Errors
    /// [`SlotError::Unauthorised`].
    pub fn read(
        &self,
        lane: LaneId,
        token: &[u8; 32],
        slot: u32,
        now: TimestampMs,
    ) -> Result<Option<Bytes>, SlotError> {
        let mut table = self.table(now);
        Ok(admitted(&mut table, lane, token)?.slots.get(&slot).cloned())
    }

    /// The table without lanes that have ended.
    fn table(&self, now: TimestampMs) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        let mut table = self.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, lane| lane.expires_at > now);
        table
    }
}

/// The lane with this id, for whoever shows its token and has not asked too often.
fn admitted<'t>(
    table: &'t mut HashMap<LaneId, Lane>,
    id: LaneId,
    token: &[u8; 32],
) -> Result<&'t mut Lane, SlotError> {
    let lane = table.get_mut(&id).ok_or(SlotError::Unauthorised)?;
    // Hashes are compared, so that no comparison depends on the token itself.
    if sha256(token) != lane.token_sha256 {
        return Err(SlotError::Unauthorised);
    }
    lane.requests += 1;
    if lane.requests > limits::LANE_REQUESTS_MAX {
        return Err(SlotError::Unauthorised);
    }
    Ok(lane)
}

#[cfg(test)]
mod tests {
    use cercle_proto::id::DeviceId;

    use super::*;

    const TOKEN: [u8; 32] = [7; 32];
    const LANE: LaneId = LaneId::new([1; 16]);

    fn identity(user: &str) -> Identity {
        Identity {
            user: UserId::new(user, "cpts.example").unwrap(),
            device: DeviceId::new([1; 16]),
            roles: Vec::new(),
            certificate_expired: false,
        }
    }

    fn opened() -> Lanes {
        let lanes = Lanes::default();
        lanes.open(&identity("a"), LANE, sha256(&TOKEN), 1_000).unwrap();
        lanes
    }

    #[test]
    fn a_slot_is_written_once_and_read_by_who_has_the_token() {
        let lanes = opened();
        assert_eq!(lanes.read(LANE, &TOKEN, 1, 1_001), Ok(None));
        let content = Bytes::from_static(b"sealed");
        lanes.write(LANE, &TOKEN, 1, content.clone(), 1_001).unwrap();
        lanes.write(LANE, &TOKEN, 1, content.clone(), 1_002).unwrap();
        let other = Bytes::from_static(b"other");
        assert_eq!(lanes.write(LANE, &TOKEN, 1, other, 1_003), Err(SlotError::Taken));
        assert_eq!(lanes.read(LANE, &TOKEN, 1, 1_004), Ok(Some(content)));
        assert_eq!(lanes.read(LANE, &[8; 32], 1, 1_004), Err(SlotError::Unauthorised));
        assert_eq!(lanes.read(LaneId::new([2; 16]), &TOKEN, 1, 1_004), Err(SlotError::Unauthorised));
    }

    #[test]
    fn a_lane_is_bounded_in_size_time_and_requests() {
        let lanes = opened();
        let large = Bytes::from(vec![0; limits::LANE_SLOT_BYTES_MAX + 1]);
        assert_eq!(lanes.write(LANE, &TOKEN, 1, large, 1_001), Err(SlotError::TooLarge));
        let beyond = limits::LANE_SLOTS_MAX;
        assert_eq!(lanes.write(LANE, &TOKEN, beyond, Bytes::new(), 1_001), Err(SlotError::TooLarge));
        for _ in 0..limits::LANE_REQUESTS_MAX {
            let _ = lanes.read(LANE, &TOKEN, 1, 1_001);
        }
        assert_eq!(lanes.read(LANE, &TOKEN, 1, 1_001), Err(SlotError::Unauthorised));
        let lanes = opened();
        let end = 1_000 + limits::LANE_LIFE_MS;
        assert_eq!(lanes.read(LANE, &TOKEN, 1, end - 1), Ok(None));
        assert_eq!(lanes.read(LANE, &TOKEN, 1, end), Err(SlotError::Unauthorised));
    }

    #[test]
    fn a_user_has_few_lanes_and_ends_only_his_own() {
        let lanes = opened();
        assert!(matches!(lanes.open(&identity("b"), LANE, [0; 32], 1_000), Err(Error::Exists)));
        lanes.close(&identity("b"), LANE, 1_000);
        assert_eq!(lanes.read(LANE, &TOKEN, 1, 1_001), Ok(None));
        for number in 1..limits::LANES_PER_USER_MAX {
            let lane = LaneId::new([100 + u8::try_from(number).unwrap(); 16]);
            lanes.open(&identity("a"), lane, [0; 32], 1_000).unwrap();
        }
        let one_more = LaneId::new([99; 16]);
        assert!(matches!(lanes.open(&identity("a"), one_more, [0; 32], 1_000), Err(Error::TooMany)));
        lanes.close(&identity("a"), LANE, 1_000);
        assert_eq!(lanes.read(LANE, &TOKEN, 1, 1_001), Err(SlotError::Unauthorised));
        lanes.open(&identity("a"), one_more, [0; 32], 1_000).unwrap();
    }
}
