//! Random conversations: whatever devices say about each other's messages, offline, restarted or not, in the
//! end all show the same thread, and show it again when it is made anew from the store.

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    core::Command,
    message::{Body, Draft, Edit, Pin, Reaction, Retract, Text},
    search::Search,
    thread::view::{Range, ThreadView, Unread},
};

use super::{core_world::World, numbers::Numbers};

const DEVICES: usize = 4;
const STEPS: usize = 150;

/// Something about a message, or a new one.
fn anything(numbers: &mut Numbers, step: usize, known: &[MessageId]) -> Draft {
    let text = |text: String| Text { text, ..Text::default() };
    let Some(message) = (!known.is_empty()).then(|| known[numbers.below(known.len())]) else {
        return Body::text(format!("mot{step}")).into();
    };
    let removed = numbers.below(3) == 0;
    let body = match numbers.below(10) {
        0 | 1 => Body::Edit(Edit { message, text: text(format!("modif{step}")) }),
        2 | 3 => {
            let emoji = ["👍", "❤️", "✅"][numbers.below(3)].to_owned();
            Body::Reaction(Reaction { message, emoji, removed })
        }
        4 => Body::Pin(Pin { message, removed }),
        5 => Body::Retract(Retract { message, reason: String::new() }),
        6 => return Draft { body: Body::text(format!("mot{step}")), in_reply_to: Some(message) },
        _ => Body::text(format!("mot{step}")),
    };
    body.into()
}

/// The thread without what belongs to the device alone.
fn common(world: &mut World, device: usize, group: GroupId) -> ThreadView {
    let mut thread = world.devices[device].core().thread(group, Range::newest(1_000)).unwrap();
    thread.unread = Unread::default();
    for view in &mut thread.messages {
        view.message.own = false;
    }
    thread
}

async fn play(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut world = World::with(&["anne", "bruno", "claire", "denis"]).await;
    let everybody: Vec<usize> = (0..DEVICES).collect();
    let group = world.conversation("A", &everybody).await;
    let mut known = Vec::new();
    for step in 0..STEPS {
        let device = numbers.below(DEVICES);
        match numbers.below(12) {
            0 => {
                let now = world.clock.now();
                world.devices[device].disconnect(now);
            }
            1 => world.devices[device].online = true,
            2 => {
                world.devices[device].crash();
                world.devices[device].open();
            }
            3 => {
                // Makes the thread and the index, so that what follows is applied one by one.
                common(&mut world, device, group);
                world.devices[device].core().search(&Search::everywhere("mot", 5)).unwrap();
            }
            4 => {
                let users = vec![World::user("anne"), World::user(["bruno", "claire"][numbers.below(2)])];
                world.start(0, Command::SetAdministrators { group, users });
            }
            5 | 6 => world.turns(numbers.below(20)).await,
            _ => {
                let draft = anything(&mut numbers, step, &known);
                // What this device knows to be ignored by the others is refused at once.
                known.extend(world.post(device, group, draft));
            }
        }
    }
    for device in 0..DEVICES {
        world.devices[device].online = true;
    }
    world.all_at_one_epoch(group, &everybody).await;
    let expected = common(&mut world, 0, group);
    assert!(expected.messages.len() > 10, "seed {seed}");
    for device in 0..DEVICES {
        let words = Search::everywhere("mo", 1_000);
        assert_eq!(common(&mut world, device, group), expected, "seed {seed}, device {device}");
        let found = world.devices[device].core().search(&words).unwrap();
        world.devices[device].crash();
        world.devices[device].open();
        assert_eq!(common(&mut world, device, group), expected, "seed {seed}, device {device}, made anew");
        let again = world.devices[device].core().search(&words).unwrap();
        assert_eq!(found, again, "seed {seed}, device {device}: the index made anew");
    }
}

#[tokio::test]
async fn random_conversations_look_the_same_on_every_device() {
    for seed in [1, 2, 3, 4, 5, 6] {
        Box::pin(play(seed)).await;
    }
}
