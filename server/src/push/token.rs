//! Signed tokens (JWT, RFC 7519) by which push services know the hub: ES256 for Web Push (RFC 8292) and
//! Apple, RS256 for Google. Each is made anew when it is about to end.

use std::sync::Mutex;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cercle_proto::id::TimestampMs;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};

use crate::limits;

/// A private key of the hub towards push services.
pub enum SigningKey {
    /// P-256 with SHA-256.
    Es256(EcdsaKeyPair),
    /// RSA with SHA-256.
    Rs256(RsaKeyPair),
}

/// A private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no private key in PKCS #8 of the kind that this push service wants")]
pub struct NoKey;

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// A P-256 key from PKCS #8.
    ///
    /// # Errors
    /// When it is none.
    pub fn es256(pkcs8: &[u8]) -> Result<Self, NoKey> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        key.map(Self::Es256).map_err(|_| NoKey)
    }

    /// An RSA key from PKCS #8.
    ///
    /// # Errors
    /// When it is none.
    pub fn rs256(pkcs8: &[u8]) -> Result<Self, NoKey> {
        RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rs256).map_err(|_| NoKey)
    }

    /// A new P-256 key, PKCS #8.
    ///
    /// # Panics
    /// When the system gives no randomness.
    #[must_use]
    pub fn generate_es256() -> Vec<u8> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        pkcs8.expect("the system gives randomness").as_ref().to_vec()
    }

    /// The public key: P-256 uncompressed, or RSA in DER.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        match self {
            Self::Es256(key) => key.public_key().as_ref(),
            Self::Rs256(key) => key.public_key().as_ref(),
        }
    }

    /// A token with these claims; `kid` names the key where the service wants it.
    ///
    /// # Panics
    /// When the system gives no randomness.
    #[must_use]
    pub fn token(&self, kid: Option<&str>, claims: &serde_json::Value) -> String {
        let algorithm = match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        };
        let mut header = serde_json::json!({ "alg": algorithm, "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => {
                key.sign(&random, message).expect("the system gives randomness").as_ref().to_vec()
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("the buffer has the length of the modulus, and the system gives randomness");
                signature
            }
        }
    }
}

/// Keeps a token until it is too old, for one receiver.
#[derive(Default)]
pub struct Kept(Mutex<Option<(TimestampMs, String)>>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Kept {
    /// The token that is kept, if it is young enough.
    #[must_use]
    pub fn get(&self, now: TimestampMs) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let young = |made_at: &TimestampMs| (*made_at..made_at + limits::PUSH_TOKEN_VALID_MS).contains(&now);
        kept.as_ref().filter(|(made_at, _)| young(made_at)).map(|(_, token)| token.clone())
    }

    /// Keeps a token.
    pub fn keep(&self, token: String, now: TimestampMs) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((now, token));
    }

    /// Forgets it: the service refused it.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_verifies_with_the_public_key_and_says_its_claims() {
        let key = SigningKey::es256(&SigningKey::generate_es256()).unwrap();
        let token = key.token(Some("KEY"), &serde_json::json!({ "iss": "TEAM" }));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public());
        public.verify(signed.as_bytes(), &signature).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(claims, br#"{"iss":"TEAM"}"#);
    }

    #[test]
    fn a_token_is_kept_until_it_is_too_old() {
        let kept = Kept::default();
        kept.keep("token".into(), 1_000);
        assert_eq!(kept.get(1_000 + limits::PUSH_TOKEN_VALID_MS - 1).as_deref(), Some("token"));
        assert_eq!(kept.get(1_000 + limits::PUSH_TOKEN_VALID_MS), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(SigningKey::es256(b"no key").is_err());
        assert!(SigningKey::rs256(&SigningKey::generate_es256()).is_err());
    }
}
