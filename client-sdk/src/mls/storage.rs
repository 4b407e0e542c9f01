//! What openmls stores: with its own provider for SQLite, but for two values that grow with the group.
//!
//! The ratchet tree and the secrets of the kept epochs, which hold every member of each of them, come to a
//! megabyte at 500 members, and the secrets are written with each message. They go into [`Pieces`], of which
//! only those that have changed are written; openmls' own table then has their list. A value that is not
//! large lies there whole, as all of them did before there were pieces.

use std::cell::Cell;

use openmls_sqlite_storage::{Connection, SqliteStorageProvider};
use openmls_traits::storage::{CURRENT_VERSION, Entity, StorageProvider, traits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::provider::SealedCodec;
use crate::{
    limits,
    store::{
        self, StoreError, Tx,
        pieces::{PieceId, Pieces},
    },
};

/// Storage of openmls within one transaction.
pub(crate) struct Storage<'a> {
    rows: SqliteStorageProvider<SealedCodec, &'a Connection>,
    pieces: Pieces<'a>,
    secrets_come_later: Cell<bool>,
}

/// Stands in openmls' table for a value that lies in pieces.
#[derive(Serialize, Deserialize)]
struct InPieces {
    pieces: Vec<PieceId>,
}

impl Entity<CURRENT_VERSION> for InPieces {}
impl traits::TreeSync<CURRENT_VERSION> for InPieces {}
impl traits::MessageSecrets<CURRENT_VERSION> for InPieces {}

impl std::fmt::Debug for Storage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

const TREE: &[u8] = b"tree";
const SECRETS: &[u8] = b"message secrets";

impl<'a> Storage<'a> {
    /// In this transaction. A key must be in scope whenever it is used.
    pub(crate) fn new(tx: &'a Tx<'_>) -> Self {
        Self {
            rows: SqliteStorageProvider::new(tx.connection()),
            pieces: tx.pieces(),
            secrets_come_later: Cell::new(false),
        }
    }

    /// Lets the secrets of a group be, because whoever succeeds here writes them once more in this transaction, and
    /// whoever fails undoes it.
    pub(crate) fn without_secrets<T>(&self, work: impl FnOnce() -> T) -> T {
        self.secrets_come_later.set(true);
        let done = work();
        self.secrets_come_later.set(false);
        done
    }

    /// Writes a large value into pieces and gives what stands for it; `None`: it is not large.
    fn cut(
        &self,
        kind: &[u8],
        group: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<Option<InPieces>, StoreError> {
        let (place, plain) = (store::encode(group), store::encode(value));
        let owner = self.pieces.owner(kind, &place);
        if plain.len() < limits::PIECED_BYTES_MIN {
            self.pieces.delete(&owner)?;
            return Ok(None);
        }
        Ok(Some(InPieces { pieces: self.pieces.write(&owner, &plain)? }))
    }

    /// Puts a value together again.
    fn join<T: DeserializeOwned>(
        &self,
        kind: &[u8],
        group: &impl Serialize,
        stored: &InPieces,
    ) -> Result<T, StoreError> {
        let owner = self.pieces.owner(kind, &store::encode(group));
        store::decode(&self.pieces.read(&owner, &stored.pieces)?)
    }

    fn forget(&self, kind: &[u8], group: &impl Serialize) -> Result<(), StoreError> {
        self.pieces.delete(&self.pieces.owner(kind, &store::encode(group)))
    }
}

/// Functions that openmls' own provider carries out as they are.
macro_rules! as_they_are {
    ($(fn $name:ident<$($generic:ident: $kind:ident),*>($($argument:ident: $type:ty),*) -> $out:ty;)*) => {$(
        fn $name<$($generic: traits::$kind<CURRENT_VERSION>),*>(&self, $($argument: $type),*)
            -> Result<$out, StoreError>
        {
            Ok(self.rows.$name::<$($generic),*>($($argument),*)?)
        }
    )*};
}

impl StorageProvider<CURRENT_VERSION> for Storage<'_> {
    type Error = StoreError;

    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        group: &G,
        tree: &T,
    ) -> Result<(), StoreError> {
        match self.cut(TREE, group, tree)? {
            Some(pieces) => self.rows.write_tree(group, &pieces)?,
            None => self.rows.write_tree(group, tree)?,
        }
        Ok(())
    }

    fn write_message_secrets<
        G: traits::GroupId<CURRENT_VERSION>,
        S: traits::MessageSecrets<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        secrets: &S,
    ) -> Result<(), StoreError> {
        if self.secrets_come_later.get() {
            return Ok(());
        }
        match self.cut(SECRETS, group, secrets)? {
            Some(pieces) => self.rows.write_message_secrets(group, &pieces)?,
            None => self.rows.write_message_secrets(group, secrets)?,
        }
        Ok(())
    }

    fn tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Option<T>, StoreError> {
        match self.rows.tree::<G, InPieces>(group) {
            Ok(None) => Ok(None),
            Ok(Some(stored)) => self.join(TREE, group, &stored).map(Some),
            // No list of pieces, so the value itself.
            Err(_) => Ok(self.rows.tree(group)?),
        }
    }

    fn message_secrets<G: traits::GroupId<CURRENT_VERSION>, S: traits::MessageSecrets<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Option<S>, StoreError> {
        match self.rows.message_secrets::<G, InPieces>(group) {
            Ok(None) => Ok(None),
            Ok(Some(stored)) => self.join(SECRETS, group, &stored).map(Some),
            // No list of pieces, so the value itself.
            Err(_) => Ok(self.rows.message_secrets(group)?),
        }
    }

    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Result<(), StoreError> {
        self.forget(TREE, group)?;
        Ok(self.rows.delete_tree(group)?)
    }

    fn delete_message_secrets<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<(), StoreError> {
        self.forget(SECRETS, group)?;
        Ok(self.rows.delete_message_secrets(group)?)
    }

    as_they_are! {
        fn write_mls_join_config<G: GroupId, M: MlsGroupJoinConfig>(group_id: &G, config: &M) -> ();
        fn append_own_leaf_node<G: GroupId, L: LeafNode>(group_id: &G, leaf_node: &L) -> ();
        fn queue_proposal<G: GroupId, P: ProposalRef, Q: QueuedProposal>
            (group_id: &G, proposal_ref: &P, proposal: &Q) -> ();
        fn write_interim_transcript_hash<G: GroupId, I: InterimTranscriptHash>
            (group_id: &G, interim_transcript_hash: &I) -> ();
        fn write_context<G: GroupId, V: GroupContext>(group_id: &G, group_context: &V) -> ();
        fn write_confirmation_tag<G: GroupId, C: ConfirmationTag>(group_id: &G, confirmation_tag: &C) -> ();
        fn write_group_state<G: GroupState, V: GroupId>(group_id: &V, group_state: &G) -> ();
        fn write_resumption_psk_store<G: GroupId, R: ResumptionPskStore>
            (group_id: &G, resumption_psk_store: &R) -> ();
        fn write_own_leaf_index<G: GroupId, L: LeafNodeIndex>(group_id: &G, own_leaf_index: &L) -> ();
        fn write_group_epoch_secrets<G: GroupId, V: GroupEpochSecrets>
            (group_id: &G, group_epoch_secrets: &V) -> ();
        fn write_signature_key_pair<S: SignaturePublicKey, V: SignatureKeyPair>
            (public_key: &S, signature_key_pair: &V) -> ();
        fn write_encryption_key_pair<E: EncryptionKey, H: HpkeKeyPair>(public_key: &E, key_pair: &H) -> ();
        fn write_encryption_epoch_key_pairs<G: GroupId, E: EpochKey, H: HpkeKeyPair>
            (group_id: &G, epoch: &E, leaf_index: u32, key_pairs: &[H]) -> ();
        fn write_key_package<H: HashReference, K: KeyPackage>(hash_ref: &H, key_package: &K) -> ();
        fn write_psk<P: PskId, V: PskBundle>(psk_id: &P, psk: &V) -> ();
        fn mls_group_join_config<G: GroupId, M: MlsGroupJoinConfig>(group_id: &G) -> Option<M>;
        fn own_leaf_nodes<G: GroupId, L: LeafNode>(group_id: &G) -> Vec<L>;
        fn queued_proposal_refs<G: GroupId, P: ProposalRef>(group_id: &G) -> Vec<P>;
        fn queued_proposals<G: GroupId, P: ProposalRef, Q: QueuedProposal>(group_id: &G) -> Vec<(P, Q)>;
        fn group_context<G: GroupId, V: GroupContext>(group_id: &G) -> Option<V>;
        fn interim_transcript_hash<G: GroupId, I: InterimTranscriptHash>(group_id: &G) -> Option<I>;
        fn confirmation_tag<G: GroupId, C: ConfirmationTag>(group_id: &G) -> Option<C>;
        fn group_state<G: GroupState, V: GroupId>(group_id: &V) -> Option<G>;
        fn resumption_psk_store<G: GroupId, R: ResumptionPskStore>(group_id: &G) -> Option<R>;
        fn own_leaf_index<G: GroupId, L: LeafNodeIndex>(group_id: &G) -> Option<L>;
        fn group_epoch_secrets<G: GroupId, V: GroupEpochSecrets>(group_id: &G) -> Option<V>;
        fn signature_key_pair<S: SignaturePublicKey, V: SignatureKeyPair>(public_key: &S) -> Option<V>;
        fn encryption_key_pair<H: HpkeKeyPair, E: EncryptionKey>(public_key: &E) -> Option<H>;
        fn encryption_epoch_key_pairs<G: GroupId, E: EpochKey, H: HpkeKeyPair>
            (group_id: &G, epoch: &E, leaf_index: u32) -> Vec<H>;
        fn key_package<K: HashReference, V: KeyPackage>(hash_ref: &K) -> Option<V>;
        fn psk<P: PskBundle, V: PskId>(psk_id: &V) -> Option<P>;
        fn remove_proposal<G: GroupId, P: ProposalRef>(group_id: &G, proposal_ref: &P) -> ();
        fn delete_own_leaf_nodes<G: GroupId>(group_id: &G) -> ();
        fn delete_group_config<G: GroupId>(group_id: &G) -> ();
        fn delete_confirmation_tag<G: GroupId>(group_id: &G) -> ();
        fn delete_group_state<G: GroupId>(group_id: &G) -> ();
        fn delete_context<G: GroupId>(group_id: &G) -> ();
        fn delete_interim_transcript_hash<G: GroupId>(group_id: &G) -> ();
        fn delete_all_resumption_psk_secrets<G: GroupId>(group_id: &G) -> ();
        fn delete_own_leaf_index<G: GroupId>(group_id: &G) -> ();
        fn delete_group_epoch_secrets<G: GroupId>(group_id: &G) -> ();
        fn clear_proposal_queue<G: GroupId, P: ProposalRef>(group_id: &G) -> ();
        fn delete_signature_key_pair<S: SignaturePublicKey>(public_key: &S) -> ();
        fn delete_encryption_key_pair<E: EncryptionKey>(public_key: &E) -> ();
        fn delete_encryption_epoch_key_pairs<G: GroupId, E: EpochKey>
            (group_id: &G, epoch: &E, leaf_index: u32) -> ();
        fn delete_key_package<K: HashReference>(hash_ref: &K) -> ();
        fn delete_psk<P: PskId>(psk_id: &P) -> ();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openmls_rust_crypto::RustCrypto;
    use openmls_traits::OpenMlsProvider as _;

    use super::*;
    use crate::{
        mls::provider::Provider,
        store::{Store, StoreKey},
    };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Value {
        members: Vec<u64>,
    }

    #[derive(Serialize)]
    struct Group(&'static str);

    impl Entity<CURRENT_VERSION> for Value {}
    impl traits::TreeSync<CURRENT_VERSION> for Value {}
    impl traits::MessageSecrets<CURRENT_VERSION> for Value {}
    impl openmls_traits::storage::Key<CURRENT_VERSION> for Group {}
    impl traits::GroupId<CURRENT_VERSION> for Group {}

    fn value(members: u64) -> Value {
        Value { members: (0..members).map(|member| member.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect() }
    }

    fn store() -> Store {
        let connection = Connection::open_in_memory().unwrap();
        Store::open(connection, &StoreKey::new([1; 32])).unwrap()
    }

    fn pieces(tx: &Tx<'_>) -> u64 {
        tx.connection().query_row("SELECT COUNT(*) FROM pieces", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn values_grow_into_pieces_and_shrink_out_of_them_and_are_deleted_whole() {
        let (store, crypto) = (store(), Arc::new(RustCrypto::default()));
        let tx = store.begin().unwrap();
        let provider = Provider::new(&crypto, &tx);
        let storage = provider.storage();
        let (group, other) = (Group("a"), Group("b"));
        storage.write_tree(&other, &value(20_000)).unwrap();
        let of_other = pieces(&tx);
        for members in [10, 50_000, 50_001, 0, 60_000] {
            let (tree, secrets) = (value(members), value(members + 1));
            storage.write_tree(&group, &tree).unwrap();
            storage.write_message_secrets(&group, &secrets).unwrap();
            assert_eq!(storage.tree(&group).unwrap(), Some(tree));
            assert_eq!(storage.message_secrets(&group).unwrap(), Some(secrets));
            assert_eq!(pieces(&tx) > of_other, members > 1_000, "{members}");
        }
        storage.delete_tree(&group).unwrap();
        storage.delete_message_secrets(&group).unwrap();
        assert_eq!(storage.tree::<_, Value>(&group).unwrap(), None);
        assert_eq!(storage.message_secrets::<_, Value>(&group).unwrap(), None);
        assert_eq!(pieces(&tx), of_other);
        assert_eq!(storage.tree(&other).unwrap(), Some(value(20_000)));
    }

    #[test]
    fn a_large_value_of_before_there_were_pieces_is_read_and_goes_into_them() {
        let (store, crypto) = (store(), Arc::new(RustCrypto::default()));
        let tx = store.begin().unwrap();
        let provider = Provider::new(&crypto, &tx);
        let (storage, group) = (provider.storage(), Group("a"));
        storage.rows.write_tree(&group, &value(50_000)).unwrap();
        storage.rows.write_message_secrets(&group, &value(50_001)).unwrap();
        assert_eq!(storage.tree(&group).unwrap(), Some(value(50_000)));
        assert_eq!(storage.message_secrets(&group).unwrap(), Some(value(50_001)));
        assert_eq!(pieces(&tx), 0);
        storage.write_message_secrets(&group, &value(50_002)).unwrap();
        assert_eq!(storage.message_secrets(&group).unwrap(), Some(value(50_002)));
        assert!(pieces(&tx) > 0);
    }

    #[test]
    fn a_damaged_list_or_piece_is_an_error_and_never_another_value() {
        let (store, crypto) = (store(), Arc::new(RustCrypto::default()));
        let tx = store.begin().unwrap();
        let provider = Provider::new(&crypto, &tx);
        let (storage, group) = (provider.storage(), Group("a"));
        storage.write_tree(&group, &value(50_000)).unwrap();
        tx.connection().execute("DELETE FROM pieces WHERE rowid = 2", []).unwrap();
        assert!(storage.tree::<_, Value>(&group).is_err());
        storage.write_tree(&group, &value(50_000)).unwrap();
        tx.connection().execute("UPDATE openmls_group_data SET group_data = x'0102'", []).unwrap();
        assert!(storage.tree::<_, Value>(&group).is_err());
    }
}
