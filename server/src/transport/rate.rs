//! How often a device may ask and an address may connect: token buckets (GCRA), in memory.
//!
//! Both maps are bounded: [`DeviceRates::forget_idle`] and its sibling, called by housekeeping, drop keys that
//! have their whole burst again; between two calls the maps grow no faster than connections are accepted.

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

use cercle_proto::id::DeviceId;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

/// So many per second on average, with so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// On average.
    pub per_second: NonZeroU32,
    /// After a pause.
    pub burst: NonZeroU32,
}

/// Requests per device.
#[derive(Debug)]
pub struct DeviceRates(Buckets<DeviceId>);

/// Connections per address.
#[derive(Debug)]
pub struct AddressRates(Buckets<IpAddr>);

struct Buckets<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
    clock: DefaultClock,
}

impl DeviceRates {
    /// Full buckets for everybody.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(Buckets::new(rate))
    }

    /// Takes one request.
    ///
    /// # Errors
    /// How long the device must wait, ms.
    pub fn check(&self, device: DeviceId) -> Result<(), u32> {
        self.0.check(&device)
    }

    /// Forgets devices that have their whole burst again.
    pub fn forget_idle(&self) {
        self.0.forget_idle();
    }
}

impl AddressRates {
    /// Full buckets for everybody.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(Buckets::new(rate))
    }

    /// Takes one connection from an address (see [`party`]).
    ///
    /// # Errors
    /// How long the address must wait, ms.
    pub fn check(&self, party: IpAddr) -> Result<(), u32> {
        self.0.check(&party)
    }

    /// Forgets addresses that have their whole burst again.
    pub fn forget_idle(&self) {
        self.0.forget_idle();
    }
}

/// Whom an address counts as: itself, or for IPv6 its /64, which is what one household or machine has.
#[must_use]
pub fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    fn check(&self, key: &K) -> Result<(), u32> {
        self.limiter.check_key(key).map_err(|until| {
            let wait: Duration = until.wait_time_from(self.clock.now());
            u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1)
        })
    }

    fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").field("keys", &self.limiter.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: per_second.try_into().unwrap(), burst: burst.try_into().unwrap() }
    }

    #[test]
    fn a_device_has_a_burst_and_then_waits_without_disturbing_others() {
        let rates = DeviceRates::new(rate(1, 3));
        let (busy, other) = (DeviceId::new([1; 16]), DeviceId::new([2; 16]));
        for _ in 0..3 {
            assert_eq!(rates.check(busy), Ok(()));
        }
        let wait_ms = rates.check(busy).unwrap_err();
        assert!((1..=1_000).contains(&wait_ms), "{wait_ms}");
        assert_eq!(rates.check(other), Ok(()));
    }

    #[test]
    fn an_address_of_one_network_counts_as_that_network() {
        let a: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let b: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(party(a), party(b));
        assert_ne!(party(a), party(other));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(party(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
