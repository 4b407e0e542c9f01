//! Encryption of chunks to a public key: HPKE (RFC 9180) in base mode, X25519, HKDF-SHA256 and
//! ChaCha20-Poly1305. Whoever makes backups holds the public key only.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair},
};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::BackupError;

const PUBLIC_PREFIX: &str = "cercle-backup-public-";
const SECRET_PREFIX: &str = "cercle-backup-secret-";
const INFO: &[u8] = b"cercle backup v1";
/// Bytes of an X25519 public key, which is also the encapsulated key.
const KEM_BYTES: usize = 32;

/// What backups are sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; KEM_BYTES]);

/// What opens them. Kept off the hub.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

const fn config() -> HpkeConfig {
    HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305)
}

impl SecretKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, BackupError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| BackupError::Cipher)?;
        Ok(Self(bytes))
    }

    /// Its public half.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn public(&self) -> Result<PublicKey, BackupError> {
        let public = self.pair()?.public;
        Ok(PublicKey(public.try_into().map_err(|_| BackupError::Cipher)?))
    }

    /// The key as text, to be written into a file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0.as_ref())))
    }

    /// Opens what was sealed under a name.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, BackupError> {
        let wrong = || BackupError::WrongKey(name.to_owned());
        let (kem, ciphertext) = sealed.split_at_checked(KEM_BYTES).ok_or_else(wrong)?;
        let input =
            HpkeCiphertext { kem_output: kem.to_vec().into(), ciphertext: ciphertext.to_vec().into() };
        let pair = self.pair()?;
        RustCrypto::default()
            .hpke_open(config(), &input, &pair.private, INFO, name.as_bytes())
            .map_err(|_| wrong())
    }

    fn pair(&self) -> Result<HpkeKeyPair, BackupError> {
        let derived = RustCrypto::default().derive_hpke_keypair(config(), self.0.as_ref());
        derived.map_err(|_| BackupError::Cipher)
    }
}

impl FromStr for SecretKey {
    type Err = BackupError;

    fn from_str(text: &str) -> Result<Self, BackupError> {
        let bytes = Zeroizing::new(decode(text, SECRET_PREFIX).ok_or(BackupError::BadKey("secret"))?);
        Ok(Self(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| BackupError::BadKey("secret"))?)))
    }
}

impl PublicKey {
    /// Seals content under a name.
    pub(super) fn seal(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, BackupError> {
        let sealed = RustCrypto::default().hpke_seal(config(), &self.0, INFO, name.as_bytes(), content);
        let sealed = sealed.map_err(|_| BackupError::Cipher)?;
        Ok([sealed.kem_output.as_slice(), sealed.ciphertext.as_slice()].concat())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = BackupError;

    fn from_str(text: &str) -> Result<Self, BackupError> {
        let bytes = decode(text, PUBLIC_PREFIX).ok_or(BackupError::BadKey("public"))?;
        Ok(Self(bytes.try_into().map_err(|_| BackupError::BadKey("public"))?))
    }
}

fn decode(text: &str, prefix: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim().strip_prefix(prefix)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_key_opens_and_only_under_the_same_name() {
        let secret = SecretKey::generate().unwrap();
        let public: PublicKey = secret.public().unwrap().to_string().parse().unwrap();
        let sealed = public.seal("name", b"content").unwrap();
        let again: SecretKey = secret.to_text().parse().unwrap();
        assert_eq!(again.open("name", &sealed).unwrap(), b"content");
        assert!(matches!(again.open("other", &sealed), Err(BackupError::WrongKey(_))));
        assert!(matches!(
            SecretKey::generate().unwrap().open("name", &sealed),
            Err(BackupError::WrongKey(_))
        ));
        assert!(matches!(again.open("name", &sealed[..20]), Err(BackupError::WrongKey(_))));
        assert_ne!(public.seal("name", b"content").unwrap(), sealed, "each seal is fresh");
    }

    #[test]
    fn a_key_of_the_other_kind_is_no_key() {
        let secret = SecretKey::generate().unwrap();
        let public = secret.public().unwrap().to_string();
        assert!(matches!(public.parse::<SecretKey>(), Err(BackupError::BadKey("secret"))));
        assert!(matches!(secret.to_text().parse::<PublicKey>(), Err(BackupError::BadKey("public"))));
    }
}
