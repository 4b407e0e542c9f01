//! Frames about further devices of a user: `fixtures/device_frames.txt`.

use super::*;

const FIXTURES: &str = include_str!("../fixtures/device_frames.txt");

pub(super) fn client_bodies() -> Vec<(&'static str, C)> {
    vec![
        ("open_lane", C::OpenLane(v1::OpenLane { lane: id(1), token_sha256: key(2) })),
        ("close_lane", C::CloseLane(v1::CloseLane { lane: id(1) })),
        ("list_sibling_groups", C::ListSiblingGroups(v1::ListSiblingGroups {})),
        (
            "recover",
            C::Recover(v1::Recover {
                user: "a@cpts.example".into(),
                device: id(2),
                public_key: key(3),
                proof: Bytes::copy_from_slice(&[4; 64]),
                recovery_proof: Bytes::copy_from_slice(&[5; 64]),
            }),
        ),
        ("put_vault_chunk", C::PutVaultChunk(v1::PutVaultChunk { chunk: id(1), content: blob("sealed") })),
        ("get_vault_chunk", C::GetVaultChunk(v1::GetVaultChunk { chunk: id(1) })),
        (
            "put_vault",
            C::PutVault(v1::PutVault {
                version: 7,
                public_key: key(1),
                header: blob("header"),
                manifest: blob("manifest"),
                chunks: vec![id(1), id(2)],
            }),
        ),
        ("get_vault", C::GetVault(v1::GetVault { known_version: 6 })),
    ]
}

pub(super) fn server_bodies() -> Vec<(&'static str, S)> {
    let (public_key, header, manifest) = (key(1), blob("header"), blob("manifest"));
    vec![
        ("lane_opened", S::LaneOpened(v1::LaneOpened { lane: id(1), expires_at_ms: 1_795_000_000_000 })),
        ("vault_chunk", S::VaultChunk(v1::VaultChunk { content: blob("sealed") })),
        ("vault", S::Vault(v1::Vault { version: 7, public_key, header, manifest })),
    ]
}

#[test]
fn every_frame_about_devices_has_the_bytes_of_its_fixture_and_is_read_back() {
    has_its_bytes("device_frames.txt", FIXTURES, client_bodies(), server_bodies());
}
