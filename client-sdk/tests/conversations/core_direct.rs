//! The thread of two people: found, made, shared.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::{Command, GroupSummary, Outcome},
    error::Error,
    event::Message,
    message::{Body, ThreadKind},
};

use super::core_world::World;

async fn direct(world: &mut World, device: usize, user: &str) -> GroupId {
    match world.run(device, Command::DirectWith { user: World::user(user) }).await {
        Ok(Outcome::DirectThread(group)) => group,
        other => panic!("{other:?}"),
    }
}

/// Whether a device knows both members of a thread, and that it is a direct one.
fn is_shared(world: &mut World, device: usize, group: GroupId) -> bool {
    let core = world.devices[device].core();
    let direct = |known: GroupSummary| known.group == group && known.profile.thread == ThreadKind::Direct;
    core.groups().unwrap().into_iter().any(direct) && core.members(group).unwrap().len() == 2
}

#[tokio::test]
async fn what_is_written_to_a_new_direct_thread_at_once_reaches_the_other() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct(&mut world, 0, "bruno").await;
    for text in ["Pouvez-vous passer demain ?", "Plutôt le matin."] {
        world.send(0, group, text);
    }
    world.reads(1, group, &["Pouvez-vous passer demain ?", "Plutôt le matin."]).await;
    let read = world.devices[1].core().messages(group, 0, 10).unwrap();
    let names = |message: &Message| matches!(message.body, Body::GroupProfile(_));
    let named: Vec<bool> = read.iter().map(names).collect();
    assert_eq!(named, [true, false, false], "he knows where he is before anything is said");
    let profile = world.devices[1].core().groups().unwrap().remove(0).profile;
    assert_eq!((profile.thread, profile.read_receipts), (ThreadKind::Direct, true));
    // Those that had waited are gone from the queue; the next one is sent like any other.
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    world.send(0, group, "Ou le soir.");
    world.until(|world| world.devices[1].texts(group).len() == 3).await;
}

#[tokio::test]
async fn both_find_the_same_direct_thread_again() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = direct(&mut world, 0, "bruno").await;
    assert_eq!(direct(&mut world, 0, "bruno").await, group, "asked for twice before it is registered");
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
    assert_eq!(direct(&mut world, 1, "anne").await, group);
    assert_ne!(direct(&mut world, 0, "claire").await, group);
}

#[tokio::test]
async fn two_that_make_one_at_the_same_time_use_the_same_from_then_on() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let first = direct(&mut world, 0, "bruno").await;
    let second = direct(&mut world, 1, "anne").await;
    world.send(0, first, "A");
    world.send(1, second, "B");
    world.reads(1, first, &["A"]).await;
    world.reads(0, second, &["B"]).await;
    // The first message may be there before its thread's name, and before its author has merged his commit.
    for (device, group) in [(0, first), (1, first), (0, second), (1, second)] {
        world.until(|world| is_shared(world, device, group)).await;
    }
    let smaller = first.min(second);
    assert_eq!(
        (direct(&mut world, 0, "bruno").await, direct(&mut world, 1, "anne").await),
        (smaller, smaller)
    );
}

#[tokio::test]
async fn somebody_who_could_not_be_reached_is_invited_again_into_the_same_thread() {
    let mut world = World::with(&["anne"]).await;
    let group = direct(&mut world, 0, "bruno").await;
    world.send(0, group, "perdu");
    world.until(|world| world.devices[0].texts(group) == ["perdu"]).await;
    world.enrol("bruno").await;
    assert_eq!(direct(&mut world, 0, "bruno").await, group);
    world.send(0, group, "lu");
    world.reads(1, group, &["lu"]).await;
}

#[tokio::test]
async fn nobody_has_a_direct_thread_with_himself() {
    let mut world = World::with(&["anne"]).await;
    let refused = world.run(0, Command::DirectWith { user: World::user("anne") }).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}
