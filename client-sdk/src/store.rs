//! Encrypted local database: MLS state, cursor, message and outbox change in one transaction.

use zeroize::Zeroizing;

/// Opens the values of a store: 32 random bytes, or derived from a passphrase by the caller. Wiped when
/// dropped, never shown.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Takes the key.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey")
    }
}

/// The local store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite: disk full, file damaged, file in use by another process.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A value is damaged or was sealed with another key.
    #[error("a stored value does not open: {0}")]
    Damaged(&'static str),
}
