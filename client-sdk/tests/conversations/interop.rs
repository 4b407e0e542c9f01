//! Conversations with a device that is built on another implementation of MLS, over the real hub.

use std::time::Duration;

use cercle_proto::{
    id::{GroupId, UserId},
    v1::{Entry, EntryKind, server_frame},
};
use cercle_sdk::{
    client::Client,
    core::{Command, PolicyTemplate},
    event::{Event, GapReason},
    message::{Body, Reaction},
    search::Search,
    thread::view::Range,
};
use mls_rs::client_builder::MlsConfig;

use super::{
    client_world::{Hub, soon, texts, until, until_text, user},
    core_world::World,
    interop_peer::{Line, Peer, enrol},
};

/// Between two looks at a device of ours.
const ASK_AGAIN: Duration = Duration::from_millis(20);

async fn standing(client: &Client, group: GroupId) -> Option<(u64, Vec<u8>)> {
    let groups = client.groups().await.unwrap();
    let found = groups.into_iter().find(|summary| summary.group == group)?;
    Some((found.epoch, found.epoch_authenticator))
}

/// Waits until a device of ours is where the other library is. Not every commit is an event, so it is asked.
async fn agree<C: MlsConfig>(client: &Client, peer: &Peer<C>, group: GroupId) {
    let (epoch, authenticator) = peer.standing(group);
    soon(async {
        loop {
            match standing(client, group).await {
                Some((mine, theirs)) if mine == epoch => return assert_eq!(theirs, authenticator),
                Some((mine, _)) => assert!(mine < epoch, "ours is ahead"),
                None => {}
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_another_library_joins_our_group_talks_commits_and_comes_back() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let claire = hub.enrol("claire").await;
    let invitation = hub.invitation("bruno").await;
    let mut bruno = enrol(Line::dial(&invitation).await, &invitation).await;
    let (mut annes, mut claires) = (anne.events(), claire.events());

    // Ours makes the group and adds the other.
    let group = soon(anne.create_group("Deux mondes", PolicyTemplate::Conversation)).await.unwrap();
    soon(anne.invite(group, vec![bruno.user.clone()])).await.unwrap();
    soon(anne.send(group, "bonjour")).await.unwrap();
    bruno.reads(group, "bonjour").await;
    bruno.send(group, "bonsoir").await;
    until_text(&mut annes, "bonsoir").await;

    // The other commits, then ours, and both go on reading each other.
    bruno.commit(group, &[]).await;
    agree(&anne, &bruno, group).await;
    soon(anne.update_keys(group)).await.unwrap();
    soon(anne.send(group, "des clés neuves")).await.unwrap();
    bruno.reads(group, "des clés neuves").await;
    assert_eq!(standing(&anne, group).await.unwrap(), bruno.standing(group));

    // The other adds one of ours.
    bruno.commit(group, &[user("claire")]).await;
    bruno.send(group, "bienvenue").await;
    until_text(&mut annes, "bienvenue").await;
    until_text(&mut claires, "bienvenue").await;
    agree(&claire, &bruno, group).await;
    assert_eq!(bruno.members(group), 3);

    // The other loses its state and joins again by an external commit into what ours made.
    soon(claire.update_keys(group)).await.unwrap();
    soon(claire.send(group, "avant la perte")).await.unwrap();
    bruno.reads(group, "avant la perte").await;
    Box::pin(bruno.rejoin(group)).await;
    bruno.send(group, "de retour").await;
    until_text(&mut annes, "de retour").await;
    until_text(&mut claires, "de retour").await;
    agree(&anne, &bruno, group).await;
    agree(&claire, &bruno, group).await;

    // Ours removes it.
    soon(anne.remove(group, vec![bruno.user.clone()])).await.unwrap();
    soon(anne.send(group, "à deux")).await.unwrap();
    until_text(&mut claires, "à deux").await;
    assert_eq!(
        texts(&claire, group).await,
        ["bienvenue", "avant la perte", "de retour", "à deux"],
        "what was said since claire came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_made_by_another_library_is_joined_and_used_by_ours() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let invitation = hub.invitation("bruno").await;
    let mut bruno = enrol(Line::dial(&invitation).await, &invitation).await;
    let mut annes = anne.events();

    let group = bruno.create_group().await;
    bruno.commit(group, &[user("anne")]).await;
    bruno.send(group, "bonjour").await;
    until(&mut annes, |event| matches!(event, Event::GroupJoined { group: joined } if *joined == group))
        .await;
    until_text(&mut annes, "bonjour").await;
    agree(&anne, &bruno, group).await;
    soon(anne.send(group, "bonsoir")).await.unwrap();
    bruno.reads(group, "bonsoir").await;

    // Ours adds one of ours; the other follows.
    let claire = hub.enrol("claire").await;
    let mut claires = claire.events();
    soon(anne.invite(group, vec![user("claire")])).await.unwrap();
    soon(anne.send(group, "à trois")).await.unwrap();
    bruno.reads(group, "à trois").await;
    until_text(&mut claires, "à trois").await;
    agree(&claire, &bruno, group).await;

    // Ours asks to leave: the other, or the third, carries it out.
    let before = bruno.standing(group).0;
    soon(claire.leave(group)).await.unwrap();
    bruno.until(|bruno| bruno.standing(group).0 > before).await;
    agree(&anne, &bruno, group).await;
    assert_eq!(bruno.members(group), 2);
}

/// The fields of an envelope with a body of number 1000, which this version does not know.
fn newer_kind(fallback: &str) -> Vec<u8> {
    let bytes = |tag: &[u8], content: &[u8]| [tag, &[u8::try_from(content.len()).unwrap()], content].concat();
    let body = bytes(&[0xc2, 0x3e], b"what only a newer version can read");
    [bytes(&[0x1a], fallback.as_bytes()), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_only_a_newer_client_knows_is_shown_by_its_fallback_answered_and_kept() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne").await;
    let invitation = hub.invitation("bruno").await;
    let mut bruno = enrol(Line::dial(&invitation).await, &invitation).await;
    let mut annes = anne.events();
    let group = soon(anne.create_group("Deux versions", PolicyTemplate::Conversation)).await.unwrap();
    soon(anne.invite(group, vec![bruno.user.clone()])).await.unwrap();
    bruno.until(|bruno| bruno.groups.contains_key(&group)).await;

    let poll = bruno.post(group, &newer_kind("Sondage : quel jour ?")).await;
    bruno.post(group, &newer_kind("")).await;
    bruno.send(group, "et ceci, vous le lisez ?").await;
    let fallback = Body::Unknown { fallback: "Sondage : quel jour ?".into() };
    let shown = fallback.clone();
    until(&mut annes, |event| matches!(event, Event::MessageReceived(message) if message.body == shown))
        .await;
    until_text(&mut annes, "et ceci, vous le lisez ?").await;
    let reaction = Reaction { message: poll, emoji: "👍".into(), removed: false };
    soon(anne.post(group, Body::Reaction(reaction).into())).await.unwrap();
    let last = soon(anne.send(group, "oui")).await.unwrap();
    // Both have it: the other may read it before its sender hears that it was taken.
    bruno.reads(group, "oui").await;
    until(&mut annes, |event| matches!(event, Event::MessageAccepted { message, .. } if *message == last))
        .await;

    // It is the same after the program was closed, and for who reads the store then.
    let before = anne.thread(group, Range::newest(10)).await.unwrap();
    anne.close().await;
    let anne = hub.reopen("anne").await;
    soon(anne.caught_up()).await.unwrap();
    let after = anne.thread(group, Range::newest(10)).await.unwrap();
    for thread in [&before, &after] {
        let bodies: Vec<&Body> = thread.messages.iter().map(|view| &view.message.body).collect();
        let [second, last] = ["et ceci, vous le lisez ?", "oui"].map(Body::text);
        assert_eq!(bodies, [&fallback, &second, &last], "without words it is not shown");
        let poll_shown = &thread.messages[0];
        assert_eq!((poll_shown.message.id, poll_shown.reactions.len()), (poll, 1));
        assert_eq!(poll_shown.reactions[0].emoji, "👍");
    }
    let hits = anne.search(Search::everywhere("sondage", 10)).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.message.id).collect::<Vec<_>>(), [poll]);
    let mut annes = anne.events();
    bruno.send(group, "à lundi").await;
    until_text(&mut annes, "à lundi").await;
}

#[tokio::test]
async fn ours_comes_back_by_external_commit_into_what_another_library_made() {
    let mut world = World::with(&["anne"]).await;
    let invitation = world.invite("bruno").await;
    let (out, frames) = world.raw();
    let mut bruno = enrol(Line { out, frames }, &invitation).await;
    let group = bruno.create_group().await;
    bruno.commit(group, &[UserId::new("anne", "cpts.example").unwrap()]).await;
    world.until(|world| world.devices[0].epoch_and_cursor(group).is_some()).await;

    // The next commit does not reach our device whole.
    let mut damaged = false;
    world.devices[0].lose(move |frame| {
        let Some(server_frame::Body::Entries(entries)) = &mut frame.body else { return true };
        let commit = |entry: &&mut Entry| entry.kind == i32::from(EntryKind::Commit) && !entry.mls.is_empty();
        if let Some(entry) = entries.entries.iter_mut().find(commit).filter(|_| !damaged) {
            entry.mls = entry.mls.slice(..entry.mls.len() / 2);
            damaged = true;
        }
        true
    });
    bruno.commit(group, &[]).await;
    world.until(|world| world.devices[0].saw(|event| matches!(event, Event::Recovered { .. }))).await;
    assert!(
        world.devices[0]
            .saw(|event| matches!(event, Event::Gap { reason: GapReason::InvalidCommit, skipped: 1, .. }))
    );
    bruno.until(|bruno| bruno.standing(group).0 == 3).await;
    let (epoch, _, authenticator) = world.devices[0].epoch_and_cursor(group).unwrap();
    assert_eq!((epoch, authenticator), bruno.standing(group));
    world.send(0, group, "revenue");
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    bruno.reads(group, "revenue").await;
    bruno.send(group, "bonjour").await;
    world.until(|world| world.devices[0].texts(group).last().is_some_and(|text| text == "bonjour")).await;
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    bruno.until(|bruno| bruno.standing(group).0 == 4).await;
}
