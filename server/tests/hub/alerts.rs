//! Alerts until they are acknowledged: raw devices, a push service on loopback, the clock set by hand, and a
//! hub that is ended in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{GroupId, TimestampMs, UserId},
    v1::{self, MemberClass, Role, client_frame::Body, register_push::Address, server_frame},
};
use cercle_server::{
    auth::InvitationRequest, clock::Clock, config::Config, push::quiet::QuietHours, server::Server,
};
use cercle_storage::store::Store;

use super::{
    push::register,
    push_service::{PushService, Pushed},
    support::{Device, Hub, Peer, new_installation},
};

pub(crate) const MINUTE: u64 = 60_000;

/// A hub that can be ended and started again over the same store and files.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) clock: Clock,
    quiet: Option<Arc<dyn QuietHours>>,
    pub(crate) service: PushService,
}

/// Everybody but the users of this list is at peace, for ever.
struct QuietFor(&'static str);

#[async_trait::async_trait]
impl QuietHours for QuietFor {
    async fn quiet_until(&self, user: &UserId, now: TimestampMs) -> Option<TimestampMs> {
        user.as_str().starts_with(self.0).then_some(now + 1)
    }
}

impl World {
    pub(crate) async fn new(change: impl FnOnce(&mut Config, &PushService)) -> Self {
        Self::with_quiet(None, change).await
    }

    async fn with_quiet(
        quiet: Option<Arc<dyn QuietHours>>,
        change: impl FnOnce(&mut Config, &PushService),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = PushService::start(directory.path(), &["h2"]).await;
        let data = directory.path().join("hub");
        let mut config = new_installation(&data).await;
        config.durability = cercle_server::config::Durability::Process;
        config.metrics = String::new();
        std::fs::write(&config.push, service.settings("")).unwrap();
        change(&mut config, &service);
        let clock = Clock::manual(Clock::system().now());
        let store: Arc<dyn Store> = cercle_storage::open_memory();
        let running = start(&config, &clock, &store, quiet.clone()).await;
        let hub = Hub { directory, data, running, store, config };
        Self { hub, clock, quiet, service }
    }

    /// Ends the hub without a goodbye, lets time pass, and starts it again.
    async fn kill_and_restart(self, passed_ms: u64) -> Self {
        let Hub { directory, data, running, store, config } = self.hub;
        assert!(running.end().await, "the old hub has ended and its port is free");
        self.clock.advance(passed_ms);
        let running = start(&config, &self.clock, &store, self.quiet.clone()).await;
        Self { hub: Hub { directory, data, running, store, config }, ..self }
    }

    pub(crate) async fn publisher(&self, user: &str, id: u16) -> Device {
        self.enrol_as(user, id, Role::CrisisPublisher).await
    }

    pub(crate) async fn member(&self, user: &str, id: u16) -> Device {
        self.enrol_as(user, id, Role::Member).await
    }

    async fn enrol_as(&self, user: &str, id: u16, role: Role) -> Device {
        let request = InvitationRequest {
            user: Some(user.into()),
            display_name: format!("Dr {user}"),
            profession: "10".into(),
            class: MemberClass::Professional,
            roles: vec![role],
            valid_for_ms: None,
            lost_devices: false,
        };
        let secret = self.hub.running.invite(request).await.unwrap().0.secret;
        let device = Device::numbered(id);
        let mut peer = self.hub.websocket().await;
        let nonce = peer.greet().await;
        peer.send(1, Body::Enrol(device.enrolment(&nonce, &secret))).await;
        let body = peer.answer(1).await;
        assert!(matches!(body, server_frame::Body::CertificateIssued(_)), "{body:?}");
        device
    }

    /// Registers a device at the push service, at a path of its own, and lets it go.
    pub(crate) async fn sleeps(&self, user: &str, device: &Device) {
        let endpoint = format!("{}/{user}", self.service.origin());
        let address = Address::Unified(v1::WebPushAddress { endpoint, ..Default::default() });
        let mut peer = self.hub.session(device).await;
        register(&mut peer, Some(address), false).await;
        drop(peer);
        self.hub.wait_until_gone(device).await;
    }
}

async fn start(
    config: &Config,
    clock: &Clock,
    store: &Arc<dyn Store>,
    quiet: Option<Arc<dyn QuietHours>>,
) -> cercle_server::server::RunningServer {
    let server = Server::new(config.clone()).with_clock(clock.clone()).with_store(store.clone());
    let server = match quiet {
        Some(quiet) => server.with_quiet_hours(quiet),
        None => server,
    };
    server.start().await.unwrap()
}

pub(crate) fn opening(
    world: &World,
    id: u8,
    group: GroupId,
    seq: u64,
    policy: v1::AlertPolicy,
) -> v1::OpenAlert {
    v1::OpenAlert {
        alert: Bytes::copy_from_slice(&[id; 16]),
        groups: vec![v1::Cursor { group: group.to_bytes(), seq }],
        mode: v1::AlertMode::Exercise.into(),
        priority: v1::AlertPriority::High.into(),
        expires_at_ms: world.clock.now() + 60 * MINUTE,
        policy: Some(policy),
        ..Default::default()
    }
}

pub(crate) async fn status(peer: &mut Peer, body: Body) -> v1::AlertStatus {
    peer.send(80, body).await;
    match peer.answer(80).await {
        server_frame::Body::AlertStatus(status) => status,
        body => panic!("no status: {body:?}"),
    }
}

pub(crate) async fn report(peer: &mut Peer, id: u8, live: bool) -> v1::AlertReport {
    let alert = Bytes::copy_from_slice(&[id; 16]);
    peer.send(81, Body::WatchAlert(v1::WatchAlert { alert, live, after: String::new() })).await;
    match peer.answer(81).await {
        server_frame::Body::AlertReport(report) => report,
        body => panic!("no report: {body:?}"),
    }
}

async fn answer(peer: &mut Peer, id: u8, acknowledged: bool) {
    let alert = Bytes::copy_from_slice(&[id; 16]);
    peer.send(82, Body::AlertAck(v1::AlertAck { alert, acknowledged })).await;
    let body = peer.answer(82).await;
    assert!(matches!(body, server_frame::Body::Done(_)), "{body:?}");
}

/// Says that entries are stored; this is never answered.
async fn stored(peer: &mut Peer, group: GroupId, seq: u64) {
    let cursor = v1::Cursor { group: group.to_bytes(), seq };
    peer.send(0, Body::Ack(v1::Ack { groups: vec![cursor], inbox: 0 })).await;
}

/// Waits until who watches hears of this tally: delivered, seen, acknowledged.
async fn hears(peer: &mut Peer, tally: (u32, u32, u32)) {
    let alert = Bytes::copy_from_slice(&[5; 16]);
    peer.send(84, Body::WatchAlert(v1::WatchAlert { alert, live: true, after: String::new() })).await;
    loop {
        // A change may be told before the answer that it makes old.
        let status = match peer.body().await {
            server_frame::Body::AlertStatus(status) => status,
            server_frame::Body::AlertReport(report) => report.status.unwrap(),
            _ => continue,
        };
        if (status.delivered, status.seen, status.acknowledged) == tally {
            return;
        }
    }
}

/// Wake-ups for the alert itself: the first news of the group wakes too, with another number.
fn wake_ups(received: &[Pushed]) -> BTreeMap<String, Vec<String>> {
    let mut by_user = BTreeMap::<String, Vec<String>>::new();
    for push in received.iter().filter(|push| push.headers.get("urgency").is_some_and(|how| how == "high")) {
        by_user.entry(push.path[1..].to_owned()).or_default().push(push.header("topic").to_owned());
    }
    by_user
}

/// Waits until so many wake-ups of alerts have come.
pub(crate) async fn wait_for_rung(service: &PushService, count: usize) -> BTreeMap<String, Vec<String>> {
    let mut enough = count;
    loop {
        let received = service.received(enough).await;
        let rung = wake_ups(&received);
        if rung.values().map(Vec::len).sum::<usize>() >= count {
            return rung;
        }
        enough = received.len() + 1;
    }
}

/// 500 recipients, a fifth of them asleep; the hub is ended without a goodbye twice, once while a step is due.
#[expect(clippy::too_many_lines, reason = "one story, told in the order in which it happens")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_of_five_hundred_is_reported_as_it_was_though_the_hub_is_killed_twice() {
    const RECIPIENTS: u16 = 500;
    const ASLEEP: u16 = 100;
    let world = World::new(|config, service| config.alert_hook = format!("{}/hook", service.origin())).await;
    let publisher = world.publisher("publisher", 5000).await;
    let mut devices = Vec::new();
    for number in 0..RECIPIENTS {
        let user = format!("u{number:03}");
        let device = world.member(&user, number).await;
        if number < ASLEEP {
            world.sleeps(&user, &device).await;
        }
        devices.push((user, device));
    }
    let mut members: Vec<(&str, &Device)> = vec![("publisher", &publisher)];
    members.extend(devices.iter().map(|(user, device)| (user.as_str(), device)));
    let group = world.hub.group(9, &members).await;
    let mut awake = Vec::new();
    for (_, device) in &devices[usize::from(ASLEEP)..] {
        awake.push(world.hub.session(device).await);
    }
    let mut peer = world.hub.session(&publisher).await;
    let seq = peer.post(group, 1, 40).await;
    let policy = v1::AlertPolicy {
        repeat_every_ms: 2 * MINUTE,
        repeat_max: 10,
        fallback_after_ms: 5 * MINUTE,
        ..Default::default()
    };
    let opened = status(&mut peer, Body::OpenAlert(opening(&world, 5, group, seq, policy))).await;
    assert_eq!((opened.recipients, opened.phase()), (u32::from(RECIPIENTS), v1::AlertPhase::Ringing));
    assert_eq!(wait_for_rung(&world.service, 100).await.len(), 100, "everybody who sleeps is woken");

    // Of those awake, 120 have it, 100 have seen it, 70 acknowledge.
    for (index, peer) in awake.iter_mut().enumerate().take(120) {
        stored(peer, group, seq).await;
        if index < 100 {
            answer(peer, 5, index < 70).await;
        }
    }
    hears(&mut peer, (120, 100, 70)).await;
    drop((awake, peer));
    // The first end, while nothing is due; two minutes later a round.
    let world = world.kill_and_restart(0).await;
    world.clock.advance(2 * MINUTE);
    assert!(wait_for_rung(&world.service, 200).await.values().all(|rounds| rounds.len() == 2));
    // Ten of the sleepers come and acknowledge; then the hub ends, and the next round falls due meanwhile.
    for (_, device) in &devices[..10] {
        let mut peer = world.hub.session(device).await;
        answer(&mut peer, 5, true).await;
        drop(peer);
        world.hub.wait_until_gone(device).await;
    }
    let world = world.kill_and_restart(2 * MINUTE).await;
    wait_for_rung(&world.service, 290).await;
    // The fallback, once for everybody who has not acknowledged.
    world.clock.advance(MINUTE);
    let unanswered = usize::from(RECIPIENTS) - 70 - 10;
    let hooks = |received: &[Pushed]| {
        let calls = received.iter().filter(|push| push.path == "/hook");
        calls.map(|push| push.body.clone()).collect::<Vec<_>>()
    };
    let mut received = world.service.received(290 + unanswered).await;
    while hooks(&received).len() < unanswered {
        received = world.service.received(received.len() + 1).await;
    }
    let called: BTreeSet<_> = hooks(&received).into_iter().collect();
    assert_eq!((hooks(&received).len(), called.len()), (unanswered, unanswered), "each once");

    let mut peer = world.hub.session(&publisher).await;
    // The last step is noted after its calls: closing comes after it in any order, the truth is the same.
    let last =
        status(&mut peer, Body::CloseAlert(v1::CloseAlert { alert: Bytes::copy_from_slice(&[5; 16]) }));
    let last = last.await;
    assert_eq!((last.delivered, last.seen, last.acknowledged), (130, 110, 80));
    let report = report(&mut peer, 5, false).await;
    assert_eq!(report.recipients.len(), usize::from(RECIPIENTS));
    for (number, recipient) in report.recipients.iter().enumerate() {
        let (delivered, seen, acknowledged) = match number {
            0..10 | 100..170 => (true, true, true),
            170..200 => (true, true, false),
            200..220 => (true, false, false),
            _ => (false, false, false),
        };
        let known =
            (recipient.delivered_at_ms > 0, recipient.seen_at_ms > 0, recipient.acknowledged_at_ms > 0);
        assert_eq!(known, (delivered, seen, acknowledged), "{number}");
        let rounds = match number {
            0..10 => 2,
            10..100 => 3,
            _ => 0,
        };
        assert_eq!(recipient.pushes, rounds, "{number}");
    }
    // Exactly as scheduled, and each device always with the same number.
    for (user, rounds) in wake_ups(&received) {
        let expected = if user.as_str() < "u010" { 2 } else { 3 };
        assert_eq!(rounds.len(), expected, "{user}");
        assert!(rounds.iter().all(|topic| *topic == rounds[0]), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_publishers_open_watch_and_close_and_only_recipients_answer() {
    let world = World::new(|_, _| {}).await;
    let (publisher, member) = (world.publisher("publisher", 1).await, world.member("member", 2).await);
    let stranger = world.member("stranger", 3).await;
    let group = world.hub.group(9, &[("publisher", &publisher), ("member", &member)]).await;
    let mut peer = world.hub.session(&publisher).await;
    let seq = peer.post(group, 1, 40).await;
    let open = opening(&world, 5, group, seq, v1::AlertPolicy::default());
    let alert = open.alert.clone();
    let mut other = world.hub.session(&member).await;
    for (number, body) in [
        Body::OpenAlert(open.clone()),
        Body::WatchAlert(v1::WatchAlert { alert: alert.clone(), ..Default::default() }),
        Body::CloseAlert(v1::CloseAlert { alert: alert.clone() }),
        Body::GetReachability(v1::GetReachability::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u64 + 50;
        other.send(number, body).await;
        assert_eq!(other.refusal(number).await, ErrorCode::NotAuthorised);
    }
    let ahead =
        v1::OpenAlert { groups: vec![v1::Cursor { group: group.to_bytes(), seq: 99 }], ..open.clone() };
    peer.send(60, Body::OpenAlert(ahead)).await;
    assert_eq!(peer.refusal(60).await, ErrorCode::NotMember);
    let first = status(&mut peer, Body::OpenAlert(open.clone())).await;
    let again = v1::OpenAlert { mode: v1::AlertMode::Actual.into(), ..open };
    let repeated = status(&mut peer, Body::OpenAlert(again)).await;
    assert_eq!((first.recipients, repeated.mode()), (1, v1::AlertMode::Exercise), "the first one counts");
    let mut nobody = world.hub.session(&stranger).await;
    nobody.send(61, Body::AlertAck(v1::AlertAck { alert, acknowledged: true })).await;
    assert_eq!(nobody.refusal(61).await, ErrorCode::AlertUnknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_publisher_confirms_before_it_rings() {
    let world = World::new(|config, _| config.alert_two_persons = true).await;
    let (first, second) = (world.publisher("first", 1).await, world.publisher("second", 2).await);
    let sleeper = world.member("sleeper", 3).await;
    world.sleeps("sleeper", &sleeper).await;
    let members = [("first", &first), ("second", &second), ("sleeper", &sleeper)];
    let group = world.hub.group(9, &members).await;
    let mut peer = world.hub.session(&first).await;
    let seq = peer.post(group, 1, 40).await;
    let open = opening(&world, 5, group, seq, v1::AlertPolicy::default());
    let opened = status(&mut peer, Body::OpenAlert(open.clone())).await;
    assert_eq!(opened.phase(), v1::AlertPhase::Awaiting);
    let confirm = v1::OpenAlert { alert: open.alert, confirm: true, ..Default::default() };
    peer.send(60, Body::OpenAlert(confirm.clone())).await;
    assert_eq!(peer.refusal(60).await, ErrorCode::AlertSecondPerson);
    assert_eq!(wake_ups(&world.service.received(1).await).len(), 0, "only the news has woken");
    let mut other = world.hub.session(&second).await;
    let confirmed = status(&mut other, Body::OpenAlert(confirm)).await;
    assert_eq!(confirmed.phase(), v1::AlertPhase::Ringing);
    assert_eq!(confirmed.confirmed_by, "second@cpts.example");
    assert_eq!(wait_for_rung(&world.service, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_yield_to_actual_alerts_only() {
    let world = World::with_quiet(Some(Arc::new(QuietFor("sleeper"))), |_, _| {}).await;
    let (publisher, sleeper) = (world.publisher("publisher", 1).await, world.member("sleeper", 2).await);
    let neighbour = world.member("neighbour", 3).await;
    world.sleeps("sleeper", &sleeper).await;
    world.sleeps("neighbour", &neighbour).await;
    let members = [("publisher", &publisher), ("sleeper", &sleeper), ("neighbour", &neighbour)];
    let group = world.hub.group(9, &members).await;
    let mut peer = world.hub.session(&publisher).await;
    let seq = peer.post(group, 1, 40).await;
    let exercise = opening(&world, 5, group, seq, v1::AlertPolicy::default());
    status(&mut peer, Body::OpenAlert(exercise)).await;
    assert_eq!(wait_for_rung(&world.service, 1).await.into_keys().collect::<Vec<_>>(), ["neighbour"]);
    let actual = opening(&world, 6, group, seq, v1::AlertPolicy::default());
    let actual = v1::OpenAlert { mode: v1::AlertMode::Actual.into(), ..actual };
    status(&mut peer, Body::OpenAlert(actual)).await;
    let rung = wait_for_rung(&world.service, 3).await;
    assert_eq!((rung["neighbour"].len(), rung["sleeper"].len()), (2, 1));
    assert!(
        world
            .service
            .received(1)
            .await
            .iter()
            .all(|push| push.path != "/sleeper" || push.header("urgency") == "high")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_in_line_is_rung_in_his_turn_until_enough_have_acknowledged() {
    let world = World::new(|_, _| {}).await;
    let publisher = world.publisher("publisher", 1).await;
    let mut members = Vec::new();
    for (number, user) in ["doctor", "second", "third"].into_iter().enumerate() {
        let device = world.member(user, u16::try_from(number).unwrap() + 2).await;
        world.sleeps(user, &device).await;
        members.push((user, device));
    }
    let mut roster: Vec<(&str, &Device)> = vec![("publisher", &publisher)];
    roster.extend(members.iter().map(|(user, device)| (*user, device)));
    let group = world.hub.group(9, &roster).await;
    let mut peer = world.hub.session(&publisher).await;
    let seq = peer.post(group, 1, 40).await;
    let policy = v1::AlertPolicy {
        escalate_after_ms: 5 * MINUTE,
        next_in_line: vec!["second@cpts.example".into(), "third@cpts.example".into()],
        needed: 1,
        ..Default::default()
    };
    status(&mut peer, Body::OpenAlert(opening(&world, 5, group, seq, policy))).await;
    assert_eq!(wait_for_rung(&world.service, 1).await.into_keys().collect::<Vec<_>>(), ["doctor"]);
    world.clock.advance(5 * MINUTE);
    let rung = wait_for_rung(&world.service, 2).await;
    assert_eq!(rung.into_keys().collect::<Vec<_>>(), ["doctor", "second"]);
    let mut second = world.hub.session(&members[1].1).await;
    answer(&mut second, 5, true).await;
    world.clock.advance(5 * MINUTE);
    // Whatever was due is done before the expiry is, and the status says so.
    let mut watched = report(&mut peer, 5, true).await.status.unwrap();
    world.clock.advance(60 * MINUTE);
    while watched.phase() != v1::AlertPhase::Expired {
        if let server_frame::Body::AlertStatus(status) = peer.body().await {
            watched = status;
        }
    }
    let all = wake_ups(&world.service.received(1).await);
    assert!(!all.contains_key("third"), "one acknowledgement was enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_hears_every_change_and_the_reachable_are_known_before() {
    let world = World::new(|_, _| {}).await;
    let (publisher, member) = (world.publisher("publisher", 1).await, world.member("member", 2).await);
    let sleeper = world.member("sleeper", 3).await;
    world.sleeps("sleeper", &sleeper).await;
    let members = [("publisher", &publisher), ("member", &member), ("sleeper", &sleeper)];
    let group = world.hub.group(9, &members).await;
    let mut peer = world.hub.session(&publisher).await;
    peer.send(
        62,
        Body::GetReachability(v1::GetReachability { group: group.to_bytes(), ..Default::default() }),
    )
    .await;
    let server_frame::Body::Reachability(reachable) = peer.answer(62).await else {
        panic!("no reachability")
    };
    let row = |row: &v1::ReachableUser| (row.user.clone(), row.devices, row.devices_with_push, row.connected);
    let rows: Vec<_> = reachable.users.iter().map(row).collect();
    let expected = [
        ("member@cpts.example".to_owned(), 1, 0, false),
        ("publisher@cpts.example".to_owned(), 1, 0, true),
        ("sleeper@cpts.example".to_owned(), 1, 1, false),
    ];
    assert_eq!(rows, expected);
    let seq = peer.post(group, 1, 40).await;
    status(&mut peer, Body::OpenAlert(opening(&world, 5, group, seq, v1::AlertPolicy::default()))).await;
    let mut other = world.hub.session(&member).await;
    stored(&mut other, group, seq).await;
    answer(&mut other, 5, false).await;
    answer(&mut other, 5, true).await;
    hears(&mut peer, (1, 1, 1)).await;
}
