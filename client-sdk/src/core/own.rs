//! What an app can ask for about the user's own devices.

use cercle_proto::{
    id::{ChunkId, DeviceId, GroupId, LaneId},
    v1,
};

/// What the linking of devices asks for.
#[derive(Clone)]
#[non_exhaustive]
pub enum DevicesCommand {
    /// Opens a lane on the hub.
    OpenLane {
        /// The lane.
        lane: LaneId,
        /// SHA-256 of its token.
        token_sha256: [u8; 32],
    },
    /// Ends a lane.
    CloseLane {
        /// The lane.
        lane: LaneId,
    },
    /// Finds or makes the group of own devices; finishes with [`Outcome::GroupCreated`](super::Outcome::GroupCreated) when the hub has it.
    PrepareOwnGroup,
    /// Notes a device that is being linked, durably.
    NoteLinked {
        /// The device.
        device: DeviceId,
        /// Seals what it is handed over.
        key: [u8; 32],
    },
}

impl std::fmt::Debug for DevicesCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DevicesCommand")
    }
}

/// What keeping the backup asks for.
#[derive(Clone)]
#[non_exhaustive]
pub enum VaultCommand {
    /// Asks the hub for the vault.
    Get(v1::GetVault),
    /// Asks the hub for a chunk.
    GetChunk(v1::GetVaultChunk),
    /// Stores a chunk on the hub.
    PutChunk(v1::PutVaultChunk),
    /// Changes the vault on the hub.
    Put(v1::PutVault),
    /// This device keeps the vault with these keys from now on.
    Keep(Vec<[u8; 32]>),
    /// The hub gave out the vault to which this device comes back.
    Open(v1::Vault),
    /// Asks which chunk is to be taken next.
    Next,
    /// A chunk was fetched.
    Take {
        /// Its group.
        group: GroupId,
        /// The chunk.
        chunk: ChunkId,
        /// What the hub has; `None`: nothing.
        content: Option<bytes::Bytes>,
    },
}

impl std::fmt::Debug for VaultCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultCommand")
    }
}
