//! The MLS profile of docs/protocol.md section 4: what a group context and a leaf must look like.
//!
//! Pure; called for the creation of a group, for every commit and for every published key package.

use cercle_proto::{
    certificate::{DeviceIdentity, Root, Validity},
    id::TimestampMs,
    policy::{self, Policy},
};
use openmls::{
    credentials::CredentialType,
    extensions::{Extension, ExtensionType, ExternalSender},
    group::GroupContext,
    treesync::LeafNode,
};
use openmls_traits::types::Ciphersuite;

use super::Error;

/// The one ciphersuite of every group.
pub(super) const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

const POLICY_EXTENSION: ExtensionType = ExtensionType::Unknown(policy::EXTENSION_TYPE);

/// Reads the policy of a group context that fits the profile: this ciphersuite, exactly the three
/// extensions, the hub as only external sender, policy extension and X.509 credentials required.
///
/// # Errors
/// [`Error::PolicyDenied`] for a policy that is missing or damaged, [`Error::MlsInvalid`] for the rest.
pub(super) fn check_context(context: &GroupContext, hub: &ExternalSender) -> Result<Policy, Error> {
    let invalid = |why: &str| Error::MlsInvalid(why.to_owned());
    if context.ciphersuite() != CIPHERSUITE {
        return Err(invalid("the ciphersuite is not that of the profile"));
    }
    let extensions = context.extensions();
    let known = |extension: &Extension| match extension {
        Extension::RequiredCapabilities(_) | Extension::ExternalSenders(_) => true,
        other => other.extension_type() == POLICY_EXTENSION,
    };
    if !extensions.iter().all(known) {
        return Err(invalid("the group context has an extension outside the profile"));
    }
    if extensions.external_senders().is_none_or(|senders| senders.as_slice() != std::slice::from_ref(hub)) {
        return Err(invalid("the hub must be the only external sender"));
    }
    let required = extensions.required_capabilities();
    let complete = required.is_some_and(|required| {
        required.extension_types() == [POLICY_EXTENSION]
            && required.credential_types() == [CredentialType::X509]
    });
    if !complete {
        return Err(invalid("the required capabilities are not those of the profile"));
    }
    let encoded = extensions.unknown(policy::EXTENSION_TYPE);
    let encoded = encoded.ok_or(Error::PolicyDenied("the group policy is missing"))?;
    Policy::decode(&encoded.0).map_err(|_| Error::PolicyDenied("the group policy is damaged"))
}

/// Reads whose leaf this is: a device certificate of this CPTS over the leaf's signature key, valid now, and
/// the capabilities that every group requires.
///
/// # Errors
/// Says what is wrong with the certificate or the capabilities.
pub(super) fn check_new_leaf(
    leaf: &LeafNode,
    root: &Root,
    now: TimestampMs,
) -> Result<DeviceIdentity, &'static str> {
    use cercle_proto::certificate::CertificateError;
    let credential = leaf.credential();
    if credential.credential_type() != CredentialType::X509 {
        return Err("the credential is not X.509");
    }
    let capabilities = leaf.capabilities();
    if !capabilities.extensions().contains(&POLICY_EXTENSION)
        || !capabilities.credentials().contains(&CredentialType::X509)
    {
        return Err("the leaf does not support the policy extension or X.509 credentials");
    }
    let signature_key = leaf.signature_key().as_slice();
    root.verify_device(credential.serialized_content(), signature_key, Validity::At(now)).map_err(|error| {
        match error {
            CertificateError::Malformed(why) => why,
            CertificateError::UnknownIssuer => "it was not issued under the root of this hub",
            CertificateError::NotValidNow => "it is not valid at this time",
            CertificateError::OtherKey => "it is for another key",
        }
    })
}
