//! Lost and damaged state: every group comes back, and what is missing is said.

use cercle_proto::{
    id::GroupId,
    v1::{EntryKind, client_frame, server_frame::Body},
};
use cercle_sdk::{
    core::{Command, Core, GroupState, Settings, StoreKey},
    error::OpenError,
    event::{Event, GapReason},
};

use super::core_world::World;

/// Entries that a device has said to be missing.
fn gaps(world: &World, device: usize) -> Vec<(u64, GapReason)> {
    let gap = |event: &Event| match event {
        Event::Gap { skipped, reason, .. } => Some((*skipped, *reason)),
        _ => None,
    };
    world.devices[device].events.iter().filter_map(gap).collect()
}

fn recovered(world: &World, device: usize) -> bool {
    world.devices[device].saw(|event| matches!(event, Event::Recovered { .. }))
}

/// Damages the first entry of a kind that a device gets.
fn damage_first(world: &mut World, device: usize, kind: EntryKind) {
    let mut done = false;
    world.devices[device].lose(move |frame| {
        if let Some(Body::Entries(entries)) = &mut frame.body {
            for entry in &mut entries.entries {
                if !done && entry.kind == i32::from(kind) && !entry.mls.is_empty() {
                    let mut bytes = entry.mls.to_vec();
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    entry.mls = bytes.into();
                    done = true;
                }
            }
        }
        true
    });
}

async fn restore_after(world: &mut World, device: usize, group: GroupId, texts: &[&str]) {
    world.devices[device].crash();
    let copy = world.devices[device].copy_store();
    world.devices[device].open();
    for text in texts {
        world.send(device, group, text);
    }
    world.until(|world| world.devices[device].core().outbox().unwrap().is_empty()).await;
    world.devices[device].crash();
    world.devices[device].restore_store(&copy);
    world.devices[device].events.clear();
    world.devices[device].open();
}

#[tokio::test]
async fn a_store_that_was_set_back_is_noticed_before_anything_is_encrypted() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    restore_after(&mut world, 0, group, &["one", "two"]).await;
    world.send(0, group, "three");
    world.reads(1, group, &["one", "two", "three"]).await;
    assert!(world.devices[0].saw(|event| *event == Event::RollbackDetected));
    assert!(recovered(&world, 0));
    assert_eq!(gaps(&world, 0), [(2, GapReason::Rollback)], "own messages that this store does not have");
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert!(gaps(&world, 1).is_empty(), "nobody else suffers");
}

#[tokio::test]
async fn a_store_set_back_over_a_change_of_its_own_comes_back() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.devices[0].crash();
    let copy = world.devices[0].copy_store();
    world.devices[0].open();
    world.run(0, Command::Invite { group, users: vec![World::user("claire")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.devices[0].crash();
    world.devices[0].restore_store(&copy);
    world.devices[0].open();
    world.send(0, group, "back again");
    world.reads(2, group, &["back again"]).await;
    assert!(world.devices[0].saw(|event| *event == Event::RollbackDetected));
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 3);
}

#[tokio::test]
async fn a_store_set_back_still_reads_what_others_wrote_meanwhile() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.devices[0].crash();
    let copy = world.devices[0].copy_store();
    world.devices[0].open();
    world.send(0, group, "mine");
    world.reads(1, group, &["mine"]).await;
    let now = world.clock.now();
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    world.devices[0].disconnect(now);
    world.send(1, group, "yours");
    world.until(|world| world.devices[1].core().outbox().unwrap().is_empty()).await;
    world.devices[0].crash();
    world.devices[0].restore_store(&copy);
    world.devices[0].open();
    world.devices[0].online = true;
    world.until(|world| recovered(world, 0)).await;
    assert_eq!(world.devices[0].texts(group), ["yours"]);
}

#[tokio::test]
async fn a_group_joined_after_the_copy_was_made_is_joined_again() {
    let mut world = World::with(&["anne", "bruno"]).await;
    world.devices[1].crash();
    let copy = world.devices[1].copy_store();
    world.devices[1].open();
    let group = world.conversation("Tour", &[0, 1]).await;
    world.devices[1].crash();
    world.devices[1].restore_store(&copy);
    world.devices[1].events.clear();
    world.devices[1].open();
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
    let groups = world.devices[1].core().groups().unwrap();
    assert_eq!(groups[0].profile.title, "Tour", "a member has told it again");
}

#[tokio::test]
async fn a_welcome_for_a_lost_key_package_leads_to_an_external_join() {
    let mut world = World::with(&["anne"]).await;
    let invitation = world.invite("bruno").await;
    let bruno = world.install("bruno", &invitation);
    // Enrolled, but no key package made yet.
    world.devices[bruno].lose(|frame| !matches!(frame.body, Some(Body::Authenticated(_))));
    world.until(|world| world.devices[bruno].saw(|event| matches!(event, Event::Enrolled { .. }))).await;
    world.turns(50).await;
    world.devices[bruno].crash();
    let copy = world.devices[bruno].copy_store();
    world.devices[bruno].open();
    world.until(|world| world.devices[bruno].published).await;
    let now = world.clock.now();
    world.devices[bruno].disconnect(now);
    let created = Command::CreateGroup { profile: "A".into(), policy: Default::default() };
    let Ok(cercle_sdk::core::Outcome::GroupCreated(group)) = world.run(0, created).await else { panic!() };
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.devices[bruno].crash();
    world.devices[bruno].restore_store(&copy);
    world.devices[bruno].open();
    world.devices[bruno].online = true;
    world.until(|world| recovered(world, bruno)).await;
    world.send(bruno, group, "I am here");
    world.reads(0, group, &["I am here"]).await;
    world.all_at_one_epoch(group, &[0, bruno]).await;
}

#[tokio::test]
async fn a_message_that_does_not_open_is_one_gap_and_the_rest_is_read() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    damage_first(&mut world, 1, EntryKind::Application);
    world.send(0, group, "damaged");
    world.send(0, group, "whole");
    world.reads(1, group, &["whole"]).await;
    assert_eq!(gaps(&world, 1), [(1, GapReason::Undecryptable)]);
    world.all_at_one_epoch(group, &[0, 1]).await;
}

#[tokio::test]
async fn a_commit_that_cannot_be_processed_is_reported_and_the_group_joined_again() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    damage_first(&mut world, 1, EntryKind::Commit);
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
    world.send(1, group, "Bonsoir");
    world.reads(2, group, &["Bonjour", "Bonsoir"]).await;
    assert_eq!(gaps(&world, 1), [(1, GapReason::InvalidCommit)], "the commit itself");
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
}

#[tokio::test]
async fn a_device_that_cannot_join_by_itself_is_added_again_by_a_member() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    // Every group info that bruno gets is damaged, so that his external commits cannot be built.
    let mut damaged = false;
    world.devices[1].lose(move |frame| {
        match &mut frame.body {
            Some(Body::GroupInfo(info)) => info.ratchet_tree = vec![1, 2, 3].into(),
            Some(Body::Entries(entries)) if !damaged => {
                for entry in &mut entries.entries {
                    damaged |= entry.kind == i32::from(EntryKind::Commit);
                    entry.mls = entry.mls.slice(..entry.mls.len() / 2);
                }
            }
            _ => {}
        }
        true
    });
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| recovered(world, 1)).await;
    world.send(1, group, "back by your help");
    world.reads(0, group, &["back by your help"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 2);
}

#[tokio::test]
async fn a_hub_that_lost_entries_is_followed_by_joining_again() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.send(0, group, "before");
    world.reads(1, group, &["before"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    world.devices[1].lose(|frame| {
        if let Some(Body::Groups(groups)) = &mut frame.body {
            groups.groups[0].head = 0;
            groups.groups[0].acked = 0;
        }
        true
    });
    world.devices[1].online = true;
    world.until(|world| recovered(world, 1)).await;
    world.send(1, group, "after");
    world.reads(0, group, &["before", "after"]).await;
}

/// A hub keeps acknowledgements in memory for a moment; one that is killed forgets them.
#[tokio::test]
async fn an_acknowledgement_that_the_hub_lost_is_repeated_at_the_next_connection() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.devices[1].keep_sent =
        Some(Box::new(|frame| !matches!(frame.body, Some(client_frame::Body::Ack(_)))));
    world.send(0, group, "read and not acknowledged");
    world.reads(1, group, &["read and not acknowledged"]).await;
    let (store, delivery) = (world.services.store.clone(), world.services.dispatch.delivery.clone());
    let everybody_has_it = async || {
        delivery.cursors().store().await.unwrap();
        let head = store.group(group).await.unwrap().unwrap().head;
        store.delivered(group).await.unwrap().iter().all(|device| device.acked == head)
    };
    assert!(!everybody_has_it().await);
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    world.devices[1].lose_nothing();
    world.devices[1].online = true;
    let turns = std::cell::Cell::new(0);
    let repeated = async {
        while !everybody_has_it().await {
            // Some turns, in which time goes on where nothing else does.
            world.until(|_| turns.replace(turns.get() + 1) % 8 == 7).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), repeated).await.unwrap();
}

#[tokio::test]
async fn messages_wait_while_a_group_recovers() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    damage_first(&mut world, 1, EntryKind::Commit);
    world.devices[1].keep_sent =
        Some(Box::new(|frame| !matches!(frame.body, Some(client_frame::Body::GetGroupInfo(_)))));
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| world.devices[1].saw(|event| matches!(event, Event::Recovering { .. }))).await;
    world.send(1, group, "later");
    let groups = world.devices[1].core().groups().unwrap();
    assert_eq!(groups[0].state, GroupState::Recovering);
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    world.devices[1].lose_nothing();
    world.devices[1].online = true;
    world.reads(0, group, &["later"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
}

#[tokio::test]
async fn entries_that_are_missing_end_the_connection_and_are_read_with_the_next() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let mut lost = false;
    world.devices[1].lose(move |frame| {
        let first = !lost && matches!(frame.body, Some(Body::Entries(_)));
        lost |= first;
        !first
    });
    world.send(0, group, "one");
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    world.turns(20).await;
    world.send(0, group, "two");
    world.reads(1, group, &["one", "two"]).await;
    assert!(world.devices[1].disconnects.iter().any(|reason| reason.contains("Fault")));
    assert!(gaps(&world, 1).is_empty());
}

#[test]
fn a_wrong_key_opens_nothing_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = |key: u8| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        Core::open(connection, StoreKey::new([key; 32]), Settings::default())
    };
    drop(open(1).unwrap());
    assert!(matches!(open(2), Err(OpenError::WrongKey)));
    drop(open(1).unwrap());
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        Core::open(connection, StoreKey::new([1; 32]), Settings::default())
    };
    drop(open().unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let newer = 3_u32.to_be_bytes();
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [newer.as_slice()]).unwrap();
    drop(connection);
    assert!(matches!(open(), Err(OpenError::NewerFormat { found: 3, known: 2 })));
}

#[test]
fn a_store_that_is_open_cannot_be_opened_a_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
        Core::open(connection, StoreKey::new([1; 32]), Settings::default())
    };
    let first = open().unwrap();
    assert!(matches!(open(), Err(OpenError::Store(_))), "two programs would use one key twice");
    drop(first);
    drop(open().unwrap());
}

#[test]
fn the_file_of_a_store_shows_no_text_name_or_user() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = runtime.block_on(async {
        let mut world = World::with(&["anne", "bruno"]).await;
        let group = world.conversation("Titre confidentiel", &[0, 1]).await;
        world.send(0, group, "Contenu confidentiel");
        world.reads(1, group, &["Contenu confidentiel"]).await;
        world.devices[1].crash();
        world.devices[1].copy_store()
    });
    for secret in ["confidentiel", "anne", "Dr bruno", "cpts.example"] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is readable");
    }
}

#[tokio::test]
async fn of_two_programs_with_one_store_the_one_that_is_replaced_twice_stops() {
    let mut world = World::with(&["anne"]).await;
    world.devices[0].crash();
    let copy = world.devices[0].copy_store();
    world.devices[0].open();
    let twin = world.twin(0, &copy);
    world.until(|world| !world.devices[0].online || !world.devices[twin].online).await;
    world.turns(100).await;
    assert_ne!(world.devices[0].online, world.devices[twin].online, "one goes on");
}

#[tokio::test]
async fn a_store_that_is_full_fails_the_command_and_keeps_what_it_had() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.send(0, group, "before");
    world.reads(1, group, &["before"]).await;
    world.devices[0].crash();
    world.devices[0].open_full();
    let mut failed = 0;
    for _ in 0..200 {
        let command = world.start(
            0,
            Command::Send { group, draft: cercle_sdk::message::Body::text("x".repeat(10_000)).into() },
        );
        failed += usize::from(world.result(0, command).await.is_err());
    }
    assert!(failed > 0, "the store was not full");
    assert!(world.devices[0].disconnects.iter().any(|reason| reason == "StoreFailed"));
    world.devices[0].crash();
    world.devices[0].open();
    let expected = 201 - failed;
    world.until(|world| world.devices[1].texts(group).len() >= expected).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(world.devices[1].texts(group).len(), expected, "what was queued is sent, once");
}

#[tokio::test]
async fn entries_that_the_hub_no_longer_keeps_are_one_gap() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    for number in 0..5 {
        world.send(0, group, &format!("{number}"));
    }
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    world.forget_log().await;
    world.devices[1].online = true;
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(gaps(&world, 1), [(6, GapReason::Expired)]);
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
}

#[tokio::test]
async fn two_devices_that_recover_at_once_both_come_back() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    damage_first(&mut world, 1, EntryKind::Commit);
    damage_first(&mut world, 2, EntryKind::Commit);
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| recovered(world, 1) && recovered(world, 2)).await;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    for device in 0..3 {
        world.send(device, group, "here");
        let expected = vec!["here"; device + 1];
        for reader in 0..3 {
            world.reads(reader, group, &expected).await;
        }
    }
}
