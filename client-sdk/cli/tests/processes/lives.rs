//! Requests through the real hub process: five devices with sockets, TLS and profiles on the disk do what they like
//! with two hundred requests, over lines that are held, offline, closed and opened again, while the hub is killed.
//! All of them end with the same history. The seed of a round that fails is printed; `CERCLE_SEED=<seed>` runs that
//! round alone.

use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};

use cercle_proto::{
    id::{GroupId, UserId},
    invitation::Invitation,
};
use cercle_sdk::{
    client::{Client, Notice},
    core::{Act, Ask, BoardFilter, BoardRow, PolicyTemplate, Settings},
    event::Event,
    message::{
        Body, Request, RequestId, Transition,
        request::{Purpose, Situation},
        transition::Action,
    },
    profile::{Profile, Protection},
    thread::requests::{Course, State},
};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use crate::{
    link::Link,
    numbers::Numbers,
    world::{Hub, PATIENCE},
};

const NAMES: [&str; 5] = ["anne", "bruno", "claire", "david", "elise"];
/// Rounds, and lives that go on at once in each: two hundred in all.
const ROUNDS: u64 = 8;
const LIVES: usize = 25;
/// Steps of one life, tried by anybody.
const STEPS: usize = 7;

struct Device {
    client: Client,
    profile: PathBuf,
    line: Link,
}

impl Device {
    /// Closes the profile and opens it again, as a person does with an app.
    async fn restart(&mut self, seed: u64) {
        // Closing waits for what is on its way: not behind a line that is held.
        self.line.release();
        soon(seed, self.client.clone().close()).await;
        let profile = soon(seed, self.closed_profile()).await;
        self.client = Client::open(profile, Settings::default()).await.unwrap();
    }

    /// The profile, once the thread that moves documents has let it go as well.
    async fn closed_profile(&self) -> Profile {
        let mut looks = interval(Duration::from_millis(50));
        loop {
            if let Ok(profile) = Profile::open(&self.profile, || None) {
                return profile;
            }
            looks.tick().await;
        }
    }
}

/// Waits, but not for ever.
async fn soon<T>(seed: u64, work: impl Future<Output = T>) -> T {
    let waited = timeout(PATIENCE, Box::pin(work)).await;
    waited.unwrap_or_else(|_| panic!("seed {seed}: it takes too long"))
}

async fn enrol(hub: &Hub, folder: &TempDir, name: &str) -> Device {
    let line = Link::to(hub.address()).await;
    let invitation = Invitation::parse(&hub.invitation_at(name, &line.address)).unwrap();
    let profile = folder.path().join(name);
    let made = Profile::create(&profile, Protection::KeyFile).unwrap();
    let client = Client::open(made, Settings::default()).await.unwrap();
    soon(0, client.enrol(&invitation)).await.unwrap();
    soon(0, client.caught_up()).await.unwrap();
    Device { client, profile, line }
}

fn user(name: &str) -> UserId {
    UserId::new(name, "cpts.example").unwrap()
}

fn any_action(numbers: &mut Numbers) -> Action {
    let (text, reason, documents) = ("?".to_owned(), String::new(), Vec::new);
    match numbers.below(16) {
        0..=5 => Action::Claim { receipt: None, owner_name: String::new() },
        6 => Action::Release { reason },
        7 => Action::Decline { reason },
        8 => Action::AskInfo { text },
        9 => Action::GiveInfo { text, documents: documents() },
        10 | 11 => Action::Answer { text, documents: documents() },
        12 => Action::Schedule { from_ms: 1, to_ms: None, place: text },
        13 => Action::Reassign { to: user(NAMES[numbers.below(NAMES.len())]) },
        14 if numbers.below(3) == 0 => Action::Cancel { reason },
        _ => Action::Complete { report: text, documents: documents() },
    }
}

/// Half tasks, which their requester may claim, half visits, which he may not.
fn request(number: usize) -> Request {
    let purpose = if number.is_multiple_of(2) {
        Purpose::Task
    } else {
        let (profession, act, commune) = ("60".to_owned(), "Pansement".to_owned(), "65440".to_owned());
        Purpose::UnscheduledCare { profession, act, commune, delay_hours: 4 }
    };
    Request::new(RequestId::new([0; 16]), purpose, "Demande")
}

/// Says something and waits until every device has read it: what was in the log before is read as well.
async fn all_up_to_date(devices: &[Device], group: GroupId, seed: u64) {
    for device in devices {
        device.line.release();
        device.client.connect().await.unwrap();
    }
    for device in devices {
        soon(seed, outbox_is_empty(device)).await;
    }
    let mut events = devices[0].client.events();
    let last = soon(seed, devices[0].client.send(group, "fin")).await.unwrap();
    let end = loop {
        match soon(seed, events.next()).await.expect("the client is open") {
            Notice::Event(Event::MessageAccepted { message, seq, .. }) if message == last => break seq,
            Notice::Event(_) => {}
            Notice::Missed(count) => panic!("seed {seed}: {count} events were missed"),
        }
    };
    for device in devices {
        let mut events = device.client.events();
        while cursor(device, group).await < end {
            soon(seed, events.next()).await.expect("the client is open");
        }
    }
}

/// Waits until a device has nothing left to send. Not each thing that leaves the outbox is told by an event.
async fn outbox_is_empty(device: &Device) {
    let mut looks = interval(Duration::from_millis(50));
    while !device.client.outbox().await.unwrap().is_empty() {
        looks.tick().await;
    }
}

/// Waits until a device is in a group.
async fn knows(device: &Device, group: GroupId) {
    let mut looks = interval(Duration::from_millis(50));
    while cursor(device, group).await == 0 {
        looks.tick().await;
    }
}

/// The newest entry of the group that a device has stored.
async fn cursor(device: &Device, group: GroupId) -> u64 {
    let groups = device.client.groups().await.unwrap();
    groups.into_iter().find(|summary| summary.group == group).map_or(0, |summary| summary.cursor)
}

async fn courses(device: &Device, ids: &[RequestId]) -> Vec<Course> {
    let mut courses = Vec::with_capacity(ids.len());
    for id in ids {
        let mut found = device.client.request_history(*id).await.unwrap();
        assert_eq!(found.len(), 1, "one group knows it");
        courses.append(&mut found);
    }
    courses
}

/// Steps of random devices. Most are sent unchecked, as by a client that knows no rules, so that the reducers
/// alone must agree; a few go through the checks of the sender.
async fn live(hub: &mut Hub, devices: &mut [Device], group: GroupId, ids: &[RequestId], seed: u64) {
    let mut numbers = Numbers(seed);
    let killed = numbers.below(LIVES * STEPS);
    for step in 0..LIVES * STEPS {
        if step == killed {
            hub.kill();
            hub.spawn();
        }
        let (at, request) = (numbers.below(devices.len()), ids[numbers.below(ids.len())]);
        let device = &mut devices[at];
        let action = any_action(&mut numbers);
        match numbers.below(20) {
            0 => device.client.disconnect().await.unwrap(),
            1 => device.restart(seed).await,
            2 | 3 => device.line.hold_after(0),
            4..=6 => {
                device.line.release();
                device.client.connect().await.unwrap();
            }
            7 | 8 => {
                let act = Act { request, action, situation: Situation::default() };
                let _refused_or_not = soon(seed, device.client.act(act)).await;
            }
            _ => {
                let transition = Transition { request, action, situation: Situation::default() };
                let body = Body::Transition(Box::new(transition));
                soon(seed, device.client.post(group, body.into())).await.unwrap();
            }
        }
    }
}

/// A round of lives. Returns how many ended in each state.
async fn round(hub: &mut Hub, devices: &mut [Device], group: GroupId, seed: u64) -> BTreeMap<State, usize> {
    let mut ids = Vec::new();
    for number in 0..LIVES {
        let ask = Ask { request: request(number), groups: vec![group], widening: Vec::new(), patient: None };
        ids.push(soon(seed, devices[number % devices.len()].client.ask(ask)).await.unwrap());
    }
    all_up_to_date(devices, group, seed).await;
    live(hub, devices, group, &ids, seed).await;
    all_up_to_date(devices, group, seed).await;
    let first = courses(&devices[0], &ids).await;
    for (device, name) in devices.iter().zip(NAMES).skip(1) {
        assert!(courses(device, &ids).await == first, "seed {seed}: {name} differs from {}", NAMES[0]);
    }
    let again = usize::try_from(seed).unwrap() % devices.len();
    devices[again].restart(seed).await;
    assert!(courses(&devices[again], &ids).await == first, "seed {seed}: read anew it is another");
    let mut ended = BTreeMap::new();
    for course in &first {
        let standing = &course.standing;
        assert!(!standing.state.is_owned() || standing.owner.is_some(), "seed {seed}: nobody has it");
        *ended.entry(standing.state).or_default() += 1;
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_through_a_killed_hub_end_alike_on_five_devices() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start();
    let mut devices = Vec::new();
    for name in NAMES {
        devices.push(enrol(&hub, &folder, name).await);
    }
    let made = devices[0].client.create_group("Secteur", PolicyTemplate::Conversation);
    let group = soon(0, made).await.unwrap();
    soon(0, devices[0].client.invite(group, NAMES[1..].iter().map(|name| user(name)).collect()))
        .await
        .unwrap();
    for device in &devices {
        soon(0, knows(device, group)).await;
    }
    let wanted: Option<u64> = std::env::var("CERCLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = wanted.map_or_else(|| (0..ROUNDS).collect(), |seed| vec![seed]);
    let mut ended: BTreeMap<State, usize> = BTreeMap::new();
    for seed in seeds {
        for (state, count) in round(&mut hub, &mut devices, group, seed).await {
            *ended.entry(state).or_default() += count;
        }
    }
    assert!(ended.len() >= 3, "the lives are not empty: {ended:?}");
    for device in devices {
        soon(0, device.client.close()).await;
    }
}

/// What a device's board says of its only request, once somebody has it and no claim of its own is undecided.
async fn decided(device: &Device) -> BoardRow {
    let mut events = device.client.events();
    loop {
        let everything = BoardFilter { closed: true, ..BoardFilter::default() };
        let rows = device.client.board(everything).await.unwrap();
        if let Some(row) = rows.into_iter().find(|row| row.owner.is_some() && !row.claiming) {
            return row;
        }
        soon(0, events.next()).await.expect("the client is open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_in_two_groups_who_want_the_same_visit_one_has_it_and_all_know_who() {
    const CLAIMANTS: usize = 20;
    let (folder, hub) = (tempfile::tempdir().unwrap(), Hub::start());
    let mut devices = vec![enrol(&hub, &folder, "anne").await];
    let names: Vec<String> = (0..CLAIMANTS).map(|number| format!("ide{number}")).collect();
    for name in &names {
        devices.push(enrol(&hub, &folder, name).await);
    }
    let mut groups = Vec::new();
    for (title, members) in ["Nord", "Sud"].into_iter().zip(names.chunks(CLAIMANTS / 2)) {
        let client = &devices[0].client;
        let group = soon(0, client.create_group(title, PolicyTemplate::Conversation)).await.unwrap();
        let members = members.iter().map(|name| user(name)).collect();
        soon(0, client.invite(group, members)).await.unwrap();
        groups.push(group);
    }
    let ask = Ask { request: request(1), groups, widening: Vec::new(), patient: None };
    let id = soon(0, devices[0].client.ask(ask)).await.unwrap();
    for device in &devices[1..] {
        let mut events = device.client.events();
        while device.client.request_history(id).await.unwrap().is_empty() {
            soon(0, events.next()).await.expect("the client is open");
        }
    }
    let claims = devices[1..].iter().map(|device| {
        let action = Action::Claim { receipt: None, owner_name: String::new() };
        device.client.act(Act { request: id, action, situation: Situation::default() })
    });
    // Who hears of the winner before he has claimed is refused at once.
    soon(0, futures_util::future::join_all(claims)).await;
    let mut owners = BTreeMap::new();
    for device in &devices {
        let row = soon(0, decided(device)).await;
        assert_eq!(row.state, State::Claimed);
        *owners.entry(row.owner.unwrap().user).or_insert(0) += 1;
    }
    assert_eq!(owners.values().copied().collect::<Vec<usize>>(), [devices.len()], "one owner for all");
    assert!(names.iter().any(|name| owners.contains_key(&user(name))));
    for device in devices {
        soon(0, device.client.close()).await;
    }
}
