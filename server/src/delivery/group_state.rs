//! The public side of an MLS group (openmls `PublicGroup`) and its form at rest.
//!
//! At rest it is one blob in the group's record: a layout byte, then the rows that openmls hands to its
//! storage provider, each encoded with postcard (about half the bytes of CBOR: openmls serialises byte
//! strings as sequences). The layout byte changes with any openmls release that changes those types; the
//! fixture test in this file notices. The blob holds nothing secret: a hub has no private key of a member.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use openmls::{
    group::{GroupId, ProposalStore, PublicGroup, QueuedProposal, StagedCommit},
    messages::group_info::{GroupInfo, VerifiableGroupInfo},
    treesync::RatchetTreeIn,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    public_storage::PublicStorageProvider,
    storage::{CURRENT_VERSION, traits},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Layout of the blob: openmls 0.9 types in postcard.
const LAYOUT: u8 = 1;

/// A blob cannot be read, or a group cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the public group state is damaged: {0}")]
pub(super) struct StateError(String);

/// A public group and its rows.
pub(super) struct GroupState {
    group: PublicGroup,
    rows: Rows,
    modified: bool,
}

impl fmt::Debug for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupState")
            .field("epoch", &self.group.group_context().epoch())
            .finish_non_exhaustive()
    }
}

impl GroupState {
    /// Takes a group from its GroupInfo and tree; openmls verifies tree, leaves and signature.
    ///
    /// # Errors
    /// Says which check failed.
    pub(super) fn from_external(
        crypto: &RustCrypto,
        tree: RatchetTreeIn,
        group_info: VerifiableGroupInfo,
    ) -> Result<(Self, GroupInfo), String> {
        let rows = Rows::default();
        let (group, group_info) =
            PublicGroup::from_external(crypto, &rows, tree, group_info, ProposalStore::new())
                .map_err(|error| error.to_string())?;
        Ok((Self { group, rows, modified: true }, group_info))
    }

    /// Reads a blob made by [`GroupState::encode`].
    ///
    /// # Errors
    /// When it is damaged, of another layout, or of another group than `group`.
    pub(super) fn decode(blob: &[u8], group: &[u8; 16]) -> Result<Self, StateError> {
        let damaged = |what: &str| StateError(what.to_owned());
        let (layout, encoded) = blob.split_first().ok_or_else(|| damaged("it is empty"))?;
        if *layout != LAYOUT {
            return Err(StateError(format!("its layout {layout} is not known to this version")));
        }
        let tables: Tables = postcard::from_bytes(encoded).map_err(|error| StateError(error.to_string()))?;
        let rows = Rows(Mutex::new(tables));
        let loaded = PublicGroup::load(&rows, &GroupId::from_slice(group))?;
        let group_in_blob = loaded.ok_or_else(|| damaged("a row is missing"))?;
        if group_in_blob.group_id().as_slice() != group {
            return Err(damaged("it is the state of another group"));
        }
        Ok(Self { group: group_in_blob, rows, modified: false })
    }

    /// The blob.
    ///
    /// # Errors
    /// When a row cannot be encoded, which the types rule out.
    pub(super) fn encode(&self) -> Result<Bytes, StateError> {
        let mut blob = vec![LAYOUT];
        blob.extend(postcard::to_stdvec(&*self.rows.tables())?);
        Ok(Bytes::from(blob))
    }

    /// Whether it differs from the blob it was read from.
    pub(super) const fn is_modified(&self) -> bool {
        self.modified
    }

    /// The store has accepted it as it is.
    pub(super) const fn mark_stored(&mut self) {
        self.modified = false;
    }

    pub(super) const fn group(&self) -> &PublicGroup {
        &self.group
    }

    /// The proposals that wait for a commit.
    ///
    /// # Errors
    /// When a row does not decode.
    pub(super) fn pending(&self) -> Result<Vec<QueuedProposal>, StateError> {
        Ok(self.group.queued_proposals(&self.rows)?.into_iter().map(|(_, proposal)| proposal).collect())
    }

    /// Lets a verified proposal wait for a commit.
    ///
    /// # Errors
    /// When it cannot be encoded, which the types rule out.
    pub(super) fn add_proposal(&mut self, proposal: QueuedProposal) -> Result<(), StateError> {
        self.modified = true;
        self.group.add_proposal(&self.rows, proposal)
    }

    /// Goes to the next epoch.
    ///
    /// # Errors
    /// When openmls refuses a commit that it staged itself.
    pub(super) fn merge(&mut self, staged: StagedCommit) -> Result<(), StateError> {
        self.modified = true;
        self.group.merge_commit(&self.rows, staged).map_err(|error| StateError(error.to_string()))
    }
}

/// What openmls stores of one group. Keys by group are left out: a blob holds one group.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tables {
    tree: Vec<u8>,
    context: Vec<u8>,
    interim_transcript_hash: Vec<u8>,
    confirmation_tag: Vec<u8>,
    proposals: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The tables behind openmls' storage trait, which writes through a shared reference.
#[derive(Debug, Default)]
struct Rows(Mutex<Tables>);

impl Rows {
    fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<postcard::Error> for StateError {
    fn from(error: postcard::Error) -> Self {
        Self(error.to_string())
    }
}

fn read_row<T: DeserializeOwned>(row: &[u8]) -> Result<Option<T>, StateError> {
    if row.is_empty() { Ok(None) } else { Ok(Some(postcard::from_bytes(row)?)) }
}

impl PublicStorageProvider<CURRENT_VERSION> for Rows {
    type PublicError = StateError;

    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
        tree: &T,
    ) -> Result<(), StateError> {
        self.tables().tree = postcard::to_stdvec(tree)?;
        Ok(())
    }

    fn write_interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        H: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        hash: &H,
    ) -> Result<(), StateError> {
        self.tables().interim_transcript_hash = postcard::to_stdvec(hash)?;
        Ok(())
    }

    fn write_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
        context: &C,
    ) -> Result<(), StateError> {
        self.tables().context = postcard::to_stdvec(context)?;
        Ok(())
    }

    fn write_confirmation_tag<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        tag: &T,
    ) -> Result<(), StateError> {
        self.tables().confirmation_tag = postcard::to_stdvec(tag)?;
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        reference: &R,
        proposal: &P,
    ) -> Result<(), StateError> {
        let (key, value) = (postcard::to_stdvec(reference)?, postcard::to_stdvec(proposal)?);
        self.tables().proposals.insert(key, value);
        Ok(())
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<(R, P)>, StateError> {
        let tables = self.tables();
        let read = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            Ok((postcard::from_bytes(key)?, postcard::from_bytes(value)?))
        };
        tables.proposals.iter().map(read).collect()
    }

    fn tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StateError> {
        read_row(&self.tables().tree)
    }

    fn group_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<C>, StateError> {
        read_row(&self.tables().context)
    }

    fn interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        H: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Option<H>, StateError> {
        read_row(&self.tables().interim_transcript_hash)
    }

    fn confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, T: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StateError> {
        read_row(&self.tables().confirmation_tag)
    }

    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StateError> {
        self.tables().tree.clear();
        Ok(())
    }

    fn delete_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StateError> {
        self.tables().confirmation_tag.clear();
        Ok(())
    }

    fn delete_context<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StateError> {
        self.tables().context.clear();
        Ok(())
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), StateError> {
        self.tables().interim_transcript_hash.clear();
        Ok(())
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
        reference: &R,
    ) -> Result<(), StateError> {
        let key = postcard::to_stdvec(reference)?;
        self.tables().proposals.remove(&key);
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), StateError> {
        self.tables().proposals.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of two in epoch 1 with a proposal to leave, written by the first release.
    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/group_state_layout1.bin");

    fn group_of_fixture() -> [u8; 16] {
        let mut id = [3; 16];
        id[8..].copy_from_slice(&FIXTURE_GROUP.to_be_bytes());
        id
    }

    const FIXTURE_GROUP: u64 = 3;

    #[test]
    fn a_state_of_layout_1_is_still_read_and_written_alike() {
        let state = GroupState::decode(FIXTURE, &group_of_fixture()).unwrap();
        assert_eq!(state.group().group_context().epoch().as_u64(), 1);
        assert_eq!(state.group().members().count(), 2);
        assert_eq!(state.pending().unwrap().len(), 1);
        assert_eq!(state.encode().unwrap(), FIXTURE);
    }

    #[test]
    fn a_damaged_or_foreign_state_is_named_not_used() {
        assert!(GroupState::decode(FIXTURE, &[9; 16]).is_err(), "another group");
        assert!(GroupState::decode(&[], &group_of_fixture()).is_err());
        assert!(GroupState::decode(&FIXTURE[..FIXTURE.len() - 1], &group_of_fixture()).is_err());
        let mut newer = FIXTURE.to_vec();
        newer[0] = LAYOUT + 1;
        assert!(GroupState::decode(&newer, &group_of_fixture()).is_err());
    }
}
