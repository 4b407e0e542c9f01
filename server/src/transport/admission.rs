//! Who may connect: a total, and a share of it for each address. Called by the [`super::listener`] for every
//! accepted socket.
//!
//! A connection above a limit is still served up to its first frame, which says `TOO_MANY_CONNECTIONS`, as
//! long as few such connections are open; then it is dropped without a word. So a client learns why, and the
//! number of sockets stays bounded.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::rate::{AddressRates, Rate, party};
use crate::{limits, telemetry::Metrics};

/// What the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionSettings {
    /// Connections altogether.
    pub connections_max: usize,
    /// Connections of one address.
    pub per_address_max: usize,
    /// Connections of this machine itself.
    pub loopback_max: usize,
    /// New connections of one address; this machine itself is free.
    pub rate: Rate,
}

/// Counts connections.
#[derive(Debug)]
pub struct Admission {
    settings: AdmissionSettings,
    rates: AddressRates,
    counts: Mutex<Counts>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Counts {
    admitted: usize,
    refused: usize,
    by_party: HashMap<IpAddr, usize>,
}

/// The right to a connection; given back on drop.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    party: IpAddr,
    admitted: bool,
}

impl Permit {
    /// False: the connection is above a limit and is only there to be told so.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.admitted
    }
}

impl Admission {
    /// Nobody is connected.
    #[must_use]
    pub fn new(settings: AdmissionSettings, metrics: Arc<Metrics>) -> Self {
        let rates = AddressRates::new(settings.rate);
        Self { settings, rates, counts: Mutex::default(), metrics }
    }

    /// Decides about a connection. `None`: drop it.
    #[must_use]
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let party = party(address);
        if !party.is_loopback() && self.rates.check(party).is_err() {
            self.metrics.connection_refused("rate");
            return None;
        }
        let mut counts = self.lock();
        let of_party = counts.by_party.get(&party).copied().unwrap_or(0);
        let per_party =
            if party.is_loopback() { self.settings.loopback_max } else { self.settings.per_address_max };
        let full = match (counts.admitted >= self.settings.connections_max, of_party >= per_party) {
            (true, _) => Some("total"),
            (false, true) => Some("address"),
            (false, false) => None,
        };
        if let Some(reason) = full {
            self.metrics.connection_refused(reason);
            if counts.refused >= limits::REFUSED_CONNECTIONS_MAX {
                return None;
            }
            counts.refused += 1;
        } else {
            counts.admitted += 1;
            *counts.by_party.entry(party).or_default() += 1;
        }
        self.metrics.connection_opened();
        Some(Permit { admission: self.clone(), party, admitted: full.is_none() })
    }

    /// Forgets addresses that have their whole burst of connections again.
    pub fn forget_idle(&self) {
        self.rates.forget_idle();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.metrics.connection_closed();
        let mut counts = self.admission.lock();
        if !self.admitted {
            counts.refused -= 1;
            return;
        }
        counts.admitted -= 1;
        if let Some(count) = counts.by_party.get_mut(&self.party) {
            *count -= 1;
            if *count == 0 {
                counts.by_party.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(total: usize, per_address: usize) -> Arc<Admission> {
        let one = std::num::NonZeroU32::new(100).unwrap();
        let settings = AdmissionSettings {
            connections_max: total,
            per_address_max: per_address,
            loopback_max: 3,
            rate: Rate { per_second: one, burst: one },
        };
        Arc::new(Admission::new(settings, Arc::new(Metrics::new())))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let admission = admission(10, 2);
        let held: Vec<_> = (0..3).map(|_| admission.enter(address(1)).unwrap()).collect();
        assert_eq!(held.iter().map(Permit::is_admitted).collect::<Vec<_>>(), [true, true, false]);
        assert!(admission.enter(address(2)).unwrap().is_admitted());
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let admission = admission(1, 1);
        let first = admission.enter(address(1)).unwrap();
        assert!(!admission.enter(address(2)).unwrap().is_admitted());
        drop(first);
        assert!(admission.enter(address(2)).unwrap().is_admitted());
        assert!(admission.lock().by_party.is_empty());
    }

    #[test]
    fn this_machine_has_a_limit_of_its_own() {
        let admission = admission(10, 1);
        let local = IpAddr::from([127, 0, 0, 1]);
        let held: Vec<_> = (0..4).map(|_| admission.enter(local).unwrap()).collect();
        assert_eq!(held.iter().filter(|permit| permit.is_admitted()).count(), 3);
    }

    #[test]
    fn beyond_the_refusals_connections_are_dropped() {
        let admission = admission(1, 1);
        let _place = admission.enter(address(1)).unwrap();
        let refused: Vec<_> =
            (0..=limits::REFUSED_CONNECTIONS_MAX).map(|_| admission.enter(address(1))).collect();
        assert!(refused.last().unwrap().is_none());
        assert!(refused[..limits::REFUSED_CONNECTIONS_MAX].iter().all(Option::is_some));
    }
}
