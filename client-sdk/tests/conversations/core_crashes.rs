//! A device that stops at any point goes on where it was.

use cercle_proto::v1::server_frame::Body;
use cercle_sdk::{core::Command, event::Event};

use super::core_world::{Stop, World};

/// Inputs that one device takes in the longest scenario here, and some more.
const INPUTS: usize = 14;

#[tokio::test]
async fn a_message_is_in_the_log_once_wherever_its_sender_stops() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        let mut world = World::with(&["anne", "bruno"]).await;
        let group = world.conversation("A", &[0, 1]).await;
        let mut expected = Vec::new();
        for inputs in 1..INPUTS {
            let texts = [format!("{inputs} first"), format!("{inputs} second")];
            // The first input is the command: it is durable when it is answered, so one more goes through.
            world.devices[0].stop = Some((inputs + 2, when));
            for text in &texts {
                world.send(0, group, text);
            }
            expected.extend(texts);
            world.turns(40).await;
            world.devices[0].crash();
            world.devices[0].open();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            world.reads(1, group, &expected).await;
            world.reads(0, group, &expected).await;
            world.all_at_one_epoch(group, &[0, 1]).await;
        }
        assert!(!world.devices[0].saw(|event| matches!(event, Event::RollbackDetected)));
    }
}

#[tokio::test]
async fn a_change_happens_once_wherever_its_author_stops() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        let mut world = World::with(&["anne", "bruno", "claire"]).await;
        for inputs in 2..INPUTS {
            let group = world.conversation("A", &[0, 1]).await;
            world.start(0, Command::Invite { group, users: vec![World::user("claire")] });
            world.send(0, group, "Bonjour Claire");
            world.devices[0].stop = Some((inputs, when));
            world.turns(60).await;
            world.devices[0].crash();
            world.devices[0].open();
            world.reads(2, group, &["Bonjour Claire"]).await;
            world.all_at_one_epoch(group, &[0, 1, 2]).await;
            assert_eq!(world.devices[0].core().members(group).unwrap().len(), 3);
        }
        let claire_joined = |event: &&Event| {
            matches!(event, Event::MembershipChanged(change)
                if change.joined && change.user == World::user("claire"))
        };
        let joined = world.devices[1].events.iter().filter(claire_joined).count();
        assert_eq!(joined, INPUTS - 2, "one entry per group");
        assert!(!world.devices[0].saw(|event| matches!(event, Event::RollbackDetected)));
    }
}

#[tokio::test]
async fn a_reader_that_stops_at_any_point_has_each_message_once() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        let mut world = World::with(&["anne", "bruno"]).await;
        let group = world.conversation("A", &[0, 1]).await;
        let mut expected = Vec::new();
        for inputs in 1..INPUTS {
            world.devices[1].stop = Some((inputs, when));
            for part in 0..3 {
                let text = format!("{inputs} {part}");
                world.send(0, group, &text);
                expected.push(text);
            }
            world.start(0, Command::UpdateKeys { group });
            world.turns(40).await;
            world.devices[1].crash();
            world.devices[1].open();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            world.reads(1, group, &expected).await;
        }
        world.all_at_one_epoch(group, &[0, 1]).await;
        assert!(!world.devices[1].saw(|event| matches!(event, Event::Gap { .. } | Event::RollbackDetected)));
    }
}

#[tokio::test]
async fn a_group_whose_state_lies_in_pieces_goes_on_wherever_its_devices_stop() {
    let names: Vec<String> = (0..40).map(|number| format!("membre-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&names).await;
    let everybody: Vec<usize> = (0..names.len()).collect();
    let group = world.conversation("A", &everybody).await;
    let mut expected = Vec::new();
    for inputs in 1..8 {
        for (device, when) in [(1, Stop::BeforeActing), (2, Stop::AfterActing)] {
            world.devices[device].stop = Some((inputs, when));
        }
        for sender in [0, 3] {
            let text = format!("{inputs} {sender}");
            world.send(sender, group, &text);
            expected.push(text);
            // In this order for everybody.
            let read: Vec<&str> = expected.iter().map(String::as_str).collect();
            world.reads(4, group, &read).await;
        }
        world.start(inputs, Command::UpdateKeys { group });
        world.turns(40).await;
        for device in [1, 2] {
            world.devices[device].crash();
            assert!(world.devices[device].pieces() > 0, "the state is large enough to be cut");
            world.devices[device].open();
            let read: Vec<&str> = expected.iter().map(String::as_str).collect();
            world.reads(device, group, &read).await;
        }
        world.all_at_one_epoch(group, &everybody).await;
    }
    for device in [1, 2] {
        assert!(
            !world.devices[device].saw(|event| matches!(event, Event::Gap { .. } | Event::RollbackDetected))
        );
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_message_or_change_does_not_repeat_it() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    world.devices[0].lose(|frame| !matches!(frame.body, Some(Body::Accepted(_) | Body::Entries(_))));
    world.start(0, Command::UpdateKeys { group });
    world.send(0, group, "once");
    world.reads(1, group, &["once"]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.devices[0].lose_nothing();
    world.devices[0].online = true;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.run(0, Command::Invite { group, users: vec![World::user("claire")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    for device in 0..2 {
        assert_eq!(world.devices[device].texts(group), ["once"]);
    }
}

#[tokio::test]
async fn a_welcome_is_joined_wherever_the_newcomer_stops() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        let mut world = World::with(&["anne", "bruno"]).await;
        for inputs in 1..8 {
            world.devices[1].stop = Some((inputs, when));
            let group = {
                let policy = Default::default();
                let create = Command::CreateGroup { profile: "A".into(), policy };
                match world.run(0, create).await {
                    Ok(cercle_sdk::core::Outcome::GroupCreated(group)) => group,
                    other => panic!("{other:?}"),
                }
            };
            world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
            world.send(0, group, "Bonjour");
            world.turns(40).await;
            world.devices[1].crash();
            world.devices[1].open();
            world.reads(1, group, &["Bonjour"]).await;
            world.all_at_one_epoch(group, &[0, 1]).await;
        }
        assert!(!world.devices[1].saw(|event| matches!(event, Event::Gap { .. } | Event::Recovering { .. })));
    }
}
