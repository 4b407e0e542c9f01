//! The life of a patient circle: basis, consent, periods, duplicates.

use cercle_proto::{
    id::{BlobId, GroupId},
    invitation::Invitation,
    v1::MemberClass,
};
use cercle_sdk::{
    core::{Ask, Command, GroupState, NewCircle, Outcome},
    error::Error,
    event::Event,
    message::{
        Body, CircleAudience, CircleBasis, CircleClass, CircleConsent, CircleIdentity, CircleMember,
        CircleStanding, CircleStatus, ConsentDecision, ConsentMode, DocumentType, GroupProfile,
        HistoryPolicy, Language, Patient,
        patient::{Gender, Reliability},
    },
    thread::{circle::Refusal, requests::State, timeline::TimelineFilter},
};
use cercle_server::auth::{InvitationRequest, Inviter};

use super::{
    core_requests,
    core_world::{Stop, World},
};

/// Nobody: the OID is that of tests, the key fits the number.
pub(crate) fn patient() -> Patient {
    Patient {
        birth_name: "Imaginaire".into(),
        birth_given_names: vec!["Odette".into()],
        birth_date: "1941-03-17".into(),
        gender: Gender::Female,
        birth_place: "75056".into(),
        reliability: Reliability::Validated,
        ins: "241037505612328".into(),
        ins_oid: "1.2.250.1.213.1.4.10".into(),
        ..Patient::default()
    }
}

pub(crate) fn circle(history: HistoryPolicy) -> NewCircle {
    let role = "médecin traitant".to_owned();
    NewCircle {
        profile: GroupProfile { history, ..GroupProfile::titled("Cercle O. I.") },
        patient: patient(),
        founder: CircleMember { role, basis: CircleBasis::SameTeam, ..CircleMember::default() },
        ..NewCircle::default()
    }
}

pub(crate) fn entry(user: &str, basis: CircleBasis) -> CircleMember {
    CircleMember {
        user: World::user(user).as_str().to_owned(),
        display_name: format!("Dr {user}"),
        class: CircleClass::Professional,
        role: "infirmière".into(),
        basis,
        ..CircleMember::default()
    }
}

pub(crate) async fn open(world: &mut World, device: usize, circle: NewCircle) -> GroupId {
    let opened = world.run(device, Command::OpenCircle(Box::new(circle))).await.unwrap();
    let Outcome::GroupCreated(group) = opened else { panic!("{opened:?}") };
    world.until(|world| world.devices[device].core().circle(group).unwrap().is_some()).await;
    group
}

pub(crate) async fn add(
    world: &mut World,
    device: usize,
    group: GroupId,
    entry: CircleMember,
) -> Result<Outcome, Error> {
    world.run(device, Command::AddToCircle { group, entry: Box::new(entry) }).await
}

/// Adds somebody and waits until he knows the circle.
pub(crate) async fn admit(world: &mut World, group: GroupId, entry: CircleMember, newcomer: usize) {
    let user = entry.user.clone();
    add(world, 0, group, entry).await.unwrap();
    world
        .until(|world| {
            let circle = world.devices[newcomer].core().circle(group).ok().flatten();
            circle.is_some_and(|circle| circle.members.contains_key(&user))
        })
        .await;
}

fn say(world: &mut World, device: usize, group: GroupId, body: Body) {
    world.start(device, Command::Send { group, draft: body.into() });
}

fn consent(world: &World, decision: ConsentDecision, person: &str) -> Body {
    Body::CircleConsent(CircleConsent {
        decision,
        date_ms: world.clock.now(),
        collector: "Dr anne".into(),
        mode: ConsentMode::Oral,
        scope: "partage avec les intervenants".into(),
        person: person.into(),
    })
}

fn refusal(result: Result<Outcome, Error>) -> Refusal {
    match result {
        Err(Error::CircleRefused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn closed(world: &mut World, device: usize, group: GroupId) -> bool {
    let groups = world.devices[device].core().groups().unwrap();
    groups.iter().any(|summary| summary.group == group && summary.state == GroupState::Closed)
}

async fn settled(world: &mut World, group: GroupId, devices: &[usize]) {
    world.all_at_one_epoch(group, devices).await;
}

#[tokio::test]
async fn a_circle_lives_from_its_opening_to_its_closing() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::All)).await;
    admit(&mut world, group, entry("bruno", CircleBasis::SameTeam), 1).await;
    let yes = consent(&world, ConsentDecision::Consent, "");
    say(&mut world, 1, group, yes);
    world.until(|world| world.devices[0].core().circle(group).unwrap().unwrap().consents.len() == 1).await;
    admit(&mut world, group, entry("claire", CircleBasis::Consent), 2).await;
    let corrected = Patient { birth_place: "69123".into(), ..patient() };
    say(
        &mut world,
        2,
        group,
        Body::CircleIdentity(CircleIdentity { patient: corrected.clone(), reason: "acte".into() }),
    );
    settled(&mut world, group, &[0, 1, 2]).await;
    let known = world.devices[0].core().circle(group).unwrap().unwrap();
    assert_eq!(known.patient, corrected);
    assert_eq!(known.members.len(), 3);
    for device in [1, 2] {
        let other = world.devices[device].core().circle(group).unwrap().unwrap();
        assert!(other == known, "device {device} knows the same circle");
    }
    world
        .run(0, Command::EndMembership { group, user: World::user("bruno"), note: "relais".into() })
        .await
        .unwrap();
    world.until(|world| closed(world, 1, group)).await;
    settled(&mut world, group, &[0, 2]).await;
    let known = world.devices[2].core().circle(group).unwrap().unwrap();
    assert!(known.has_ended(&World::user("bruno"), world.clock.now()));
    let lines =
        world.devices[2].core().timeline(group, &TimelineFilter::default(), Language::French).unwrap();
    let kinds: Vec<&str> = lines.iter().map(|line| line.kind).collect();
    let expected = [
        "circle_opened",
        "circle_member",
        "circle_consent",
        "circle_member",
        "circle_identity",
        "circle_member",
    ];
    assert_eq!(kinds, expected, "the newcomer's timeline goes back to the beginning");
    assert!(
        lines[0].line.contains("IMAGINAIRE Odette") && lines[0].line.contains("17/03/1941"),
        "{}",
        lines[0].line
    );

    let status = CircleStatus { standing: CircleStanding::Closed, reason: "fin de prise en charge".into() };
    say(&mut world, 0, group, Body::CircleStatus(status));
    settled(&mut world, group, &[0, 2]).await;
    let late = world.run(2, Command::Send { group, draft: Body::text("encore").into() }).await;
    assert_eq!(refusal(late), Refusal::Closed);
    assert_eq!(
        refusal(add(&mut world, 0, group, entry("bruno", CircleBasis::SameTeam)).await),
        Refusal::Closed
    );
}

#[tokio::test]
async fn a_closed_circle_takes_nothing_new_and_what_is_open_in_it_comes_to_its_end() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::All)).await;
    admit(&mut world, group, entry("bruno", CircleBasis::SameTeam), 1).await;
    let asked = core_requests::visit();
    let request = core_requests::ask(&mut world, 0, &[group], asked.clone()).await;
    world.until(|world| core_requests::course(world, 1, group, request).is_some()).await;
    let status = CircleStatus { standing: CircleStanding::Closed, reason: "retour à domicile".into() };
    say(&mut world, 0, group, Body::CircleStatus(status));
    settled(&mut world, group, &[0, 1]).await;

    let another = Ask { request: asked, groups: vec![group], widening: Vec::new(), patient: None };
    assert_eq!(refusal(world.run(1, Command::Ask(Box::new(another))).await), Refusal::Closed);
    let draft = Body::Document(core_requests::document(DocumentType::Prescription)).into();
    let upload = Command::BeginUpload { blob: BlobId::new([7; 16]), group, sealed_bytes: 100, draft };
    assert_eq!(refusal(world.run(1, upload).await), Refusal::Closed);

    world.run(1, core_requests::step(request, core_requests::claim())).await.unwrap();
    core_requests::agree(&mut world, &[0, 1], group, request, State::Claimed).await;
    world.run(1, core_requests::step(request, core_requests::complete())).await.unwrap();
    core_requests::agree(&mut world, &[0, 1], group, request, State::Completed).await;
}

#[tokio::test]
async fn nobody_is_added_without_a_basis_and_the_refusal_is_journaled() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    let plain = world.run(0, Command::Invite { group, users: vec![World::user("bruno")] }).await;
    assert_eq!(refusal(plain), Refusal::NoBasis);
    for (basis, expected) in
        [(CircleBasis::None, Refusal::NoBasis), (CircleBasis::Consent, Refusal::NoConsent)]
    {
        assert_eq!(refusal(add(&mut world, 0, group, entry("bruno", basis)).await), expected);
    }
    let raw = Body::CircleMember(entry("bruno", CircleBasis::None));
    let id = world.start(0, Command::Send { group, draft: raw.into() });
    assert_eq!(refusal(world.result(0, id).await), Refusal::NoBasis);
    let founder = CircleMember { basis: CircleBasis::None, ..circle(HistoryPolicy::All).founder };
    let other = NewCircle { founder, despite_duplicate: true, ..circle(HistoryPolicy::All) };
    let opened = world.run(0, Command::OpenCircle(Box::new(other))).await;
    assert_eq!(refusal(opened), Refusal::NoBasis);

    world.devices[0].crash();
    world.devices[0].open();
    let journal = world.devices[0].core().refusals(Some(group)).unwrap();
    let reasons: Vec<Refusal> = journal.iter().map(|record| record.refusal).collect();
    let no = Refusal::NoBasis;
    let mut sorted = reasons.clone();
    sorted.sort_by_key(|reason| reason.name());
    assert_eq!(sorted, [no, no, no, Refusal::NoConsent], "{reasons:?}");
    assert_eq!(world.devices[0].core().refusals(None).unwrap().len(), 5);
    assert_eq!(world.devices[0].core().members(group).unwrap().len(), 1);
}

#[tokio::test]
async fn an_objection_blocks_and_removes_whom_it_names() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    admit(&mut world, group, entry("bruno", CircleBasis::SameTeam), 1).await;
    let no = consent(&world, ConsentDecision::Objection, World::user("bruno").as_str());
    say(&mut world, 1, group, no);
    world.until(|world| closed(world, 1, group)).await;
    assert_eq!(
        refusal(add(&mut world, 0, group, entry("bruno", CircleBasis::ChosenByPatient)).await),
        Refusal::Objection
    );
    let no = consent(&world, ConsentDecision::Objection, "");
    say(&mut world, 0, group, no);
    settled(&mut world, group, &[0]).await;
    assert_eq!(
        refusal(add(&mut world, 0, group, entry("claire", CircleBasis::SameTeam)).await),
        Refusal::Objection
    );
}

#[tokio::test]
async fn against_an_objection_to_the_whole_circle_nobody_is_added_and_people_decide_the_rest() {
    let mut world = World::with(&["anne", "bruno", "claire", "david"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::All)).await;
    let yes = consent(&world, ConsentDecision::Consent, "");
    say(&mut world, 0, group, yes);
    settled(&mut world, group, &[0]).await;
    admit(&mut world, group, entry("bruno", CircleBasis::SameTeam), 1).await;
    admit(&mut world, group, entry("claire", CircleBasis::Consent), 2).await;
    settled(&mut world, group, &[0, 1, 2]).await;
    // Anne adds David without a connection; meanwhile the patient has told Bruno that he objects.
    let now = world.clock.now();
    world.devices[0].disconnect(now);
    let entry_of_david = Box::new(entry("david", CircleBasis::SameTeam));
    let adding = world.start(0, Command::AddToCircle { group, entry: entry_of_david });
    let no = consent(&world, ConsentDecision::Objection, "");
    say(&mut world, 1, group, no);
    settled(&mut world, group, &[1, 2]).await;
    world.devices[0].online = true;
    assert_eq!(refusal(world.result(0, adding).await), Refusal::Objection);
    // Whose basis was the consent is removed, the team stays.
    world.until(|world| closed(world, 2, group)).await;
    settled(&mut world, group, &[0, 1]).await;
    for device in [0, 1] {
        let members = world.devices[device].core().members(group).unwrap();
        let mut users: Vec<&str> = members.iter().map(|member| member.user.as_str()).collect();
        users.sort_unstable();
        assert_eq!(users, [World::user("anne").as_str(), World::user("bruno").as_str()]);
        assert!(world.devices[device].core().circle(group).unwrap().unwrap().is_objected_to());
        let filter = TimelineFilter::default();
        let lines = world.devices[device].core().timeline(group, &filter, Language::French).unwrap();
        assert!(lines.iter().any(|line| line.line.starts_with("Opposition (concerne tout le cercle)")));
        let now = world.clock.now();
        let (record, _) = world.devices[device].core().export(group, now).unwrap();
        assert!(cercle_sdk::export::page::render(&record).contains("s'oppose au partage dans ce cercle"));
    }
    let plain = world.run(0, Command::Invite { group, users: vec![World::user("claire")] }).await;
    assert_eq!(refusal(plain), Refusal::Objection);
    let again = add(&mut world, 0, group, entry("david", CircleBasis::ChosenByPatient)).await;
    assert_eq!(refusal(again), Refusal::Objection);
    // The patient takes it back.
    let back = consent(&world, ConsentDecision::Withdrawal, "");
    say(&mut world, 0, group, back);
    settled(&mut world, group, &[0, 1]).await;
    assert!(!world.devices[1].core().circle(group).unwrap().unwrap().is_objected_to());
    admit(&mut world, group, entry("david", CircleBasis::SameTeam), 3).await;
}

#[tokio::test]
async fn the_end_of_a_period_removes_the_member_once_even_if_the_device_was_off() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    let ends = world.clock.now() + 3_600_000;
    let period = CircleMember { ends_at_ms: Some(ends), ..entry("bruno", CircleBasis::SameTeam) };
    admit(&mut world, group, period, 1).await;
    admit(&mut world, group, entry("claire", CircleBasis::SameTeam), 2).await;
    // Two administrators: both devices know that somebody has to go.
    let users = vec![World::user("anne"), World::user("claire")];
    world.run(0, Command::SetAdministrators { group, users }).await.unwrap();
    settled(&mut world, group, &[0, 1, 2]).await;
    let before = world.devices[0].epoch_and_cursor(group).unwrap().0;
    world.devices[0].crash();
    world.clock.advance(2 * 3_600_000);
    world.devices[0].open();
    world.until(|world| closed(world, 1, group)).await;
    world.send(0, group, "bruno ne lit plus");
    world.reads(2, group, &["bruno ne lit plus"]).await;
    settled(&mut world, group, &[0, 2]).await;
    assert_eq!(world.devices[0].epoch_and_cursor(group).unwrap().0, before + 1, "one commit, not two");
    assert!(world.devices[1].texts(group).is_empty());
    // Coming back is another entry.
    admit(&mut world, group, entry("bruno", CircleBasis::SameTeam), 1).await;
    let user = World::user("bruno");
    let entries = |world: &mut World| {
        let circle = world.devices[2].core().circle(group).unwrap().unwrap();
        circle.members[user.as_str()].len()
    };
    world.until(|world| entries(world) == 2).await;
}

#[tokio::test]
async fn a_second_circle_for_the_same_patient_is_noticed() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let first = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    let again = world.run(0, Command::OpenCircle(Box::new(circle(HistoryPolicy::All)))).await;
    assert!(matches!(again, Err(Error::CircleExists(group)) if group == first), "{again:?}");
    let family = NewCircle { audience: CircleAudience::WithRelatives, ..circle(HistoryPolicy::Nothing) };
    open(&mut world, 0, family).await;
    // Somebody else has opened one too: it is noticed when it becomes known.
    let second = open(&mut world, 1, circle(HistoryPolicy::Nothing)).await;
    add(&mut world, 1, second, entry("anne", CircleBasis::SameTeam)).await.unwrap();
    world
        .until(|world| {
            world.devices[0].saw(
                |event| matches!(event, Event::CircleDuplicate { group, other } if *group == second && *other == first),
            )
        })
        .await;
}

#[tokio::test]
async fn a_relative_enters_only_a_circle_with_relatives_and_no_certificate_is_talked_away() {
    let mut world = World::with(&["anne"]).await;
    let request = InvitationRequest {
        user: Some("fils".into()),
        display_name: "Fils".into(),
        profession: String::new(),
        class: MemberClass::Relative,
        roles: Vec::new(),
        valid_for_ms: None,
        lost_devices: false,
    };
    let services = &world.services.dispatch;
    let secret =
        services.auth.create_invitation(Inviter::Operator, request, world.clock.now()).await.unwrap().secret;
    let invitation = Invitation::parse(&services.link.link(secret)).unwrap();
    let son = world.install("fils", &invitation);
    world.until(|world| world.devices[son].published).await;

    let professionals = open(&mut world, 0, circle(HistoryPolicy::Nothing)).await;
    let relative =
        CircleMember { class: CircleClass::Relative, ..entry("fils", CircleBasis::ChosenByPatient) };
    let refused = add(&mut world, 0, professionals, relative.clone()).await;
    assert_eq!(refusal(refused), Refusal::RelativeAmongProfessionals);
    let disguised = entry("fils", CircleBasis::ChosenByPatient);
    assert_eq!(refusal(add(&mut world, 0, professionals, disguised).await), Refusal::OtherClass);
    assert_eq!(world.devices[0].core().members(professionals).unwrap().len(), 1);
    assert_eq!(world.devices[0].core().refusals(Some(professionals)).unwrap().len(), 2);

    let family = NewCircle { audience: CircleAudience::WithRelatives, ..circle(HistoryPolicy::Nothing) };
    let family = open(&mut world, 0, family).await;
    admit(&mut world, family, relative, son).await;
}

#[tokio::test]
async fn identities_of_tests_are_refused_in_production() {
    let mut world = World::new();
    world.settings.test_identities = false;
    world.enrol("anne").await;
    let refused = world.run(0, Command::OpenCircle(Box::new(circle(HistoryPolicy::Nothing)))).await;
    assert!(matches!(refused, Err(Error::Field { field: "patient.ins_oid", .. })), "{refused:?}");
    let real = Patient { ins_oid: "1.2.250.1.213.1.4.8".into(), ..patient() };
    open(&mut world, 0, NewCircle { patient: real, ..circle(HistoryPolicy::Nothing) }).await;
}

#[tokio::test]
async fn the_entry_is_said_once_wherever_the_inviter_stops() {
    for when in [Stop::BeforeActing, Stop::AfterActing] {
        let mut world = World::with(&["anne", "bruno"]).await;
        for inputs in 2..10 {
            let circle = NewCircle { despite_duplicate: true, ..circle(HistoryPolicy::All) };
            let group = open(&mut world, 0, circle).await;
            world.send(0, group, "avant");
            settled(&mut world, group, &[0]).await;
            world.start(
                0,
                Command::AddToCircle { group, entry: Box::new(entry("bruno", CircleBasis::SameTeam)) },
            );
            world.devices[0].stop = Some((inputs, when));
            world.turns(60).await;
            world.devices[0].crash();
            world.devices[0].open();
            world.reads(1, group, &["avant"]).await;
            settled(&mut world, group, &[0, 1]).await;
            let known = world.devices[1].core().circle(group).unwrap().unwrap();
            assert_eq!(known.members[World::user("bruno").as_str()].len(), 1, "inputs {inputs} {when:?}");
        }
    }
}
