//! Frames about groups that can be asked for: `fixtures/joining_frames.txt`.

use super::*;

const FIXTURES: &str = include_str!("../fixtures/joining_frames.txt");

fn listing() -> v1::GroupListing {
    v1::GroupListing { title: "Plaies".into(), about: "Avis".into() }
}

pub(super) fn client_bodies() -> Vec<(&'static str, C)> {
    vec![
        ("publish_group", C::PublishGroup(v1::PublishGroup { group: id(1), listing: Some(listing()) })),
        ("find_groups", C::FindGroups(v1::FindGroups { text: "plaies".into() })),
        ("ask_to_join", C::AskToJoin(v1::AskToJoin { group: id(1), withdraw: true })),
        ("get_join_requests", C::GetJoinRequests(v1::GetJoinRequests { group: id(1) })),
        (
            "decline_join",
            C::DeclineJoin(v1::DeclineJoin {
                group: id(1),
                user: "a@cpts.example".into(),
                reason: String::new(),
            }),
        ),
        (
            "decline_join_with_reason",
            C::DeclineJoin(v1::DeclineJoin {
                group: id(1),
                user: "a@cpts.example".into(),
                reason: "complet".into(),
            }),
        ),
    ]
}

pub(super) fn server_bodies() -> Vec<(&'static str, S)> {
    let listed = v1::ListedGroup {
        group: id(1),
        listing: Some(listing()),
        member: true,
        asked_at_ms: 1,
        declined_at_ms: 2,
        decline_reason: String::new(),
    };
    let explained = v1::ListedGroup { decline_reason: "complet".into(), ..listed.clone() };
    let declined = v1::JoinDeclined {
        group: id(1),
        title: "Plaies".into(),
        reason: "complet".into(),
        declined_at_ms: 2,
    };
    let request = v1::JoinRequest {
        group: id(1),
        user: "a@cpts.example".into(),
        display_name: "A".into(),
        profession: "60".into(),
        asked_at_ms: 3,
    };
    vec![
        ("listed_groups", S::ListedGroups(v1::ListedGroups { groups: vec![listed] })),
        ("join_requests", S::JoinRequests(v1::JoinRequests { requests: vec![request] })),
        ("listed_groups_with_reason", S::ListedGroups(v1::ListedGroups { groups: vec![explained] })),
        ("join_declined", S::JoinDeclined(declined)),
    ]
}

#[test]
fn every_frame_about_joining_has_the_bytes_of_its_fixture_and_is_read_back() {
    has_its_bytes("joining_frames.txt", FIXTURES, client_bodies(), server_bodies());
}
