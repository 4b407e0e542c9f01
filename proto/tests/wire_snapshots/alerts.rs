//! Frames about push and alerts: `fixtures/alert_frames.txt`.

use super::*;

const FIXTURES: &str = include_str!("../fixtures/alert_frames.txt");

fn policy() -> v1::AlertPolicy {
    v1::AlertPolicy {
        ack_within_ms: 1,
        repeat_every_ms: 2,
        repeat_max: 3,
        fallback_after_ms: 4,
        escalate_after_ms: 5,
        next_in_line: vec!["b@cpts.example".into()],
        needed: 6,
    }
}

fn target() -> v1::AlertTarget {
    let who = v1::GroupRule { professions: vec!["60".into()], ..v1::GroupRule::default() };
    v1::AlertTarget { who: Some(who), on_duty: true }
}

pub(super) fn client_bodies() -> Vec<(&'static str, C)> {
    let web = v1::WebPushAddress { endpoint: "https://push.example/a".into(), p256dh: key(1), auth: id(2) };
    let register = |address| C::RegisterPush(v1::RegisterPush { address: Some(address), test: true });
    let open = v1::OpenAlert {
        alert: id(1),
        groups: vec![v1::Cursor { group: id(2), seq: 7 }],
        mode: v1::AlertMode::Exercise.into(),
        priority: v1::AlertPriority::High.into(),
        expires_at_ms: 1_795_000_000_000,
        policy: Some(policy()),
        confirm: true,
        ..v1::OpenAlert::default()
    };
    let targeted = v1::OpenAlert { target: Some(target()), same_recipients_as: id(9), ..open.clone() };
    vec![
        ("register_push_web", register(v1::register_push::Address::Web(web.clone()))),
        ("register_push_unified", register(v1::register_push::Address::Unified(web))),
        ("register_push_apns", register(v1::register_push::Address::Apns("00ff".into()))),
        ("register_push_fcm", register(v1::register_push::Address::Fcm("token".into()))),
        ("open_alert", C::OpenAlert(open)),
        ("alert_ack", C::AlertAck(v1::AlertAck { alert: id(1), acknowledged: true })),
        (
            "watch_alert",
            C::WatchAlert(v1::WatchAlert { alert: id(1), live: true, after: "a@cpts.example".into() }),
        ),
        ("close_alert", C::CloseAlert(v1::CloseAlert { alert: id(1) })),
        (
            "get_reachability",
            C::GetReachability(v1::GetReachability {
                group: id(2),
                after: "a@cpts.example".into(),
                target: None,
            }),
        ),
        ("open_alert_targeted", C::OpenAlert(targeted)),
        (
            "get_reachability_targeted",
            C::GetReachability(v1::GetReachability { target: Some(target()), ..Default::default() }),
        ),
    ]
}

fn status() -> v1::AlertStatus {
    v1::AlertStatus {
        alert: id(1),
        phase: v1::AlertPhase::Ringing.into(),
        mode: v1::AlertMode::Actual.into(),
        ringing_since_ms: 1,
        expires_at_ms: 2,
        recipients: 3,
        sent: 4,
        delivered: 5,
        seen: 6,
        acknowledged: 7,
        opened_by: "a@cpts.example".into(),
        confirmed_by: "b@cpts.example".into(),
    }
}

pub(super) fn server_bodies() -> Vec<(&'static str, S)> {
    let recipient = v1::AlertRecipient {
        user: "c@cpts.example".into(),
        display_name: "C".into(),
        profession: "10".into(),
        sent_at_ms: 1,
        delivered_at_ms: 2,
        seen_at_ms: 3,
        acknowledged_at_ms: 4,
        pushes: 5,
        fallback_at_ms: 6,
        in_line: 7,
        communes: Vec::new(),
    };
    let located = v1::AlertRecipient { communes: vec!["31555".into()], ..recipient.clone() };
    let user = v1::ReachableUser {
        user: "c@cpts.example".into(),
        display_name: "C".into(),
        profession: "10".into(),
        devices: 1,
        devices_with_push: 2,
        connected: true,
        last_seen_at_ms: 3,
    };
    let report = v1::AlertReport { status: Some(status()), recipients: vec![recipient], more: true };
    let by_commune = v1::AlertReport { recipients: vec![located], ..v1::AlertReport::default() };
    vec![
        ("alert_status", S::AlertStatus(status())),
        ("alert_report", S::AlertReport(report)),
        ("reachability", S::Reachability(v1::Reachability { users: vec![user], more: true })),
        ("push_key", S::PushKey(v1::PushKey { public_key: key(1), reachable: true })),
        ("alert_report_with_communes", S::AlertReport(by_commune)),
    ]
}

#[test]
fn every_frame_about_alerts_has_the_bytes_of_its_fixture_and_is_read_back() {
    has_its_bytes("alert_frames.txt", FIXTURES, client_bodies(), server_bodies());
}
