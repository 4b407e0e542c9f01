//! Notes: small records that a service of the hub keeps, by kind and key, opaque to the store.
//!
//! Where a service decides on what it has noted (has this been answered already?), it does so inside
//! [`Notes::change`], on the store's writer: what it reads there is what it changes, whoever else writes.

use bytes::Bytes;

use super::{Effect, ReadError, WriteError};

/// Whose note it is. Stored as one byte; numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NoteKind {
    /// Device → where to wake it.
    PushAddress = 1,
    /// Alert → what was asked for it and how far it is.
    Alert = 2,
    /// Alert, user → what is known of this recipient.
    AlertRecipient = 3,
    /// Alert → a step that is due and not yet carried out.
    AlertStep = 4,
    /// A hash of the user id → public key and header of his recovery code, and the version of his vault's manifest.
    Vault = 5,
    /// Device that its user has lost → until when its places in groups are held for another one.
    HeldPlace = 6,
}

/// Where a note lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoteKey {
    /// Whose note it is.
    pub kind: NoteKind,
    /// Chosen by the service, at most a few dozen bytes.
    pub key: Vec<u8>,
}

impl NoteKey {
    /// The note of a kind under a key.
    #[must_use]
    pub fn new(kind: NoteKind, key: impl Into<Vec<u8>>) -> Self {
        Self { kind, key: key.into() }
    }
}

/// Decides what to write from the notes that were asked for, in their order. Runs once, on the store's
/// writer: it must neither wait nor panic.
pub type NoteDecision = dyn FnOnce(&[Option<Bytes>]) -> Vec<Effect> + Send;

/// Notes of the hub's services.
#[async_trait::async_trait]
pub trait Notes: Send + Sync {
    /// One note.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn note(&self, key: NoteKey) -> Result<Option<Bytes>, ReadError>;

    /// Notes of a kind whose keys start with `prefix` and come after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn notes(
        &self,
        kind: NoteKind,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, ReadError>;

    /// Reads notes, decides, and writes the effects: all in one, nothing comes in between.
    ///
    /// # Errors
    /// As any write.
    async fn change(&self, read: Vec<NoteKey>, decide: Box<NoteDecision>) -> Result<(), WriteError>;
}
