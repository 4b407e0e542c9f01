//! How many transfers may be under way: in all, so that memory and disk are bounded, and of one device, so
//! that it cannot take the places of others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cercle_proto::id::DeviceId;

use crate::limits;

/// Counts transfers. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Transfers(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_device: HashMap<DeviceId, usize>,
}

/// The place of one transfer; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    transfers: Transfers,
    device: DeviceId,
}

impl Transfers {
    /// A place, if there is one.
    pub(super) fn enter(&self, device: DeviceId) -> Option<Place> {
        let mut counts = self.lock();
        let of_device = counts.by_device.get(&device).copied().unwrap_or(0);
        if counts.all >= limits::TRANSFERS_MAX || of_device >= limits::TRANSFERS_PER_DEVICE_MAX {
            return None;
        }
        counts.all += 1;
        counts.by_device.insert(device, of_device + 1);
        Some(Place { transfers: self.clone(), device })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.transfers.lock();
        counts.all -= 1;
        if let Some(count) = counts.by_device.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                counts.by_device.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_few_places_and_gives_them_back() {
        let transfers = Transfers::default();
        let (mine, other) = (DeviceId::new([1; 16]), DeviceId::new([2; 16]));
        let mut held: Vec<Place> =
            (0..limits::TRANSFERS_PER_DEVICE_MAX).map(|_| transfers.enter(mine).unwrap()).collect();
        assert!(transfers.enter(mine).is_none());
        assert!(transfers.enter(other).is_some());
        drop(held.pop());
        assert!(transfers.enter(mine).is_some());
        drop(held);
        assert!(transfers.lock().by_device.is_empty() && transfers.lock().all == 0);
    }
}
