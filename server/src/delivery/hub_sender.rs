//! The hub as MLS external sender (RFC 9420 section 12.1.8.1): the one voice it has in a group, used to
//! propose the removal of revoked devices.

use std::fmt;

use bytes::Bytes;
use cercle_proto::{
    certificate::encode_credential,
    id::{Epoch, GroupId},
};
use openmls::{
    credentials::{Credential, CredentialType},
    extensions::{ExternalSender, SenderExtensionIndex},
    group::GroupEpoch,
    messages::external_proposals::ExternalProposal,
    prelude::LeafNodeIndex,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tls_codec::Serialize;

use crate::auth::authority::{AuthorityError, KeyedCertificate};

/// Key and certificate of the hub in groups.
pub struct HubSender {
    key: Ed25519KeyPair,
    certificate: Vec<u8>,
}

impl fmt::Debug for HubSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSender").finish_non_exhaustive()
    }
}

impl HubSender {
    /// Takes what [`crate::auth::authority::make_hub_sender`] made.
    ///
    /// # Errors
    /// When the key is not an Ed25519 key in PKCS#8.
    pub fn new(keyed: &KeyedCertificate) -> Result<Self, AuthorityError> {
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&keyed.key)
            .map_err(|_| AuthorityError::Unusable("the hub's sender key is not an Ed25519 key in PKCS#8"))?;
        Ok(Self { key, certificate: keyed.certificate.clone() })
    }

    /// The key that groups know the hub by, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key().as_ref().to_vec()
    }

    /// The certificate that groups know the hub by, DER.
    #[must_use]
    pub fn certificate(&self) -> Bytes {
        Bytes::copy_from_slice(&self.certificate)
    }

    /// Signs a statement of the hub that names its own purpose in its first bytes.
    #[must_use]
    pub fn vouch(&self, statement: &[u8]) -> Bytes {
        Bytes::copy_from_slice(self.key.sign(statement).as_ref())
    }

    /// How groups must name the hub.
    pub(super) fn external_sender(&self) -> ExternalSender {
        let content = encode_credential(std::slice::from_ref(&self.certificate));
        let credential = Credential::new(CredentialType::X509, content);
        ExternalSender::new(self.key.public_key().as_ref().into(), credential)
    }

    /// The MLSMessage that proposes to remove a leaf in this epoch; `None` if it cannot be encoded, which
    /// the types rule out.
    pub(super) fn propose_removal(&self, group: GroupId, epoch: Epoch, leaf: u32) -> Option<Vec<u8>> {
        let message = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
            LeafNodeIndex::new(leaf),
            openmls::group::GroupId::from_slice(group.as_bytes()),
            GroupEpoch::from(epoch),
            self,
            SenderExtensionIndex::new(0),
        );
        message.ok()?.tls_serialize_detached().ok()
    }
}

impl Signer for HubSender {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.key.sign(payload).as_ref().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
