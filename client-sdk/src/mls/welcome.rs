//! Joining by Welcome (RFC 9420 section 12.4.3.1).

use cercle_proto::{certificate::DeviceIdentity, id::GroupId};
use openmls::prelude::{MlsGroup, MlsMessageBodyIn, MlsMessageIn, StagedWelcome, WelcomeError};
use tls_codec::Deserialize as _;

use super::{MlsError, group, identity::Myself, profile, provider::Provider, refused};

/// Joins a group, in place of any older state of it, and says who let this device in. Members with an expired certificate are accepted: one
/// colleague on holiday must not keep everybody else out.
///
/// openmls deletes the key package at the first look, also when it fails later: on an error the caller
/// rolls the transaction back to its mark.
///
/// # Errors
/// [`MlsError::NoMatchingKeyPackage`], or the welcome, a member's certificate or the group context is
/// refused.
pub(crate) fn join(
    provider: &Provider<'_>,
    me: &Myself,
    expected: GroupId,
    welcome: &[u8],
) -> Result<(MlsGroup, DeviceIdentity), MlsError> {
    let message = MlsMessageIn::tls_deserialize_exact(welcome).map_err(refused("welcome"))?;
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
        return Err(MlsError::Refused("welcome", "it is another kind of message".into()));
    };
    let staged = StagedWelcome::build_from_welcome(provider, &profile::join_config(), welcome)
        .map_err(|error| match error {
            WelcomeError::NoMatchingKeyPackage => MlsError::NoMatchingKeyPackage,
            other => MlsError::Refused("welcome", other.to_string()),
        })?
        .skip_lifetime_validation()
        .replace_old_group()
        .build()
        .map_err(refused("welcome"))?;
    if staged.group_context().group_id() != &group::mls_id(expected) {
        return Err(MlsError::Refused("welcome", "it is for another group than the hub says".into()));
    }
    for member in staged.members() {
        me.verifier.verify_member(&member.credential, &member.signature_key)?;
    }
    let sender = staged.welcome_sender().map_err(refused("welcome"))?;
    let sender = me.verifier.verify_member(sender.credential(), sender.signature_key().as_slice())?;
    profile::check_context(staged.group_context().extensions(), &me.verifier)?;
    let mut joined = staged.into_group(provider).map_err(refused("welcome"))?;
    group::fit_past_epochs(provider, &mut joined)?;
    Ok((joined, sender))
}
