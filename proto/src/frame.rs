//! Encoding and decoding of frames: the only place where bytes become [`v1::ClientFrame`] or
//! [`v1::ServerFrame`] and back.

use bytes::Bytes;
use prost::Message;

use crate::v1;

/// Largest frame either side sends or takes, in bytes.
///
/// Room for a welcome with tree of the largest group (500 devices: about 350 KB) beside its commit
/// (about 320 KB); everything larger is an attachment.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// WebSocket subprotocol and first protocol version.
pub const SUBPROTOCOL: &str = "cercle.hub.v1";
/// Path of the WebSocket on the hub's port.
pub const WEBSOCKET_PATH: &str = "/v1/ws";
/// Path of the gRPC stream on the hub's port.
pub const GRPC_PATH: &str = "/cercle.hub.v1.Hub/Connect";
/// The protocol version of this file.
pub const VERSION: u32 = 1;

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("frame of {got} bytes, at most {FRAME_BYTES_MAX} are taken")]
    TooLarge {
        /// Its length.
        got: usize,
    },
    /// Not a protobuf message of this type.
    #[error("not a protobuf frame: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Decodes a frame from a device.
///
/// # Errors
/// When it is too large or malformed.
pub fn decode_client(bytes: Bytes) -> Result<v1::ClientFrame, FrameError> {
    decode(bytes)
}

/// Decodes a frame from the hub.
///
/// # Errors
/// When it is too large or malformed.
pub fn decode_server(bytes: Bytes) -> Result<v1::ServerFrame, FrameError> {
    decode(bytes)
}

fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, FrameError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { got: bytes.len() });
    }
    Ok(M::decode(bytes)?)
}

/// Encodes a frame of either side.
#[must_use]
pub fn encode(frame: &impl Message) -> Bytes {
    Bytes::from(frame.encode_to_vec())
}

/// A client frame with a body.
#[must_use]
pub fn client(request: u64, body: v1::client_frame::Body) -> v1::ClientFrame {
    v1::ClientFrame { request, body: Some(body) }
}

/// A server frame with a body.
#[must_use]
pub fn server(request: u64, body: v1::server_frame::Body) -> v1::ServerFrame {
    v1::ServerFrame { request, body: Some(body) }
}
