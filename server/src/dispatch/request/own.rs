//! Requests about a user's own further devices.

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{ChunkId, DeviceId, LaneId, UserId},
    v1::{self, client_frame::Body},
};

use super::array;
use crate::{error::Refusal, vault};

/// A request about a user's own devices.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum OwnCall {
    OpenLane { lane: LaneId, token_sha256: [u8; 32] },
    CloseLane(LaneId),
    ListSiblingGroups,
    GetVault { known_version: u64 },
    GetVaultChunk(ChunkId),
    PutVaultChunk { chunk: ChunkId, content: Bytes },
    PutVault(vault::Change),
}

/// A new device key and the proof that its user has his recovery code.
pub struct Recover {
    /// The user.
    pub user: UserId,
    /// New device id.
    pub device: DeviceId,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Signature of the key.
    pub proof: Bytes,
    /// Signature of the key that derives from the code.
    pub recovery_proof: Bytes,
}

impl std::fmt::Debug for Recover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recover").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Reads the request of a device that comes back.
pub(super) fn recover(recover: v1::Recover) -> Result<Recover, Refusal> {
    Ok(Recover {
        user: UserId::parse(&recover.user)?,
        device: DeviceId::try_from(&recover.device)?,
        public_key: array(&recover.public_key, "public_key must be 32 bytes")?,
        proof: recover.proof,
        recovery_proof: recover.recovery_proof,
    })
}

impl OwnCall {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OpenLane { .. } => "open_lane",
            Self::CloseLane(_) => "close_lane",
            Self::ListSiblingGroups => "list_sibling_groups",
            Self::GetVault { .. } => "get_vault",
            Self::GetVaultChunk(_) => "get_vault_chunk",
            Self::PutVaultChunk { .. } => "put_vault_chunk",
            Self::PutVault(_) => "put_vault",
        }
    }
}

/// Reads a request of this kind; any other body is unknown here.
pub(super) fn call(body: Body) -> Result<OwnCall, Refusal> {
    Ok(match body {
        Body::OpenLane(v1::OpenLane { lane, token_sha256 }) => OwnCall::OpenLane {
            lane: LaneId::try_from(&lane)?,
            token_sha256: array(&token_sha256, "token_sha256 must be 32 bytes")?,
        },
        Body::CloseLane(v1::CloseLane { lane }) => OwnCall::CloseLane(LaneId::try_from(&lane)?),
        Body::ListSiblingGroups(_) => OwnCall::ListSiblingGroups,
        Body::GetVault(v1::GetVault { known_version }) => OwnCall::GetVault { known_version },
        Body::GetVaultChunk(v1::GetVaultChunk { chunk }) => {
            OwnCall::GetVaultChunk(ChunkId::try_from(&chunk)?)
        }
        Body::PutVaultChunk(v1::PutVaultChunk { chunk, content }) => {
            OwnCall::PutVaultChunk { chunk: ChunkId::try_from(&chunk)?, content }
        }
        Body::PutVault(put) => OwnCall::PutVault(put_vault(put)?),
        _ => return Err(Refusal::of(ErrorCode::UnknownRequest)),
    })
}

fn put_vault(put: v1::PutVault) -> Result<vault::Change, Refusal> {
    if put.chunks.len() > vault::limits::CHUNKS_MAX {
        return Err(Refusal::new(ErrorCode::TooMany, "too many chunks in one vault"));
    }
    let recovery = match (put.public_key.is_empty(), put.header.is_empty()) {
        (true, true) => None,
        (false, false) => Some((array(&put.public_key, "public_key must be 32 bytes")?, put.header)),
        _ => return Err(Refusal::new(ErrorCode::InvalidField, "public_key and header go together")),
    };
    let chunks = put.chunks.iter().map(ChunkId::try_from).collect::<Result<_, _>>()?;
    Ok(vault::Change { version: put.version, recovery, manifest: put.manifest, chunks })
}
