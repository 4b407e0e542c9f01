//! A hub that was restored from an older copy: every device gets back to work, and what was said since is
//! said again, once, in one order for all.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::{Command, GroupState, Outcome},
    event::{Event, GapReason},
    message::Body,
};

use super::core_world::World;

fn gaps(world: &World, device: usize) -> Vec<(u64, GapReason)> {
    let gap = |event: &Event| match event {
        Event::Gap { skipped, reason, .. } => Some((*skipped, *reason)),
        _ => None,
    };
    world.devices[device].events.iter().filter_map(gap).collect()
}

fn rejoined(world: &World, device: usize) -> bool {
    world.devices[device].saw(|event| matches!(event, Event::Recovering { .. }))
}

/// How often a device was told of a message with this text.
fn told(world: &World, device: usize, text: &str) -> usize {
    let wanted = Body::text(text);
    let is = |event: &&Event| matches!(event, Event::MessageReceived(message) if message.body == wanted);
    world.devices[device].events.iter().filter(is).count()
}

/// Waits until these devices have the same texts, which are these in any order; returns them in theirs.
async fn all_have(world: &mut World, group: GroupId, devices: &[usize], expected: &[&str]) -> Vec<String> {
    let mut wanted: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    wanted.sort();
    world
        .until(|world| {
            let texts: Vec<_> = devices.iter().map(|device| world.devices[*device].texts(group)).collect();
            let mut sorted = texts[0].clone();
            sorted.sort();
            sorted == wanted && texts.iter().all(|other| *other == texts[0])
        })
        .await;
    world.all_at_one_epoch(group, devices).await;
    world.devices[devices[0]].texts(group)
}

fn offline(world: &mut World, device: usize) {
    let now = world.clock.now();
    world.devices[device].disconnect(now);
}

#[tokio::test]
async fn messages_that_the_hub_forgot_are_said_again_without_anybody_joining_again() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    world.send(0, group, "before");
    all_have(&mut world, group, &[0, 1, 2], &["before"]).await;
    let copy = world.copy_hub().await;
    world.send(0, group, "one");
    all_have(&mut world, group, &[0, 1, 2], &["before", "one"]).await;
    offline(&mut world, 2);
    world.send(1, group, "two");
    all_have(&mut world, group, &[0, 1], &["before", "one", "two"]).await;
    world.send(0, group, "three");
    all_have(&mut world, group, &[0, 1], &["before", "one", "two", "three"]).await;

    world.restore_hub(&copy);
    world.devices[2].online = true;
    world.send(2, group, "new");
    let order = all_have(&mut world, group, &[0, 1, 2], &["before", "one", "two", "three", "new"]).await;
    let old: Vec<_> = order.into_iter().filter(|text| text != "new").collect();
    assert_eq!(old, ["before", "one", "two", "three"], "in their old order");
    world.send(0, group, "after");
    all_have(&mut world, group, &[0, 1, 2], &["before", "one", "two", "three", "new", "after"]).await;
    for device in 0..3 {
        assert!(!rejoined(&world, device), "the epoch is the same");
        assert_eq!(gaps(&world, device), []);
    }
    assert_eq!((told(&world, 1, "one"), told(&world, 2, "one"), told(&world, 2, "two")), (1, 1, 1));
}

#[tokio::test]
async fn devices_ahead_of_the_hub_in_epochs_join_again_and_nobody_misses_anything() {
    let mut world = World::with(&["anne", "bruno", "claire", "dora"]).await;
    let group = world.conversation("A", &[0, 1, 2, 3]).await;
    let copy = world.copy_hub().await;
    // Dora sees nothing of what follows, Claire half of it.
    offline(&mut world, 3);
    world.send(0, group, "one");
    all_have(&mut world, group, &[0, 1, 2], &["one"]).await;
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    offline(&mut world, 2);
    world.run(1, Command::UpdateKeys { group }).await.unwrap();
    world.send(1, group, "two");
    all_have(&mut world, group, &[0, 1], &["one", "two"]).await;

    world.restore_hub(&copy);
    world.devices[2].online = true;
    world.devices[3].online = true;
    let order = all_have(&mut world, group, &[0, 1, 2, 3], &["one", "two"]).await;
    assert_eq!(order, ["one", "two"]);
    for device in 0..3 {
        assert!(rejoined(&world, device));
    }
    assert!(!rejoined(&world, 3), "who was behind reads on");
    for device in 0..4 {
        assert_eq!(gaps(&world, device), [], "{device}");
        world.send(device, group, "here");
    }
    all_have(&mut world, group, &[0, 1, 2, 3], &["one", "two", "here", "here", "here", "here"]).await;
}

#[tokio::test]
async fn who_comes_back_late_is_told_that_messages_are_missing() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let copy = world.copy_hub().await;
    world.send(0, group, "one");
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    all_have(&mut world, group, &[0, 1, 2], &["one"]).await;
    offline(&mut world, 2);
    world.restore_hub(&copy);
    all_have(&mut world, group, &[0, 1], &["one"]).await;
    world.send(1, group, "without Claire");
    all_have(&mut world, group, &[0, 1], &["one", "without Claire"]).await;
    world.devices[2].online = true;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    // That one, and what the others told each other of the group; none that she has.
    let told_of = gaps(&world, 2);
    assert!(matches!(told_of[..], [(1..=3, GapReason::HubRestored)]), "{told_of:?}");
    assert_eq!(world.devices[2].texts(group), ["one"]);
    world.send(2, group, "back");
    all_have(&mut world, group, &[0, 1], &["one", "without Claire", "back"]).await;
}

#[tokio::test]
async fn changes_of_the_membership_are_made_again_by_who_made_them() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let copy = world.copy_hub().await;
    world.run(0, Command::Invite { group, users: vec![World::user("claire")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.send(2, group, "I am Claire");
    all_have(&mut world, group, &[0, 1, 2], &["I am Claire"]).await;
    world.run(0, Command::Remove { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 2]).await;

    world.restore_hub(&copy);
    world
        .until(|world| {
            let members = world.devices[0].core().members(group).unwrap_or_default();
            let users: Vec<_> = members.iter().map(|member| member.user.clone()).collect();
            users.contains(&World::user("claire")) && !users.contains(&World::user("bruno"))
        })
        .await;
    all_have(&mut world, group, &[0, 2], &["I am Claire"]).await;
    world.send(0, group, "welcome back");
    all_have(&mut world, group, &[0, 2], &["I am Claire", "welcome back"]).await;
    assert_eq!(world.devices[1].core().groups().unwrap()[0].state, GroupState::Closed);
}

#[tokio::test]
async fn devices_and_groups_that_the_hub_forgot_come_back() {
    let mut world = World::with(&["anne"]).await;
    let copy = world.copy_hub().await;
    let bruno = world.enrol("bruno").await;
    let group = world.conversation("New", &[bruno, 0]).await;
    world.send(bruno, group, "one");
    all_have(&mut world, group, &[0, bruno], &["one"]).await;
    world.send(0, group, "two");
    all_have(&mut world, group, &[0, bruno], &["one", "two"]).await;

    world.restore_hub(&copy);
    let order = all_have(&mut world, group, &[0, bruno], &["one", "two"]).await;
    assert_eq!(order, ["one", "two"]);
    world.send(0, group, "three");
    all_have(&mut world, group, &[0, bruno], &["one", "two", "three"]).await;
    for device in [0, bruno] {
        let groups = world.devices[device].core().groups().unwrap();
        assert_eq!((groups.len(), groups[0].state), (1, GroupState::Active));
        assert_eq!(groups[0].profile.title, "New");
        assert!(!world.devices[device].saw(|event| matches!(event, Event::GroupLeft { .. })));
        assert_eq!(gaps(&world, device), []);
    }
    assert_eq!(told(&world, 0, "one"), 1);
}

#[tokio::test]
async fn who_is_offline_when_a_forgotten_group_is_made_again_is_added_when_he_is_back() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let copy = world.copy_hub().await;
    let group = world.conversation("New", &[0, 1, 2]).await;
    world.send(2, group, "one");
    all_have(&mut world, group, &[0, 1, 2], &["one"]).await;
    offline(&mut world, 2);
    world.restore_hub(&copy);
    world
        .until(|world| {
            let states: Vec<_> = [0, 1].map(|device| world.devices[device].epoch_and_cursor(group)).into();
            states[0].as_ref().is_some_and(|(epoch, ..)| *epoch == 1) && states[0] == states[1]
        })
        .await;
    world.devices[2].online = true;
    let order = all_have(&mut world, group, &[0, 1, 2], &["one"]).await;
    assert_eq!(order, ["one"]);
    world.send(2, group, "back");
    all_have(&mut world, group, &[0, 1, 2], &["one", "back"]).await;
}

#[tokio::test]
async fn a_device_enrolled_since_the_copy_is_taken_back_and_any_other_is_not() {
    let mut world = World::with(&["anne", "bruno"]).await;
    // Longer than a certificate may be older than the copy.
    world.clock.advance(900_000);
    let mut copy = world.copy_hub().await;
    copy.forget_devices_of(&World::user("bruno"));
    let claire = world.enrol("claire").await;
    world.restore_hub(&copy);
    for device in &mut world.devices {
        device.events.clear();
    }
    world.until(|world| world.devices[claire].saw(|event| *event == Event::Connected)).await;
    // A row that a copy does not have although the certificate is older was never this hub's to forget.
    world.until(|world| !world.devices[1].online).await;
    assert!(!world.devices[1].saw(|event| *event == Event::Connected));
}

#[tokio::test]
async fn a_certificate_renewed_since_the_copy_is_renewed_again() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let copy = world.copy_hub().await;
    world.clock.advance(3_600_000);
    world.run(0, Command::RenewCertificate).await.unwrap();
    world.restore_hub(&copy);
    world.devices[0].events.clear();
    world
        .until(|world| world.devices[0].saw(|event| matches!(event, Event::CertificateRenewed { .. })))
        .await;
    world.send(0, group, "Bonjour");
    all_have(&mut world, group, &[0, 1], &["Bonjour"]).await;
}

#[tokio::test]
async fn a_hub_that_is_restored_twice_is_followed_twice() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let first = world.copy_hub().await;
    world.send(0, group, "one");
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    all_have(&mut world, group, &[0, 1], &["one"]).await;
    world.restore_hub(&first);
    all_have(&mut world, group, &[0, 1], &["one"]).await;
    world.send(1, group, "two");
    all_have(&mut world, group, &[0, 1], &["one", "two"]).await;
    // The same old copy again: it does not know the incarnation that everybody saw last.
    world.restore_hub(&first);
    all_have(&mut world, group, &[0, 1], &["one", "two"]).await;
    let second = world.copy_hub().await;
    world.send(0, group, "three");
    all_have(&mut world, group, &[0, 1], &["one", "two", "three"]).await;
    world.restore_hub(&second);
    all_have(&mut world, group, &[0, 1], &["one", "two", "three"]).await;
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_with_the_hub_is_there_once() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let copy = world.copy_hub().await;
    // Anne never hears that it was stored; Bruno has it.
    world.devices[0].lose(|frame| {
        use cercle_proto::v1::server_frame::Body;
        !matches!(frame.body, Some(Body::Accepted(_) | Body::Entries(_)))
    });
    world.send(0, group, "once");
    world.reads(1, group, &["once"]).await;
    world.restore_hub(&copy);
    world.devices[0].lose_nothing();
    all_have(&mut world, group, &[0, 1], &["once"]).await;
    assert_eq!(told(&world, 1, "once"), 1);
    assert_eq!((gaps(&world, 0), gaps(&world, 1)), (vec![], vec![]));
    let outcome = world.run(0, Command::UpdateKeys { group }).await;
    assert!(matches!(outcome, Ok(Outcome::Done)), "{outcome:?}");
    world.all_at_one_epoch(group, &[0, 1]).await;
}
