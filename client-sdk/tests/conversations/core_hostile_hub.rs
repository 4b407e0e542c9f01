//! A hub that misbehaves towards real devices: it hands out wrong keys, certificates and group states, repeats,
//! withholds and reorders entries, proposes what it may not, forges commits and splits a group.
//! docs/threat-model.md names these tests line by line.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use cercle_proto::{
    frame,
    id::GroupId,
    v1::{self, EntryKind, client_frame, server_frame::Body},
};
use cercle_sdk::{
    core::{Command, Input},
    error::Error,
    event::{Actor, Event, GapReason, MembershipChange},
};
use openmls::{
    extensions::SenderExtensionIndex,
    messages::external_proposals::ExternalProposal,
    prelude::{
        KeyPackage, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion,
        tls_codec::{DeserializeBytes as _, Serialize as _},
    },
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;

use super::{
    core_world::World,
    interop_peer::{Line, enrol},
};

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

fn changes(world: &World, device: usize) -> Vec<MembershipChange> {
    let change = |event: &Event| match event {
        Event::MembershipChanged(change) => Some(change.clone()),
        _ => None,
    };
    world.devices[device].events.iter().filter_map(change).collect()
}

/// Takes a key package of a device out of the hub's stock, as the hub itself can.
async fn key_package_of(world: &mut World, device: usize, claim: u8) -> v1::ClaimedKeyPackage {
    let identity = world.devices[device].core().identity().unwrap();
    let wanted = vec![(identity.user, identity.device)];
    let claimer = world.devices[0].core().identity().unwrap().device;
    let now = world.clock.now();
    let taken = world.services.store.claim(claimer, [claim; 16], wanted, now).await.unwrap().remove(0);
    v1::ClaimedKeyPackage {
        user: taken.user.as_str().to_owned(),
        device: taken.device.to_bytes(),
        key_package: taken.body,
        last_resort: false,
    }
}

/// The hub says what it likes: entries at the next places of the device's log.
fn deliver(world: &mut World, device: usize, group: GroupId, entries: Vec<v1::Entry>) {
    let (_, cursor, _) = world.devices[device].epoch_and_cursor(group).unwrap();
    let places = (cursor + 1..).zip(entries);
    let entries = places.map(|(seq, entry)| v1::Entry { seq, ..entry }).collect();
    let entries = v1::Entries { group: group.to_bytes(), wave: 0, entries };
    let now = world.clock.now();
    world.devices[device].handle(Input::Frame(frame::server(0, Body::Entries(entries))), now);
}

/// Keeps a copy of every entry that a device gets.
fn listen(world: &mut World, device: usize) -> Rc<RefCell<Vec<v1::Entry>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let ear = Rc::clone(&heard);
    world.devices[device].lose(move |frame| {
        if let Some(Body::Entries(entries)) = &frame.body {
            ear.borrow_mut().extend(entries.entries.iter().cloned());
        }
        true
    });
    heard
}

/// Keeps what a device gets of a group from here, and says that nothing comes.
fn withhold(world: &mut World, device: usize) -> Rc<RefCell<Vec<v1::Entry>>> {
    let held = Rc::new(RefCell::new(Vec::new()));
    let hand = Rc::clone(&held);
    world.devices[device].lose(move |frame| match &frame.body {
        Some(Body::Entries(entries)) => {
            hand.borrow_mut().extend(entries.entries.iter().cloned());
            false
        }
        _ => true,
    });
    held
}

async fn until_held(world: &mut World, held: &Rc<RefCell<Vec<v1::Entry>>>, count: usize) {
    let held = Rc::clone(held);
    world.until(move |_| held.borrow().len() >= count).await;
}

/// Cuts the first commit of another member short; false if there is none.
fn cut_first_commit(entries: &mut v1::Entries) -> bool {
    let commit = |entry: &&mut v1::Entry| entry.kind == i32::from(EntryKind::Commit) && !entry.mls.is_empty();
    let Some(entry) = entries.entries.iter_mut().find(commit) else { return false };
    entry.mls = entry.mls.slice(..entry.mls.len() / 2);
    true
}

/// Counts the commits that a device sends.
fn count_commits(world: &mut World, device: usize) -> Rc<RefCell<usize>> {
    let commits = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&commits);
    world.devices[device].keep_sent = Some(Box::new(move |frame| {
        *counter.borrow_mut() += usize::from(matches!(frame.body, Some(client_frame::Body::CommitBundle(_))));
        true
    }));
    commits
}

// --- keys and certificates

/// The hub was asked for bruno's keys and answers with somebody else's, in every way it can.
#[tokio::test]
async fn key_packages_of_somebody_else_are_refused_and_nobody_is_added() {
    let mut world = World::with(&["anne", "bruno", "mallory"]).await;
    let group = world.conversation("A", &[0]).await;
    let mallory = key_package_of(&mut world, 2, 1).await;
    let bruno = key_package_of(&mut world, 1, 2).await;
    let mut damaged = bruno.clone();
    let mut bytes = damaged.key_package.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    damaged.key_package = bytes.into();
    let answers = [
        // Under bruno's name, of bruno's device, but the keys are mallory's.
        vec![v1::ClaimedKeyPackage { key_package: mallory.key_package.clone(), ..bruno.clone() }],
        // Openly mallory's, beside bruno's or in its place.
        vec![bruno.clone(), mallory.clone()],
        vec![mallory.clone()],
        // Changed on the way.
        vec![damaged],
    ];
    for answer in answers {
        let commits = count_commits(&mut world, 0);
        let key_packages = answer.clone();
        world.devices[0].lose(move |frame| {
            if let Some(Body::KeyPackages(packages)) = &mut frame.body {
                packages.key_packages.clone_from(&key_packages);
            }
            true
        });
        let result = world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await;
        assert!(matches!(result, Err(Error::KeyPackageRefused(_) | Error::Mls(_))), "{result:?}");
        assert_eq!(*commits.borrow(), 0, "nothing of it left the device");
        assert_eq!(world.devices[0].core().members(group).unwrap().len(), 1);
    }
    world.devices[0].lose_nothing();
    world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 2, "bruno, and nobody else");
}

/// A device is said to need help; the keys given out for it are another's.
#[tokio::test]
async fn a_device_is_not_exchanged_for_another_when_it_is_added_again() {
    let mut world = World::with(&["anne", "bruno", "mallory"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let mallory = key_package_of(&mut world, 2, 1).await;
    let commits = count_commits(&mut world, 0);
    let asked = Rc::new(RefCell::new(0));
    let count = Rc::clone(&asked);
    world.devices[0].lose(move |frame| {
        if let Some(Body::KeyPackages(packages)) = &mut frame.body {
            packages.key_packages = vec![mallory.clone()];
            *count.borrow_mut() += 1;
        }
        true
    });
    let bruno = world.devices[1].core().identity().unwrap();
    let event = v1::MembershipEvent {
        group: group.to_bytes(),
        user: bruno.user.as_str().to_owned(),
        device: bruno.device.to_bytes(),
        kind: v1::membership_event::Kind::NeedsReAdd.into(),
    };
    let now = world.clock.now();
    world.devices[0].handle(Input::Frame(frame::server(0, Body::MembershipEvent(event))), now);
    world.until(move |_| *asked.borrow() > 0).await;
    world.turns(50).await;
    assert_eq!(*commits.borrow(), 0);
    let members = world.devices[0].core().members(group).unwrap();
    assert!(members.iter().all(|member| member.user != World::user("mallory")));
}

/// The hub issues certificates, so it can make one more device for bruno. Nothing stops that; everybody sees it.
#[tokio::test]
async fn a_device_that_the_hub_made_for_a_user_is_added_with_his_and_shown_to_all() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let spy = world.enrol("bruno").await;
    let group = world.conversation("A", &[0, 1]).await;
    let seen = world.devices[0].core().members(group).unwrap();
    let of_bruno = seen.iter().filter(|member| member.user == World::user("bruno")).count();
    assert_eq!(of_bruno, 2, "a second device of bruno's is in the list of members");
    let spy_device = world.devices[spy].core().identity().unwrap().device;
    assert!(changes(&world, 0).iter().any(|change| change.joined && change.device == spy_device));
}

/// At the enrolment and at every sign-in the hub hands out certificates: only the right ones are taken.
#[tokio::test]
async fn a_certificate_for_another_key_device_or_user_is_not_taken() {
    let mut world = World::with(&["anne", "mallory"]).await;
    let other = {
        let copied = Rc::new(RefCell::new(Bytes::new()));
        let hand = Rc::clone(&copied);
        world.devices[1].lose(move |frame| {
            if let Some(Body::Authenticated(session)) = &frame.body {
                *hand.borrow_mut() = session.certificate.clone();
            }
            true
        });
        let now = world.clock.now();
        world.devices[1].disconnect(now);
        world.devices[1].online = true;
        world.until(|_| !copied.borrow().is_empty()).await;
        copied.take()
    };
    let invitation = world.invite("bruno").await;
    let bruno = world.install("bruno", &invitation);
    let certificate = other.clone();
    world.devices[bruno].lose(move |frame| {
        if let Some(Body::CertificateIssued(issued)) = &mut frame.body {
            issued.certificate = certificate.clone();
        }
        true
    });
    world.until(|world| !world.devices[bruno].disconnects.is_empty()).await;
    assert_eq!(world.devices[bruno].disconnects, ["Untrusted"]);
    assert!(world.devices[bruno].core().identity().is_none());

    // A device that has its own keeps it.
    let before = world.devices[0].core().identity().unwrap();
    world.devices[0].lose(move |frame| {
        if let Some(Body::Authenticated(session)) = &mut frame.body {
            session.certificate = other.clone();
        }
        true
    });
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.devices[0].events.clear();
    world.devices[0].online = true;
    world.until(|world| world.devices[0].saw(|event| *event == Event::Connected)).await;
    assert_eq!(world.devices[0].core().identity().unwrap(), before);
}

// --- the state of a group

#[tokio::test]
async fn a_group_state_of_another_epoch_or_group_is_not_joined() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let other = world.conversation("B", &[0, 1]).await;
    let of_group = world.services.store.group(group).await.unwrap().unwrap().group_info;
    let of_other = world.services.store.group(other).await.unwrap().unwrap().group_info;
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;

    // The first answer is the state of an earlier epoch, the second that of another group, the third is right.
    let mut answers = 0;
    let mut damaged = false;
    world.devices[1].lose(move |frame| {
        match &mut frame.body {
            Some(Body::GroupInfo(info)) => {
                answers += 1;
                match answers {
                    1 => info.group_info = of_group.clone(),
                    2 => info.group_info = of_other.clone(),
                    _ => {}
                }
            }
            Some(Body::Entries(entries)) => {
                damaged = damaged || cut_first_commit(entries);
            }
            _ => {}
        }
        true
    });
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(1, group, "whole again");
    world.reads(0, group, &["whole again"]).await;
}

// --- repeated, withheld and reordered entries

#[tokio::test]
async fn entries_that_are_repeated_change_nothing() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let other = world.conversation("B", &[0, 1]).await;
    let heard = listen(&mut world, 1);
    world.send(0, group, "once");
    world.reads(1, group, &["once"]).await;
    let message = heard.borrow().iter().find(|entry| entry.kind == 1).cloned().unwrap();

    // The same entry at its own place; then as if it were new, under its own and under another id.
    let (epoch, cursor, _) = world.devices[1].epoch_and_cursor(group).unwrap();
    let again = v1::Entries { group: group.to_bytes(), wave: 0, entries: vec![message.clone()] };
    let now = world.clock.now();
    world.devices[1].handle(Input::Frame(frame::server(0, Body::Entries(again))), now);
    assert_eq!(world.devices[1].epoch_and_cursor(group).unwrap().1, cursor);
    let renamed = v1::Entry { message_id: vec![9; 16].into(), ..message.clone() };
    deliver(&mut world, 1, group, vec![message.clone(), renamed.clone()]);
    // And in another group.
    deliver(&mut world, 1, other, vec![renamed]);
    assert_eq!(world.devices[1].texts(group), ["once"]);
    assert!(world.devices[1].texts(other).is_empty());
    assert_eq!(world.devices[1].epoch_and_cursor(group).unwrap().0, epoch);
    let said: u64 = gaps(&world, 1).iter().map(|(skipped, _)| skipped).sum();
    assert!(said >= 2, "what could not be read was said: {:?}", gaps(&world, 1));
}

#[tokio::test]
async fn an_old_commit_that_is_repeated_is_reported_and_leads_nowhere() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let heard = listen(&mut world, 1);
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    let commit = heard.borrow().iter().find(|entry| entry.kind == 2).cloned().unwrap();
    let repeated = v1::Entry { message_id: vec![9; 16].into(), ..commit };
    deliver(&mut world, 1, group, vec![repeated]);
    assert!(
        world.devices[1]
            .saw(|event| matches!(event, Event::Recovering { reason: GapReason::InvalidCommit, .. }))
    );
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(1, group, "still here");
    world.reads(0, group, &["still here"]).await;
}

/// What does not hold: a hub that leaves a message out and closes the numbers up is not found out by the reader.
#[tokio::test]
async fn a_message_that_the_hub_leaves_out_and_numbers_over_is_missed_in_silence() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let held = withhold(&mut world, 1);
    world.send(0, group, "one");
    world.send(0, group, "two");
    until_held(&mut world, &held, 2).await;
    let entries = held.borrow().clone();
    deliver(&mut world, 1, group, vec![entries[1].clone()]);
    assert_eq!(world.devices[1].texts(group), ["two"]);
    assert!(gaps(&world, 1).is_empty(), "the reader cannot know");
}

/// Commits are bound together: a hub that leaves one out is noticed with the next message.
#[tokio::test]
async fn a_commit_that_the_hub_leaves_out_is_noticed_and_the_group_joined_again() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let held = withhold(&mut world, 1);
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    for text in ["one", "two", "three"] {
        world.send(0, group, text);
    }
    until_held(&mut world, &held, 4).await;
    let entries = held.borrow().clone();
    assert_eq!(entries[0].kind, i32::from(EntryKind::Commit));
    world.devices[1].lose_nothing();
    deliver(&mut world, 1, group, entries[1..].to_vec());
    assert!(!gaps(&world, 1).is_empty(), "messages that do not open are said");
    world.until(|world| recovered(world, 1)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    world.send(0, group, "four");
    world.until(|world| world.devices[1].texts(group).last().is_some_and(|text| text == "four")).await;
}

/// What does not hold: the hub decides the order of messages. Each is still read, once.
#[tokio::test]
async fn messages_in_another_order_are_each_read_once() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let held = withhold(&mut world, 1);
    world.send(0, group, "one");
    world.send(0, group, "two");
    until_held(&mut world, &held, 2).await;
    let entries = held.borrow().clone();
    deliver(&mut world, 1, group, vec![entries[1].clone(), entries[0].clone()]);
    assert_eq!(world.devices[1].texts(group), ["two", "one"]);
    assert!(gaps(&world, 1).is_empty());
}

// --- membership

/// RFC 9420 lets an external sender propose more than removals. This hub may not: a member's device commits
/// what waits without asking anybody, so a hub that could propose to add would have a device in every group.
#[tokio::test]
async fn a_hub_that_proposes_to_add_a_device_is_not_obeyed() {
    let mut world = World::with(&["anne", "bruno", "mallory"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let (epoch, ..) = world.devices[0].epoch_and_cursor(group).unwrap();
    let package = key_package_of(&mut world, 2, 1).await;
    let message = MlsMessageIn::tls_deserialize_exact_bytes(&package.key_package).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { panic!("no key package") };
    let provider = OpenMlsRustCrypto::default();
    let package: KeyPackage = package.validate(provider.crypto(), ProtocolVersion::Mls10).unwrap();
    let proposal = ExternalProposal::new_add::<OpenMlsRustCrypto>(
        package,
        openmls::group::GroupId::from_slice(group.as_bytes()),
        epoch.into(),
        &world.sender,
        SenderExtensionIndex::new(0),
    );
    let entry = hub_proposal(proposal.unwrap().tls_serialize_detached().unwrap(), epoch);
    let commits = [count_commits(&mut world, 0), count_commits(&mut world, 1)];
    for device in 0..2 {
        deliver(&mut world, device, group, vec![entry.clone()]);
        assert_eq!(gaps(&world, device), [(1, GapReason::Undecryptable)], "what is ignored is said");
    }
    // Longer than anybody would wait before committing it.
    let until = world.clock.now() + 120_000;
    world.until(|world| world.clock.now() >= until).await;
    assert_eq!(commits.map(|count| *count.borrow()), [0, 0]);
    for device in 0..2 {
        assert_eq!(world.devices[device].core().members(group).unwrap().len(), 2);
    }
}

fn hub_proposal(mls: Vec<u8>, epoch: u64) -> v1::Entry {
    v1::Entry {
        seq: 0,
        kind: EntryKind::Proposal.into(),
        epoch,
        sender: Bytes::new(),
        message_id: vec![8; 16].into(),
        at_ms: 1,
        mls: mls.into(),
    }
}

/// What does not hold: the hub can have anybody removed. Everybody sees that it was the hub.
#[tokio::test]
async fn a_removal_that_the_hub_wants_is_carried_out_and_said_to_be_the_hubs() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let device = world.devices[2].core().identity().unwrap().device;
    let now = world.clock.now();
    world.services.store.revoke(device, now).await.unwrap();
    world.services.dispatch.delivery.propose_removals(device, now).await.unwrap();
    world.until(|world| world.devices[0].core().members(group).unwrap().len() == 2).await;
    let by_hub = |change: &MembershipChange| !change.joined && change.by == Actor::Hub;
    assert!(changes(&world, 0).iter().any(by_hub) || changes(&world, 1).iter().any(by_hub));
}

/// A stranger joins by an external commit, and the hub passes it on.
#[tokio::test]
async fn a_stranger_s_external_commit_is_refused_by_every_member() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let invitation = world.invite("mallory").await;
    let (out, frames) = world.raw();
    let mut mallory = enrol(Line { out, frames }, &invitation).await;
    // The hub gives the stranger what only members' devices get.
    let identity = world.devices[0].core().identity().unwrap();
    let info = {
        let answer = Rc::new(RefCell::new(None));
        let hand = Rc::clone(&answer);
        let mut damaged = false;
        world.devices[1].lose(move |frame| {
            match &mut frame.body {
                Some(Body::GroupInfo(info)) => *hand.borrow_mut() = Some(info.clone()),
                Some(Body::Entries(entries)) if !damaged => {
                    damaged = true;
                    let entry = entries.entries.last_mut().unwrap();
                    entry.mls = entry.mls.slice(..entry.mls.len() / 2);
                }
                _ => {}
            }
            true
        });
        world.run(0, Command::UpdateKeys { group }).await.unwrap();
        world.until(|world| recovered(world, 1)).await;
        world.all_at_one_epoch(group, &[0, 1]).await;
        answer.take().unwrap()
    };
    let (epoch, ..) = world.devices[0].epoch_and_cursor(group).unwrap();
    assert_eq!(info.epoch + 1, epoch, "bruno's own external commit came after it");
    let newest = world.services.store.group(group).await.unwrap().unwrap();
    assert_eq!(newest.epoch, epoch);
    let now = world.clock.now();
    let current = world.services.dispatch.delivery.group_info(&on_the_hub(&identity), group, now).await;
    let current = current.unwrap();
    let commit = mallory.forge_external_commit(&current.group_info, &current.ratchet_tree);
    let entry = v1::Entry {
        seq: 0,
        kind: EntryKind::Commit.into(),
        epoch,
        sender: vec![0x66; 16].into(),
        message_id: vec![7; 16].into(),
        at_ms: 1,
        mls: commit.into(),
    };
    deliver(&mut world, 0, group, vec![entry]);
    let members = world.devices[0].core().members(group);
    assert!(members.unwrap().iter().all(|member| member.user != World::user("mallory")));
    assert!(
        world.devices[0]
            .saw(|event| matches!(event, Event::Recovering { reason: GapReason::InvalidCommit, .. }))
    );
    world.until(|world| recovered(world, 0)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 2);
}

/// A device as the hub knows it.
fn on_the_hub(identity: &cercle_sdk::core::Identity) -> cercle_server::auth::Identity {
    let (user, device) = (identity.user.clone(), identity.device);
    cercle_server::auth::Identity { user, device, roles: Vec::new(), certificate_expired: false }
}

/// Two members commit in the same epoch; the hub shows one commit to some and the other to the rest.
#[tokio::test]
async fn a_device_that_was_led_onto_another_branch_notices_and_comes_back() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    // Bruno's commit does not reach the others: the hub keeps it for claire alone.
    let kept = Rc::new(RefCell::new(None));
    let hand = Rc::clone(&kept);
    world.devices[1].keep_sent = Some(Box::new(move |frame| match &frame.body {
        Some(client_frame::Body::CommitBundle(bundle)) => {
            *hand.borrow_mut() = Some(bundle.clone());
            false
        }
        _ => true,
    }));
    world.start(1, Command::UpdateKeys { group });
    world.until(|_| kept.borrow().is_some()).await;
    let bundle = kept.borrow().clone().unwrap();
    let bruno = world.devices[1].core().identity().unwrap().device;
    let (epoch, ..) = world.devices[2].epoch_and_cursor(group).unwrap();
    let entry = v1::Entry {
        seq: 0,
        kind: EntryKind::Commit.into(),
        epoch,
        sender: bruno.to_bytes(),
        message_id: bundle.message_id.clone(),
        at_ms: 1,
        mls: bundle.commit.clone(),
    };
    deliver(&mut world, 2, group, vec![entry]);
    assert_eq!(world.devices[2].epoch_and_cursor(group).unwrap().0, epoch + 1);
    // Everybody else follows anne's.
    world.run(0, Command::UpdateKeys { group }).await.unwrap();
    let branches = [0, 2].map(|device| world.devices[device].epoch_and_cursor(group).unwrap());
    assert_eq!(branches[0].0, branches[1].0);
    assert_ne!(branches[0].2, branches[1].2, "two branches of one epoch");
    for text in ["one", "two", "three", "four"] {
        world.send(0, group, text);
    }
    world.until(|world| recovered(world, 2)).await;
    let forked = |event: &Event| matches!(event, Event::Recovering { reason: GapReason::Fork, .. });
    assert!(world.devices[2].saw(forked));
    assert!(!gaps(&world, 2).is_empty(), "what could not be read is said");
    world.devices[1].crash();
    world.devices[1].open();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.send(2, group, "together");
    world
        .until(|world| {
            (0..2).all(|device| {
                world.devices[device].texts(group).last().is_some_and(|text| text == "together")
            })
        })
        .await;
}
