//! An old client meets a kind of a newer version, through the hub: the sender's envelope has a body that this
//! version does not know, which only the core itself can put into its outbox.

use crate::{
    core_world::World,
    message::{Body, Reaction},
    search::Search,
    sync::Cx,
    thread::view::Range,
};
use cercle_proto::id::{GroupId, MessageId};

use super::Core;

/// What the newer version says, as bytes that must survive.
const NEWS: &[u8] = b"what only a newer version can read";

/// An envelope with a time, a fallback, and a body of number 1000.
fn newer_envelope(fallback: &str) -> Vec<u8> {
    let mut envelope = vec![0x08, 1, 0x1a, u8::try_from(fallback.len()).unwrap()];
    envelope.extend(fallback.as_bytes());
    envelope.extend([0xc2, 0x3e, u8::try_from(NEWS.len()).unwrap()]);
    envelope.extend(NEWS);
    envelope
}

fn queue(core: &mut Core, group: GroupId, envelope: &[u8], now: u64) -> MessageId {
    let tx = core.store.begin().unwrap();
    let mut cx = Cx { tx: &tx, m: &mut core.memory, now, actions: Vec::new() };
    let message = cx.queue(group, envelope).unwrap();
    tx.commit().unwrap();
    message
}

#[tokio::test]
async fn a_newer_kind_is_kept_whole_shown_by_its_fallback_found_and_answered() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let now = world.clock.now();
    let poll = queue(world.devices[0].core(), group, &newer_envelope("Sondage : quel jour ?"), now);
    let silent = queue(world.devices[0].core(), group, &newer_envelope(""), now);
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    let reaction = Reaction { message: poll, emoji: "👍".into(), removed: false };
    let draft = Body::Reaction(reaction).into();
    world.run(1, super::Command::Send { group, draft }).await.unwrap();
    world.send(2, group, "et après ?");
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    for device in 0..3 {
        let core = world.devices[device].core();
        let thread = core.thread(group, Range::newest(10)).unwrap();
        let shown: Vec<&Body> = thread.messages.iter().map(|view| &view.message.body).collect();
        let fallback = Body::Unknown { fallback: "Sondage : quel jour ?".into() };
        assert_eq!(shown, [&fallback, &Body::text("et après ?")], "without words it is not shown");
        assert_eq!(thread.messages[0].reactions.len(), 1);
        assert_eq!(core.search(&Search::everywhere("sondage", 10)).unwrap().len(), 1);
        let tx = core.store.begin().unwrap();
        let rows = tx.messages(group, 0, 100).unwrap();
        for id in [poll, silent] {
            let row = rows.iter().find(|row| row.id == id).expect("it is stored");
            let envelope = &row.record.envelope;
            assert!(envelope.windows(NEWS.len()).any(|bytes| bytes == NEWS), "kept for a newer version");
        }
    }
}
