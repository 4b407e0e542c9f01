//! How long a device takes to know where 1 000 requests stand after 10 000 messages about them.
//!
//! `cargo run --release -p cercle-sdk --example requests_board`. The first board of a device that was just
//! opened reads, opens and reduces every stored message; the next is made from what is in memory. Leaves
//! with 1 if a request does not end completed.

#[path = "../tests/conversations/core_world.rs"]
#[expect(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, reason = "made for tests")]
mod core_world;

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::{BoardFilter, Command},
    message::{
        Body, Request, RequestId, Transition,
        request::{Purpose, Situation},
        transition::Action,
    },
    thread::requests::State,
};
use core_world::World;

const REQUESTS: u16 = 1_000;
/// Messages that are queued before they are waited for.
const CHUNK: usize = 250;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut world = World::new();
    world.settings.messages_per_second = 1_000_000;
    for name in ["anne", "bruno"] {
        world.enrol(name).await;
    }
    let group = world.conversation("Territoire", &[0, 1]).await;
    let asked =
        ids().map(|id| Body::Request(Box::new(Request::new(id, Purpose::Task, "Rappeler le laboratoire"))));
    post(&mut world, 0, group, asked.collect()).await;
    let text = || "Depuis trois jours, sans fièvre.".to_owned();
    let claim = Action::Claim { receipt: None, owner_name: String::new() };
    steps(&mut world, 1, group, &[claim, Action::AskInfo { text: text() }]).await;
    steps(&mut world, 0, group, &[Action::GiveInfo { text: text(), documents: Vec::new() }]).await;
    let schedule = |from_ms| Action::Schedule { from_ms, to_ms: None, place: "Cabinet".to_owned() };
    let answer = Action::Answer { text: text(), documents: Vec::new() };
    let complete = Action::Complete { report: text(), documents: Vec::new() };
    let rest = [answer, schedule(1), schedule(2), schedule(3), schedule(4), complete];
    steps(&mut world, 1, group, &rest).await;

    world.devices[0].crash();
    world.devices[0].open();
    let filter = BoardFilter { closed: true, ..BoardFilter::default() };
    let now = world.clock.now();
    let mut took_ms = Vec::new();
    for _ in 0..2 {
        let started = start_watch();
        let rows = world.devices[0].core().board(&filter, now).expect("the store is whole");
        took_ms.push(started.elapsed().as_secs_f64() * 1_000.0);
        let done = rows.iter().filter(|row| row.state == State::Completed).count();
        if done != usize::from(REQUESTS) {
            report(&format!("{done} of {REQUESTS} requests are completed"));
            std::process::exit(1);
        }
    }
    report(&format!("first board {:.0} ms, next {:.1} ms", took_ms[0], took_ms[1]));
}

fn ids() -> impl Iterator<Item = RequestId> {
    (0..REQUESTS).map(|number| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        RequestId::new(id)
    })
}

async fn steps(world: &mut World, device: usize, group: GroupId, actions: &[Action]) {
    let step = |request, action: &Action| {
        let (action, situation) = (action.clone(), Situation::default());
        Body::Transition(Box::new(Transition { request, action, situation }))
    };
    let bodies = ids().flat_map(|id| actions.iter().map(move |action| step(id, action)));
    post(world, device, group, bodies.collect()).await;
}

async fn post(world: &mut World, device: usize, group: GroupId, bodies: Vec<Body>) {
    for chunk in bodies.chunks(CHUNK) {
        for body in chunk {
            world.start(device, Command::Send { group, draft: body.clone().into() });
        }
        world
            .until(|world| {
                let places: Vec<_> = (0..2).map(|one| world.devices[one].epoch_and_cursor(group)).collect();
                let empty = world.devices[device].core().outbox().is_ok_and(|outbox| outbox.is_empty());
                empty && places[0] == places[1]
            })
            .await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn start_watch() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn report(line: &str) {
    println!("{line}");
}
