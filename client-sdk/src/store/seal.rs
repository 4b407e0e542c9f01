//! Seals single values: what lies in the database file is unreadable and unforgeable without the key.
//!
//! XChaCha20-Poly1305 with a synthetic nonce (a keyed hash of context and plaintext), so that equal values
//! in an equal context give equal bytes: openmls looks its rows up by sealed keys. What an observer of the
//! file learns is that two values are equal, their lengths, and the clear columns of the schema.

use chacha20poly1305::{
    AeadInPlace, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{StoreError, StoreKey};

const NONCE_BYTES: usize = 24;
/// A keyed hash of what is sealed and of its place: the nonce, and a name for the value.
pub(crate) type Synthetic = [u8; NONCE_BYTES];
const TAG_BYTES: usize = 16;
/// First byte of each sealed value: version of this format.
const VERSION: u8 = 1;

/// Seals and opens values with keys derived from a [`StoreKey`].
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonce_key: Zeroizing<[u8; 32]>,
    check: [u8; 16],
}

impl Sealer {
    /// Derives the keys.
    pub(crate) fn new(key: &StoreKey) -> Self {
        let derive = Hkdf::<Sha256>::new(Some(b"cercle store v1"), key.0.as_slice());
        let mut cipher_key = Zeroizing::new([0; 32]);
        let mut nonce_key = Zeroizing::new([0; 32]);
        let mut check = [0; 16];
        for (label, out) in
            [("seal", cipher_key.as_mut_slice()), ("nonce", nonce_key.as_mut_slice()), ("check", &mut check)]
        {
            derive.expand(label.as_bytes(), out).expect("HKDF-SHA256 gives up to 8160 bytes");
        }
        let cipher = XChaCha20Poly1305::new(cipher_key.as_slice().into());
        Self { cipher, nonce_key, check }
    }

    /// A value that depends on the key and reveals nothing of it: stored to recognise the key.
    pub(crate) fn check_value(&self) -> &[u8; 16] {
        &self.check
    }

    /// Seals a value. `context` names its place; the value opens in no other.
    pub(crate) fn seal(&self, context: &[&[u8]], plaintext: &[u8]) -> Vec<u8> {
        self.seal_as(context, &self.synthetic(context, plaintext), plaintext)
    }

    /// Seals a value whose [`Self::synthetic`] is known.
    pub(crate) fn seal_as(&self, context: &[&[u8]], nonce: &Synthetic, plaintext: &[u8]) -> Vec<u8> {
        let context = join(context);
        // Encrypted where it lies: the state of a large group is a megabyte, written with each message.
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + plaintext.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .cipher
            .encrypt_in_place_detached(XNonce::from_slice(nonce), &context, &mut sealed[1 + NONCE_BYTES..])
            .expect("XChaCha20-Poly1305 fails only above 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens a value that was sealed for the same place.
    ///
    /// # Errors
    /// When it was sealed with another key or for another place, or is damaged.
    pub(crate) fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = StoreError::Damaged("wrong key, wrong place or changed bytes");
        let context = join(context);
        match sealed.split_first() {
            Some((&VERSION, rest)) if rest.len() >= NONCE_BYTES => {
                let (nonce, ciphertext) = rest.split_at(NONCE_BYTES);
                let payload = Payload { msg: ciphertext, aad: &context };
                self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| damaged)
            }
            _ => Err(damaged),
        }
    }

    /// Opens a value that must be the one with this [`Self::synthetic`].
    ///
    /// # Errors
    /// As [`Self::open`], and when it is another one that was sealed for the same place.
    pub(crate) fn open_as(
        &self,
        context: &[&[u8]],
        nonce: &Synthetic,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        if sealed.get(1..=NONCE_BYTES) != Some(nonce) {
            return Err(StoreError::Damaged("a value lies in the place of another"));
        }
        self.open(context, sealed)
    }

    /// HKDF-Extract is HMAC (RFC 5869 section 2.2): a keyed hash of all that is sealed.
    pub(crate) fn synthetic(&self, context: &[&[u8]], plaintext: &[u8]) -> Synthetic {
        let context = join(context);
        let mut extract = HkdfExtract::<Sha256>::new(Some(self.nonce_key.as_slice()));
        extract.input_ikm(&(context.len() as u64).to_be_bytes());
        extract.input_ikm(&context);
        extract.input_ikm(plaintext);
        let (hash, _) = extract.finalize();
        hash[..NONCE_BYTES].try_into().expect("SHA-256 has 32 bytes")
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// Joins parts so that no two lists of parts give the same bytes.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&StoreKey::new([byte; 32]))
    }

    #[test]
    fn a_value_opens_with_its_key_in_its_place_only() {
        let sealed = sealer(1).seal(&[b"messages", b"7"], b"bonjour");
        assert_eq!(sealer(1).open(&[b"messages", b"7"], &sealed).unwrap(), b"bonjour");
        assert!(sealer(2).open(&[b"messages", b"7"], &sealed).is_err(), "another key");
        assert!(sealer(1).open(&[b"messages", b"8"], &sealed).is_err(), "another row");
        assert!(sealer(1).open(&[b"messages7", b""], &sealed).is_err(), "parts run together");
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = sealer(1).seal(&[b"x"], b"bonjour");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer(1).open(&[b"x"], &changed).is_err(), "byte {index}");
            assert!(sealer(1).open(&[b"x"], &sealed[..index]).is_err(), "length {index}");
        }
    }

    #[test]
    fn equal_values_seal_alike_so_that_rows_are_found() {
        assert_eq!(sealer(1).seal(&[b"x"], b"key"), sealer(1).seal(&[b"x"], b"key"));
        assert_ne!(sealer(1).seal(&[b"x"], b"key"), sealer(1).seal(&[b"x"], b"kez"));
    }
}
