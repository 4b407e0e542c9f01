//! The MLS profile of docs/protocol.md section 4: ciphersuite, capabilities, extensions, settings.

use cercle_proto::{certificate, policy};
use openmls::prelude::{
    Capabilities, Ciphersuite, Credential, CredentialType, CredentialWithKey, Extension, ExtensionType,
    Extensions, ExternalSender, GroupContext, LeafNodeParameters, MlsGroupCreateConfig, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, RequiredCapabilitiesExtension, SenderRatchetConfiguration,
    SignaturePublicKey, UnknownExtension, WireFormatPolicy,
};
use tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};

use super::{MlsError, identity::Verifier, refused};
use crate::limits;
use policy::Policy;

/// The one ciphersuite.
pub(crate) const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Handshakes are readable by the hub; application messages never are, whatever this says.
const WIRE_FORMAT: WireFormatPolicy = PURE_PLAINTEXT_WIRE_FORMAT_POLICY;

const POLICY: ExtensionType = ExtensionType::Unknown(policy::EXTENSION_TYPE);

/// What every leaf of ours can do. A key package of last resort must be marked by an extension that its
/// leaf names (RFC 9420 section 16.8).
pub(crate) fn capabilities() -> Capabilities {
    let extensions = [POLICY, ExtensionType::LastResort];
    Capabilities::new(None, Some(&[CIPHERSUITE]), Some(&extensions), None, Some(&[CredentialType::X509]))
}

/// A credential that carries this certificate over this key.
pub(crate) fn credential(certificate: &[u8], public_key: &[u8]) -> CredentialWithKey {
    let content = certificate::encode_credential(&[certificate.to_vec()]);
    CredentialWithKey {
        credential: Credential::new(CredentialType::X509, content),
        signature_key: SignaturePublicKey::from(public_key),
    }
}

/// Parameters of an own leaf with this credential.
pub(crate) fn leaf(credential: &CredentialWithKey) -> LeafNodeParameters {
    LeafNodeParameters::builder()
        .with_credential_with_key(credential.clone())
        .with_capabilities(capabilities())
        .build()
}

/// Settings of a group that is made here.
///
/// # Errors
/// When openmls refuses the extensions.
pub(crate) fn create_config(
    policy: &Policy,
    hub_certificate: &[u8],
    hub_key: &[u8],
) -> Result<MlsGroupCreateConfig, MlsError> {
    let hub = credential(hub_certificate, hub_key);
    let extensions = vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
            &[POLICY],
            &[],
            &[CredentialType::X509],
        )),
        Extension::ExternalSenders(vec![ExternalSender::new(hub.signature_key, hub.credential)]),
        policy_extension(policy),
    ];
    let extensions = Extensions::from_vec(extensions).map_err(refused("group extensions"))?;
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .wire_format_policy(WIRE_FORMAT)
        .use_ratchet_tree_extension(true)
        .padding_size(limits::PADDING_BYTES)
        .max_past_epochs(limits::PAST_EPOCHS)
        .sender_ratchet_configuration(ratchet())
        .capabilities(capabilities())
        .with_group_context_extensions(extensions)
        .build())
}

/// Settings of a group that is joined.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(WIRE_FORMAT)
        .use_ratchet_tree_extension(true)
        .padding_size(limits::PADDING_BYTES)
        .max_past_epochs(limits::PAST_EPOCHS)
        .sender_ratchet_configuration(ratchet())
        .build()
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(limits::OUT_OF_ORDER_MESSAGES, limits::FORWARD_MESSAGES)
}

/// The group context extension that carries a policy.
pub(crate) fn policy_extension(policy: &Policy) -> Extension {
    Extension::Unknown(policy::EXTENSION_TYPE, UnknownExtension(policy.encode()))
}

/// Reads the policy of a group context.
///
/// # Errors
/// When it has none or it is damaged.
pub(crate) fn policy_of(extensions: &Extensions<GroupContext>) -> Result<Policy, MlsError> {
    let found = extensions.unknown(policy::EXTENSION_TYPE);
    let content = found.ok_or(policy::PolicyError::Malformed)?;
    Ok(Policy::decode(&content.0)?)
}

/// Checks the group context of a group that this device enters: the required capabilities, a policy, and
/// the hub as the only external sender.
///
/// # Errors
/// Says which rule is broken.
pub(crate) fn check_context(
    extensions: &Extensions<GroupContext>,
    verifier: &Verifier,
) -> Result<(), MlsError> {
    policy_of(extensions)?;
    let wrong = |what: &str| MlsError::Refused("group context", what.to_owned());
    let required = extensions.required_capabilities().ok_or_else(|| wrong("no required capabilities"))?;
    if !required.extension_types().contains(&POLICY) || required.credential_types() != [CredentialType::X509]
    {
        return Err(wrong("other required capabilities than ours"));
    }
    match extensions.external_senders().map(Vec::as_slice) {
        Some([hub]) => check_external_sender(hub, verifier),
        _ => Err(wrong("not exactly one external sender")),
    }
}

/// openmls shows no field of an external sender, so its encoding is read (RFC 9420 section 12.1.8.1):
/// signature key, credential type, credential content.
fn check_external_sender(sender: &ExternalSender, verifier: &Verifier) -> Result<(), MlsError> {
    let damaged = || MlsError::Refused("external sender", "cannot be read".to_owned());
    let bytes = sender.tls_serialize_detached().map_err(refused("external sender"))?;
    let (key, rest) = VLBytes::tls_deserialize_bytes(&bytes).map_err(|_| damaged())?;
    let (credential_type, rest) = rest.split_at_checked(2).ok_or_else(damaged)?;
    if credential_type != [0, 2] {
        return Err(damaged());
    }
    let (content, _) = VLBytes::tls_deserialize_bytes(rest).map_err(|_| damaged())?;
    verifier.verify_hub(content.as_slice(), key.as_slice())
}
