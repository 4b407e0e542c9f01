//! Two devices of one user: what is said while the second comes in, and what one of them has taken on.

use std::{cell::RefCell, rc::Rc};

use cercle_proto::{
    ErrorCode, frame,
    id::{DeviceId, GroupId, MessageId},
    invitation::Invitation,
    v1::{self, client_frame::Body as Sent, server_frame::Body as Answer},
};
use cercle_sdk::{
    core::{Ask, BoardFilter, Outcome, Part},
    error::Error,
    event::{Event, GapReason},
    message::{Body, RequestId},
    thread::requests::{Refusal, State},
};
use cercle_server::auth::{Identity, InvitationRequest, Inviter};
use cercle_storage::store::{Append, Kind};

use super::{
    core_requests::{agree, ask, ask_with, claim, complete, patient, step, visit},
    core_world::World,
};

const PHONE: usize = 1;
const TABLET: usize = 2;

/// Another device of Bruno's, with an invitation of its own, in all of his groups.
async fn tablet(world: &mut World, groups: &[GroupId]) {
    let tablet = world.enrol("bruno").await;
    assert_eq!(tablet, TABLET);
    for group in groups {
        let joined = |event: &Event| matches!(event, Event::GroupJoined { group: of } if of == group);
        world.until(|world| world.devices[TABLET].saw(joined)).await;
    }
}

async fn reads_as_far_as_the_tablet(world: &mut World, device: usize, group: GroupId) {
    let same = |world: &mut World| {
        let place = world.devices[device].epoch_and_cursor(group);
        place.is_some() && place == world.devices[TABLET].epoch_and_cursor(group)
    };
    world.until(same).await;
}

fn gaps(world: &World, device: usize) -> Vec<(u64, GapReason)> {
    let gap = |event: &Event| match event {
        Event::Gap { skipped, reason, .. } => Some((*skipped, *reason)),
        _ => None,
    };
    world.devices[device].events.iter().filter_map(gap).collect()
}

/// Keeps the messages that a device sends from reaching the hub.
fn intercept(world: &mut World, device: usize) -> Rc<RefCell<Vec<v1::ClientFrame>>> {
    let caught: Rc<RefCell<Vec<v1::ClientFrame>>> = Rc::default();
    let catching = caught.clone();
    world.devices[device].keep_sent = Some(Box::new(move |frame| {
        let caught = matches!(frame.body, Some(Sent::SendApplication(_)));
        if caught {
            catching.borrow_mut().push(frame.clone());
        }
        !caught
    }));
    caught
}

#[tokio::test]
async fn messages_on_their_way_while_a_further_device_comes_in_reach_it_once_and_in_order() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, PHONE]).await;
    let caught = intercept(&mut world, 0);
    world.send(0, group, "croisé");
    world.send(0, group, "croisé aussi");
    world.until(|_| caught.borrow().len() == 2).await;
    // Bruno's tablet comes in before the hub gets them.
    tablet(&mut world, &[group]).await;
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.devices[0].lose_nothing();
    world.devices[0].online = true;
    world.send(0, group, "après");
    let expected = ["croisé", "croisé aussi", "après"];
    world.reads(TABLET, group, &expected).await;
    world.reads(PHONE, group, &expected).await;
    world.all_at_one_epoch(group, &[0, PHONE, TABLET]).await;
    for device in [PHONE, TABLET] {
        assert_eq!(gaps(&world, device), [], "{}", world.devices[device].name);
    }
    let refused = world.devices[0].errors.iter().map(|error| error.code);
    assert!(refused.clone().all(|code| code == ErrorCode::EpochStale.number()));
    assert!(refused.count() > 0, "the hub had to refuse what the tablet could not open");
}

#[tokio::test]
async fn a_message_that_is_refused_when_its_sender_has_read_why_is_said_again_at_once() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, PHONE]).await;
    let caught = intercept(&mut world, 0);
    world.send(0, group, "croisé");
    world.until(|_| caught.borrow().len() == 1).await;
    tablet(&mut world, &[group]).await;
    reads_as_far_as_the_tablet(&mut world, 0, group).await;
    // A slow line: what she said gets to the hub only after she has read of the tablet.
    world.devices[0].lose_nothing();
    let late = caught.borrow()[0].clone();
    let line = world.devices[0].connection.as_mut().unwrap();
    line.unanswered.insert(late.request);
    line.out.try_send(frame::encode(&late)).unwrap();
    for device in [PHONE, TABLET] {
        world.reads(device, group, &["croisé"]).await;
    }
    assert!(world.devices[0].disconnects.is_empty(), "on the same connection");
}

#[tokio::test]
async fn a_hub_that_takes_a_message_across_the_coming_of_a_device_leaves_a_gap_that_is_said() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, PHONE]).await;
    let caught = intercept(&mut world, 0);
    world.send(0, group, "croisé");
    world.until(|_| caught.borrow().len() == 1).await;
    tablet(&mut world, &[group]).await;
    reads_as_far_as_the_tablet(&mut world, PHONE, group).await;
    let now = world.clock.now();
    world.devices[TABLET].disconnect(now);
    // As a hub that knows no such rule: the message of the epoch before is the next entry.
    let Some(Sent::SendApplication(send)) = caught.borrow()[0].body.clone() else { panic!() };
    let record = world.services.store.group(group).await.unwrap().unwrap();
    let members = world.services.store.roster(group).await.unwrap();
    let anne = members.iter().find(|member| member.user == World::user("anne")).unwrap().device;
    let append = append(&world, group, anne, &send, record.epoch);
    world.services.store.append(vec![append]).await.remove(0).unwrap();
    world.devices[TABLET].online = true;
    world.until(|world| !gaps(world, TABLET).is_empty()).await;
    assert_eq!(gaps(&world, TABLET), [(1, GapReason::Undecryptable)]);
    // One message is no reason to come in again.
    let again = |event: &Event| matches!(event, Event::Recovering { .. });
    assert!(!world.devices[TABLET].saw(again));
}

fn append(world: &World, group: GroupId, device: DeviceId, send: &v1::SendApplication, epoch: u64) -> Append {
    Append {
        group,
        sender: Some(device),
        message_id: MessageId::try_from(&send.message_id).unwrap(),
        kind: Kind::Application,
        epoch,
        epochs_behind_max: 0,
        at: world.clock.now(),
        body: send.mls.clone(),
        group_state: None,
        blobs: Vec::new(),
    }
}

/// What a device shows as its user's to do: the requests, and how far each is.
fn to_do(world: &mut World, device: usize) -> Vec<(RequestId, State)> {
    let filter = BoardFilter { part: Part::ToDo, ..BoardFilter::default() };
    let now = world.clock.now();
    let rows = world.devices[device].core().board(&filter, now).unwrap();
    rows.into_iter().map(|row| (row.request, row.state)).collect()
}

fn lost(event: &Event) -> bool {
    matches!(event, Event::RequestLost { .. })
}

#[tokio::test]
async fn what_one_device_has_taken_on_is_to_do_on_the_other_too_also_if_that_was_away() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Secteur", &[0, PHONE]).await;
    tablet(&mut world, &[group]).await;
    let all = [0, PHONE, TABLET];
    let first = ask(&mut world, 0, &[group], visit()).await;
    agree(&mut world, &all, group, first, State::Open).await;
    world.run(PHONE, step(first, claim())).await.unwrap();
    let claimed = agree(&mut world, &all, group, first, State::Claimed).await;
    assert_eq!(claimed.standing.owner.unwrap().user, World::user("bruno"));
    assert_eq!(to_do(&mut world, TABLET), [(first, State::Claimed)]);
    // While the tablet is away, one is done and another is taken on.
    let now = world.clock.now();
    world.devices[TABLET].disconnect(now);
    let second = ask(&mut world, 0, &[group], visit()).await;
    agree(&mut world, &[0, PHONE], group, second, State::Open).await;
    world.run(PHONE, step(first, complete())).await.unwrap();
    world.run(PHONE, step(second, claim())).await.unwrap();
    agree(&mut world, &[0, PHONE], group, second, State::Claimed).await;
    assert_eq!(to_do(&mut world, TABLET), [(first, State::Claimed)], "as it was");
    world.devices[TABLET].crash();
    world.devices[TABLET].open();
    world.devices[TABLET].online = true;
    agree(&mut world, &all, group, second, State::Claimed).await;
    assert_eq!(to_do(&mut world, TABLET), [(second, State::Claimed)]);
    // It goes on where the phone was: it is one owner, not two.
    let refused = world.run(TABLET, step(second, claim())).await;
    assert!(
        matches!(refused, Err(Error::Request(Refusal::Owned(owner))) if owner.user == World::user("bruno"))
    );
    world.run(TABLET, step(second, complete())).await.unwrap();
    agree(&mut world, &all, group, second, State::Completed).await;
    assert_eq!(to_do(&mut world, PHONE), []);
}

#[tokio::test]
async fn both_devices_claim_at_the_same_time_and_neither_is_told_that_it_lost() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let north = world.conversation("Nord", &[0, PHONE]).await;
    let south = world.conversation("Sud", &[0]).await;
    tablet(&mut world, &[north]).await;
    let all = [0, PHONE, TABLET];
    for groups in [vec![north], vec![north, south]] {
        let about = Ask { request: visit(), groups, widening: Vec::new(), patient: Some(patient()) };
        let id = ask_with(&mut world, 0, about).await;
        agree(&mut world, &all, north, id, State::Open).await;
        world.start(PHONE, step(id, claim()));
        world.start(TABLET, step(id, claim()));
        let claimed = agree(&mut world, &all, north, id, State::Claimed).await;
        assert_eq!(claimed.standing.owner.unwrap().user, World::user("bruno"));
        world.all_at_one_epoch(north, &all).await;
        for device in [PHONE, TABLET] {
            assert!(to_do(&mut world, device).contains(&(id, State::Claimed)));
            assert!(!world.devices[device].saw(lost));
        }
    }
}

#[tokio::test]
async fn a_request_won_by_a_device_that_never_came_to_say_so_is_said_by_the_other() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let north = world.conversation("Nord", &[0, PHONE]).await;
    let south = world.conversation("Sud", &[0]).await;
    tablet(&mut world, &[north]).await;
    let about =
        Ask { request: visit(), groups: vec![north, south], widening: Vec::new(), patient: Some(patient()) };
    let id = ask_with(&mut world, 0, about).await;
    agree(&mut world, &[0, PHONE, TABLET], north, id, State::Open).await;
    // The hub has decided for the phone, which falls into the water before it hears of it.
    let decided = Rc::new(RefCell::new(false));
    let hears = decided.clone();
    world.devices[PHONE].lose(move |frame| {
        let verdict = matches!(frame.body, Some(Answer::RegisterClaimed(_)));
        *hears.borrow_mut() |= verdict;
        !verdict
    });
    assert!(matches!(world.run(PHONE, step(id, claim())).await, Ok(Outcome::Claiming)));
    world.until(|_| *decided.borrow()).await;
    world.devices[PHONE].crash();
    world.run(TABLET, step(id, claim())).await.unwrap();
    let claimed = agree(&mut world, &[0, TABLET], north, id, State::Claimed).await;
    assert_eq!(claimed.standing.owner.unwrap().user, World::user("bruno"));
    assert_eq!(to_do(&mut world, TABLET), [(id, State::Claimed)]);
    assert!(!world.devices[TABLET].saw(lost));
    // And it is told whom the request is about.
    world.until(|world| knows_patient(world, TABLET)).await;
}

fn knows_patient(world: &mut World, device: usize) -> bool {
    let core = world.devices[device].core();
    let groups = core.groups().unwrap();
    groups.iter().any(|group| {
        let messages = core.messages(group.group, 0, 10_000).unwrap();
        messages.iter().any(|message| matches!(message.body, Body::Handover(_)))
    })
}

/// An invitation for Bruno, who has lost every device.
async fn replacement(world: &World) -> (Invitation, u64) {
    let request = InvitationRequest {
        user: Some("bruno".into()),
        display_name: String::new(),
        profession: String::new(),
        class: v1::MemberClass::Professional,
        roles: Vec::new(),
        valid_for_ms: None,
        lost_devices: true,
    };
    let invited = world.services.dispatch.invite(Inviter::Operator, request).await.unwrap();
    assert_eq!(invited.ended.len(), 1);
    (Invitation::parse(&invited.link).unwrap(), invited.created.expires_at)
}

fn members(world: &mut World, device: usize, group: GroupId) -> Vec<DeviceId> {
    let members = world.devices[device].core().members(group).unwrap();
    members.into_iter().map(|member| member.device).collect()
}

#[tokio::test]
async fn who_has_lost_every_device_is_in_all_groups_again_with_one_invitation() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let shared = world.conversation("À deux", &[PHONE, 0]).await;
    let alone = world.conversation("À moi", &[PHONE]).await;
    let lost = world.devices[PHONE].core().identity().unwrap().device;
    let (link, _) = replacement(&world).await;
    // The phone ends at once; whoever has it is given nothing more, while its place is kept.
    world
        .until(|world| world.devices[PHONE].disconnects.iter().any(|why| why.contains("DeviceRevoked")))
        .await;
    world.services.dispatch.delivery.housekeeping(world.clock.now()).await.unwrap();
    world.send(0, shared, "où es-tu ?");
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    world.turns(100).await;
    assert!(members(&mut world, 0, shared).contains(&lost));
    assert!(world.devices[PHONE].texts(shared).is_empty());
    // Its place is taken, without anybody else, and then it is gone everywhere.
    let tablet = world.install("bruno", &link);
    assert_eq!(tablet, TABLET);
    for group in [shared, alone] {
        world
            .until(|world| {
                let Some(core) = world.devices[TABLET].core.as_mut() else { return false };
                let own = core.identity().map(|identity| identity.device);
                let members = core.members(group).unwrap_or_default();
                members.iter().any(|member| Some(member.device) == own)
                    && members.iter().all(|member| member.device != lost)
            })
            .await;
    }
    let titled = |world: &mut World| {
        let groups = world.devices[TABLET].core().groups().unwrap();
        groups.iter().any(|summary| summary.group == shared && summary.profile.title == "À deux")
    };
    world.until(titled).await;
    world.send(0, shared, "te revoilà");
    world.reads(TABLET, shared, &["te revoilà"]).await;
    world.all_at_one_epoch(shared, &[0, TABLET]).await;
    assert!(!members(&mut world, 0, shared).contains(&lost));
}

#[tokio::test]
async fn a_place_is_kept_no_longer_than_the_invitation() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("À deux", &[0, PHONE]).await;
    let (_, until) = replacement(&world).await;
    world.devices[PHONE].crash();
    let now = world.clock.now();
    world.clock.advance(until - now - 1);
    world.services.dispatch.delivery.housekeeping(until - 1).await.unwrap();
    world.turns(100).await;
    assert_eq!(members(&mut world, 0, group).len(), 2);
    world.clock.advance(1);
    world.services.dispatch.delivery.housekeeping(until).await.unwrap();
    world.until(|world| members(world, 0, group).len() == 1).await;
}

#[tokio::test]
async fn nobody_calls_his_own_devices_lost() {
    let world = World::with(&["bruno"]).await;
    let device = world.services.store.devices_of(&World::user("bruno")).await.unwrap()[0].device;
    let by = Identity { user: World::user("bruno"), device, roles: Vec::new(), certificate_expired: false };
    let request = InvitationRequest {
        user: None,
        display_name: String::new(),
        profession: String::new(),
        class: v1::MemberClass::Professional,
        roles: Vec::new(),
        valid_for_ms: None,
        lost_devices: true,
    };
    let refused = world.services.dispatch.invite(Inviter::User(&by), request).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidField);
    assert!(world.services.store.device(device).await.unwrap().unwrap().revoked_at.is_none());
}
