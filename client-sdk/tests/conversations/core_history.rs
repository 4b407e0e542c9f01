//! A newcomer reads exactly the history that the policy gives him, as somebody's export, once.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    core::Command,
    event::{Event, Message},
    history::HistoryError,
    message::{Body, CircleBasis, Document, DocumentType, Edit, HistoryPolicy, Reaction, Retract, Text},
    search::Search,
};

use cercle_storage::store::{BlobUsage, NewBlob};

use super::{
    core_circle::{add, circle, entry, open},
    core_world::World,
};

const DAY_MS: u64 = 24 * 3_600_000;

fn messages(world: &mut World, device: usize, group: GroupId) -> Vec<Message> {
    world.devices[device].core().messages(group, 0, 10_000).unwrap()
}

/// A circle of anne with one message a day, the last today.
async fn of_days(world: &mut World, history: HistoryPolicy, days: u64) -> GroupId {
    let group = open(world, 0, circle(history)).await;
    for day in 0..days {
        world.send(0, group, &format!("jour {day}"));
        world.all_at_one_epoch(group, &[0]).await;
        if day + 1 < days {
            world.clock.advance(DAY_MS);
        }
    }
    group
}

async fn admit(world: &mut World, group: GroupId, user: &str) {
    add(world, 0, group, entry(user, CircleBasis::SameTeam)).await.unwrap();
}

#[tokio::test]
async fn each_policy_gives_exactly_what_it_says() {
    for (policy, expected) in [
        (HistoryPolicy::Nothing, vec!["après"]),
        (HistoryPolicy::Days(2), vec!["jour 3", "jour 4", "après"]),
        (HistoryPolicy::All, vec!["jour 0", "jour 1", "jour 2", "jour 3", "jour 4", "après"]),
    ] {
        let mut world = World::with(&["anne", "bruno"]).await;
        // A little more than two days lie between the third message and the joining.
        let group = of_days(&mut world, policy, 5).await;
        world.clock.advance(1_000);
        admit(&mut world, group, "bruno").await;
        world.send(0, group, "après");
        let has_all = |world: &mut World, device: usize| {
            world.devices[device].texts(group).last().is_some_and(|text| text == "après")
        };
        world.until(|world| has_all(world, 0) && has_all(world, 1)).await;
        world.reads(1, group, &expected).await;
        let anne = World::user("anne");
        let inviters = messages(&mut world, 0, group);
        for message in messages(&mut world, 1, group) {
            let original = inviters.iter().find(|original| original.id == message.id).unwrap();
            assert_eq!(
                (message.seq, message.at_ms, &message.sender, message.device, &message.body),
                (original.seq, original.at_ms, &original.sender, original.device, &original.body)
            );
            let before = world.devices[1]
                .events
                .iter()
                .any(|event| matches!(event, Event::MessageReceived(received) if received.id == message.id));
            assert_eq!(message.exported_by, (!before).then(|| anne.clone()), "what was handed over says so");
        }
        let imported = world.devices[1].saw(|event| matches!(event, Event::HistoryImported { .. }));
        assert_eq!(imported, expected.len() > 1);
        assert!(!world.devices[1].saw(|event| matches!(event, Event::Gap { .. })), "no error bubbles");
    }
}

#[tokio::test]
async fn only_the_devices_that_are_named_take_it_and_a_restart_changes_nothing() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = of_days(&mut world, HistoryPolicy::Nothing, 3).await;
    admit(&mut world, group, "bruno").await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    let mut profile = circle(HistoryPolicy::All).profile;
    profile.thread = cercle_sdk::message::ThreadKind::PatientCircle;
    world.start(0, Command::Send { group, draft: Body::GroupProfile(profile).into() });
    world.all_at_one_epoch(group, &[0, 1]).await;
    admit(&mut world, group, "claire").await;
    world.reads(2, group, &["jour 0", "jour 1", "jour 2"]).await;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    assert!(world.devices[1].texts(group).is_empty(), "bruno was given nothing");
    for device in [1, 2] {
        let before = messages(&mut world, device, group);
        world.devices[device].crash();
        world.devices[device].open();
        assert_eq!(messages(&mut world, device, group), before);
    }
    world.send(2, group, "vu");
    world.reads(2, group, &["jour 0", "jour 1", "jour 2", "vu"]).await;
}

/// Keeps what a device wants on the hub in this test's own hands; the hub believes that it has it.
async fn upload(world: &mut World, device: usize) -> Vec<(Document, Vec<u8>)> {
    let mut done = Vec::new();
    for (number, upload) in world.devices[device].core().history_uploads().unwrap().into_iter().enumerate() {
        let document = Document {
            blob: cercle_proto::id::BlobId::new([u8::try_from(number).unwrap() + 1; 16]),
            key: [5; 32],
            size: upload.bytes.len() as u64,
            sha256: [6; 32],
            name: "historique".into(),
            media_type: "application/octet-stream".into(),
            document_type: DocumentType::History,
            title: String::new(),
            confidentiality: Vec::new(),
            thumbnail: Vec::new(),
        };
        let new = NewBlob {
            blob: document.blob,
            group: upload.group,
            uploader: World::user(&world.devices[device].name),
            size: document.size,
            at: world.clock.now(),
        };
        let store = world.services.store.clone();
        let plenty = BlobUsage { blobs: u64::MAX, bytes: u64::MAX };
        store.announce_blob(new, plenty).await.unwrap();
        store.complete_blob(document.blob, world.clock.now()).await.unwrap();
        let command =
            Command::HistoryUploaded { key: upload.key, document: Some(Box::new(document.clone())) };
        world.start(device, command);
        done.push((document, upload.bytes));
    }
    done
}

/// A circle with more than fits a message, so that the shells carry the archive; returns what was uploaded.
async fn large(world: &mut World) -> (GroupId, Vec<(Document, Vec<u8>)>) {
    let group = open(world, 0, circle(HistoryPolicy::All)).await;
    // Hexadecimal noise: it does not compress below the bound.
    let mut state = 1_u64;
    for number in 0..30 {
        let mut noise = format!("{number:02} ");
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.push_str(&format!("{state:016x}"));
        }
        world.send(0, group, &noise);
    }
    world.all_at_one_epoch(group, &[0]).await;
    admit(world, group, "bruno").await;
    world.until(|world| !world.devices[0].core().history_uploads().unwrap().is_empty()).await;
    // The inviter stops between his commit and the hand-over, which is owed all the same.
    world.devices[0].crash();
    world.devices[0].open();
    let uploaded = upload(world, 0).await;
    assert!(!uploaded.is_empty());
    (group, uploaded)
}

#[tokio::test]
async fn a_large_history_survives_stops_of_both_sides_and_arrives_once() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let (group, uploaded) = large(&mut world).await;
    world.until(|world| world.devices[1].core().history_fetches().unwrap().len() == uploaded.len()).await;
    world.devices[1].crash();
    world.devices[1].open();
    let fetches = world.devices[1].core().history_fetches().unwrap();
    assert_eq!(fetches.len(), uploaded.len(), "what is to be fetched survives");
    for fetch in fetches {
        let (_, bytes) = uploaded.iter().find(|(document, _)| document.blob == fetch.document.blob).unwrap();
        let sealed = Some(bytes.clone());
        let command = Command::HistoryFetched { group, message: fetch.message, sealed: sealed.clone() };
        world.run(1, command).await.unwrap();
        let again = Command::HistoryFetched { group, message: fetch.message, sealed };
        assert!(world.run(1, again).await.is_err(), "once");
    }
    assert_eq!(world.devices[1].texts(group).len(), 30);
    assert_eq!(world.devices[1].texts(group), world.devices[0].texts(group));
}

#[tokio::test]
async fn a_damaged_archive_is_refused_whole_whatever_byte_is_wrong() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let (group, uploaded) = large(&mut world).await;
    world.until(|world| !world.devices[1].core().history_fetches().unwrap().is_empty()).await;
    let fetch = world.devices[1].core().history_fetches().unwrap().remove(0);
    world.devices[1].crash();
    let store = world.devices[1].copy_store();
    let (_, bytes) = &uploaded[0];
    for step in 0..40 {
        world.devices[1].restore_store(&store);
        world.devices[1].open();
        let mut damaged = bytes.clone();
        let at = step * (bytes.len() - 1) / 39;
        damaged[at] ^= 0x10;
        let sealed = Some(damaged);
        world.start(1, Command::HistoryFetched { group, message: fetch.message, sealed });
        let (_, refused) = world.devices[1].finished.pop_back().unwrap();
        assert!(refused.is_err(), "byte {at}");
        assert!(world.devices[1].texts(group).is_empty(), "byte {at}");
        world.devices[1].crash();
    }
}

#[tokio::test]
async fn an_archive_of_somebody_else_is_refused() {
    let mut world = World::with(&["anne", "bruno", "claire", "david"]).await;
    // David makes an archive of a circle of his own, for bruno.
    let other = open(&mut world, 3, circle(HistoryPolicy::All)).await;
    world.send(3, other, "faux");
    world.all_at_one_epoch(other, &[3]).await;
    add(&mut world, 3, other, entry("bruno", CircleBasis::SameTeam)).await.unwrap();
    world.reads(1, other, &["faux"]).await;
    let foreign = messages(&mut world, 1, other)
        .into_iter()
        .find_map(|message| match message.body {
            Body::HistoryHandedOver(handed) => Some(handed),
            _ => None,
        })
        .unwrap();
    // Anne, a member, passes it on in her circle: neither the signature is hers nor the group the same.
    let group = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    admit(&mut world, group, "bruno").await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    let draft = Body::HistoryHandedOver(foreign).into();
    world.start(0, Command::Send { group, draft });
    let refused = |event: &Event| matches!(event, Event::HistoryRefused { group: refused, error: HistoryError::OtherSigner } if *refused == group);
    world.until(|world| world.devices[1].saw(refused)).await;
    assert!(world.devices[1].texts(group).is_empty());
}

#[tokio::test]
async fn an_ordinary_group_hands_over_nothing_unless_its_policy_says_so() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Thème", &[0]).await;
    world.send(0, group, "avant");
    world.all_at_one_epoch(group, &[0]).await;
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert!(world.devices[1].texts(group).is_empty());
    let handed = |message: &Message| matches!(message.body, Body::HistoryHandedOver(_));
    assert!(!messages(&mut world, 0, group).iter().any(handed));
}

fn found(world: &mut World, device: usize, words: &str) -> Vec<cercle_proto::id::MessageId> {
    let hits = world.devices[device].core().search(&Search::everywhere(words, 10)).unwrap();
    hits.into_iter().map(|hit| hit.message.id).collect()
}

#[tokio::test]
async fn a_newcomer_finds_what_was_said_before_and_sees_what_became_of_it() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::All)).await;
    admit(&mut world, group, "bruno").await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    let edited = world.say(1, group, Body::text("Plaie propre"));
    let praised = world.say(1, group, Body::text("Bilan sanguin demandé"));
    let withdrawn = world.say(1, group, Body::text("Numéro erroné"));
    world.all_at_one_epoch(group, &[0, 1]).await;
    let text = Text { text: "Plaie infectée".into(), ..Text::default() };
    world.say(1, group, Body::Edit(Edit { message: edited, text }));
    world.say(0, group, Body::Reaction(Reaction { message: praised, emoji: "👍".into(), removed: false }));
    // Anne administers the group; that she did is in the archive.
    world.say(0, group, Body::Retract(Retract { message: withdrawn, reason: "mauvais patient".into() }));
    world.all_at_one_epoch(group, &[0, 1]).await;

    admit(&mut world, group, "claire").await;
    // She searches all the while: her index of the group is older than the history.
    let imported = |event: &Event| matches!(event, Event::HistoryImported { .. });
    world
        .until(|world| {
            found(world, 2, "plaie");
            world.devices[2].saw(imported)
        })
        .await;
    world.say(0, group, Body::text("Bienvenue"));
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    for device in [0, 2] {
        assert_eq!(found(&mut world, device, "plaie infectee"), [edited]);
        assert_eq!(found(&mut world, device, "bilan sang"), [praised]);
        assert_eq!(found(&mut world, device, "bienvenue").len(), 1);
        for gone in ["propre", "errone"] {
            assert!(found(&mut world, device, gone).is_empty(), "{gone} on device {device}");
        }
    }
    for id in [edited, praised, withdrawn] {
        let (original, handed) = (world.shown(0, group, id), world.shown(2, group, id));
        assert_eq!(handed.message.body, original.message.body);
        assert_eq!(handed.edited_at_ms, original.edited_at_ms);
        assert_eq!(handed.reactions, original.reactions);
        assert_eq!(handed.retracted, original.retracted);
        assert_eq!(handed.message.exported_by, Some(World::user("anne")));
    }
    assert_eq!(world.shown(2, group, withdrawn).retracted.unwrap().by, World::user("anne"));
    assert!(world.shown(2, group, edited).edited_at_ms.is_some());
}
