//! The only door to openmls.
//!
//! Functions here work on one [`MlsGroup`] and the transaction behind a [`provider::Provider`]; they know nothing of
//! the hub, the log or the outbox. A group that an operation failed on is dropped by the caller and loaded
//! again after its transaction was rolled back: memory must never be ahead of the store.
//!
//! What comes from others is read with `tls_codec::Deserialize`; its twin for slices, `DeserializeBytes`, asserts in
//! debug builds that a vector is as long as it says.
//!
//! - [`provider`]: openmls over the store's transaction, values sealed;
//! - [`identity`]: own keys and credential, and the verification of everybody else's;
//! - [`profile`]: ciphersuite, capabilities and settings of docs/protocol.md section 4;
//! - [`group`]: making, loading and describing groups;
//! - [`key_packages`]: making own ones, verifying claimed ones;
//! - [`founding`]: a group that is made and filled without a store;
//! - [`commit`]: building commits; [`check`]: judging them, own and others' alike;
//! - [`application`]: encrypting and reading messages;
//! - [`welcome`] and [`external`]: the two ways into a group.

pub(crate) use openmls::prelude::MlsGroup;

pub(crate) mod application;
pub(crate) mod check;
pub(crate) mod commit;
#[cfg(test)]
mod conformance;
pub(crate) mod external;
pub(crate) mod founding;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod key_packages;
pub(crate) mod profile;
pub(crate) mod provider;
pub(crate) mod storage;
pub(crate) mod welcome;

/// An MLS operation failed. The text is for a developer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum MlsError {
    /// openmls or a rule of docs/protocol.md section 4 refuses it.
    #[error("{0}: {1}")]
    Refused(&'static str, String),
    /// The certificate of a member is not trusted.
    #[error(transparent)]
    Certificate(#[from] cercle_proto::certificate::CertificateError),
    /// The group's policy does not allow it.
    #[error(transparent)]
    Policy(#[from] cercle_proto::policy::PolicyError),
    /// A welcome for a key package whose private key is not here.
    #[error("no key package here matches the welcome")]
    NoMatchingKeyPackage,
    /// The group's state is not in the store.
    #[error("the group is not in the store")]
    NoGroup,
}

/// Turns any error of openmls into a refusal that says what was tried.
fn refused<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> MlsError {
    move |error| MlsError::Refused(what, error.to_string())
}
