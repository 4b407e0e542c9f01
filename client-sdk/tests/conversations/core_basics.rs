//! Enrolling, talking, being offline.

use cercle_sdk::{core::Command, error::Error, event::Event};

use super::core_world::World;

#[tokio::test]
async fn three_devices_hold_a_conversation_and_read_it_in_the_same_order() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("Tour de garde", &[0, 1, 2]).await;
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
    world.send(1, group, "Bonsoir");
    world.reads(2, group, &["Bonjour", "Bonsoir"]).await;
    world.send(2, group, "Merci");
    for device in 0..3 {
        world.reads(device, group, &["Bonjour", "Bonsoir", "Merci"]).await;
        let groups = world.devices[device].core().groups().unwrap();
        assert_eq!(groups[0].profile.title, "Tour de garde", "{}", world.devices[device].name);
        assert_eq!((groups[0].users, groups[0].devices), (3, 3));
    }
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
}

#[tokio::test]
async fn a_message_carries_who_sent_it_as_the_certificate_says() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.send(0, group, "Bonjour");
    world.reads(1, group, &["Bonjour"]).await;
    let messages = world.devices[1].core().messages(group, 0, 100).unwrap();
    let message = messages.last().unwrap();
    assert_eq!(message.sender, World::user("anne"));
    assert_eq!((message.display_name.as_str(), message.own), ("Dr anne", false));
}

#[tokio::test]
async fn messages_written_offline_arrive_once_and_in_order_after_the_connection_is_back() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.devices[1].disconnect(now);
    let texts: Vec<String> = (0..100).map(|number| format!("message {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for text in &texts {
        world.send(0, group, text);
    }
    assert_eq!(world.devices[0].core().outbox().unwrap().len(), 100);
    world.devices[0].online = true;
    world.reads(0, group, &texts).await;
    world.devices[1].online = true;
    world.reads(1, group, &texts).await;
    assert!(world.devices[0].core().outbox().unwrap().is_empty());
}

#[tokio::test]
async fn everybody_may_write_at_once_and_all_read_the_same() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    for round in 0..10 {
        for device in 0..3 {
            world.send(device, group, &format!("{device} {round}"));
        }
    }
    world.until(|world| (0..3).all(|device| world.devices[device].texts(group).len() == 30)).await;
    let first = world.devices[0].texts(group);
    for device in 1..3 {
        assert_eq!(world.devices[device].texts(group), first);
    }
}

#[tokio::test]
async fn an_invited_user_reads_what_was_written_after_the_invitation_and_nothing_before() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0]).await;
    world.send(0, group, "before");
    world.start(0, Command::Invite { group, users: vec![World::user("bruno")] });
    world.send(0, group, "after");
    world.reads(1, group, &["after"]).await;
    assert!(!world.devices[1].saw(|event| matches!(event, Event::Gap { .. })));
}

#[tokio::test]
async fn inviting_somebody_unknown_names_him() {
    let mut world = World::with(&["anne"]).await;
    let group = world.conversation("A", &[0]).await;
    let result = world.run(0, Command::Invite { group, users: vec![World::user("nobody")] }).await;
    assert!(matches!(result, Err(Error::NoDevice { users }) if users == [World::user("nobody")]));
}

#[tokio::test]
async fn a_second_device_of_a_user_is_invited_with_him() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let tablet = world.enrol("bruno").await;
    let group = world.conversation("A", &[0, 1]).await;
    world.send(0, group, "Bonjour");
    world.reads(tablet, group, &["Bonjour"]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 3);
}

#[tokio::test]
async fn a_certificate_of_another_root_ends_the_enrolment() {
    let mut world = World::new();
    let mut invitation = world.invite("anne").await;
    invitation.root_fingerprint[0] ^= 1;
    let device = world.install("anne", &invitation);
    world.until(|world| !world.devices[device].disconnects.is_empty()).await;
    assert_eq!(world.devices[device].disconnects, ["Untrusted"]);
    assert!(world.devices[device].core().identity().is_none());
}

#[tokio::test]
async fn more_messages_than_may_go_out_at_once_arrive_all_and_in_order() {
    let mut world = World::new();
    world.settings.messages_per_second = 20;
    world.enrol("anne").await;
    world.enrol("bruno").await;
    let group = world.conversation("A", &[0, 1]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    let texts: Vec<String> = (0..200).map(|number| format!("message {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for text in &texts {
        world.send(0, group, text);
    }
    world.devices[0].online = true;
    world.reads(1, group, &texts).await;
}
