//! Making own key packages, and verifying those of others before they are added (RFC 9420 section 10).

use cercle_proto::{
    certificate::{CertificateError, DeviceIdentity},
    id::TimestampMs,
    v1,
};
pub(crate) use openmls::prelude::KeyPackage;
use openmls::prelude::{KeyPackageRef, Lifetime, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use openmls_traits::{OpenMlsProvider, storage::StorageProvider as _};
use tls_codec::Deserialize as _;

use super::{
    MlsError, group,
    identity::{DeviceKeys, Myself, Verifier},
    profile,
    provider::Provider,
    refused,
};
use crate::{
    limits,
    store::{self, key_packages::KeyPackageRow},
};

/// Makes a key package; openmls stores its private keys.
///
/// # Errors
/// When openmls refuses.
pub(crate) fn make(
    provider: &Provider<'_>,
    keys: &DeviceKeys,
    me: &Myself,
    generation: u64,
    last_resort: bool,
    now: TimestampMs,
) -> Result<KeyPackageRow, MlsError> {
    let (package, not_after_ms) = build(provider, keys, me, last_resort, now)?;
    let reference = package.hash_ref(provider.crypto()).map_err(refused("key package"))?;
    let encoded = group::to_bytes(&package.into())?;
    let reference = store::encode(&reference).to_vec();
    Ok(KeyPackageRow { reference, generation, not_after_ms, last_resort, encoded })
}

/// Makes a key package whose private keys go where the provider keeps them. Also says when it ends, ms since
/// the Unix epoch.
///
/// # Errors
/// When openmls refuses.
pub(crate) fn build(
    provider: &impl OpenMlsProvider,
    keys: &DeviceKeys,
    me: &Myself,
    last_resort: bool,
    now: TimestampMs,
) -> Result<(KeyPackage, TimestampMs), MlsError> {
    let not_after_ms = (now + limits::KEY_PACKAGE_LIFE_MS).min(me.identity.not_after_ms);
    let not_before_ms = now.saturating_sub(limits::KEY_PACKAGE_MARGIN_MS);
    let mut builder = KeyPackage::builder()
        .key_package_lifetime(Lifetime::init(not_before_ms / 1_000, not_after_ms / 1_000))
        .leaf_node_capabilities(profile::capabilities());
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(profile::CIPHERSUITE, provider, keys.signer(), me.credential.clone())
        .map_err(refused("key package"))?;
    Ok((bundle.into_key_package(), not_after_ms))
}

/// Deletes the private keys of a key package.
///
/// # Errors
/// When the store fails.
pub(crate) fn forget(provider: &Provider<'_>, reference: &[u8]) -> Result<(), MlsError> {
    let reference: KeyPackageRef = store::decode(reference).map_err(refused("key package reference"))?;
    provider.storage().delete_key_package(&reference).map_err(refused("delete key package"))
}

/// Verifies a claimed key package: it is whole, valid now, and of the device that the hub said.
///
/// # Errors
/// When it is not: the hub or the device is at fault, and the device must not be added.
pub(crate) fn verify(
    provider: &Provider<'_>,
    verifier: &Verifier,
    claimed: &v1::ClaimedKeyPackage,
    now: TimestampMs,
) -> Result<(KeyPackage, DeviceIdentity), MlsError> {
    let message =
        MlsMessageIn::tls_deserialize_exact(&claimed.key_package).map_err(refused("key package"))?;
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        return Err(MlsError::Refused("key package", "it is another kind of message".into()));
    };
    let package =
        package.validate(provider.crypto(), ProtocolVersion::Mls10).map_err(refused("key package"))?;
    if package.ciphersuite() != profile::CIPHERSUITE {
        return Err(MlsError::Refused("key package", "it is for another ciphersuite".into()));
    }
    let leaf = package.leaf_node();
    let identity = verifier.verify_new(leaf.credential(), leaf.signature_key().as_slice(), now)?;
    let as_said = identity.user.as_str() == claimed.user
        && identity.device.as_bytes().as_slice() == claimed.device.as_ref();
    if as_said {
        Ok((package, identity))
    } else {
        Err(CertificateError::Malformed("it is of another device than the hub says").into())
    }
}
