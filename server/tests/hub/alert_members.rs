//! Alerts of members who are no publishers: within their bounds they ring, count and end as any alert.

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};

use super::alerts::{MINUTE, World, opening, report, status, wait_for_rung};

fn number(id: u8) -> Bytes {
    Bytes::copy_from_slice(&[id; 16])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_asks_his_group_to_acknowledge_and_follows_who_has() {
    // Two persons are asked for where publishers alert, not where a colleague asks.
    let world = World::new(|config, _| config.alert_two_persons = true).await;
    let (anne, karim) = (world.member("anne", 1).await, world.member("karim", 2).await);
    let zoe = world.member("zoe", 3).await;
    world.sleeps("karim", &karim).await;
    world.sleeps("zoe", &zoe).await;
    let group = world.hub.group(9, &[("anne", &anne), ("karim", &karim), ("zoe", &zoe)]).await;
    let mut peer = world.hub.session(&anne).await;
    let seq = peer.post(group, 1, 40).await;
    let policy = v1::AlertPolicy { repeat_every_ms: 2 * MINUTE, repeat_max: 15, ..Default::default() };
    let plain = v1::OpenAlert {
        mode: v1::AlertMode::Actual.into(),
        ..opening(&world, 5, group, seq, policy.clone())
    };
    let opened = status(&mut peer, Body::OpenAlert(plain.clone())).await;
    assert_eq!((opened.phase(), opened.recipients), (v1::AlertPhase::Ringing, 2));
    assert_eq!(wait_for_rung(&world.service, 2).await.len(), 2);

    let mut other = world.hub.session(&karim).await;
    other.send(60, Body::AlertAck(v1::AlertAck { alert: number(5), acknowledged: true })).await;
    assert!(matches!(other.answer(60).await, server_frame::Body::Done(_)));
    for (request, body) in [
        Body::WatchAlert(v1::WatchAlert { alert: number(5), ..Default::default() }),
        Body::CloseAlert(v1::CloseAlert { alert: number(5) }),
        Body::OpenAlert(plain.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let request = request as u64 + 61;
        other.send(request, body).await;
        assert_eq!(other.refusal(request).await, ErrorCode::NotAuthorised, "it is not his");
    }
    let told = report(&mut peer, 5, false).await;
    let acknowledged: Vec<_> =
        told.recipients.iter().map(|row| (row.user.as_str(), row.acknowledged_at_ms > 0)).collect();
    assert_eq!(acknowledged, [("karim@cpts.example", true), ("zoe@cpts.example", false)]);
    // Only who has not acknowledged is woken again.
    world.clock.advance(2 * MINUTE);
    let rung = wait_for_rung(&world.service, 3).await;
    assert_eq!((rung["karim"].len(), rung["zoe"].len()), (1, 2));
    let closed = status(&mut peer, Body::CloseAlert(v1::CloseAlert { alert: number(5) })).await;
    assert_eq!((closed.phase(), closed.acknowledged), (v1::AlertPhase::Closed, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_has_no_more_than_his_bounds() {
    let world = World::new(|_, _| {}).await;
    let (anne, karim) = (world.member("anne", 1).await, world.member("karim", 2).await);
    let group = world.hub.group(9, &[("anne", &anne), ("karim", &karim)]).await;
    let other = world.hub.group(8, &[("anne", &anne), ("karim", &karim)]).await;
    let foreign = world.hub.group(7, &[("karim", &karim)]).await;
    let mut peer = world.hub.session(&anne).await;
    let seq = peer.post(group, 1, 40).await;
    let plain = |id: u8, policy| v1::OpenAlert {
        mode: v1::AlertMode::Actual.into(),
        ..opening(&world, id, group, seq, policy)
    };
    let policy = v1::AlertPolicy::default;
    let cursor = |group: cercle_proto::id::GroupId| v1::Cursor { group: group.to_bytes(), seq: 1 };
    let two = vec![cursor(group), cursor(other)];
    let refused = [
        (
            v1::OpenAlert { mode: v1::AlertMode::Exercise.into(), ..plain(5, policy()) },
            ErrorCode::NotAuthorised,
        ),
        (v1::OpenAlert { groups: two, ..plain(5, policy()) }, ErrorCode::NotAuthorised),
        (v1::OpenAlert { groups: vec![cursor(foreign)], ..plain(5, policy()) }, ErrorCode::NotMember),
        (plain(5, v1::AlertPolicy { fallback_after_ms: MINUTE, ..policy() }), ErrorCode::NotAuthorised),
        (
            plain(5, v1::AlertPolicy { next_in_line: vec!["karim@cpts.example".into()], ..policy() }),
            ErrorCode::NotAuthorised,
        ),
        (plain(5, v1::AlertPolicy { repeat_every_ms: MINUTE / 2, ..policy() }), ErrorCode::InvalidField),
        (plain(5, v1::AlertPolicy { repeat_max: 16, ..policy() }), ErrorCode::InvalidField),
        (
            v1::OpenAlert { expires_at_ms: world.clock.now() + 3 * 24 * 60 * MINUTE, ..plain(5, policy()) },
            ErrorCode::InvalidField,
        ),
    ];
    for (number, (open, code)) in refused.into_iter().enumerate() {
        let request = number as u64 + 100;
        peer.send(request, Body::OpenAlert(open)).await;
        assert_eq!(peer.refusal(request).await, code, "{number}");
    }
    for id in 10..26 {
        status(&mut peer, Body::OpenAlert(plain(id, policy()))).await;
    }
    peer.send(200, Body::OpenAlert(plain(26, policy()))).await;
    assert_eq!(peer.refusal(200).await, ErrorCode::TooMany);
    status(&mut peer, Body::CloseAlert(v1::CloseAlert { alert: number(10) })).await;
    status(&mut peer, Body::OpenAlert(plain(26, policy()))).await;
}
