//! Seals bytes at rest: the one place of the hub that encrypts what it keeps itself (ADR 0015).
//!
//! A [`DataKey`] is made once for a store. Each [`Sealer`] works under keys of its own, derived from it for one
//! purpose, so that nothing that one of them sealed opens elsewhere. The cipher is XChaCha20-Poly1305: its nonces
//! are long enough that a busy hub never meets one twice.

use std::sync::atomic::{AtomicU64, Ordering};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

/// What every derivation begins with.
const LABEL: &[u8] = b"cercle at rest v1 ";
const NONCE_BYTES: usize = 24;
const PREFIX_BYTES: usize = 16;

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
    cipher: XChaCha20Poly1305,
    names: hmac::Key,
    /// Beginning of every nonce of this sealer; the rest counts.
    prefix: [u8; PREFIX_BYTES],
    sealed: AtomicU64,
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
        let mut prefix = [0; PREFIX_BYTES];
        SystemRandom::new().fill(&mut prefix).map_err(|_| NoRandomness)?;
        let seal = key.derive(&format!("{purpose} seal"));
        let names = key.derive(&format!("{purpose} names"));
        Ok(Self {
            cipher: XChaCha20Poly1305::new((&*seal).into()),
            names: hmac::Key::new(hmac::HMAC_SHA256, &*names),
            prefix,
            sealed: AtomicU64::new(0),
        })
    }

    /// Appends nonce and ciphertext. It opens only with the same context.
    ///
    /// # Panics
    /// When more than 256 GiB are to be sealed at once.
    pub fn seal_into(&self, out: &mut Vec<u8>, context: &[u8], plain: &[u8]) {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.prefix);
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        nonce[PREFIX_BYTES..].copy_from_slice(&number.to_be_bytes());
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context });
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed.expect("rows and small files are far below the cipher's 256 GiB"));
    }

    /// Opens what [`Sealer::seal_into`] appended; `None` if it was changed, moved, or sealed under another key.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES)?;
        self.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: context }).ok()
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
