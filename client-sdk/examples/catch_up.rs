//! How long a device takes that was away for 1 200 messages in 60 groups and 40 commits.
//!
//! `cargo run --release -p cercle-sdk --example catch_up`. Frames are handed over in memory: what is
//! measured is the hub's reading and the device's decrypting and storing, not a network. Leaves with 1 if
//! something is missing, twice or out of order.

#[path = "../tests/conversations/core_world.rs"]
#[expect(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, reason = "made for tests")]
mod core_world;

use cercle_sdk::{core::Command, event::Event};
use core_world::World;

const GROUPS: usize = 60;
const MESSAGES_PER_GROUP: usize = 20;
const COMMITS: usize = 40;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        groups.push(world.conversation(&format!("group {number}"), &[0, 1, 2]).await);
    }
    let now = world.clock.now();
    world.devices[2].disconnect(now);
    for (number, group) in groups.iter().enumerate() {
        for message in 0..MESSAGES_PER_GROUP {
            world.send(message % 2, *group, &format!("{number} {message}"));
            world.until(|world| (0..2).all(|device| outbox_is_empty(world, device))).await;
        }
        if number < COMMITS {
            let updated = world.run(0, Command::UpdateKeys { group: *group }).await;
            updated.expect("an own update is never refused");
        }
    }
    world.devices[2].events.clear();
    world.devices[2].online = true;
    let started = start_watch();
    world.until(|world| world.devices[2].saw(|event| *event == Event::CaughtUp)).await;
    let seconds = started.elapsed().as_secs_f64();
    let received = world.devices[2].events.iter().filter(|event| matches!(event, Event::MessageReceived(_)));
    let received = received.count();
    let gaps = world.devices[2].events.iter().filter(|event| matches!(event, Event::Gap { .. })).count();
    let whole = groups.iter().enumerate().all(|(number, group)| {
        let expected: Vec<String> = (0..MESSAGES_PER_GROUP).map(|i| format!("{number} {i}")).collect();
        world.devices[2].texts(*group) == expected
    });
    print(&format!(
        "{{\"seconds\":{seconds:.3},\"received\":{received},\"gaps\":{gaps},\"in_order\":{whole}}}"
    ));
    if !whole || gaps > 0 {
        std::process::exit(1);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn start_watch() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn print(line: &str) {
    println!("{line}");
}

fn outbox_is_empty(world: &mut World, device: usize) -> bool {
    world.devices[device].core().outbox().is_ok_and(|outbox| outbox.is_empty())
}
