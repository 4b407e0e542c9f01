//! Copies of a store: every row as of one moment, and what a restored store knows of its past.
//!
//! A copy is a stream of rows, whatever the engine and its files: [`Copies::export`] gives them,
//! [`Importer`](crate::Importer) takes them. A restored store has a new incarnation; what its groups had
//! when the copy was made is noted as a [`Fork`], so that clients can tell what of theirs it has forgotten.

use std::ops::ControlFlow;

use cercle_proto::id::{Epoch, GroupId, Seq, TimestampMs};

use super::ReadError;
use crate::table::Table;

/// The store was made from a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    /// Incarnation of the store that was copied.
    pub before: [u8; 16],
    /// Incarnation that began with this restore.
    pub after: [u8; 16],
    /// When the copy was made.
    pub copy_at: TimestampMs,
    /// When it was restored.
    pub restored_at: TimestampMs,
}

/// Where a group's log was when a copy was made that was restored: what was accepted behind it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Incarnation that began with the restore.
    pub incarnation: [u8; 16],
    /// Newest entry of the copy.
    pub head: Seq,
    /// Epoch of the copy.
    pub epoch: Epoch,
}

/// What an export calls with each row: table, key, value. Breaking off ends the export.
pub type RowVisitor = dyn FnMut(Table, &[u8], &[u8]) -> ControlFlow<()> + Send;

/// A store that has rows, and can be copied.
#[async_trait::async_trait]
pub trait Copies: Send + Sync {
    /// Visits every row as of one moment: table by table as in [`Table::ALL`], in the order of their keys.
    /// Writes go on meanwhile where the engine can (redb: yes, at the price of pages that are freed later).
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn export(&self, visit: Box<RowVisitor>) -> Result<(), ReadError>;

    /// How often the store was restored from a copy, oldest first.
    fn restores(&self) -> &[Restore];

    /// The forks of each of these groups, in the order asked for, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn forks(&self, groups: Vec<GroupId>) -> Result<Vec<Vec<Fork>>, ReadError>;
}
