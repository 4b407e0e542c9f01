//! The singletons of table `meta`: who this device is, and where it stands with the hub.

use cercle_proto::id::TimestampMs;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{StoreError, Tx};

/// Who this device is. `Keys` is the signature key pair, a type of the MLS layer.
#[derive(Serialize, Deserialize)]
pub(crate) struct IdentityRecord<Keys> {
    /// `host:port` of the hub.
    pub(crate) address: String,
    /// SHA-256 of the root certificate, from the invitation.
    pub(crate) root_fingerprint: [u8; 32],
    /// The hub's TLS certificate is one of the public web.
    pub(crate) web_certificate: bool,
    /// Device id.
    pub(crate) device: [u8; 16],
    /// Signature key pair: session, certificate and MLS.
    pub(crate) keys: Keys,
}

impl<Keys> std::fmt::Debug for IdentityRecord<Keys> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityRecord")
    }
}

/// What the hub issued to this device.
#[derive(Serialize, Deserialize)]
pub(crate) struct CertificateRecord {
    /// Device certificate, DER.
    pub(crate) certificate: Vec<u8>,
    /// Root certificate, DER.
    pub(crate) root: Vec<u8>,
}

/// Where the device stands with the hub.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Inbox items up to and including this one are done.
    pub(crate) inbox: u64,
    /// The hub's incarnation, as last seen.
    pub(crate) incarnation: Vec<u8>,
    /// The hub's certificate as MLS external sender, DER.
    pub(crate) hub_certificate: Option<Vec<u8>>,
    /// Generation of key packages; 0: none made yet.
    pub(crate) generation: u64,
    /// No certificate renewal before this time.
    pub(crate) renew_not_before: TimestampMs,
    /// The hub was asked which groups other devices of this user are in.
    #[serde(default)]
    pub(crate) siblings_known: bool,
}

impl Tx<'_> {
    /// Who this device is, if it has begun to enrol.
    pub(crate) fn identity<Keys: DeserializeOwned>(
        &self,
    ) -> Result<Option<IdentityRecord<Keys>>, StoreError> {
        self.read_meta("identity")
    }

    /// Writes who this device is.
    pub(crate) fn write_identity<Keys: Serialize>(
        &self,
        identity: &IdentityRecord<Keys>,
    ) -> Result<(), StoreError> {
        self.write_meta("identity", identity)
    }

    /// The device's certificate, once it is enrolled.
    pub(crate) fn certificate(&self) -> Result<Option<CertificateRecord>, StoreError> {
        self.read_meta("certificate")
    }

    /// Writes the device's certificate.
    pub(crate) fn write_certificate(&self, certificate: &CertificateRecord) -> Result<(), StoreError> {
        self.write_meta("certificate", certificate)
    }

    /// The invitation's one-time secret, until it is redeemed.
    pub(crate) fn invitation(&self) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.read_meta("invitation")?.flatten())
    }

    /// Writes the invitation's one-time secret, or that it is redeemed.
    pub(crate) fn write_invitation(&self, secret: Option<[u8; 32]>) -> Result<(), StoreError> {
        self.write_meta("invitation", &secret)
    }

    /// Where the device stands with the hub.
    pub(crate) fn standing(&self) -> Result<Standing, StoreError> {
        Ok(self.read_meta("standing")?.unwrap_or_default())
    }

    /// Writes where the device stands with the hub.
    pub(crate) fn write_standing(&self, standing: &Standing) -> Result<(), StoreError> {
        self.write_meta("standing", standing)
    }
}
