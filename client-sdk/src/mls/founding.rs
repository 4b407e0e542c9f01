//! A group that is made and filled in one go and then forgotten: what a bare device founds.
//!
//! Nothing is stored, so its founder could not read it either; the hub cannot tell it from any other group.

use cercle_proto::{id::GroupId, policy::Policy};
use openmls::prelude::{KeyPackage, MlsGroup, MlsMessageOut, ProtocolVersion};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;

use super::{
    MlsError,
    commit::Bundle,
    group,
    identity::{DeviceKeys, Myself},
    refused,
};

/// What registers a group at the hub, and the commits that fill it.
#[derive(Debug)]
pub(crate) struct Founded {
    /// GroupInfo of epoch 0.
    pub(crate) group_info: Vec<u8>,
    /// Ratchet tree of epoch 0.
    pub(crate) ratchet_tree: Vec<u8>,
    /// One commit for each list of additions, each on top of the one before.
    pub(crate) commits: Vec<Bundle>,
}

/// Makes a group of one and adds these devices, one commit for each list.
///
/// # Errors
/// When openmls refuses.
pub(crate) fn found(
    keys: &DeviceKeys,
    me: &Myself,
    id: GroupId,
    hub_certificate: &[u8],
    additions: Vec<Vec<KeyPackage>>,
) -> Result<Founded, MlsError> {
    let forgetful = OpenMlsRustCrypto::default();
    let policy = Policy::conversation(me.identity.user.clone());
    let (mut made, group_info, ratchet_tree) =
        group::create(&forgetful, keys, me, id, &policy, hub_certificate)?;
    let commits: Result<_, _> =
        additions.into_iter().map(|added| add(&forgetful, keys, &mut made, added)).collect();
    Ok(Founded { group_info, ratchet_tree, commits: commits? })
}

fn add(
    provider: &OpenMlsRustCrypto,
    keys: &DeviceKeys,
    group: &mut MlsGroup,
    added: Vec<KeyPackage>,
) -> Result<Bundle, MlsError> {
    let (commit, welcome, _) = group
        .commit_builder()
        .propose_adds(added)
        .load_psks(provider.storage())
        .map_err(refused("commit"))?
        .use_ratchet_tree_extension(true)
        .create_group_info(false)
        .build(provider.rand(), provider.crypto(), keys.signer(), |_| true)
        .map_err(refused("commit"))?
        .stage_commit(provider)
        .map_err(refused("commit"))?
        .into_contents();
    // Nobody else is in the group yet who could commit before.
    group.merge_pending_commit(provider).map_err(refused("merge"))?;
    let welcome = welcome.map(|welcome| MlsMessageOut::from_welcome(welcome, ProtocolVersion::Mls10));
    Ok(Bundle {
        commit: group::to_bytes(&commit)?,
        welcome: welcome.map(|welcome| group::to_bytes(&welcome)).transpose()?.unwrap_or_default(),
        group_info: group::group_info(provider, keys, group)?,
    })
}
