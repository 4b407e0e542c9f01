//! openmls over the transaction of the store, with sealed keys and values.
//!
//! `openmls_sqlite_storage` encodes every key and value with a [`Codec`], whose functions are static: they
//! have no place for a key. A [`Provider`] therefore puts the sealer into a thread-local for as long as it
//! lives, and takes it out when dropped; without a provider in scope the codec fails.

use std::{cell::RefCell, marker::PhantomData, sync::Arc};

use openmls_rust_crypto::RustCrypto;
use openmls_sqlite_storage::{Codec, Connection, SqliteStorageProvider};
use serde::{Serialize, de::DeserializeOwned};

use super::storage::Storage;
use crate::store::{self, StoreError, Tx, seal::Sealer};

/// Where a value of openmls lies; rows of its tables cannot be told apart from inside a codec.
const CONTEXT: &[&[u8]] = &[b"mls"];

thread_local! {
    static SEALER: RefCell<Option<Arc<Sealer>>> = const { RefCell::new(None) };
}

/// Cryptography, randomness and storage for one transaction.
pub(crate) struct Provider<'a> {
    crypto: Arc<RustCrypto>,
    storage: Storage<'a>,
    _key: KeyInScope,
}

impl<'a> Provider<'a> {
    /// Over this transaction.
    pub(crate) fn new(crypto: &Arc<RustCrypto>, tx: &'a Tx<'_>) -> Self {
        Self { crypto: Arc::clone(crypto), storage: Storage::new(tx), _key: KeyInScope::enter(tx.sealer()) }
    }
}

impl std::fmt::Debug for Provider<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl<'a> openmls_traits::OpenMlsProvider for Provider<'a> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Storage<'a>;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

/// Makes or migrates openmls' tables.
///
/// # Errors
/// Says what failed.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), String> {
    SqliteStorageProvider::<SealedCodec, &mut Connection>::new(connection)
        .run_migrations()
        .map_err(|error| error.to_string())
}

/// The sealer is in the thread-local while this lives. Not `Send`: it must be dropped where it was made.
struct KeyInScope {
    outer: Option<Arc<Sealer>>,
    _not_send: PhantomData<*const ()>,
}

impl KeyInScope {
    fn enter(sealer: &Arc<Sealer>) -> Self {
        let outer = SEALER.with_borrow_mut(|current| current.replace(Arc::clone(sealer)));
        Self { outer, _not_send: PhantomData }
    }
}

impl Drop for KeyInScope {
    fn drop(&mut self) {
        SEALER.with_borrow_mut(|current| *current = self.outer.take());
    }
}

/// CBOR, sealed. Equal values give equal bytes, because openmls finds its rows by them.
#[derive(Debug, Default)]
pub(crate) struct SealedCodec;

impl Codec for SealedCodec {
    type Error = StoreError;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
        let plain = store::encode(value);
        with_sealer(|sealer| Ok(sealer.seal(CONTEXT, &plain)))
    }

    fn from_slice<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, StoreError> {
        let plain = with_sealer(|sealer| sealer.open(CONTEXT, sealed))?;
        store::decode(&zeroize::Zeroizing::new(plain))
    }
}

fn with_sealer<T>(use_it: impl FnOnce(&Sealer) -> Result<T, StoreError>) -> Result<T, StoreError> {
    SEALER.with_borrow(|current| match current {
        Some(sealer) => use_it(sealer),
        None => Err(StoreError::Damaged("no key is in scope")),
    })
}
