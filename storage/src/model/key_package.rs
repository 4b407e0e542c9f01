//! The model's key packages.

use cercle_proto::id::{DeviceId, TimestampMs, UserId};

use super::{Model, State};
use crate::store::{ClaimedPackage, KeyPackageRecord, KeyPackages, PublishError, ReadError, WriteError};

#[async_trait::async_trait]
impl KeyPackages for Model {
    async fn publish(
        &self,
        device: DeviceId,
        generation: u64,
        packages: Vec<KeyPackageRecord>,
        last_resort: Option<KeyPackageRecord>,
        limit: usize,
    ) -> Result<usize, PublishError> {
        let State { stocks, spent, .. } = &mut *self.state();
        let on_record = stocks.get(&device).map_or(generation, |stock| stock.generation);
        if on_record > generation {
            return Err(PublishError::OlderGeneration);
        }
        let left = stocks.get(&device).map_or(0, |stock| stock.packages.len());
        let mut kept = match stocks.get(&device) {
            Some(stock) if on_record == generation => stock.packages.clone(),
            _ => [].into(),
        };
        let before = kept.len();
        for package in packages {
            if !spent.contains_key(&(device, package.hash)) {
                kept.entry(package.hash).or_insert(package);
            }
        }
        if kept.len() > limit && kept.len() > before {
            return Err(PublishError::Full { left, limit });
        }
        let stock = stocks.entry(device).or_default();
        if on_record < generation {
            stock.last_resort = None;
        }
        stock.generation = generation;
        stock.packages = kept;
        stock.last_resort = last_resort.or_else(|| stock.last_resort.take());
        Ok(stock.packages.len())
    }

    async fn claim(
        &self,
        claimer: DeviceId,
        claim_id: [u8; 16],
        devices: Vec<(UserId, DeviceId)>,
        now: TimestampMs,
    ) -> Result<Vec<ClaimedPackage>, WriteError> {
        let mut state = self.state();
        if let Some((_, answer)) = state.claims.get(&(claimer, claim_id)) {
            return Ok(answer.clone());
        }
        let claim = |(user, device)| {
            let (body, last_resort) = state.take(device, now)?;
            Some(ClaimedPackage { user, device, body, last_resort })
        };
        let answer: Vec<_> = devices.into_iter().filter_map(claim).collect();
        state.claims.insert((claimer, claim_id), (now, answer.clone()));
        Ok(answer)
    }

    async fn left(&self, device: DeviceId) -> Result<usize, ReadError> {
        Ok(self.state().left(device))
    }
}

impl State {
    pub(super) fn left(&self, device: DeviceId) -> usize {
        self.stocks.get(&device).map_or(0, |stock| stock.packages.len())
    }

    /// A one-time package in order of hash, dropping the expired ones before it; else the last resort.
    fn take(&mut self, device: DeviceId, now: TimestampMs) -> Option<(bytes::Bytes, bool)> {
        let stock = self.stocks.get_mut(&device)?;
        while let Some((hash, package)) = stock.packages.pop_first() {
            if package.expires_at >= now {
                self.spent.insert((device, hash), now);
                return Some((package.body, false));
            }
        }
        let last = stock.last_resort.as_ref().filter(|package| package.expires_at >= now)?;
        Some((last.body.clone(), true))
    }
}
