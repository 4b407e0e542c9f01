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

/// How long a record has to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditClass {
    /// How the hub worked: alerts, backups, what devices reported.
    Operation,
    /// Who had access: everything else.
    Security,
}

/// Actions, by their beginning, that tell how the hub worked.
const OPERATIONS: [&str; 4] = ["alert.", "backup.", "commit.", "member."];

impl AuditEntry {
    /// How long it has to be kept.
    #[must_use]
    pub fn class(&self) -> AuditClass {
        let is_operation = OPERATIONS.iter().any(|start| self.action.starts_with(start));
        if is_operation { AuditClass::Operation } else { AuditClass::Security }
    }
}

/// The action of a record that has outlived its time among others that have not: of what it said only its number,
/// time and hash are left, so that the chain leads through it.
pub const AUDIT_EMPTIED: &str = "audit.emptied";

impl AuditRecord {
    /// Whether its content went when its time was over.
    #[must_use]
    pub fn is_emptied(&self) -> bool {
        self.entry.action == AUDIT_EMPTIED
    }

    /// The same without what it said.
    #[must_use]
    pub(crate) fn emptied(self) -> Self {
        let Self { number, entry: AuditEntry { at, .. }, hash } = self;
        let entry =
            AuditEntry { at, actor: String::new(), action: AUDIT_EMPTIED.to_owned(), object: String::new() };
        Self { number, entry, hash }
    }
}

/// Up to when the time of records is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCut {
    /// Of those about operations.
    pub operations_before: TimestampMs,
    /// Of those about security.
    pub security_before: TimestampMs,
}

/// What [`Audit::prune_audit`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditPruned {
    /// Records that are gone, all from the beginning.
    pub removed: u64,
    /// Records that were emptied.
    pub emptied: u64,
    /// There may be more: call again.
    pub more: bool,
}

impl AuditCut {
    fn is_over(&self, record: &AuditRecord) -> bool {
        let before = match record.entry.class() {
            AuditClass::Operation => self.operations_before,
            AuditClass::Security => self.security_before,
        };
        record.is_emptied() || record.entry.at < before
    }
}

/// Decides over the records of a log, shown in order; the newest is left alone.
#[derive(Debug)]
pub(crate) struct AuditPlan {
    cut: AuditCut,
    head: u64,
    rows_max: usize,
    /// Newest of the records at the beginning whose time is over; `Err` once one is kept.
    front: Result<Option<u64>, Option<u64>>,
    pub(crate) remove: Vec<u64>,
    pub(crate) empty: Vec<u64>,
}

impl AuditPlan {
    pub(crate) fn new(cut: AuditCut, head: u64, rows_max: usize) -> Self {
        Self { cut, head, rows_max, front: Ok(None), remove: Vec::new(), empty: Vec::new() }
    }

    /// Takes the next record; returns whether it wants more.
    pub(crate) fn show(&mut self, record: &AuditRecord) -> bool {
        if record.number >= self.head {
            return false;
        }
        let is_over = self.cut.is_over(record);
        if is_over && !record.is_emptied() {
            self.empty.push(record.number);
        }
        match self.front {
            // Of those at the beginning the last one is enough for the chain to begin with.
            Ok(before) if is_over => {
                self.remove.extend(before);
                self.front = Ok(Some(record.number));
            }
            Ok(before) => self.front = Err(before),
            Err(_) => {}
        }
        self.remove.len().max(self.empty.len()) < self.rows_max
    }

    /// Nothing of what goes as a whole need be emptied before.
    pub(crate) fn finish(mut self) -> Self {
        let last = self.remove.last().copied().unwrap_or(0);
        self.empty.retain(|number| *number > last);
        self
    }

    pub(crate) fn pruned(&self) -> AuditPruned {
        AuditPruned {
            removed: self.remove.len() as u64,
            emptied: self.empty.len() as u64,
            more: self.remove.len().max(self.empty.len()) >= self.rows_max,
        }
    }
}

/// The audit log.
#[async_trait::async_trait]
pub trait Audit: Send + Sync {
    /// Appends an entry.
    ///
    /// # Errors
    /// As any write.
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError>;

    /// Takes away what has outlived its time: records at the beginning go, except that the newest of them is emptied
    /// and begins the chain; others are emptied where they are. A bounded number a call.
    ///
    /// # Errors
    /// As any write.
    async fn prune_audit(&self, cut: AuditCut) -> Result<AuditPruned, WriteError>;

    /// Records after a number, in order, at most `limit`; the chain is checked while reading. It may begin with one
    /// that was emptied.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] when a hash does not fit.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError>;
}
