//! Requests to several groups: one owner everywhere, nobody else learns whom it is about, and what the
//! device that asked owes is done once, whenever it comes back.

use std::{cell::RefCell, rc::Rc};

use cercle_proto::{id::GroupId, v1::client_frame::Body as Sent};
use cercle_sdk::{
    core::{Ask, Command},
    error::Error,
    event::{Event, Message},
    message::{Body, RequestId, request::Widening, transition::Action},
    thread::requests::{Refusal, State},
};

use super::{
    core_requests::{agree, ask_with, claim, complete, course, patient, step, visit},
    core_world::{Stop, World},
};

/// Anne asks in two groups: north with Bruno, south with Claire.
async fn two_sectors() -> (World, GroupId, GroupId) {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let north = world.conversation("Nord", &[0, 1]).await;
    let south = world.conversation("Sud", &[0, 2]).await;
    (world, north, south)
}

async fn ask_wide(world: &mut World, groups: &[GroupId]) -> RequestId {
    let ask =
        Ask { request: visit(), groups: groups.to_vec(), widening: Vec::new(), patient: Some(patient()) };
    ask_with(world, 0, ask).await
}

/// Every message that a device has.
fn messages(world: &mut World, device: usize) -> Vec<Message> {
    let groups = world.devices[device].core().groups().unwrap();
    let all =
        groups.iter().map(|group| world.devices[device].core().messages(group.group, 0, 10_000).unwrap());
    all.flatten().collect()
}

fn handovers(world: &mut World, device: usize) -> usize {
    messages(world, device).iter().filter(|message| matches!(message.body, Body::Handover(_))).count()
}

/// Whether anything that a device could decrypt names the patient.
fn knows_patient(world: &mut World, device: usize) -> bool {
    let said = messages(world, device);
    said.iter().any(|message| serde_json::to_string(&message.body).unwrap().contains("Pirineoz"))
}

#[tokio::test]
async fn two_nurses_of_two_groups_claim_the_same_visit_and_one_has_it_everywhere() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    agree(&mut world, &[0, 2], south, id, State::Open).await;
    world.start(1, step(id, claim()));
    world.start(2, step(id, claim()));
    let in_north = agree(&mut world, &[0, 1], north, id, State::Claimed).await.standing.owner.unwrap();
    let in_south = agree(&mut world, &[0, 2], south, id, State::Claimed).await.standing.owner.unwrap();
    assert_eq!(in_north.user, in_south.user);
    let (winner, loser) = if in_north.user == World::user("bruno") { (1, 2) } else { (2, 1) };
    let owner = &in_north.user;
    let lost = |event: &Event| {
        matches!(event, Event::RequestLost { request, owner: Some(told) }
            if *request == id && told.user == *owner)
    };
    world.until(|world| world.devices[loser].saw(lost)).await;
    world.until(|world| handovers(world, winner) == 1).await;
    assert!(knows_patient(&mut world, winner));
    assert!(!knows_patient(&mut world, loser), "only the owner learns whom it is about");
    let refused = world.run(loser, step(id, claim())).await;
    assert!(matches!(refused, Err(Error::Request(Refusal::Owned(told))) if told.user == *owner));

    world.run(winner, step(id, complete())).await.unwrap();
    agree(&mut world, &[0, 1], north, id, State::Completed).await;
    agree(&mut world, &[0, 2], south, id, State::Completed).await;
    let reports = messages(&mut world, loser);
    assert!(!reports.iter().any(|message| message.body.render(Default::default()).contains("Fait.")));
}

#[tokio::test]
async fn a_claim_without_the_hubs_receipt_counts_for_nobody() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    agree(&mut world, &[0, 2], south, id, State::Open).await;
    let forged = Body::Transition(Box::new(cercle_sdk::message::Transition {
        request: id,
        action: claim(),
        situation: Default::default(),
    }));
    world.run(1, Command::Send { group: north, draft: forged.into() }).await.unwrap();
    world.all_at_one_epoch(north, &[0, 1]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    // Claire wins honestly; Bruno shows her receipt as his own in his group.
    world.run(2, step(id, claim())).await.unwrap();
    let claimed = agree(&mut world, &[0, 2], south, id, State::Claimed).await;
    let stolen = claimed.history.last().unwrap().action.clone();
    let body = Body::Transition(Box::new(cercle_sdk::message::Transition {
        request: id,
        action: stolen,
        situation: Default::default(),
    }));
    world.run(1, Command::Send { group: north, draft: body.into() }).await.unwrap();
    let told = agree(&mut world, &[0, 1], north, id, State::Claimed).await;
    let owner = told.standing.owner.unwrap();
    assert_eq!((owner.user, owner.elsewhere), (World::user("claire"), true));
}

#[tokio::test]
async fn a_claim_made_offline_waits_and_is_decided_when_the_connection_is_back() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    let now = world.clock.now();
    world.devices[1].disconnect(now);
    world.run(1, step(id, claim())).await.unwrap();
    world.devices[1].crash();
    world.devices[1].open();
    let rows = world.devices[1].core().board(&Default::default(), now).unwrap();
    assert!(rows[0].claiming && rows[0].owner.is_none());
    world.devices[1].online = true;
    let claimed = agree(&mut world, &[0, 1], north, id, State::Claimed).await;
    assert_eq!(claimed.standing.owner.unwrap().user, World::user("bruno"));
    let claims = claimed.history.iter().filter(|step| step.action.name() == "claim").count();
    assert_eq!(claims, 1);
}

#[tokio::test]
async fn a_claimant_that_stops_anywhere_claims_once() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        for inputs in [1, 2, 4, 6] {
            let (mut world, north, south) = two_sectors().await;
            let id = ask_wide(&mut world, &[north, south]).await;
            agree(&mut world, &[0, 1], north, id, State::Open).await;
            world.devices[1].stop = Some((inputs, when));
            world.start(1, step(id, claim()));
            world.turns(40).await;
            world.devices[1].crash();
            world.devices[1].open();
            let claimed = agree(&mut world, &[0, 1], north, id, State::Claimed).await;
            assert_eq!(claimed.history.len(), 1, "{inputs} {when:?}");
            agree(&mut world, &[0, 2], south, id, State::Claimed).await;
        }
    }
}

#[tokio::test]
async fn the_asking_device_hands_over_and_tells_the_others_once_wherever_it_stops() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        for inputs in [2, 6, 11, 19] {
            let (mut world, north, south) = two_sectors().await;
            let id = ask_wide(&mut world, &[north, south]).await;
            agree(&mut world, &[0, 1], north, id, State::Open).await;
            agree(&mut world, &[0, 2], south, id, State::Open).await;
            // It is away when the claim is made, comes back, and stops in the middle of what it owes.
            let now = world.clock.now();
            world.devices[0].disconnect(now);
            world.run(1, step(id, claim())).await.unwrap();
            agree(&mut world, &[1], north, id, State::Claimed).await;
            world.devices[0].stop = Some((inputs, when));
            world.devices[0].online = true;
            world.turns(80).await;
            world.devices[0].crash();
            world.devices[0].open();
            let told = agree(&mut world, &[0, 2], south, id, State::Claimed).await;
            assert_eq!(told.history.len(), 1, "{inputs} {when:?}");
            world.until(|world| handovers(world, 1) == 1).await;
            world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
            world.run(1, step(id, complete())).await.unwrap();
            agree(&mut world, &[0, 2], south, id, State::Completed).await;
            assert_eq!((handovers(&mut world, 0), handovers(&mut world, 1)), (1, 1), "{inputs} {when:?}");
            assert!(!knows_patient(&mut world, 2));
        }
    }
}

#[tokio::test]
async fn a_request_that_its_owner_lets_go_can_be_had_by_somebody_of_the_other_group() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    world.run(1, step(id, claim())).await.unwrap();
    agree(&mut world, &[0, 2], south, id, State::Claimed).await;
    world.until(|world| handovers(world, 1) == 1).await;
    world.run(1, step(id, Action::Release { reason: "Panne".into() })).await.unwrap();
    agree(&mut world, &[0, 2], south, id, State::Open).await;
    world.run(2, step(id, claim())).await.unwrap();
    let in_south = agree(&mut world, &[0, 2], south, id, State::Claimed).await;
    assert_eq!(in_south.standing.owner.unwrap().user, World::user("claire"));
    let in_north = agree(&mut world, &[0, 1], north, id, State::Claimed).await;
    assert!(in_north.standing.owner.unwrap().elsewhere);
    world.until(|world| handovers(world, 2) == 1).await;
}

#[tokio::test]
async fn more_groups_are_asked_at_their_time_if_nobody_has_it_by_then() {
    let (mut world, north, south) = two_sectors().await;
    let at_ms = world.clock.now() + 3_600_000;
    let widening = vec![Widening { at_ms, groups: vec![south] }];
    let ask = Ask { request: visit(), groups: vec![north], widening, patient: Some(patient()) };
    let id = ask_with(&mut world, 0, ask.clone()).await;
    let taken = ask_with(&mut world, 0, ask).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    agree(&mut world, &[0, 1], north, taken, State::Open).await;
    world.run(1, step(taken, claim())).await.unwrap();
    agree(&mut world, &[0, 1], north, taken, State::Claimed).await;
    assert!(course(&mut world, 2, south, id).is_none());
    world.until(|world| world.devices[0].core().outbox().unwrap().is_empty()).await;
    // The device is away at that time: it decides when it is back and has read everything.
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    world.clock.advance(3_600_001);
    let now = world.clock.now();
    world.devices[0].handle(cercle_sdk::core::Input::Tick, now);
    assert!(world.devices[0].core().outbox().unwrap().is_empty());
    world.devices[0].online = true;
    agree(&mut world, &[0, 2], south, id, State::Open).await;
    assert!(course(&mut world, 2, south, taken).is_none(), "somebody had it");
    world.until(|world| course(world, 1, north, id).is_some_and(|course| course.history.len() == 1)).await;
    world.run(2, step(id, claim())).await.unwrap();
    let told = agree(&mut world, &[0, 1], north, id, State::Claimed).await;
    assert_eq!(told.standing.owner.unwrap().user, World::user("claire"));
}

#[tokio::test]
async fn the_bytes_that_leave_a_device_name_neither_patient_nor_care() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let seen: Rc<RefCell<Vec<u8>>> = Rc::default();
    for device in 0..2 {
        let seen = seen.clone();
        world.devices[device].keep_sent = Some(Box::new(move |frame| {
            seen.borrow_mut().extend(cercle_proto::frame::encode(frame));
            true
        }));
    }
    let group = world.conversation("Territoire nord", &[0, 1]).await;
    let id = ask_wide(&mut world, &[group]).await;
    agree(&mut world, &[0, 1], group, id, State::Open).await;
    world.run(1, step(id, claim())).await.unwrap();
    world.until(|world| handovers(world, 1) == 1).await;
    let seen = seen.borrow();
    let holds = |word: &str| seen.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(holds("bruno@cpts.example"), "the search finds what is there");
    for word in ["Pirineoz", "Zénobie", "Pansement", "infirmière", "65440", "Territoire"] {
        assert!(!holds(word), "{word}");
    }
}

#[tokio::test]
async fn a_hub_that_knows_no_registers_is_said_and_leaves_the_request_open() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    world.devices[1].lose(|frame| {
        use cercle_proto::v1::{Error as Refused, server_frame::Body};
        if matches!(frame.body, Some(Body::RegisterClaimed(_))) {
            let code = cercle_proto::ErrorCode::UnexpectedFrame.number();
            frame.body = Some(Body::Error(Refused { code, ..Refused::default() }));
        }
        true
    });
    world.run(1, step(id, claim())).await.unwrap();
    let failed = |event: &Event| matches!(event, Event::RequestLost { owner: None, .. });
    world.until(|world| world.devices[1].saw(failed)).await;
    let now = world.clock.now();
    assert!(!world.devices[1].core().board(&Default::default(), now).unwrap()[0].claiming);
    agree(&mut world, &[0, 1], north, id, State::Open).await;
}

#[tokio::test]
async fn a_claim_is_sent_as_a_random_number_and_nothing_else() {
    let (mut world, north, south) = two_sectors().await;
    let id = ask_wide(&mut world, &[north, south]).await;
    agree(&mut world, &[0, 1], north, id, State::Open).await;
    let claims: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let sent = claims.clone();
    world.devices[1].keep_sent = Some(Box::new(move |frame| {
        if let Some(Sent::ClaimOnce(once)) = &frame.body {
            sent.borrow_mut().push(once.register.to_vec());
        }
        true
    }));
    world.run(1, step(id, claim())).await.unwrap();
    agree(&mut world, &[0, 1], north, id, State::Claimed).await;
    let claims = claims.borrow();
    assert_eq!(claims.len(), 1);
    assert_ne!(claims[0], id.as_bytes(), "the hub cannot tie it to the request");
}
