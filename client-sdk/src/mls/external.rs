//! Joining by external commit (RFC 9420 section 12.4.3.2): the way back into a group that this device is
//! still a member of, but whose state it has lost or cannot follow.

use cercle_proto::{id::GroupId, v1};
use openmls::prelude::{MlsGroup, MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn};
use openmls_traits::OpenMlsProvider as _;
use tls_codec::Deserialize as _;

use super::{
    MlsError,
    commit::{Author, Bundle},
    group, profile,
    provider::Provider,
    refused,
};

/// Builds an external commit that removes the own old leaf, and puts the group's state of the epoch that
/// it leads to in place of the old one. It counts only once the hub has accepted the commit.
///
/// On an error the caller rolls the transaction back to its mark.
///
/// # Errors
/// When the group info or tree does not verify, a member's certificate or the group context is refused.
pub(crate) fn rejoin(
    provider: &Provider<'_>,
    author: Author<'_>,
    expected: GroupId,
    info: &v1::GroupInfo,
) -> Result<(MlsGroup, Bundle), MlsError> {
    let message = MlsMessageIn::tls_deserialize_exact(&info.group_info).map_err(refused("group info"))?;
    let MlsMessageBodyIn::GroupInfo(group_info) = message.extract() else {
        return Err(MlsError::Refused("group info", "it is another kind of message".into()));
    };
    let tree = RatchetTreeIn::tls_deserialize_exact(&info.ratchet_tree).map_err(refused("ratchet tree"))?;
    if group_info.group_id() != &group::mls_id(expected) || group_info.epoch().as_u64() != info.epoch {
        return Err(MlsError::Refused("group info", "it is for another group or epoch".into()));
    }
    group::delete(provider, expected)?;
    let signer = author.keys.signer();
    let (mut joined, bundle) = MlsGroup::external_commit_builder()
        .with_ratchet_tree(tree)
        .with_config(profile::join_config())
        .skip_lifetime_validation()
        .build_group(provider, group_info, author.me.credential.clone())
        .map_err(refused("external commit"))?
        .leaf_node_parameters(profile::leaf(&author.me.credential))
        .load_psks(provider.storage())
        .map_err(refused("external commit"))?
        .create_group_info(false)
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .map_err(refused("external commit"))?
        .finalize(provider)
        .map_err(refused("external commit"))?;
    check_entered(&joined, author)?;
    group::fit_past_epochs(provider, &mut joined)?;
    let bundle = Bundle {
        commit: group::to_bytes(bundle.commit())?,
        welcome: Vec::new(),
        group_info: group::group_info(provider, author.keys, &joined)?,
    };
    Ok((joined, bundle))
}

/// The epoch that the group was in before the external commit is the one that all members agree on; what
/// is checked here is that they are who they say, and that the group is one of this hub.
fn check_entered(joined: &MlsGroup, author: Author<'_>) -> Result<(), MlsError> {
    group::members(joined, author.me)?;
    profile::check_context(joined.extensions(), &author.me.verifier)
}
