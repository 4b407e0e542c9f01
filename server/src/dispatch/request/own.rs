//! Requests about a user's own further devices.

use cercle_proto::{
    ErrorCode,
    id::LaneId,
    v1::{self, client_frame::Body},
};

use super::array;
use crate::error::Refusal;

/// A request about a user's own devices.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum OwnCall {
    OpenLane { lane: LaneId, token_sha256: [u8; 32] },
    CloseLane(LaneId),
    ListSiblingGroups,
}

impl OwnCall {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OpenLane { .. } => "open_lane",
            Self::CloseLane(_) => "close_lane",
            Self::ListSiblingGroups => "list_sibling_groups",
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
        _ => return Err(Refusal::of(ErrorCode::UnknownRequest)),
    })
}
