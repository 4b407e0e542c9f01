//! Answers about a user's own further devices.

use bytes::Bytes;
use cercle_proto::{
    id::{LaneId, TimestampMs},
    v1::{self, server_frame::Body},
};

use crate::vault::Vault;

/// What a service answered.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum OwnReply {
    LaneOpened { lane: LaneId, expires_at: TimestampMs },
    Vault(Vault),
    VaultChunk(Bytes),
}

pub(super) fn body(reply: OwnReply) -> Body {
    match reply {
        OwnReply::VaultChunk(content) => Body::VaultChunk(v1::VaultChunk { content }),
        OwnReply::Vault(Vault { version, public_key, header, manifest }) => {
            Body::Vault(v1::Vault { version, public_key: public_key.into(), header, manifest })
        }
        OwnReply::LaneOpened { lane, expires_at } => {
            Body::LaneOpened(v1::LaneOpened { lane: lane.to_bytes(), expires_at_ms: expires_at })
        }
    }
}
