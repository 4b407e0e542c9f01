//! Seals bytes at rest: the one place of the hub that encrypts what it keeps itself (ADR 0015).
//!
//! A [`DataKey`] is made once for a store. Each [`Sealer`] works under keys of its own, derived from it for one
//! purpose, so that nothing that one of them sealed opens elsewhere. The cipher is AES-256-GCM. Its nonces are too short
//! to be drawn at random as often as a busy hub seals; so every sealer draws 16 bytes once, derives a key from them that
//! only it seals under, and counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use crate::limits;

/// What every derivation begins with.
const LABEL: &[u8] = b"cercle at rest v1 ";
const SALT_BYTES: usize = 16;
const COUNTER_BYTES: usize = 8;

/// The secret that everything of one store is sealed under.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

impl DataKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// A key that was made before.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, to be wrapped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What tells it from other keys and says nothing about it.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let derived = self.derive("id");
        *derived.first_chunk().expect("32 bytes begin with 16")
    }

    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let tag = hmac::sign(&key, &[LABEL, purpose.as_bytes()].concat());
        Zeroizing::new(tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"))
    }
}

/// Seals and opens for one purpose.
pub struct Sealer {
    /// Derives a key for each sealer that there ever was.
    seals: hmac::Key,
    names: hmac::Key,
    /// What the key of this one is derived from.
    salt: [u8; SALT_BYTES],
    own: LessSafeKey,
    sealed: AtomicU64,
    /// Keys of earlier ones, whose rows are read.
    others: RwLock<BTreeMap<[u8; SALT_BYTES], Arc<LessSafeKey>>>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer for a purpose.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(key: &DataKey, purpose: &str) -> Result<Self, NoRandomness> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| NoRandomness)?;
        let derived =
            |what: &str| hmac::Key::new(hmac::HMAC_SHA256, &*key.derive(&format!("{purpose} {what}")));
        let (seals, names) = (derived("seal"), derived("names"));
        let own = key_of(&seals, &salt);
        Ok(Self { seals, names, salt, own, sealed: AtomicU64::new(0), others: RwLock::default() })
    }

    /// Appends salt, number, ciphertext and tag. It opens only with the same context.
    ///
    /// # Panics
    /// When more than 64 GiB are to be sealed at once.
    pub fn seal_into(&self, out: &mut Vec<u8>, context: &[u8], plain: &[u8]) {
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&number.to_be_bytes());
        let from = out.len();
        out.extend_from_slice(plain);
        let sealed = self.own.seal_in_place_separate_tag(nonce(number), Aad::from(context), &mut out[from..]);
        let tag = sealed.expect("rows and small files are far below the cipher's 64 GiB");
        out.extend_from_slice(tag.as_ref());
    }

    /// Opens what [`Sealer::seal_into`] appended; `None` if it was changed, moved, or sealed under another key.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>()?;
        let (number, body) = rest.split_first_chunk::<COUNTER_BYTES>()?;
        let (nonce, mut opened) = (nonce(u64::from_be_bytes(*number)), body.to_vec());
        let open = |key: &LessSafeKey, bytes: &mut [u8]| {
            key.open_in_place(nonce, Aad::from(context), bytes).map(|plain| plain.len()).ok()
        };
        let length = if *salt == self.salt {
            open(&self.own, &mut opened)
        } else {
            open(&self.other(salt), &mut opened)
        };
        opened.truncate(length?);
        Some(opened)
    }

    /// The key of an earlier sealer.
    fn other(&self, salt: &[u8; SALT_BYTES]) -> Arc<LessSafeKey> {
        // Every change of the map is one insertion, or one end of all.
        if let Some(key) = self.others.read().unwrap_or_else(PoisonError::into_inner).get(salt) {
            return Arc::clone(key);
        }
        let key = Arc::new(key_of(&self.seals, salt));
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= limits::SEALER_KEYS_MAX {
            others.clear();
        }
        others.insert(*salt, Arc::clone(&key));
        key
    }

    /// A name that stands for bytes: the same for the same bytes in the same context, and nobody without the key
    /// can tell for which.
    #[must_use]
    pub fn name(&self, context: &[u8], bytes: &[u8]) -> [u8; 16] {
        let mut named = hmac::Context::with_key(&self.names);
        let length = u64::try_from(context.len()).expect("a length fits into 64 bits");
        named.update(&length.to_be_bytes());
        named.update(context);
        named.update(bytes);
        *named.sign().as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
    }
}

fn key_of(seals: &hmac::Key, salt: &[u8; SALT_BYTES]) -> LessSafeKey {
    let derived = hmac::sign(seals, salt);
    let key = UnboundKey::new(&AES_256_GCM, derived.as_ref());
    LessSafeKey::new(key.expect("HMAC-SHA256 has the 32 bytes of the cipher's key"))
}

/// Numbers are never used twice under a key.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8, purpose: &str) -> Sealer {
        Sealer::new(&DataKey::new([byte; 32]), purpose).unwrap()
    }

    fn sealed(sealer: &Sealer, context: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal_into(&mut out, context, b"who is who");
        out
    }

    #[test]
    fn only_the_same_key_purpose_and_context_open() {
        let one = sealer(1, "rows");
        let kept = sealed(&one, b"place");
        assert_eq!(sealer(1, "rows").open(b"place", &kept).as_deref(), Some(&b"who is who"[..]));
        assert_eq!(one.open(b"other", &kept), None);
        assert_eq!(sealer(2, "rows").open(b"place", &kept), None);
        assert_eq!(sealer(1, "files").open(b"place", &kept), None);
        for place in 0..kept.len() {
            let mut damaged = kept.clone();
            damaged[place] ^= 1;
            assert_eq!(one.open(b"place", &damaged), None, "byte {place}");
        }
        assert_eq!(one.open(b"place", &kept[..20]), None);
    }

    #[test]
    fn no_nonce_is_used_twice_also_by_the_next_process() {
        let (one, next) = (sealer(1, "rows"), sealer(1, "rows"));
        let kept = [sealed(&one, b""), sealed(&one, b""), sealed(&next, b""), sealed(&next, b"")];
        let nonces: std::collections::BTreeSet<_> = kept.iter().map(|sealed| &sealed[..24]).collect();
        assert_eq!(nonces.len(), kept.len());
        // The next one reads what this one sealed, also when it has met many others meanwhile.
        for _ in 0..=limits::SEALER_KEYS_MAX {
            assert!(next.open(b"", &sealed(&sealer(1, "rows"), b"")).is_some());
        }
        assert!(kept.iter().all(|sealed| next.open(b"", sealed).is_some()));
    }

    #[test]
    fn names_are_stable_and_tell_contexts_and_keys_apart() {
        let name = sealer(1, "rows").name(b"a", b"bc");
        assert_eq!(sealer(1, "rows").name(b"a", b"bc"), name);
        assert_ne!(sealer(1, "rows").name(b"ab", b"c"), name);
        assert_ne!(sealer(2, "rows").name(b"a", b"bc"), name);
        assert_ne!(DataKey::new([1; 32]).id(), DataKey::new([2; 32]).id());
    }
}
