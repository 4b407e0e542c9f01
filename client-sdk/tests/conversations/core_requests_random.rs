//! Random lives of requests: whatever five devices do with them, in whatever order it reaches the hub,
//! offline, stopped and opened again, all of them end with the same history. A failing seed is printed.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::Command,
    message::{
        Body, RequestId, Transition,
        request::{Purpose, Situation},
        transition::{Action, PrescriptionStep},
    },
    thread::requests::{Course, State},
};

use super::{
    core_requests::{ask, course, request, step, visit},
    core_world::{Stop, World},
};

const DEVICES: usize = 5;
/// Steps that are tried in one life.
const STEPS: usize = 14;
/// Lives that one world sees, one after the other.
const LIVES_PER_WORLD: u64 = 25;

/// A small generator of numbers (splitmix64), so that a seed says everything.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

fn any_action(numbers: &mut Numbers) -> Action {
    let (text, reason, documents) = ("?".to_owned(), String::new(), Vec::new);
    match numbers.below(16) {
        0..=4 => Action::Claim { receipt: None, owner_name: String::new() },
        5 => Action::Release { reason },
        6 => Action::Decline { reason },
        7 => Action::AskInfo { text },
        8 => Action::GiveInfo { text, documents: documents() },
        9 | 10 => Action::Answer { text, documents: documents() },
        11 | 12 => Action::Schedule { from_ms: 1, to_ms: None, place: text },
        13 => Action::Reassign { to: World::user(["a", "b", "c", "d", "e"][numbers.below(DEVICES)]) },
        14 if numbers.below(3) == 0 => Action::Cancel { reason },
        14 => Action::Progress { step: PrescriptionStep::Received },
        _ => Action::Complete { report: text, documents: documents() },
    }
}

fn restart_stopped(world: &mut World) {
    for device in &mut world.devices {
        if device.core.is_none() {
            device.open();
        }
    }
}

/// Steps of random devices. Most are sent unchecked, as by a client that knows no rules, so that the
/// reducers alone must agree; a few go through the checks of the sender.
async fn live(world: &mut World, group: GroupId, id: RequestId, numbers: &mut Numbers) {
    for _ in 0..STEPS {
        let device = numbers.below(DEVICES);
        match numbers.below(10) {
            0..=5 => {
                let action = any_action(numbers);
                let transition = Transition { request: id, action, situation: Situation::default() };
                world.start(
                    device,
                    Command::Send { group, draft: Body::Transition(Box::new(transition)).into() },
                );
            }
            6 => {
                let action = any_action(numbers);
                world.start(device, step(id, action));
            }
            7 => {
                let now = world.clock.now();
                world.devices[device].disconnect(now);
            }
            8 => {
                let when = if numbers.below(2) == 0 { Stop::BeforeActing } else { Stop::AfterActing };
                world.devices[device].stop = Some((1 + numbers.below(3), when));
            }
            _ => world.turns(numbers.below(12)).await,
        }
        restart_stopped(world);
        world.devices[numbers.below(DEVICES)].online = true;
    }
    for device in &mut world.devices {
        device.stop = None;
        device.online = true;
    }
    restart_stopped(world);
}

/// Every device says the same, and says it again when it reads its store anew.
fn check(world: &mut World, group: GroupId, id: RequestId, seed: u64) -> Course {
    let first = course(world, 0, group, id).unwrap();
    for device in 1..DEVICES {
        assert!(course(world, device, group, id).unwrap() == first, "seed {seed}: device {device} differs");
    }
    let rebuilt = usize::try_from(seed).unwrap() % DEVICES;
    world.devices[rebuilt].crash();
    world.devices[rebuilt].open();
    assert!(course(world, rebuilt, group, id).unwrap() == first, "seed {seed}: rebuilt is another");
    let owned = first.standing.state.is_owned();
    assert!(!owned || first.standing.owner.is_some(), "seed {seed}: nobody has what is taken on");
    first
}

#[tokio::test]
async fn two_hundred_random_lives_end_alike_on_five_devices() {
    let mut ended = std::collections::BTreeSet::new();
    let mut steps = 0;
    for seed in 0..200_u64 {
        if seed % LIVES_PER_WORLD == 0 {
            steps += play(seed, &mut ended).await;
        }
    }
    assert!(steps > 200, "the lives are not empty: {steps}");
    for state in [State::Open, State::Claimed, State::Answered, State::Scheduled, State::Completed] {
        assert!(ended.contains(&state), "no life ended {}", state.name());
    }
}

/// Some lives in one world, from this seed on. Returns how many steps counted.
async fn play(first_seed: u64, ended: &mut std::collections::BTreeSet<State>) -> usize {
    let mut world = World::with(&["a", "b", "c", "d", "e"]).await;
    let everybody: Vec<usize> = (0..DEVICES).collect();
    let group = world.conversation("A", &everybody).await;
    let mut steps = 0;
    for seed in first_seed..first_seed + LIVES_PER_WORLD {
        let mut numbers = Numbers(seed);
        let posted = if seed % 2 == 0 { visit() } else { request(Purpose::Task, "Tâche") };
        let id = ask(&mut world, numbers.below(DEVICES), &[group], posted).await;
        live(&mut world, group, id, &mut numbers).await;
        world.until(|world| (0..DEVICES).all(|device| course(world, device, group, id).is_some())).await;
        world.all_at_one_epoch(group, &everybody).await;
        let course = check(&mut world, group, id, seed);
        steps += course.history.len();
        ended.insert(course.standing.state);
    }
    steps
}
