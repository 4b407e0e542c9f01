//! The audit log: who did what when, without content, each record chained to the one before by hash.

use cercle_proto::id::TimestampMs;

use super::{ReadError, WriteError};

/// What is recorded. Ids only: no name, no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: TimestampMs,
    /// Who: a user id, `operator` or `hub`.
    pub actor: String,
    /// What: `device.enrolled`, `device.revoked`, `invitation.created`, …
    pub action: String,
    /// On what: an id, or empty.
    pub object: String,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1, dense.
    pub number: u64,
    /// What is recorded.
    pub entry: AuditEntry,
    /// SHA-256 over the previous record's hash (32 zero bytes for the first) and this record's encoding.
    pub hash: [u8; 32],
}

/// The audit log.
#[async_trait::async_trait]
pub trait Audit: Send + Sync {
    /// Appends an entry.
    ///
    /// # Errors
    /// As any write.
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError>;

    /// Records after a number, in order, at most `limit`; the chain is checked while reading.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] when a hash does not fit.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError>;
}
