//! What a backup says of itself: JSON, with a checksum over all of it.

use std::collections::BTreeMap;

use cercle_proto::{
    id::{TimestampMs, to_hex},
    signing::sha256,
};
use serde::{Deserialize, Serialize};

use super::BackupError;

/// The format of manifests and chunks that this version writes, of hubs that seal what they keep.
pub(super) const FORMAT: u32 = 2;
/// The format of others, which versions before can read too.
pub(super) const FORMAT_UNSEALED: u32 = 1;

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of manifest and chunks.
    pub format: u32,
    /// Its name: time and a random part.
    pub name: String,
    /// When it was begun: the moment that its rows are of.
    pub created_at_ms: TimestampMs,
    /// Version of the program.
    pub version: String,
    /// Domain of the hub.
    pub domain: String,
    /// Engine of the store.
    pub engine: String,
    /// Incarnation of the store, hexadecimal.
    pub incarnation: String,
    /// Sealed to a public key.
    pub sealed: bool,
    /// Rows and local files are sealed with the hub's key at rest, whatever the chunks are: a restore needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub at_rest: bool,
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
    /// Chunks that hold the rows, in order.
    pub rows: Vec<String>,
    /// Every file beside the store.
    pub files: Vec<FileEntry>,
    /// Every chunk that is named above.
    pub chunks: BTreeMap<String, ChunkEntry>,
    /// SHA-256 of this manifest with an empty checksum, hexadecimal.
    pub checksum: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the data directory, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// Chunks that hold it, in order.
    pub chunks: Vec<String>,
}

/// A chunk as it lies in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkEntry {
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Bytes of all its chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.values().fold(0, |sum, chunk| sum.saturating_add(chunk.bytes))
    }

    /// The manifest as it is written.
    pub(super) fn encode(mut self) -> Vec<u8> {
        self.checksum = self.checksum_of();
        serde_json::to_vec_pretty(&self).expect("a manifest is made of JSON values")
    }

    /// Reads and checks a manifest.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BackupError> {
        let damaged = |why: String| BackupError::Damaged(format!("a manifest: {why}"));
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.format > FORMAT {
            return Err(BackupError::Newer { found: manifest.format, known: FORMAT });
        }
        if manifest.checksum_of() != manifest.checksum {
            return Err(damaged(format!("the checksum of {} does not fit", manifest.name)));
        }
        Ok(manifest)
    }

    fn checksum_of(&self) -> String {
        let without = Self { checksum: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&without).expect("a manifest is made of JSON values");
        to_hex(&sha256(&text))
    }
}
