//! Whether an uploaded GroupInfo (RFC 9420 section 12.4.3) is that of the epoch a commit leads to.
//!
//! A wrong one would make every later external commit fail, and with it the way back of every device that
//! lost its state; so it is compared byte by byte and its signature is checked. What cannot be checked here
//! is `external_pub` itself: it derives from a secret of the group.

use openmls::{
    ciphersuite::signable::Verifiable,
    framing::{MlsMessageBodyIn, MlsMessageIn},
    group::GroupContext,
    messages::{ConfirmationTag, group_info::VerifiableGroupInfo},
    prelude::{OpenMlsSignaturePublicKey, SignaturePublicKey},
};
use openmls_rust_crypto::RustCrypto;
use tls_codec::{Deserialize, Serialize};

use super::{Error, profile::CIPHERSUITE};

/// What the GroupInfo of an epoch must say.
pub(super) struct Expected<'a> {
    /// Group context of the epoch.
    pub(super) context: &'a GroupContext,
    /// Confirmation tag of the commit that led there.
    pub(super) confirmation_tag: &'a ConfirmationTag,
    /// Leaf of the committer.
    pub(super) signer: u32,
    /// His signature key in that epoch.
    pub(super) signer_key: &'a SignaturePublicKey,
}

/// Reads a GroupInfo without tree and with `external_pub` out of an MLSMessage.
///
/// # Errors
/// [`Error::GroupInfoMismatch`] when it is anything else.
pub(super) fn parse(message: &[u8]) -> Result<VerifiableGroupInfo, Error> {
    let mismatch = Error::GroupInfoMismatch;
    let parsed =
        MlsMessageIn::tls_deserialize_exact(message).map_err(|_| mismatch("it is not an MLSMessage"))?;
    let MlsMessageBodyIn::GroupInfo(group_info) = parsed.extract() else {
        return Err(mismatch("the MLSMessage holds no GroupInfo"));
    };
    let extensions = group_info.extensions();
    if extensions.ratchet_tree().is_some() {
        return Err(mismatch("it must not hold the ratchet tree"));
    }
    if extensions.external_pub().is_none() {
        return Err(mismatch("external_pub is missing"));
    }
    Ok(group_info)
}

/// Compares a GroupInfo with what the commit leads to.
///
/// # Errors
/// [`Error::GroupInfoMismatch`] says which part differs.
pub(super) fn check(
    group_info: &VerifiableGroupInfo,
    expected: &Expected<'_>,
    crypto: &RustCrypto,
) -> Result<(), Error> {
    let mismatch = Error::GroupInfoMismatch;
    if group_info.group_context() != expected.context {
        return Err(mismatch("its group context is another"));
    }
    // GroupInfo: GroupContext, extensions, confirmation_tag, signer, signature. openmls shows only the
    // first two, so the rest is compared in its encoding.
    let encode = |part: Result<Vec<u8>, tls_codec::Error>| part.map_err(|_| mismatch("it cannot be encoded"));
    let mut wanted = encode(expected.context.tls_serialize_detached())?;
    wanted.extend(encode(group_info.extensions().tls_serialize_detached())?);
    wanted.extend(encode(expected.confirmation_tag.tls_serialize_detached())?);
    let encoded = encode(group_info.tls_serialize_detached())?;
    let rest =
        encoded.strip_prefix(wanted.as_slice()).ok_or_else(|| mismatch("its confirmation tag is another"))?;
    if !rest.starts_with(&expected.signer.to_be_bytes()) {
        return Err(mismatch("it is not signed by the committer"));
    }
    let key = OpenMlsSignaturePublicKey::from_signature_key(
        expected.signer_key.clone(),
        CIPHERSUITE.signature_algorithm(),
    );
    group_info.verify_no_out(crypto, &key).map_err(|_| mismatch("its signature does not verify"))
}
