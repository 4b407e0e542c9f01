//! What an app can ask for about the user's own devices.

use cercle_proto::id::{DeviceId, LaneId};

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
