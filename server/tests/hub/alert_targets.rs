//! Whom of its groups an alert rings, by what the directory says; and quiet hours of members' cards.

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::GroupId,
    v1::{self, client_frame::Body, server_frame},
};
use cercle_server::directory::{
    entry::{Activity, Coded, Entry, Kind},
    operator,
};

use super::{
    alerts::{MINUTE, World, opening, report, status, wait_for_rung},
    support::{Device, Peer},
};

/// Says in the directory what somebody is and where.
fn works(world: &World, user: &str, profession: &str, commune: &str) {
    let mut entry = Entry::new(format!("local:{user}"), Kind::Professional);
    entry.family = user.into();
    entry.professions = vec![Coded::new(profession, "")];
    entry.activities = vec![Activity { commune: Coded::new(commune, ""), ..Activity::default() }];
    let folder = world.hub.config.directory_folder();
    operator::add(&folder, entry, vec![format!("{user}@cpts.example")]).unwrap();
}

async fn writes_card(world: &World, device: &Device, card: v1::Card) {
    let mut peer = world.hub.session(device).await;
    let what = Some(v1::update_card::What::Card(card));
    peer.send(70, Body::UpdateCard(v1::UpdateCard { what })).await;
    let body = peer.answer(70).await;
    assert!(matches!(body, server_frame::Body::DirectoryEntry(_)), "{body:?}");
    drop(peer);
    world.hub.wait_until_gone(device).await;
}

/// Both halves of every day.
fn always_quiet() -> v1::Card {
    let half = |from_minute, to_minute| v1::QuietHours { weekdays: 127, from_minute, to_minute };
    v1::Card { quiet_hours: vec![half(0, 720), half(720, 0)], ..v1::Card::default() }
}

fn target(professions: &[&str], communes: &[&str], on_duty: bool) -> Option<v1::AlertTarget> {
    let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let who = v1::GroupRule {
        professions: list(professions),
        communes: list(communes),
        ..v1::GroupRule::default()
    };
    Some(v1::AlertTarget { who: Some(who), on_duty })
}

/// A nurse on duty and one who is not, a doctor; all asleep, in one group with the publisher.
async fn ward() -> (World, Peer, GroupId, u64) {
    let world = World::new(|_, _| {}).await;
    let publisher = world.publisher("publisher", 1).await;
    let mut devices = Vec::new();
    for (number, (user, profession)) in
        [("duty", "60"), ("free", "60"), ("doctor", "10")].into_iter().enumerate()
    {
        works(&world, user, profession, "31555");
        let device = world.member(user, u16::try_from(number).unwrap() + 2).await;
        world.sleeps(user, &device).await;
        devices.push((user, device));
    }
    let now = world.clock.now();
    let on_duty = vec![v1::DutyPeriod { from_ms: now - MINUTE, to_ms: now + 600 * MINUTE }];
    writes_card(&world, &devices[0].1, v1::Card { on_duty, ..v1::Card::default() }).await;
    let mut members: Vec<(&str, &Device)> = vec![("publisher", &publisher)];
    members.extend(devices.iter().map(|(user, device)| (*user, device)));
    let group = world.hub.group(9, &members).await;
    let mut peer = world.hub.session(&publisher).await;
    let seq = peer.post(group, 1, 40).await;
    (world, peer, group, seq)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_of_the_groups_are_rung_whom_the_directory_knows_as_meant() {
    let (world, mut peer, group, seq) = ward().await;
    let open =
        |id, target| v1::OpenAlert { target, ..opening(&world, id, group, seq, v1::AlertPolicy::default()) };
    let nurses = status(&mut peer, Body::OpenAlert(open(5, target(&["60"], &["31555"], false)))).await;
    assert_eq!(nurses.recipients, 2);
    let rung = wait_for_rung(&world.service, 2).await;
    assert_eq!(rung.into_keys().collect::<Vec<_>>(), ["duty", "free"]);
    let on_duty = status(&mut peer, Body::OpenAlert(open(6, target(&[], &[], true)))).await;
    assert_eq!(on_duty.recipients, 1);
    let rung = wait_for_rung(&world.service, 3).await;
    assert_eq!((rung["duty"].len(), rung["free"].len(), rung.get("doctor")), (2, 1, None));
    let known = report(&mut peer, 6, false).await.recipients;
    assert_eq!(
        (known[0].user.as_str(), &known[0].communes[..]),
        ("duty@cpts.example", &["31555".to_owned()][..])
    );

    let update = v1::OpenAlert {
        same_recipients_as: Bytes::copy_from_slice(&[6; 16]),
        ..opening(&world, 7, group, seq, v1::AlertPolicy::default())
    };
    assert_eq!(status(&mut peer, Body::OpenAlert(update.clone())).await.recipients, 1);
    assert_eq!(wait_for_rung(&world.service, 4).await["duty"].len(), 3);
    let all = opening(&world, 8, group, seq, v1::AlertPolicy::default());
    assert_eq!(status(&mut peer, Body::OpenAlert(all)).await.recipients, 3);

    let alert = Bytes::copy_from_slice(&[10; 16]);
    let both = v1::OpenAlert { alert: alert.clone(), target: target(&["60"], &[], false), ..update.clone() };
    let unknown = v1::OpenAlert { alert: alert.clone(), same_recipients_as: alert.clone(), ..update };
    let elsewhere = v1::OpenAlert { alert, ..open(10, target(&["60"], &["31022"], false)) };
    for (wrong, code) in [
        (both, ErrorCode::InvalidField),
        (unknown, ErrorCode::AlertUnknown),
        (elsewhere, ErrorCode::InvalidField),
    ] {
        peer.send(60, Body::OpenAlert(wrong)).await;
        assert_eq!(peer.refusal(60).await, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_target_would_ring_is_known_before() {
    let (_world, mut peer, group, _) = ward().await;
    for (group, target, expected) in [
        (Some(group), target(&["60"], &[], false), &["duty@cpts.example", "free@cpts.example"][..]),
        (None, target(&[], &["31555"], true), &["duty@cpts.example"][..]),
        (None, target(&["91"], &[], false), &[][..]),
    ] {
        let group = group.map(GroupId::to_bytes).unwrap_or_default();
        let ask = v1::GetReachability { group, target, ..Default::default() };
        peer.send(62, Body::GetReachability(ask)).await;
        let server_frame::Body::Reachability(found) = peer.answer(62).await else {
            panic!("no reachability")
        };
        let users: Vec<&str> = found.users.iter().map(|row| row.user.as_str()).collect();
        assert_eq!((users.as_slice(), found.more), (expected, false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_of_a_card_keep_exercises_and_news_away_and_not_an_actual_alert() {
    let (world, mut peer, group, seq) = ward().await;
    let sleeper = world.member("sleeper", 20).await;
    writes_card(&world, &sleeper, always_quiet()).await;
    world.sleeps("sleeper", &sleeper).await;
    let publisher = world.publisher("second", 21).await;
    let all = world.hub.group(10, &[("second", &publisher), ("sleeper", &sleeper)]).await;
    let mut other = world.hub.session(&publisher).await;
    let at = other.post(all, 1, 40).await;
    let exercise = opening(&world, 5, all, at, v1::AlertPolicy::default());
    assert_eq!(status(&mut other, Body::OpenAlert(exercise)).await.recipients, 1);
    // The others are rung after him: nothing of his is on its way any more.
    status(&mut peer, Body::OpenAlert(opening(&world, 6, group, seq, v1::AlertPolicy::default()))).await;
    assert_eq!(wait_for_rung(&world.service, 3).await.get("sleeper"), None);
    let actual = opening(&world, 7, all, at, v1::AlertPolicy::default());
    let actual = v1::OpenAlert { mode: v1::AlertMode::Actual.into(), ..actual };
    status(&mut other, Body::OpenAlert(actual)).await;
    assert_eq!(wait_for_rung(&world.service, 4).await["sleeper"].len(), 1);
    let received = world.service.received(4).await;
    let his = received.iter().filter(|push| push.path == "/sleeper").count();
    assert_eq!(his, 1, "the news of the group did not wake him either");
}
