//! Reactions, edits, withdrawals, pins, receipts, profiles: what they do to a thread on every device.

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    core::{Command, Outcome, PolicyTemplate},
    error::Error,
    event::Event,
    message::{
        Body, Draft, Edit, GroupProfile, Pin, Reaction, Receipt, ReceiptState, Retract, Text, ThreadKind,
        Typing,
    },
    search::Search,
    thread::view::{MessageView, Range, ThreadView},
};

use super::core_world::World;

impl World {
    /// Queues a message and returns its id.
    pub(crate) fn post(&mut self, device: usize, group: GroupId, draft: Draft) -> Result<MessageId, Error> {
        let id = self.start(device, Command::Send { group, draft });
        let finished = &mut self.devices[device].finished;
        let index = finished.iter().position(|(known, _)| *known == id).expect("sending ends at once");
        match finished.remove(index).unwrap().1? {
            Outcome::Queued(message) => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn say(&mut self, device: usize, group: GroupId, body: impl Into<Body>) -> MessageId {
        self.post(device, group, body.into().into()).unwrap()
    }

    pub(crate) fn thread(&mut self, device: usize, group: GroupId) -> ThreadView {
        self.devices[device].core().thread(group, Range::newest(1_000)).unwrap()
    }

    /// The message as a device shows it.
    pub(crate) fn shown(&mut self, device: usize, group: GroupId, message: MessageId) -> MessageView {
        let thread = self.thread(device, group);
        thread.messages.into_iter().find(|view| view.message.id == message).expect("it is in the thread")
    }

    async fn a_group_of_three() -> (Self, GroupId) {
        let mut world = Self::with(&["anne", "bruno", "claire"]).await;
        let group = world.conversation("Tournée", &[0, 1, 2]).await;
        (world, group)
    }

    async fn settled(&mut self, group: GroupId) {
        let everybody: Vec<usize> = (0..self.devices.len()).collect();
        self.all_at_one_epoch(group, &everybody).await;
    }
}

fn edit(message: MessageId, text: &str) -> Body {
    Body::Edit(Edit { message, text: Text { text: text.into(), ..Text::default() } })
}

fn retract(message: MessageId) -> Body {
    Body::Retract(Retract { message, reason: "mauvais fil".into() })
}

fn reaction(message: MessageId, emoji: &str, removed: bool) -> Body {
    Body::Reaction(Reaction { message, emoji: emoji.into(), removed })
}

fn refused_field(result: &Result<MessageId, Error>) -> &'static str {
    match result {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reply_names_its_message_and_is_listed_there() {
    let (mut world, group) = World::a_group_of_three().await;
    let question = world.say(0, group, Body::text("Qui passe demain ?"));
    world.settled(group).await;
    let draft = Draft { body: Body::text("Moi"), in_reply_to: Some(question) };
    let answer = world.post(1, group, draft).unwrap();
    world.settled(group).await;
    for device in 0..3 {
        assert_eq!(world.shown(device, group, answer).message.in_reply_to, Some(question));
        assert_eq!(world.shown(device, group, question).replies, [answer]);
    }
}

#[tokio::test]
async fn reactions_are_counted_by_person_and_taken_back() {
    let (mut world, group) = World::a_group_of_three().await;
    let message = world.say(0, group, Body::text("Merci"));
    world.settled(group).await;
    for (device, emoji) in [(1, "👍"), (2, "👍"), (1, "👍"), (2, "❤️")] {
        world.say(device, group, reaction(message, emoji, false));
        world.settled(group).await;
    }
    world.say(2, group, reaction(message, "👍", true));
    world.settled(group).await;
    for device in 0..3 {
        let reactions = world.shown(device, group, message).reactions;
        let reactions: Vec<_> = reactions.into_iter().map(|one| (one.emoji, one.users)).collect();
        let expected =
            [("👍".to_owned(), vec![World::user("bruno")]), ("❤️".into(), vec![World::user("claire")])];
        assert_eq!(reactions, expected);
    }
}

#[tokio::test]
async fn only_the_author_edits_and_everybody_reads_the_last_text() {
    let (mut world, group) = World::a_group_of_three().await;
    let message = world.say(0, group, Body::text("RDV à 8 h"));
    world.settled(group).await;
    assert_eq!(refused_field(&world.post(1, group, edit(message, "RDV à 7 h").into())), "message");
    world.say(0, group, edit(message, "RDV à 9 h"));
    world.say(0, group, edit(message, "RDV à 10 h"));
    world.settled(group).await;
    for device in 0..3 {
        let view = world.shown(device, group, message);
        assert_eq!(view.message.body, Body::text("RDV à 10 h"));
        assert!(view.edited_at_ms.is_some());
        assert_eq!(world.thread(device, group).messages.len(), 1, "an edit is no message by itself");
    }
}

#[tokio::test]
async fn an_own_message_can_be_edited_before_it_is_sent() {
    let (mut world, group) = World::a_group_of_three().await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    let message = world.say(0, group, Body::text("hors ligne"));
    world.say(0, group, edit(message, "toujours hors ligne"));
    world.devices[0].online = true;
    world.settled(group).await;
    assert_eq!(world.shown(2, group, message).message.body, Body::text("toujours hors ligne"));
}

#[tokio::test]
async fn a_withdrawn_message_says_nothing_and_nothing_counts_for_it_any_more() {
    let (mut world, group) = World::a_group_of_three().await;
    let message = world.say(1, group, Body::text("INS dans le mauvais fil"));
    world.settled(group).await;
    world.say(2, group, reaction(message, "👍", false));
    world.say(0, group, Body::Pin(Pin { message, removed: false }));
    world.settled(group).await;
    assert_eq!(refused_field(&world.post(2, group, retract(message).into())), "message");
    world.say(1, group, retract(message));
    world.settled(group).await;
    for device in 0..3 {
        let view = world.shown(device, group, message);
        assert_eq!(view.message.body, Body::Unknown { fallback: String::new() });
        let retraction = view.retracted.expect("it is withdrawn");
        assert_eq!((retraction.by, retraction.reason.as_str()), (World::user("bruno"), "mauvais fil"));
        assert!(view.reactions.is_empty() && !view.pinned && world.thread(device, group).pinned.is_empty());
    }
    assert_eq!(refused_field(&world.post(1, group, edit(message, "encore").into())), "message");
    assert_eq!(refused_field(&world.post(2, group, reaction(message, "👍", false).into())), "message");
}

#[tokio::test]
async fn an_edit_that_crosses_a_withdrawal_is_ignored_everywhere() {
    let (mut world, group) = World::a_group_of_three().await;
    let second = world.enrol("bruno").await;
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    // What is written before the invitation is read is not for the second device.
    world.settled(group).await;
    let message = world.say(1, group, Body::text("brouillon"));
    world.settled(group).await;
    let now = world.clock.now();
    world.devices[second].disconnect(now);
    world.say(second, group, edit(message, "texte"));
    world.say(1, group, retract(message));
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.devices[second].online = true;
    world.settled(group).await;
    for device in 0..4 {
        assert!(world.shown(device, group, message).retracted.is_some());
        assert_eq!(world.shown(device, group, message).edited_at_ms, None);
    }
}

#[tokio::test]
async fn an_administrator_withdraws_what_others_wrote_and_that_is_shown() {
    let (mut world, group) = World::a_group_of_three().await;
    let message = world.say(1, group, Body::text("hors sujet"));
    world.settled(group).await;
    world.say(0, group, retract(message));
    world.settled(group).await;
    for device in 0..3 {
        let retraction = world.shown(device, group, message).retracted.expect("it is withdrawn");
        assert_eq!(retraction.by, World::user("anne"));
    }
    // The right is that of its place in the log, also when the thread is made again from the store later.
    let administrators = Command::SetAdministrators { group, users: vec![World::user("claire")] };
    world.run(0, administrators).await.unwrap();
    world.settled(group).await;
    for device in 0..3 {
        world.devices[device].crash();
        world.devices[device].open();
        assert!(world.shown(device, group, message).retracted.is_some());
    }
}

#[tokio::test]
async fn pins_are_common_to_all_and_in_the_order_they_were_pinned() {
    let (mut world, group) = World::a_group_of_three().await;
    let messages: Vec<MessageId> =
        ["a", "b", "c"].map(|text| world.say(0, group, Body::text(text))).into_iter().collect();
    world.settled(group).await;
    for (device, at, removed) in [(0, 2, false), (1, 0, false), (2, 1, false), (0, 2, true)] {
        world.say(device, group, Body::Pin(Pin { message: messages[at], removed }));
        world.settled(group).await;
    }
    for device in 0..3 {
        assert_eq!(world.thread(device, group).pinned, [messages[0], messages[1]]);
    }
}

#[tokio::test]
async fn what_is_about_an_unknown_message_is_refused_here_and_ignored_elsewhere() {
    let (mut world, group) = World::a_group_of_three().await;
    let unknown = MessageId::new([9; 16]);
    for body in [edit(unknown, "x"), retract(unknown), reaction(unknown, "👍", false)] {
        assert_eq!(refused_field(&world.post(0, group, body.into())), "message");
    }
    let typing = Body::Typing(Typing { stopped: false });
    assert!(matches!(world.post(0, group, typing.into()), Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_newcomer_ignores_what_is_about_messages_that_he_never_got() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let message = world.say(0, group, Body::text("avant"));
    world.settled(group).await;
    world.enrol("claire").await;
    world.run(0, Command::Invite { group, users: vec![World::user("claire")] }).await.unwrap();
    world.say(1, group, reaction(message, "👍", false));
    world.say(0, group, edit(message, "après"));
    let last = world.say(0, group, Body::text("bonjour Claire"));
    world.settled(group).await;
    assert_eq!(world.shown(1, group, message).message.body, Body::text("après"));
    let thread = world.thread(2, group);
    assert_eq!(thread.messages.iter().map(|view| view.message.id).collect::<Vec<_>>(), [last]);
}

#[tokio::test]
async fn mentions_and_unread_messages_are_counted_until_they_are_read() {
    let (mut world, group) = World::a_group_of_three().await;
    world.say(0, group, Body::text("bonjour"));
    let mentions = vec![World::user("claire")];
    world.say(0, group, Body::Text(Text { text: "@claire pouvez-vous ?".into(), mentions }));
    let gone = world.say(0, group, Body::text("erreur"));
    world.say(0, group, retract(gone));
    world.settled(group).await;
    let unread = world.thread(2, group).unread;
    assert_eq!((unread.messages, unread.mentions), (2, 1));
    assert_eq!(world.thread(1, group).unread.mentions, 0);
    assert_eq!(world.thread(0, group).unread.messages, 0, "own messages are read");
    let up_to = world.thread(2, group).messages.last().unwrap().message.seq;
    world.run(2, Command::MarkRead { group, up_to }).await.unwrap();
    assert_eq!(world.thread(2, group).unread.messages, 0);
    world.devices[2].crash();
    world.devices[2].open();
    assert_eq!(world.thread(2, group).unread.messages, 0, "the mark is durable");
}

async fn direct_thread(world: &mut World) -> GroupId {
    let profile = GroupProfile::of_kind("Anne · Bruno", ThreadKind::Direct);
    let created = world.run(0, Command::CreateGroup { profile, policy: PolicyTemplate::Conversation }).await;
    let Ok(Outcome::GroupCreated(group)) = created else { panic!("{created:?}") };
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    group
}

fn receipts(world: &mut World, device: usize, group: GroupId) -> usize {
    let messages = world.devices[device].core().messages(group, 0, 1_000).unwrap();
    messages.iter().filter(|message| matches!(message.body, Body::Receipt(_))).count()
}

#[tokio::test]
async fn where_the_thread_asks_for_it_the_others_see_how_far_somebody_has_read() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct_thread(&mut world).await;
    world.say(0, group, Body::text("Vu ?"));
    world.settled(group).await;
    let seq = world.thread(1, group).messages[0].message.seq;
    world.run(1, Command::MarkRead { group, up_to: seq }).await.unwrap();
    world.settled(group).await;
    let read = world.thread(0, group).read;
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].0.clone(), read[0].1.up_to), (World::user("bruno"), seq));
}

#[tokio::test]
async fn many_messages_read_one_by_one_are_told_by_few_receipts_that_reach_the_last() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct_thread(&mut world).await;
    for number in 0..20 {
        world.say(0, group, Body::text(format!("message {number}")));
    }
    world.settled(group).await;
    let places: Vec<u64> = world.thread(1, group).messages.iter().map(|view| view.message.seq).collect();
    for up_to in &places {
        world.run(1, Command::MarkRead { group, up_to: *up_to }).await.unwrap();
    }
    let last = *places.last().unwrap();
    world.until(|world| world.thread(0, group).read.iter().any(|(_, place)| place.up_to == last)).await;
    assert_eq!(receipts(&mut world, 0, group), 2, "the first at once, the rest together");
}

#[tokio::test]
async fn receipts_never_answer_receipts() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct_thread(&mut world).await;
    world.say(0, group, Body::text("Vu ?"));
    world.settled(group).await;
    for _ in 0..3 {
        for device in 0..2 {
            world.run(device, Command::MarkRead { group, up_to: u64::MAX }).await.unwrap();
            world.settled(group).await;
            world.clock.advance(10_000);
        }
    }
    assert_eq!(receipts(&mut world, 0, group), 1);
}

#[tokio::test]
async fn in_a_wide_group_nobody_is_told_who_has_read() {
    let (mut world, group) = World::a_group_of_three().await;
    world.say(0, group, Body::text("À lire"));
    world.settled(group).await;
    world.run(1, Command::MarkRead { group, up_to: u64::MAX }).await.unwrap();
    world.settled(group).await;
    assert_eq!((receipts(&mut world, 0, group), world.thread(1, group).unread.messages), (0, 0));
}

#[tokio::test]
async fn what_was_read_with_one_device_is_read_on_the_other() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct_thread(&mut world).await;
    let second = world.enrol("bruno").await;
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.say(0, group, Body::text("Vu ?"));
    world.settled(group).await;
    assert_eq!(world.thread(second, group).unread.messages, 1);
    world.run(1, Command::MarkRead { group, up_to: u64::MAX }).await.unwrap();
    world.settled(group).await;
    assert_eq!(world.thread(second, group).unread.messages, 0);
}

#[tokio::test]
async fn a_gateway_may_say_how_far_messages_were_delivered() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = direct_thread(&mut world).await;
    world.say(0, group, Body::text("À transmettre"));
    world.settled(group).await;
    let up_to = world.thread(1, group).messages[0].message.seq;
    for up_to in [up_to, 1_000_000] {
        world.say(1, group, Body::Receipt(Receipt { state: ReceiptState::Delivered, up_to }));
    }
    world.settled(group).await;
    let thread = world.thread(0, group);
    assert_eq!(thread.delivered[0].1.up_to, up_to, "nobody has what is not in the log");
    assert!(thread.read.is_empty());
}

#[tokio::test]
async fn administrators_rename_a_thread_and_others_only_repeat_its_name() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Plaies", &[0, 1]).await;
    let renamed = GroupProfile {
        topic: "Pansements".into(),
        ..GroupProfile::of_kind("Plaies chroniques", ThreadKind::Theme)
    };
    let denied = world.post(1, group, Body::GroupProfile(renamed.clone()).into());
    assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    world.say(0, group, Body::GroupProfile(renamed.clone()));
    world.settled(group).await;
    world.devices[0].events.clear();
    // A member who is no administrator adds somebody, and repeats the profile for her.
    world.enrol("claire").await;
    world.run(1, Command::Invite { group, users: vec![World::user("claire")] }).await.unwrap();
    world.settled(group).await;
    for device in 0..3 {
        let profile = world.devices[device].core().groups().unwrap().remove(0).profile;
        assert_eq!(profile, renamed, "{}", world.devices[device].name);
    }
    assert!(
        !world.devices[0].saw(|event| matches!(event, Event::GroupChanged { .. })),
        "nothing has changed"
    );
}

#[tokio::test]
async fn in_a_library_only_publishers_write() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let profile = GroupProfile::of_kind("Protocoles", ThreadKind::Library);
    let conversation = world.conversation("Conversation", &[0, 1]).await;
    let late = world.post(0, conversation, Body::GroupProfile(profile.clone()).into());
    assert_eq!(refused_field(&late), "thread", "everybody already writes there");
    let created = world.run(0, Command::CreateGroup { profile, policy: PolicyTemplate::Conversation }).await;
    let Ok(Outcome::GroupCreated(group)) = created else { panic!("{created:?}") };
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    let protocol = world.say(0, group, Body::text("Protocole plaies v3"));
    world.settled(group).await;
    world.say(1, group, reaction(protocol, "👍", false));
    world.until(|world| world.devices[1].saw(|event| matches!(event, Event::MessageRefused { .. }))).await;
    world.run(1, Command::MarkRead { group, up_to: u64::MAX }).await.unwrap();
    world.settled(group).await;
    assert!(world.shown(0, group, protocol).reactions.is_empty());
}

fn hears_typing(world: &World, device: usize) -> usize {
    world.devices[device].events.iter().filter(|event| matches!(event, Event::Typing { .. })).count()
}

#[tokio::test]
async fn who_is_connected_sees_that_somebody_writes_and_nothing_is_stored() {
    let (mut world, group) = World::a_group_of_three().await;
    let before = world.devices[1].core().messages(group, 0, 1_000).unwrap().len();
    world.run(0, Command::Typing { group, stopped: false }).await.unwrap();
    world.until(|world| hears_typing(world, 1) == 1 && hears_typing(world, 2) == 1).await;
    world.run(0, Command::Typing { group, stopped: false }).await.unwrap();
    world.clock.advance(1_000);
    world.run(0, Command::Typing { group, stopped: true }).await.unwrap();
    world
        .until(|world| world.devices[1].saw(|event| matches!(event, Event::Typing { stopped: true, .. })))
        .await;
    assert_eq!(hears_typing(&world, 1), 2, "the second key did not go out");
    world.send(0, group, "Voilà");
    world.reads(1, group, &["Voilà"]).await;
    world.reads(2, group, &["Voilà"]).await;
    assert_eq!(world.devices[1].core().messages(group, 0, 1_000).unwrap().len(), before + 1);
    assert_eq!(hears_typing(&world, 0), 0);
}

#[tokio::test]
async fn signs_that_overtake_messages_or_are_lost_cost_no_message() {
    let (mut world, group) = World::a_group_of_three().await;
    let now = world.clock.now();
    world.devices[2].disconnect(now);
    let mut expected = Vec::new();
    for number in 0..60 {
        world.run(0, Command::Typing { group, stopped: false }).await.unwrap();
        world.clock.advance(5_000);
        if number % 3 == 0 {
            let text = format!("message {number}");
            world.send(0, group, &text);
            expected.push(text);
            world.all_at_one_epoch(group, &[0, 1]).await;
        }
    }
    world.devices[2].online = true;
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    world.reads(2, group, &expected).await;
    world.reads(1, group, &expected).await;
    assert!(!world.devices[2].saw(|event| matches!(event, Event::Gap { .. })));
}

#[tokio::test]
async fn search_finds_what_a_thread_says_by_now_without_a_connection_and_after_a_restart() {
    let (mut world, group) = World::a_group_of_three().await;
    let other = world.conversation("Autre", &[0, 2]).await;
    let first = world.say(0, group, Body::text("Céphalée depuis hier"));
    let second = world.say(0, group, Body::text("L'ordonnance est prête"));
    world.say(0, other, Body::text("céphalées chroniques"));
    world.settled(group).await;
    world.all_at_one_epoch(other, &[0, 2]).await;
    let now = world.clock.now();
    world.devices[2].disconnect(now);
    let count = |world: &mut World, words: &str, only: Option<GroupId>| {
        let search = Search { group: only, ..Search::everywhere(words, 10) };
        world.devices[2].core().search(&search).unwrap().len()
    };
    assert_eq!(count(&mut world, "CEPHALE", None), 2);
    assert_eq!(count(&mut world, "cephale", Some(group)), 1);
    assert_eq!(count(&mut world, "ordonnance", None), 1);
    world.devices[2].online = true;
    world.say(0, group, edit(first, "Migraine depuis hier"));
    world.say(0, group, retract(second));
    world.settled(group).await;
    for restart in [false, true] {
        if restart {
            world.devices[2].crash();
            world.devices[2].open();
        }
        assert_eq!(count(&mut world, "cephale", Some(group)), 0, "restarted: {restart}");
        assert_eq!(count(&mut world, "migraine", None), 1);
        assert_eq!(count(&mut world, "ordonnance", None), 0);
    }
}
