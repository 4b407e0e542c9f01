//! Who is in a group: races, removals, leaving, policies, certificates.

use cercle_proto::{ErrorCode, policy::PolicyError, v1::server_frame::Body};
use cercle_sdk::{
    core::{Command, GroupState, Outcome, PolicyTemplate},
    error::Error,
    event::{Actor, Event, RefusedReason},
};
use cercle_server::auth::Inviter;

use super::core_world::World;

fn state(world: &mut World, device: usize, group: cercle_proto::id::GroupId) -> GroupState {
    let groups = world.devices[device].core().groups().unwrap();
    groups.into_iter().find(|summary| summary.group == group).unwrap().state
}

#[tokio::test]
async fn of_two_committers_in_one_epoch_both_changes_happen() {
    let mut world = World::with(&["anne", "bruno", "claire", "david"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let first = world.start(0, Command::Invite { group, users: vec![World::user("claire")] });
    let second = world.start(1, Command::Invite { group, users: vec![World::user("david")] });
    assert!(matches!(world.result(0, first).await, Ok(Outcome::Invited { .. })));
    assert!(matches!(world.result(1, second).await, Ok(Outcome::Invited { .. })));
    world.all_at_one_epoch(group, &[0, 1, 2, 3]).await;
    assert_eq!(world.devices[3].core().members(group).unwrap().len(), 4);
    let lost = world.devices.iter().flat_map(|device| &device.errors);
    let conflicts = lost.filter(|error| error.code == ErrorCode::EpochConflict.number()).count();
    assert_eq!(conflicts, 1, "one of the two lost the epoch");
}

#[tokio::test]
async fn many_committers_at_once_all_get_their_turn() {
    let mut world = World::with(&["anne", "bruno", "claire", "david", "elise"]).await;
    let devices = [0, 1, 2, 3, 4];
    let group = world.conversation("A", &devices).await;
    let before = world.devices[0].epoch_and_cursor(group).unwrap().0;
    let mut commands = Vec::new();
    for device in devices {
        for _ in 0..3 {
            commands.push((device, world.start(device, Command::UpdateKeys { group })));
        }
    }
    for (device, command) in commands {
        assert!(matches!(world.result(device, command).await, Ok(Outcome::Done)));
    }
    world.all_at_one_epoch(group, &devices).await;
    assert_eq!(world.devices[0].epoch_and_cursor(group).unwrap().0, before + 15, "each exactly once");
}

#[tokio::test]
async fn messages_sent_during_commits_are_all_read_in_order() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    for round in 0..8 {
        world.start(1, Command::UpdateKeys { group });
        world.start(2, Command::UpdateKeys { group });
        for part in 0..5 {
            world.send(0, group, &format!("{:02}", round * 5 + part));
        }
        world.turns(3).await;
    }
    let expected: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    for device in 0..3 {
        world.reads(device, group, &expected).await;
        assert!(!world.devices[device].saw(|event| matches!(event, Event::Gap { .. })));
    }
}

#[tokio::test]
async fn a_removed_member_is_told_by_whom_and_reads_no_more() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    world.send(1, group, "present");
    world.reads(2, group, &["present"]).await;
    world.run(0, Command::Remove { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.until(|world| world.devices[1].saw(|event| matches!(event, Event::GroupLeft { .. }))).await;
    let by_anne = |event: &Event| {
        matches!(event, Event::GroupLeft { by: Some(Actor::Member { user, .. }), .. }
            if *user == World::user("anne"))
    };
    assert!(world.devices[1].saw(by_anne));
    world.send(0, group, "without bruno");
    world.reads(2, group, &["present", "without bruno"]).await;
    assert_eq!(world.devices[1].texts(group), ["present"]);
    assert_eq!(state(&mut world, 1, group), GroupState::Closed);
    let refused =
        world.run(1, Command::Send { group, draft: cercle_sdk::message::Body::text("?").into() }).await;
    assert!(matches!(refused, Err(Error::NotMember(_))));
    let change = |event: &Event| {
        matches!(event, Event::MembershipChanged(change)
            if !change.joined && change.user == World::user("bruno"))
    };
    assert!(world.devices[2].saw(change));
}

#[tokio::test]
async fn a_removed_member_can_be_invited_again() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.run(0, Command::Remove { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.until(|world| state(world, 1, group) == GroupState::Closed).await;
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(0, group, "welcome back");
    world.reads(1, group, &["welcome back"]).await;
}

#[tokio::test]
async fn who_leaves_is_removed_by_another_member() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    world.run(1, Command::Leave { group }).await.unwrap();
    world
        .until(|world| world.devices[1].saw(|event| matches!(event, Event::GroupLeft { by: None, .. })))
        .await;
    world
        .until(|world| {
            [0, 2].iter().all(|device| world.devices[*device].core().members(group).unwrap().len() == 2)
        })
        .await;
    world.all_at_one_epoch(group, &[0, 2]).await;
}

#[tokio::test]
async fn a_message_waits_until_a_proposed_removal_is_committed() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    world.run(1, Command::Leave { group }).await.unwrap();
    world.send(0, group, "bruno does not read this");
    world.reads(2, group, &["bruno does not read this"]).await;
    world.until(|world| state(world, 1, group) == GroupState::Closed).await;
    assert!(world.devices[1].texts(group).is_empty());
}

#[tokio::test]
async fn the_last_member_can_leave_too() {
    let mut world = World::with(&["anne"]).await;
    let group = world.conversation("A", &[0]).await;
    world.run(0, Command::Leave { group }).await.unwrap();
    assert_eq!(state(&mut world, 0, group), GroupState::Closed);
}

#[tokio::test]
async fn a_revoked_device_is_removed_from_its_groups_by_the_others() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let lost = world.devices[1].core().identity().unwrap().device;
    world.services.dispatch.revoke(Inviter::Operator, lost).await.unwrap();
    world
        .until(|world| {
            [0, 2].iter().all(|device| world.devices[*device].core().members(group).unwrap().len() == 2)
        })
        .await;
    world.all_at_one_epoch(group, &[0, 2]).await;
    let by_hub = |event: &Event| matches!(event, Event::MembershipChanged(change) if change.by == Actor::Hub && !change.joined);
    assert!(world.devices[2].saw(by_hub));
    assert!(world.devices[1].disconnects.iter().any(|reason| reason.contains("DeviceRevoked")));
}

#[tokio::test]
async fn only_an_administrator_removes_others() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let denied = world.run(1, Command::Remove { group, users: vec![World::user("claire")] }).await;
    assert!(matches!(denied, Err(Error::Denied(PolicyError::Remove))), "{denied:?}");
    let users = vec![World::user("anne"), World::user("bruno")];
    world.run(0, Command::SetAdministrators { group, users }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.run(1, Command::Remove { group, users: vec![World::user("claire")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
}

#[tokio::test]
async fn only_administrators_post_announcements() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let policy = PolicyTemplate::Announcements;
    let created = world.run(0, Command::CreateGroup { profile: "Avis".into(), policy }).await.unwrap();
    let Outcome::GroupCreated(group) = created else { panic!("{created:?}") };
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(1, group, "may I?");
    let refused =
        |event: &Event| matches!(event, Event::MessageRefused { reason: RefusedReason::Denied, .. });
    world.until(|world| world.devices[1].saw(refused)).await;
    world.send(0, group, "Avis de vigilance");
    world.reads(1, group, &["Avis de vigilance"]).await;
}

#[tokio::test]
async fn a_renewed_certificate_reaches_every_group() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let old = world.devices[0].core().identity().unwrap().certificate_expires_at_ms;
    world.clock.advance(86_400_000);
    world.run(0, Command::RenewCertificate).await.unwrap();
    let new = world.devices[0].core().identity().unwrap().certificate_expires_at_ms;
    assert!(new > old);
    world
        .until(|world| {
            let members = world.devices[1].core().members(group).unwrap();
            members.iter().any(|member| member.certificate_expires_at_ms == new)
        })
        .await;
    world.all_at_one_epoch(group, &[0, 1]).await;
}

#[tokio::test]
async fn key_packages_run_out_and_are_replaced_while_the_last_resort_serves() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    let mut groups = Vec::new();
    for number in 0..55 {
        let policy = PolicyTemplate::default();
        let title = format!("group {number}");
        let created =
            world.run(0, Command::CreateGroup { profile: title.as_str().into(), policy }).await.unwrap();
        let Outcome::GroupCreated(group) = created else { panic!("{created:?}") };
        world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
        world.send(0, group, "Bonjour");
        groups.push(group);
    }
    world.devices[1].online = true;
    for group in groups {
        world.reads(1, group, &["Bonjour"]).await;
    }
    assert!(!world.devices[1].saw(|event| matches!(event, Event::Gap { .. } | Event::Recovering { .. })));
}

#[tokio::test]
async fn a_key_package_under_another_root_adds_nobody() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let mut foreign = World::with(&["eve", "bruno"]).await;
    let seen = std::rc::Rc::new(std::cell::RefCell::new(None));
    let seen_too = seen.clone();
    foreign.devices[0].lose(move |frame| {
        if let Some(Body::KeyPackages(packages)) = &frame.body {
            *seen_too.borrow_mut() = Some(packages.key_packages[0].key_package.clone());
        }
        true
    });
    foreign.conversation("A", &[0, 1]).await;
    let claim = seen.borrow().clone().unwrap();
    let group = world.conversation("A", &[0]).await;
    world.devices[0].lose(move |frame| {
        if let Some(Body::KeyPackages(packages)) = &mut frame.body {
            packages.key_packages[0].key_package = claim.clone();
        }
        true
    });
    let refused = world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await;
    assert!(matches!(refused, Err(Error::KeyPackageRefused(_))), "{refused:?}");
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 1);
}

#[tokio::test]
async fn who_was_added_with_many_others_renews_his_keys_later() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut world = World::new();
    world.settings.lazy_updates = true;
    for name in names {
        world.enrol(name).await;
    }
    let devices: Vec<usize> = (0..names.len()).collect();
    let group = world.conversation("A", &devices).await;
    // The creator's add is one epoch; afterwards each of the nine others renews its leaf, at its own time.
    let epoch_of =
        |world: &mut World, device: usize| world.devices[device].epoch_and_cursor(group).unwrap().0;
    world.until(|world| devices.iter().all(|device| epoch_of(world, *device) >= 10)).await;
    world.all_at_one_epoch(group, &devices).await;
    assert_eq!(epoch_of(&mut world, 0), 10, "and who was there before does not");
    world.send(9, group, "Bonjour");
    world.reads(0, group, &["Bonjour"]).await;
}

#[tokio::test]
async fn a_wish_to_leave_is_carried_out_by_whoever_comes_back() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.devices[2].disconnect(now);
    world.run(1, Command::Leave { group }).await.unwrap();
    world.devices[2].online = true;
    // Claire has read the proposal, and goes before she has committed it.
    world.until(|world| world.devices[2].epoch_and_cursor(group).unwrap().1 >= 4).await;
    world.devices[2].crash();
    world.devices[2].open();
    world.until(|world| state(world, 1, group) == GroupState::Closed).await;
    world.devices[0].online = true;
    world.all_at_one_epoch(group, &[0, 2]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 2);
}

#[tokio::test]
async fn a_device_whose_certificate_has_ended_renews_it_first() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let now = world.clock.now();
    let end = world.devices[1].core().identity().unwrap().certificate_expires_at_ms;
    world.devices[1].disconnect(now);
    world.devices[0].disconnect(now);
    world.clock.advance(end + 1_000 - now);
    world.devices[1].online = true;
    world
        .until(|world| world.devices[1].saw(|event| matches!(event, Event::CertificateRenewed { .. })))
        .await;
    world.devices[0].online = true;
    world.send(1, group, "still here");
    world.reads(0, group, &["still here"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
}
