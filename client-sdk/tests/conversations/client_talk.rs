//! A conversation of two real clients, with everything that can be said about a message; one of them is away
//! in between and comes back in another process.

use cercle_sdk::{
    event::Event,
    message::{Body, Draft, Edit, GroupProfile, Pin, Reaction, Retract, Text, ThreadKind},
    search::Search,
    thread::view::Range,
};

use crate::client_world::{Hub, soon, until, user};

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_said_about_messages_meanwhile_is_there_after_a_restart() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = soon(alice.direct_with(user("bob"))).await.unwrap();
    assert!(soon(alice.invite(group, vec![user("bob")])).await.unwrap().missing.is_empty());
    let mut events = alice.events();
    let visit = alice.send(group, "Visite à 8 h").await.unwrap();
    let wrong = alice.send(group, "message pour un autre fil").await.unwrap();
    until(&mut events, |event| matches!(event, Event::MessageAccepted { message, .. } if *message == wrong))
        .await;
    soon(bob.close()).await;

    let text = Text { text: "Visite à 9 h, @bob".into(), mentions: vec![user("bob")] };
    alice.post(group, Body::Edit(Edit { message: visit, text: text.clone() }).into()).await.unwrap();
    alice.post(group, Body::Pin(Pin { message: visit, removed: false }).into()).await.unwrap();
    alice.post(group, Body::Retract(Retract { message: wrong, reason: String::new() }).into()).await.unwrap();
    let profile =
        GroupProfile { topic: "Organisation".into(), ..GroupProfile::of_kind("À deux", ThreadKind::Direct) };
    let renamed = alice.set_profile(group, profile).await.unwrap();
    until(
        &mut events,
        |event| matches!(event, Event::MessageAccepted { message, .. } if *message == renamed),
    )
    .await;

    let bob = hub.reopen("bob").await;
    soon(bob.caught_up()).await.unwrap();
    let thread = bob.thread(group, Range::newest(10)).await.unwrap();
    assert_eq!((thread.profile.title.as_str(), thread.profile.topic.as_str()), ("À deux", "Organisation"));
    assert_eq!((thread.unread.messages, thread.unread.mentions), (1, 1));
    assert_eq!(thread.messages[0].message.body, Body::Text(text));
    assert!(thread.messages[0].pinned && thread.messages[1].retracted.is_some());

    bob.post(group, Body::Reaction(Reaction { message: visit, emoji: "👍".into(), removed: false }).into())
        .await
        .unwrap();
    bob.post(group, Draft { body: Body::text("J'y serai"), in_reply_to: Some(visit) }).await.unwrap();
    bob.mark_read(group, thread.messages[1].message.seq).await.unwrap();
    until(
        &mut events,
        |event| matches!(event, Event::MessageReceived(m) if matches!(m.body, Body::Receipt(_))),
    )
    .await;
    let thread = alice.thread(group, Range::newest(10)).await.unwrap();
    assert_eq!(thread.messages[0].reactions[0].users, [user("bob")]);
    assert_eq!(thread.messages[0].replies.len(), 1);
    assert_eq!(thread.read[0].0, user("bob"));
    let hits = alice.search(Search::everywhere("y serai", 10)).await.unwrap();
    assert_eq!(hits.len(), 1);
    soon(alice.close()).await;
    soon(bob.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_writes_is_seen_by_the_other() {
    let hub = Hub::start().await;
    let (alice, bob) = (hub.enrol("alice").await, hub.enrol("bob").await);
    let group = crate::client_world::pair(&alice, &bob).await;
    // What is ephemeral is dropped as long as something of the group waits to be sent.
    crate::client_linking::sent(&alice).await;
    let mut seen = bob.events();
    alice.typing(group, false).await.unwrap();
    let writes = |event: &Event| matches!(event, Event::Typing { user: who, stopped: false, .. } if *who == user("alice"));
    until(&mut seen, writes).await;
    soon(alice.close()).await;
    soon(bob.close()).await;
}
