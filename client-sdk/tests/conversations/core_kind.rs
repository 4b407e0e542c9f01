//! What kind a thread is, for the rules that hang on it: who says so, who is believed, and that no other name
//! given to a thread switches a rule off. The changed client is one on another implementation of MLS: it sends
//! what ours refuse to send.

use cercle_proto::{
    id::{GroupId, UserId},
    v1::server_frame::Body as Answer,
};
use cercle_sdk::{
    core::{Command, NewCircle, Outcome},
    error::Error,
    event::{Event, RefusedReason},
    message::{Body, CircleBasis, GroupProfile, HistoryPolicy, ThreadKind, template},
    thread::circle::Refusal,
};
use mls_rs::client_builder::MlsConfig;
use prost::Message as _;

use super::{
    core_circle::{admit, circle, entry, open, patient},
    core_world::World,
    interop_peer::{Line, Peer, enrol},
};

/// The field of an envelope that holds a profile.
#[derive(Clone, PartialEq, prost::Message)]
struct Said {
    #[prost(message, optional, tag = "17")]
    profile: Option<Profile>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(int32, tag = "3")]
    kind: i32,
}

const CONVERSATION: i32 = 0;
const DIRECT: i32 = 1;
const CIRCLE: i32 = 5;

async fn stranger(world: &World, name: &str) -> Peer<impl MlsConfig + use<>> {
    let invitation = world.invite(name).await;
    let (out, frames) = world.raw();
    enrol(Line { out, frames }, &invitation).await
}

/// Waits until the stranger is where the device is.
async fn catch_up<C: MlsConfig>(world: &mut World, device: usize, peer: &mut Peer<C>, group: GroupId) {
    let (epoch, _, _) = world.devices[device].epoch_and_cursor(group).unwrap();
    peer.until(|peer| peer.groups.contains_key(&group) && peer.standing(group).0 == epoch).await;
}

/// The stranger says what a group is, then a text, so that it is known when it was read.
async fn profess<C: MlsConfig>(peer: &mut Peer<C>, group: GroupId, kind: i32, then: &str) {
    let said = Said { profile: Some(Profile { title: "Autrement dit".into(), kind }) };
    peer.post(group, &said.encode_to_vec()).await;
    peer.send(group, then).await;
}

async fn read(world: &mut World, devices: &[usize], group: GroupId, text: &str) {
    for device in devices.iter().copied() {
        world.until(|world| world.devices[device].texts(group).last().is_some_and(|last| last == text)).await;
    }
}

fn profile(world: &mut World, device: usize, group: GroupId) -> GroupProfile {
    let groups = world.devices[device].core().groups().unwrap();
    groups.into_iter().find(|summary| summary.group == group).unwrap().profile
}

async fn rename(world: &mut World, group: GroupId, thread: ThreadKind) -> Result<Outcome, Error> {
    let renamed = GroupProfile { thread, ..profile(world, 0, group) };
    world.run(0, Command::Send { group, draft: Body::GroupProfile(renamed).into() }).await
}

/// Tries to say who a patient is.
async fn name_patient(world: &mut World, device: usize, group: GroupId) -> Result<Outcome, Error> {
    let mut alert: Body = serde_json::from_str(template::of("event_alert").unwrap()).unwrap();
    if let Body::EventAlert(alert) = &mut alert {
        alert.patient = Some(patient());
    }
    world.run(device, Command::Send { group, draft: alert.into() }).await
}

async fn invite(world: &mut World, device: usize, group: GroupId, user: &str) -> Result<Outcome, Error> {
    world.run(device, Command::Invite { group, users: vec![World::user(user)] }).await
}

fn refusal(result: Result<Outcome, Error>) -> Refusal {
    match result {
        Err(Error::CircleRefused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn is_wide(result: Result<Outcome, Error>) -> bool {
    matches!(result, Err(Error::IdentityInWideThread { kind: "event_alert" }))
}

async fn administer(world: &mut World, group: GroupId, users: &[&str]) {
    let users: Vec<UserId> = users.iter().map(|user| World::user(user)).collect();
    world.run(0, Command::SetAdministrators { group, users }).await.unwrap();
}

#[tokio::test]
async fn a_circle_and_a_direct_thread_are_opened_as_such_and_no_other_name_makes_or_ends_one() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let profile = GroupProfile::of_kind("Sans patient", ThreadKind::PatientCircle);
    let made = world.run(0, Command::CreateGroup { profile, policy: Default::default() }).await;
    assert!(matches!(made, Err(Error::KindIsFixed)), "{made:?}");
    assert!(world.devices[0].core().groups().unwrap().is_empty());

    let wide = world.conversation("Plaies", &[0, 1]).await;
    let circle = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    let direct = match world.run(0, Command::DirectWith { user: World::user("bruno") }).await {
        Ok(Outcome::DirectThread(group)) => group,
        other => panic!("{other:?}"),
    };
    world.all_at_one_epoch(direct, &[0, 1]).await;
    for (group, kind) in [
        (wide, ThreadKind::PatientCircle),
        (wide, ThreadKind::Direct),
        (circle, ThreadKind::Conversation),
        (circle, ThreadKind::Direct),
        (direct, ThreadKind::Theme),
        (direct, ThreadKind::PatientCircle),
    ] {
        let renamed = rename(&mut world, group, kind).await;
        assert!(matches!(renamed, Err(Error::KindIsFixed)), "{kind:?}: {renamed:?}");
    }
    assert!(world.devices[0].core().outbox().unwrap().is_empty());
    assert!(is_wide(name_patient(&mut world, 0, wide).await));
    assert_eq!(refusal(invite(&mut world, 0, circle, "bruno").await), Refusal::NoBasis);
    // What is on one side may go on changing there.
    rename(&mut world, wide, ThreadKind::Theme).await.unwrap();
    rename(&mut world, circle, ThreadKind::PatientCircle).await.unwrap();
    name_patient(&mut world, 0, circle).await.unwrap();
    name_patient(&mut world, 0, direct).await.unwrap();
    world.all_at_one_epoch(wide, &[0, 1]).await;
    assert_eq!(self::profile(&mut world, 1, wide).thread, ThreadKind::Theme);
}

#[tokio::test]
async fn a_changed_client_of_an_administrator_makes_no_circle_of_a_wide_group_on_any_device() {
    let mut world = World::with(&["anne", "claire", "david"]).await;
    let mut bruno = stranger(&world, "bruno").await;
    let mut group = world.conversation("Territoire", &[0, 1]).await;
    invite(&mut world, 0, group, "bruno").await.unwrap();
    administer(&mut world, group, &["anne", "bruno"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    for kind in [CIRCLE, DIRECT] {
        catch_up(&mut world, 0, &mut bruno, group).await;
        profess(&mut bruno, group, kind, "dit").await;
        read(&mut world, &[0, 1], group, "dit").await;
        // Who was there before, who comes after and hears it from a member, and who stops in between agree.
        invite(&mut world, 1, group, "david").await.unwrap();
        world.all_at_one_epoch(group, &[0, 1, 2]).await;
        world.devices[1].crash();
        world.devices[1].open();
        for device in 0..3 {
            let known = profile(&mut world, device, group);
            assert_eq!((known.title.as_str(), known.thread), ("Territoire", ThreadKind::Conversation));
            assert!(is_wide(name_patient(&mut world, device, group).await), "device {device}");
        }
        if kind == CIRCLE {
            group = world.conversation("Territoire", &[0, 1]).await;
            invite(&mut world, 0, group, "bruno").await.unwrap();
            administer(&mut world, group, &["anne", "bruno"]).await;
            world.all_at_one_epoch(group, &[0, 1]).await;
        }
    }
    // What it may say, it says.
    catch_up(&mut world, 0, &mut bruno, group).await;
    profess(&mut bruno, group, CONVERSATION, "encore").await;
    read(&mut world, &[0, 1, 2], group, "encore").await;
    for device in 0..3 {
        assert_eq!(profile(&mut world, device, group).title, "Autrement dit");
    }
}

#[tokio::test]
async fn a_changed_client_of_an_administrator_takes_no_rule_off_a_circle() {
    let mut world = World::with(&["anne", "claire", "david"]).await;
    let mut bruno = stranger(&world, "bruno").await;
    let group = open(&mut world, 0, circle(HistoryPolicy::All)).await;
    admit(&mut world, group, entry("claire", CircleBasis::SameTeam), 1).await;
    let added = entry("bruno", CircleBasis::SameTeam);
    world.run(0, Command::AddToCircle { group, entry: Box::new(added) }).await.unwrap();
    administer(&mut world, group, &["anne", "bruno", "claire"]).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    catch_up(&mut world, 0, &mut bruno, group).await;
    profess(&mut bruno, group, CONVERSATION, "dit").await;
    read(&mut world, &[0, 1], group, "dit").await;
    for device in [0, 1] {
        assert_eq!(refusal(invite(&mut world, device, group, "david").await), Refusal::NoBasis);
        assert_eq!(profile(&mut world, device, group).thread, ThreadKind::PatientCircle);
    }
    // The newcomer reads that message in the history that he is given, and believes it as little.
    admit(&mut world, group, entry("david", CircleBasis::SameTeam), 2).await;
    read(&mut world, &[2], group, "dit").await;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    assert_eq!(profile(&mut world, 2, group).thread, ThreadKind::PatientCircle);
    assert_eq!(refusal(invite(&mut world, 2, group, "eric").await), Refusal::NoBasis);
    name_patient(&mut world, 2, group).await.unwrap();
    assert_eq!(world.devices[2].core().refusals(Some(group)).unwrap().len(), 1);
}

#[tokio::test]
async fn a_newcomer_believes_who_let_him_in_and_names_nobody_before_he_has_heard_him() {
    let mut world = World::with(&["anne", "david"]).await;
    let mut bruno = stranger(&world, "bruno").await;
    let group = world.conversation("Territoire", &[0]).await;
    invite(&mut world, 0, group, "bruno").await.unwrap();
    administer(&mut world, group, &["anne", "bruno"]).await;
    world.all_at_one_epoch(group, &[0]).await;
    // Anne adds David and does not learn that it is done: she says nothing yet, Bruno is faster.
    world.devices[0].lose(|frame| !matches!(frame.body, Some(Answer::Entries(_))));
    world.start(0, Command::Invite { group, users: vec![World::user("david")] });
    world.until(|world| world.devices[1].epoch_and_cursor(group).is_some()).await;
    catch_up(&mut world, 1, &mut bruno, group).await;
    profess(&mut bruno, group, DIRECT, "deux").await;
    read(&mut world, &[1], group, "deux").await;
    assert_eq!(profile(&mut world, 1, group).thread, ThreadKind::Direct, "all that he has heard");
    assert!(is_wide(name_patient(&mut world, 1, group).await));
    profess(&mut bruno, group, CIRCLE, "cercle").await;
    read(&mut world, &[1], group, "cercle").await;

    let now = world.clock.now();
    world.devices[0].lose_nothing();
    world.devices[0].disconnect(now);
    world.devices[0].online = true;
    world.until(|world| profile(world, 1, group).title == "Territoire").await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    for device in [0, 1] {
        assert_eq!(profile(&mut world, device, group).thread, ThreadKind::Conversation);
        assert!(is_wide(name_patient(&mut world, device, group).await));
    }
    // From now on nobody else is believed.
    profess(&mut bruno, group, CIRCLE, "encore").await;
    read(&mut world, &[0, 1], group, "encore").await;
    assert_eq!(profile(&mut world, 1, group).title, "Territoire");
}

#[tokio::test]
async fn what_only_calls_itself_a_circle_names_nobody_and_lets_nobody_in() {
    let mut world = World::with(&["anne", "claire"]).await;
    let mut bruno = stranger(&world, "bruno").await;
    let group = bruno.create_group().await;
    bruno.commit(group, &[World::user("anne")]).await;
    profess(&mut bruno, group, CIRCLE, "entrez").await;
    read(&mut world, &[0], group, "entrez").await;
    assert_eq!(profile(&mut world, 0, group).thread, ThreadKind::PatientCircle);
    assert!(is_wide(name_patient(&mut world, 0, group).await));
    assert_eq!(refusal(invite(&mut world, 0, group, "claire").await), Refusal::NoBasis);
    let journal = world.devices[0].core().refusals(Some(group)).unwrap();
    assert_eq!(
        journal.iter().map(|record| record.user.as_str()).collect::<Vec<_>>(),
        [World::user("claire").as_str()]
    );
    // What names nobody is said there as anywhere.
    world.send(0, group, "bonjour");
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    bruno.reads(group, "bonjour").await;
}

#[tokio::test]
async fn nobody_third_enters_a_direct_thread_and_beside_one_put_in_by_force_no_patient_is_named() {
    let mut world = World::with(&["anne", "claire"]).await;
    let mut bruno = stranger(&world, "bruno").await;
    let group = match world.run(0, Command::DirectWith { user: World::user("bruno") }).await {
        Ok(Outcome::DirectThread(group)) => group,
        other => panic!("{other:?}"),
    };
    world
        .until(|world| world.devices[0].epoch_and_cursor(group).is_some_and(|(epoch, _, _)| epoch > 0))
        .await;
    name_patient(&mut world, 0, group).await.unwrap();
    world.all_at_one_epoch(group, &[0]).await;
    assert_eq!(refusal(invite(&mut world, 0, group, "claire").await), Refusal::ThirdInDirect);
    let journal = world.devices[0].core().refusals(Some(group)).unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 2);
    // Inviting who is there, with a further device perhaps, is nothing new.
    invite(&mut world, 0, group, "bruno").await.unwrap();

    // Anne names the patient again without a connection; meanwhile Bruno's changed client adds Claire.
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    name_patient(&mut world, 0, group).await.unwrap();
    catch_up(&mut world, 0, &mut bruno, group).await;
    bruno.commit(group, &[World::user("claire")]).await;
    world.devices[0].online = true;
    let denied = |event: &Event| matches!(event, Event::MessageRefused { reason: RefusedReason::Denied, .. });
    world.until(|world| world.devices[0].saw(denied)).await;
    assert!(is_wide(name_patient(&mut world, 0, group).await));
    world.send(0, group, "qui est là ?");
    read(&mut world, &[1], group, "qui est là ?").await;
    let heard =
        |event: &Event| matches!(event, Event::MessageReceived(message) if message.body.about_patient());
    assert!(!world.devices[1].saw(heard), "nothing about the patient has reached the third");
    assert!(is_wide(name_patient(&mut world, 1, group).await));
}

#[tokio::test]
async fn a_circle_that_is_on_its_way_to_the_hub_is_one_already() {
    let mut world = World::with(&["anne"]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    let new: NewCircle = circle(HistoryPolicy::Nothing);
    world.start(0, Command::OpenCircle(Box::new(new)));
    let group = world.devices[0].core().groups().unwrap().remove(0).group;
    name_patient(&mut world, 0, group).await.unwrap();
    world.devices[0].online = true;
    world.until(|world| world.devices[0].core().circle(group).unwrap().is_some()).await;
    world.all_at_one_epoch(group, &[0]).await;
    assert!(!world.devices[0].saw(|event| matches!(event, Event::MessageRefused { .. })));
}
