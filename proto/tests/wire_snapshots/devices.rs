//! Frames about further devices of a user: `fixtures/device_frames.txt`.

use super::*;

const FIXTURES: &str = include_str!("../fixtures/device_frames.txt");

pub(super) fn client_bodies() -> Vec<(&'static str, C)> {
    vec![
        ("open_lane", C::OpenLane(v1::OpenLane { lane: id(1), token_sha256: key(2) })),
        ("close_lane", C::CloseLane(v1::CloseLane { lane: id(1) })),
        ("list_sibling_groups", C::ListSiblingGroups(v1::ListSiblingGroups {})),
    ]
}

pub(super) fn server_bodies() -> Vec<(&'static str, S)> {
    vec![("lane_opened", S::LaneOpened(v1::LaneOpened { lane: id(1), expires_at_ms: 1_795_000_000_000 }))]
}

#[test]
fn every_frame_about_devices_has_the_bytes_of_its_fixture_and_is_read_back() {
    has_its_bytes("device_frames.txt", FIXTURES, client_bodies(), server_bodies());
}
