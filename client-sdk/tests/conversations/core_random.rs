//! Random histories: whatever devices do, lose and suffer, in the end every member agrees on every epoch
//! and message. A failing seed is printed; add it to the list.

use std::collections::BTreeSet;

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::{Command, GroupState},
    event::Event,
};

use super::{
    core_world::{Device, Stop, World},
    numbers::Numbers,
};

const DEVICES: usize = 5;
const STEPS: usize = 60;

async fn play(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut world = World::with(&["a", "b", "c", "d", "e"]).await;
    let everybody: Vec<usize> = (0..DEVICES).collect();
    let group = world.conversation("A", &everybody).await;
    let mut sent = BTreeSet::new();
    for step in 0..STEPS {
        let device = numbers.below(DEVICES);
        match numbers.below(12) {
            0..=5 => {
                let text = format!("{step} from {device}");
                world.send(device, group, &text);
                sent.insert(text);
            }
            6 | 7 => {
                world.start(device, Command::UpdateKeys { group });
            }
            8 => {
                let now = world.clock.now();
                world.devices[device].disconnect(now);
            }
            9 => world.devices[device].online = true,
            10 => {
                let when = if numbers.below(2) == 0 { Stop::BeforeActing } else { Stop::AfterActing };
                world.devices[device].stop = Some((1 + numbers.below(5), when));
            }
            _ => world.turns(numbers.below(30)).await,
        }
        restart_stopped(&mut world);
    }
    for device in 0..DEVICES {
        world.devices[device].stop = None;
        world.devices[device].online = true;
    }
    restart_stopped(&mut world);
    settle(&mut world, group, &everybody, sent.len()).await;
    check(&mut world, group, &sent, seed);
}

fn restart_stopped(world: &mut World) {
    for device in &mut world.devices {
        if device.core.is_none() {
            device.open();
        }
    }
}

async fn settle(world: &mut World, group: GroupId, devices: &[usize], texts: usize) {
    world
        .until(|world| devices.iter().all(|device| world.devices[*device].texts(group).len() >= texts))
        .await;
    world.all_at_one_epoch(group, devices).await;
}

fn check(world: &mut World, group: GroupId, sent: &BTreeSet<String>, seed: u64) {
    let first = world.devices[0].texts(group);
    let unique: BTreeSet<String> = first.iter().cloned().collect();
    assert_eq!(unique.len(), first.len(), "seed {seed}: nothing twice");
    assert_eq!(unique, *sent, "seed {seed}: nothing lost");
    for device in 0..DEVICES {
        assert_eq!(world.devices[device].texts(group), first, "seed {seed}: one order for all");
        let suffered = world.devices[device].saw(|event| {
            matches!(event, Event::Gap { .. } | Event::Recovering { .. } | Event::RollbackDetected)
        });
        assert!(!suffered, "seed {seed}: device {device} needed a recovery");
        for author in 0..DEVICES {
            let of_author = |text: &&String| text.ends_with(&format!("from {author}"));
            let steps: Vec<usize> = first
                .iter()
                .filter(of_author)
                .map(|text| text.split(' ').next().unwrap().parse().unwrap())
                .collect();
            assert!(steps.is_sorted(), "seed {seed}: each author's order is kept");
        }
    }
}

/// Stores are set back to older copies, members leave and are invited: gaps are allowed, but they are said,
/// nothing comes twice, and everybody ends in the same epoch.
async fn play_with_copies(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut world = World::with(&["a", "b", "c", "d", "e"]).await;
    let everybody: Vec<usize> = (0..DEVICES).collect();
    let group = world.conversation("A", &everybody).await;
    let mut copies: Vec<Option<Vec<u8>>> = vec![None; DEVICES];
    for step in 0..STEPS {
        let device = numbers.below(DEVICES);
        match numbers.below(10) {
            0..=4 => world.send(device, group, &format!("{step} from {device}")),
            5 => {
                world.start(device, Command::UpdateKeys { group });
            }
            6 => {
                world.devices[device].crash();
                copies[device] = Some(world.devices[device].copy_store());
            }
            7 => {
                if let Some(copy) = &copies[device] {
                    world.devices[device].crash();
                    world.devices[device].restore_store(copy);
                }
            }
            _ => world.turns(numbers.below(40)).await,
        }
        restart_stopped(&mut world);
    }
    let now = world.clock.now();
    for device in &mut world.devices {
        device.disconnect(now);
        device.events.clear();
        device.online = true;
    }
    world
        .until(|world| world.devices.iter().all(|device| device.saw(|event| *event == Event::CaughtUp)))
        .await;
    world.until(|world| world.devices.iter_mut().all(|device| is_active(device, group))).await;
    world.all_at_one_epoch(group, &everybody).await;
    world.send(0, group, "the last");
    world
        .until(|world| {
            (0..DEVICES).all(|device| {
                world.devices[device].texts(group).last().is_some_and(|text| text == "the last")
            })
        })
        .await;
    let whole: Vec<Vec<String>> = (0..DEVICES).map(|device| world.devices[device].texts(group)).collect();
    for texts in &whole {
        let unique: BTreeSet<&String> = texts.iter().collect();
        assert_eq!(unique.len(), texts.len(), "seed {seed}: nothing twice");
    }
}

fn is_active(device: &mut Device, group: GroupId) -> bool {
    let groups = device.core().groups().unwrap();
    groups.iter().any(|summary| summary.group == group && summary.state == GroupState::Active)
}

#[tokio::test]
async fn devices_whose_stores_are_set_back_at_random_come_back_to_their_group() {
    for seed in 0..seeds(4) {
        play_with_copies(1_000 + seed).await;
    }
}

#[tokio::test]
async fn devices_that_stop_and_vanish_at_random_agree_in_the_end() {
    for seed in 0..seeds(6) {
        play(seed).await;
    }
}

/// How many histories are played: more by hand than in every run.
fn seeds(usual: u64) -> u64 {
    let wanted = std::env::var("CERCLE_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    wanted.unwrap_or(usual)
}
