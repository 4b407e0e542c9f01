//! Where ids and delays come from: the operating system, or a seed in a simulation. Keys never come from here.

use std::cell::Cell;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use sha2::{Digest as _, Sha256};

/// Longest throw, bytes: one hash.
const THROW_BYTES_MAX: usize = 32;

/// Throws ids and delays.
#[derive(Debug, Clone, Default)]
pub(crate) enum Dice {
    /// As the operating system gives them, through openmls.
    #[default]
    System,
    /// The nth throw is a hash of seed and n.
    Seeded {
        /// Says everything.
        seed: u64,
        /// Throws so far.
        thrown: Cell<u64>,
    },
}

impl Dice {
    /// From a seed.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self::Seeded { seed, thrown: Cell::new(0) }
    }

    /// So many bytes.
    pub(crate) fn throw<const N: usize>(&self, crypto: &RustCrypto) -> [u8; N] {
        const { assert!(N <= THROW_BYTES_MAX) };
        match self {
            Self::System => crypto.random_array().expect("the generator is seeded at start"),
            Self::Seeded { seed, thrown } => {
                thrown.set(thrown.get() + 1);
                let input = [seed.to_be_bytes(), thrown.get().to_be_bytes()].concat();
                let mut bytes = [0; N];
                bytes.copy_from_slice(&Sha256::digest(input)[..N]);
                bytes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_every_throw_and_the_system_never_the_same_twice() {
        let crypto = RustCrypto::default();
        let (one, same, other) = (Dice::seeded(1), Dice::seeded(1), Dice::seeded(2));
        let first: [u8; 16] = one.throw(&crypto);
        assert_eq!(first, same.throw::<16>(&crypto));
        assert_ne!(first, one.throw::<16>(&crypto));
        assert_ne!(first, other.throw::<16>(&crypto));
        assert_ne!(Dice::System.throw::<16>(&crypto), Dice::System.throw::<16>(&crypto));
    }
}
