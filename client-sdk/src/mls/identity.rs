//! Own keys and credential, and the verification of everybody else's.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use cercle_proto::{
    certificate::{self, CertificateError, DeviceIdentity, HubIdentity, Root, Validity},
    id::TimestampMs,
    signing,
};
use openmls::prelude::{Credential, CredentialType, CredentialWithKey};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::{signatures::Signer as _, types::SignatureScheme};

use super::{MlsError, profile, refused};
use crate::limits;

/// The device's Ed25519 key pair: signs sessions, holds the certificate, signs MLS. Serialised only into a
/// sealed record.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct DeviceKeys(SignatureKeyPair);

impl DeviceKeys {
    /// Makes a new pair.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub(crate) fn generate() -> Result<Self, MlsError> {
        SignatureKeyPair::new(SignatureScheme::ED25519).map(Self).map_err(refused("device key"))
    }

    /// The public key.
    pub(crate) fn public(&self) -> [u8; signing::PUBLIC_KEY_BYTES] {
        self.0.public().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// Signs bytes outside MLS (see [`signing`]).
    ///
    /// # Errors
    /// When the stored key is damaged.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MlsError> {
        self.0.sign(message).map_err(|_| MlsError::Refused("sign", "the device key is damaged".into()))
    }

    /// The signer that openmls takes.
    pub(crate) const fn signer(&self) -> &SignatureKeyPair {
        &self.0
    }
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKeys")
    }
}

/// This device, enrolled.
pub(crate) struct Myself {
    /// Whom the certificate names.
    pub(crate) identity: DeviceIdentity,
    /// The certificate, DER.
    pub(crate) certificate: Vec<u8>,
    /// Credential of own leaves.
    pub(crate) credential: CredentialWithKey,
    /// Verifies the others.
    pub(crate) verifier: Verifier,
}

impl Myself {
    /// From a certificate that was verified when it was stored.
    ///
    /// # Errors
    /// When certificate or root cannot be read, or the certificate is for another key.
    pub(crate) fn new(certificate: &[u8], root: &[u8], keys: &DeviceKeys) -> Result<Self, CertificateError> {
        let root = Root::from_der(root)?;
        let chain = [certificate.to_vec()];
        root.verify(&chain, &keys.public(), Validity::Ignore)?;
        let identity = certificate::read_device(certificate)?;
        let credential = profile::credential(certificate, &keys.public());
        let domain = identity.user.domain().to_owned();
        let verifier = Verifier { root, domain, known: Mutex::default() };
        Ok(Self { identity, certificate: certificate.to_vec(), credential, verifier })
    }
}

impl std::fmt::Debug for Myself {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Myself").field("device", &self.identity.device).finish_non_exhaustive()
    }
}

/// Verifies certificates against the pinned root, and remembers what it has verified.
pub(crate) struct Verifier {
    root: Root,
    domain: String,
    known: Mutex<HashMap<[u8; 32], DeviceIdentity>>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// The pinned root.
    pub(crate) const fn root(&self) -> &Root {
        &self.root
    }

    /// How many certificates are remembered.
    pub(crate) fn known(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Verifies a leaf that is new in a group: it must be valid now.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub(crate) fn verify_new(
        &self,
        credential: &Credential,
        signature_key: &[u8],
        now: TimestampMs,
    ) -> Result<DeviceIdentity, MlsError> {
        check_type(credential)?;
        let content = credential.serialized_content();
        Ok(self.root.verify_device(content, signature_key, Validity::At(now))?)
    }

    /// Verifies a leaf that is in a group already: it may have expired.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub(crate) fn verify_member(
        &self,
        credential: &Credential,
        signature_key: &[u8],
    ) -> Result<DeviceIdentity, MlsError> {
        let identity = self.identify(credential)?;
        if identity.public_key != signature_key {
            return Err(CertificateError::OtherKey.into());
        }
        Ok(identity)
    }

    /// Verifies the chain of a credential whose key openmls has matched, and says whom it names.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub(crate) fn identify(&self, credential: &Credential) -> Result<DeviceIdentity, MlsError> {
        check_type(credential)?;
        let content = credential.serialized_content();
        let hash = signing::sha256(content);
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(known.clone());
        }
        let chain = certificate::decode_credential(content)?;
        let claimed = certificate::read_device(&chain[0])?;
        let identity = self.root.verify_device(content, &claimed.public_key, Validity::Ignore)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::VERIFIED_IDENTITIES_MAX {
            known.clear();
        }
        known.insert(hash, identity.clone());
        Ok(identity)
    }

    /// Verifies the hub's certificate (DER), as `Authenticated` brings it.
    ///
    /// # Errors
    /// When it is not under the root, or is the certificate of another domain's hub.
    pub(crate) fn hub(&self, certificate: &[u8]) -> Result<HubIdentity, CertificateError> {
        let hub = self.root.verify_hub(certificate, Validity::Ignore)?;
        if hub.domain != self.domain {
            return Err(CertificateError::Malformed("it names the hub of another domain"));
        }
        Ok(hub)
    }

    /// Verifies the external sender of a group.
    ///
    /// # Errors
    /// When it is not the hub.
    pub(crate) fn verify_hub(&self, credential: &[u8], key: &[u8]) -> Result<(), MlsError> {
        let chain = certificate::decode_credential(credential)?;
        if self.hub(&chain[0])?.public_key == key { Ok(()) } else { Err(CertificateError::OtherKey.into()) }
    }
}

fn check_type(credential: &Credential) -> Result<(), MlsError> {
    if credential.credential_type() == CredentialType::X509 {
        Ok(())
    } else {
        Err(CertificateError::Malformed("the credential is not X.509").into())
    }
}
