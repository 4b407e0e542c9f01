//! Requests in one group: every kind, every step, and who has it when two want it.

use cercle_proto::{
    id::{BlobId, GroupId},
    v1::client_frame::Body as Sent,
};
use cercle_sdk::{
    core::{Act, Ask, BoardFilter, Command, NewCircle, Outcome, Part},
    error::Error,
    event::Event,
    message::{
        Body, Document, DocumentType, GroupProfile, HistoryPolicy, Language, Patient, Request, RequestId,
        ThreadKind, Transition,
        patient::{Gender, Reliability},
        request::{Need, Priority, Purpose, PurposeKind, RequestConsent, RequestConsentMode, Situation},
        transition::{Action, PrescriptionStep},
    },
    thread::{
        requests::{Course, Refusal, State},
        timeline::TimelineFilter,
    },
};

use super::{
    core_circle::{self, open},
    core_world::World,
};

pub(crate) fn request(purpose: Purpose, title: &str) -> Request {
    Request::new(RequestId::new([0; 16]), purpose, title)
}

pub(crate) fn visit() -> Request {
    let act = "Pansement à domicile".to_owned();
    let (profession, commune) = ("60".to_owned(), "65440".to_owned());
    request(Purpose::UnscheduledCare { profession, act, commune, delay_hours: 24 }, "Visite infirmière")
}

/// Nobody: the OID is that of tests.
pub(crate) fn patient() -> Patient {
    Patient {
        birth_name: "Pirineoz".into(),
        birth_given_names: vec!["Zénobie".into()],
        birth_date: "1941-02-03".into(),
        gender: Gender::Female,
        reliability: Reliability::Validated,
        ins: "241026544012314".into(),
        ins_oid: "1.2.250.1.213.1.4.10".into(),
        ..Patient::default()
    }
}

pub(crate) async fn ask(world: &mut World, device: usize, groups: &[GroupId], request: Request) -> RequestId {
    let ask = Ask { request, groups: groups.to_vec(), widening: Vec::new(), patient: None };
    ask_with(world, device, ask).await
}

pub(crate) async fn ask_with(world: &mut World, device: usize, ask: Ask) -> RequestId {
    match world.run(device, Command::Ask(Box::new(ask))).await {
        Ok(Outcome::Asked(request)) => request,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn step(request: RequestId, action: Action) -> Command {
    Command::Act(Box::new(Act { request, action, situation: Situation::default() }))
}

pub(crate) fn claim() -> Action {
    Action::Claim { receipt: None, owner_name: String::new() }
}

pub(crate) fn complete() -> Action {
    Action::Complete { report: "Fait.".into(), documents: Vec::new() }
}

/// The life of a request in a group, as a device has it.
pub(crate) fn course(world: &mut World, device: usize, group: GroupId, request: RequestId) -> Option<Course> {
    let now = world.clock.now();
    let courses = world.devices[device].core.as_mut()?.request(request, now).unwrap();
    courses.into_iter().find(|course| course.group == group)
}

/// Waits until a request stands so on these devices, and all of them say the same of it.
pub(crate) async fn agree(
    world: &mut World,
    devices: &[usize],
    group: GroupId,
    request: RequestId,
    state: State,
) -> Course {
    world
        .until(|world| {
            devices.iter().all(|device| {
                course(world, *device, group, request).is_some_and(|course| course.standing.state == state)
            })
        })
        .await;
    let first = course(world, devices[0], group, request).unwrap();
    for device in devices {
        assert!(course(world, *device, group, request).unwrap() == first, "device {device} differs");
    }
    first
}

#[tokio::test]
async fn a_prescription_is_taken_on_received_prepared_and_dispensed() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Officine", &[0, 1]).await;
    let mut posted = prescription();
    posted.documents = vec![document(DocumentType::Prescription)];
    // The document is not stored: the hub is not told of it.
    world.devices[0].keep_sent = Some(Box::new(|frame| {
        if let Some(Sent::SendApplication(send)) = &mut frame.body {
            send.blobs.clear();
        }
        true
    }));
    let about = Ask { request: posted, groups: vec![group], widening: Vec::new(), patient: Some(patient()) };
    let id = ask_with(&mut world, 0, about).await;
    agree(&mut world, &[0, 1], group, id, State::Open).await;
    world.run(1, step(id, claim())).await.unwrap();
    agree(&mut world, &[0, 1], group, id, State::Claimed).await;
    use PrescriptionStep::{Dispensed, Prepared, Received};
    for reached in [Received, Prepared] {
        world.run(1, step(id, Action::Progress { step: reached })).await.unwrap();
        let reached = Some(reached);
        let known = |course: Course| course.standing.progress == reached;
        world.until(|world| (0..2).all(|d| course(world, d, group, id).is_some_and(known))).await;
        agree(&mut world, &[0, 1], group, id, State::Claimed).await;
    }
    let back = world.run(1, step(id, Action::Progress { step: Received })).await;
    assert!(matches!(back, Err(Error::Request(Refusal::NotPossible))), "{back:?}");
    let foreign = world.run(0, step(id, Action::Progress { step: Dispensed })).await;
    assert!(matches!(foreign, Err(Error::Request(Refusal::Owned(_)))), "{foreign:?}");
    world.run(1, step(id, Action::Progress { step: Dispensed })).await.unwrap();
    let done = agree(&mut world, &[0, 1], group, id, State::Completed).await;
    let steps: Vec<&str> = done.history.iter().map(|step| step.action.name()).collect();
    assert_eq!(steps, ["claim", "progress", "progress", "progress"]);
}

fn prescription() -> Request {
    let (structure, prescriber) = ("Officine fictive".to_owned(), "Dr Anne (fictive)".to_owned());
    request(Purpose::Prescription { structure, prescriber, date: "2026-11-24".to_owned() }, "Ordonnance")
}

#[tokio::test]
async fn a_request_about_somebody_names_him_and_one_that_he_refused_does_not() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Nord", &[0, 1]).await;
    let needs = "Renouvellement".to_owned();
    let without_gp = Purpose::PatientWithoutGp { commune: "65440".to_owned(), needs };
    let nobody = Ask {
        request: request(without_gp, "Cherche médecin"),
        groups: vec![group],
        widening: Vec::new(),
        patient: None,
    };
    let refused = world.run(0, Command::Ask(Box::new(nobody.clone()))).await;
    assert!(matches!(refused, Err(Error::Field { field: "patient", .. })), "{refused:?}");
    let consent = RequestConsent { mode: RequestConsentMode::Refused, date: "2026-11-20".to_owned() };
    let mut objecting = Ask { patient: Some(patient()), ..nobody };
    objecting.request.consent = Some(consent);
    let refused = world.run(0, Command::Ask(Box::new(objecting.clone()))).await;
    assert!(matches!(refused, Err(Error::Field { field: "patient", .. })), "{refused:?}");
    objecting.request.consent = None;
    let id = ask_with(&mut world, 0, objecting).await;
    agree(&mut world, &[0, 1], group, id, State::Open).await;
}

#[tokio::test]
async fn a_prescription_stays_out_of_threads_of_many() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let profile = GroupProfile { thread: ThreadKind::Theme, ..GroupProfile::titled("Plaies") };
    let made = world.run(0, Command::CreateGroup { profile, policy: Default::default() }).await;
    let Ok(Outcome::GroupCreated(theme)) = made else { panic!("{made:?}") };
    let mut posted = prescription();
    posted.documents = vec![document(DocumentType::Prescription)];
    let ask = Ask { request: posted, groups: vec![theme], widening: Vec::new(), patient: Some(patient()) };
    let refused = world.run(0, Command::Ask(Box::new(ask))).await;
    assert!(matches!(refused, Err(Error::IdentityInWideThread { kind: "prescription" })), "{refused:?}");
}

pub(crate) fn document(document_type: DocumentType) -> Document {
    Document {
        blob: BlobId::new([3; 16]),
        key: [4; 32],
        size: 5,
        sha256: [6; 32],
        name: "ordonnance.pdf".into(),
        media_type: "application/pdf".into(),
        document_type,
        title: String::new(),
        confidentiality: Vec::new(),
        thumbnail: Vec::new(),
    }
}

/// One request of each kind but a prescription, which needs a stored file: the command line's tests have one.
fn one_of_each_kind() -> Vec<Request> {
    let text = str::to_owned;
    let need = Need { profession: text("70"), what: text("Kinésithérapie") };
    vec![
        request(Purpose::Referral { recourse: 2, speciality: text("SM05") }, "Avis cardiologique"),
        request(
            Purpose::TeleExpertise {
                question: text("Que pensez-vous de la lésion ?"), speciality: text("")
            },
            "Photo de peau",
        ),
        visit(),
        request(
            Purpose::PatientWithoutGp { commune: text("65440"), needs: text("Renouvellement") },
            "Cherche médecin traitant",
        ),
        request(
            Purpose::Discharge { facility: text("CH fictif"), date: text("2026-11-24"), needs: vec![need] },
            "Sortie mardi",
        ),
        request(Purpose::Task, "Rappeler la famille"),
    ]
}

#[tokio::test]
async fn every_kind_goes_from_asked_over_each_step_to_handled_and_survives_a_restart() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("Coordination", &[0, 1, 2]).await;
    let everybody = [0, 1, 2];
    for posted in one_of_each_kind() {
        let kind = posted.purpose.kind();
        let about =
            Ask { request: posted, groups: vec![group], widening: Vec::new(), patient: Some(patient()) };
        let id = ask_with(&mut world, 0, about).await;
        let open = agree(&mut world, &everybody, group, id, State::Open).await;
        assert_eq!(open.request.purpose.kind(), kind);
        let text = "Depuis quand ?".to_owned();
        let steps = [
            (1, claim(), State::Claimed),
            (1, Action::AskInfo { text: text.clone() }, State::InfoRequested),
            (0, Action::GiveInfo { text: text.clone(), documents: Vec::new() }, State::Claimed),
            (1, Action::Answer { text, documents: Vec::new() }, State::Answered),
            (1, Action::Schedule { from_ms: 5, to_ms: Some(6), place: "Cabinet".into() }, State::Scheduled),
            (1, Action::Release { reason: "Absent".into() }, State::Open),
            (2, claim(), State::Claimed),
            (2, complete(), State::Completed),
        ];
        let count = steps.len();
        for (device, action, state) in steps {
            world.run(device, step(id, action)).await.unwrap();
            agree(&mut world, &everybody, group, id, state).await;
        }
        let done = course(&mut world, 1, group, id).unwrap();
        assert_eq!(done.history.len(), count, "{}", kind.name());
        assert_eq!(done.standing.owner.as_ref().unwrap().user, World::user("claire"));
        assert_eq!(done.standing.owner.as_ref().unwrap().name, "Dr claire");
        world.devices[1].crash();
        world.devices[1].open();
        assert!(course(&mut world, 1, group, id).unwrap() == done, "from the store it is the same");
    }
}

#[tokio::test]
async fn a_prescription_without_its_document_is_refused_and_nothing_is_posted() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("Officine", &[0, 1]).await;
    let missing =
        Ask { request: prescription(), groups: vec![group], widening: Vec::new(), patient: Some(patient()) };
    let refused = world.run(0, Command::Ask(Box::new(missing))).await;
    assert!(matches!(refused, Err(Error::Field { field: "documents", .. })), "{refused:?}");
    let now = world.clock.now();
    assert!(world.devices[0].core().board(&BoardFilter::default(), now).unwrap().is_empty());
}

#[tokio::test]
async fn documents_go_to_one_group_because_the_hub_gives_them_to_no_other() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let groups = vec![world.conversation("Un", &[0, 1]).await, world.conversation("Deux", &[0, 1]).await];
    let mut posted = visit();
    posted.documents = vec![document(DocumentType::Photo)];
    let ask = Ask { request: posted, groups, widening: Vec::new(), patient: None };
    let refused = world.run(0, Command::Ask(Box::new(ask))).await;
    assert!(matches!(refused, Err(Error::Field { field: "documents", .. })), "{refused:?}");
}

#[tokio::test]
async fn of_two_who_claim_at_once_the_first_in_the_log_has_it_and_the_other_is_told_who() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("Infirmiers", &[0, 1, 2]).await;
    let id = ask(&mut world, 0, &[group], visit()).await;
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    world.start(1, step(id, claim()));
    world.start(2, step(id, claim()));
    let claimed = agree(&mut world, &[0, 1, 2], group, id, State::Claimed).await;
    let owner = claimed.standing.owner.unwrap();
    let (winner, loser) = if owner.user == World::user("bruno") { (1, 2) } else { (2, 1) };
    let lost = |event: &Event| matches!(event, Event::RequestLost { request, owner: Some(told) } if *request == id && *told == owner);
    world.until(|world| world.devices[loser].saw(lost)).await;
    assert!(!world.devices[winner].saw(|event| matches!(event, Event::RequestLost { .. })));
    let again = world.run(loser, step(id, claim())).await;
    assert!(matches!(again, Err(Error::Request(Refusal::Owned(told))) if told == owner));
    let answer = world.run(loser, step(id, complete())).await;
    assert!(matches!(answer, Err(Error::Request(Refusal::Owned(_)))), "{answer:?}");
}

#[tokio::test]
async fn steps_that_are_not_for_the_sender_are_ignored_by_everybody() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let id = ask(&mut world, 0, &[group], visit()).await;
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    world.run(1, step(id, claim())).await.unwrap();
    let claimed = agree(&mut world, &[0, 1, 2], group, id, State::Claimed).await;
    // A client that does not check sends them all the same.
    let wrong = [
        (2, complete()),
        (2, Action::Release { reason: String::new() }),
        (1, Action::Cancel { reason: String::new() }),
        (0, claim()),
        (0, Action::Answer { text: "moi".into(), documents: Vec::new() }),
        (1, Action::Progress { step: PrescriptionStep::Received }),
        (0, Action::Widen { groups: vec![group] }),
    ];
    for (device, action) in wrong {
        let body =
            Body::Transition(Box::new(Transition { request: id, action, situation: Situation::default() }));
        world.run(device, Command::Send { group, draft: body.into() }).await.unwrap();
    }
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    for device in 0..3 {
        assert!(course(&mut world, device, group, id).unwrap() == claimed);
    }
}

#[tokio::test]
async fn who_is_asked_alone_may_decline_and_another_is_asked_then() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let mut task = request(Purpose::Task, "Appeler le laboratoire");
    task.assignee = Some(World::user("bruno"));
    task.due_ms = Some(world.clock.now() + 1);
    let id = ask(&mut world, 0, &[group], task).await;
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    let refused = world.run(2, step(id, claim())).await;
    assert!(matches!(refused, Err(Error::Request(Refusal::NotYours))));
    world.run(1, step(id, Action::Decline { reason: "En congé".into() })).await.unwrap();
    agree(&mut world, &[0, 1, 2], group, id, State::Declined).await;
    world.run(0, step(id, Action::Reassign { to: World::user("claire") })).await.unwrap();
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    let todo = BoardFilter { part: Part::ToDo, overdue: true, ..BoardFilter::default() };
    world.clock.advance(10);
    let now = world.clock.now();
    assert!(world.devices[1].core().board(&todo, now).unwrap().is_empty());
    let rows = world.devices[2].core().board(&todo, now).unwrap();
    assert_eq!((rows.len(), rows[0].request, rows[0].overdue), (1, id, true));
    world.run(2, step(id, claim())).await.unwrap();
    world.run(2, Command::DirectWith { user: World::user("anne") }).await.unwrap();
    agree(&mut world, &[0, 1, 2], group, id, State::Claimed).await;
}

#[tokio::test]
async fn a_request_is_open_until_its_end_by_the_hubs_clock_and_not_after() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("A", &[0, 1, 2]).await;
    let mut posted = visit();
    let expires = world.clock.now() + 60_000;
    posted.expires_ms = Some(expires);
    let id = ask(&mut world, 0, &[group], posted).await;
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    // The clock of a device is not asked: this one is sure that it is in time.
    world.clock.advance(60_001);
    let claiming = Transition { request: id, action: claim(), situation: Situation::default() };
    world.run(1, Command::Send { group, draft: Body::Transition(Box::new(claiming)).into() }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    let now = world.clock.now();
    for device in 0..3 {
        let late = course(&mut world, device, group, id).unwrap();
        assert_eq!((late.standing.state, late.state_at(now)), (State::Open, State::Expired));
        assert_eq!(late.state_at(expires), State::Open);
    }
    let told = |event: &Event| matches!(event, Event::RequestChanged { state: State::Expired, request, .. } if *request == id);
    world.until(|world| world.devices[0].saw(told)).await;
    let refused = world.run(2, step(id, claim())).await;
    assert!(matches!(refused, Err(Error::Request(Refusal::Expired))));
}

#[tokio::test]
async fn an_identity_is_refused_where_more_than_the_caring_would_read_it() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let wide = world.conversation("Territoire", &[0, 1]).await;
    let mut named = visit();
    named.patient = Some(patient());
    let draft = Body::Request(Box::new(named.clone())).into();
    let refused = world.run(0, Command::Send { group: wide, draft }).await;
    assert!(matches!(refused, Err(Error::IdentityInWideThread { kind: "request" })), "{refused:?}");
    let ask = Ask { request: named, groups: vec![wide], widening: Vec::new(), patient: None };
    let refused = world.run(0, Command::Ask(Box::new(ask))).await;
    assert!(matches!(refused, Err(Error::IdentityInWideThread { .. })), "{refused:?}");
    assert_eq!(world.devices[0].core().outbox().unwrap().len(), 0);

    let about = NewCircle { patient: patient(), ..core_circle::circle(HistoryPolicy::Nothing) };
    let circle = open(&mut world, 0, about).await;
    let ask = Ask { request: visit(), groups: vec![circle], widening: Vec::new(), patient: Some(patient()) };
    let id = ask_with(&mut world, 0, ask).await;
    world.until(|world| course(world, 0, circle, id).is_some()).await;
    assert!(course(&mut world, 0, circle, id).unwrap().request.patient == Some(patient()));

    // Who is in a circle was let in for this patient and reads nothing about another.
    let reliability = Reliability::Provisional;
    let other = Patient {
        birth_name: "Autre".into(),
        ins: String::new(),
        ins_oid: String::new(),
        reliability,
        ..patient()
    };
    let ask =
        Ask { request: visit(), groups: vec![circle], widening: Vec::new(), patient: Some(other.clone()) };
    let refused = world.run(0, Command::Ask(Box::new(ask))).await;
    assert!(matches!(refused, Err(Error::Field { field: "patient", .. })), "{refused:?}");
    let mut named = visit();
    named.patient = Some(other);
    let draft = Body::Request(Box::new(named)).into();
    let refused = world.run(0, Command::Send { group: circle, draft }).await;
    assert!(matches!(refused, Err(Error::Field { field: "patient", .. })), "{refused:?}");
    assert_eq!(world.devices[0].core().outbox().unwrap().len(), 0);
}

#[tokio::test]
async fn the_board_shows_over_all_groups_what_is_asked_and_is_to_be_done() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let one = world.conversation("Un", &[0, 1]).await;
    let two = world.conversation("Deux", &[1, 0]).await;
    let mut urgent = visit();
    urgent.priority = Priority::Stat;
    let routine = ask(&mut world, 0, &[one], request(Purpose::Task, "Ranger")).await;
    let about = Ask { request: urgent, groups: vec![two], widening: Vec::new(), patient: Some(patient()) };
    let first = ask_with(&mut world, 0, about).await;
    agree(&mut world, &[0, 1], one, routine, State::Open).await;
    agree(&mut world, &[0, 1], two, first, State::Open).await;
    let mut shown = |device: usize, filter: BoardFilter| {
        let now = world.clock.now();
        let rows = world.devices[device].core().board(&filter, now).unwrap();
        rows.into_iter().map(|row| row.request).collect::<Vec<_>>()
    };
    let all = BoardFilter::default;
    assert_eq!(shown(1, all()), [first, routine], "the most urgent first");
    assert_eq!(shown(1, BoardFilter { part: Part::Mine, ..all() }), []);
    assert_eq!(shown(0, BoardFilter { part: Part::Mine, ..all() }), [first, routine]);
    assert_eq!(shown(1, BoardFilter { kind: Some(PurposeKind::Task), ..all() }), [routine]);
    assert_eq!(shown(0, BoardFilter { patient: Some("pirin".into()), ..all() }), [first]);
    assert_eq!(shown(1, BoardFilter { patient: Some("pirin".into()), ..all() }), [], "he may not know");
    assert_eq!(shown(1, BoardFilter { person: Some(World::user("anne")), ..all() }).len(), 2);
    assert_eq!(shown(1, BoardFilter { person: Some(World::user("bruno")), ..all() }), []);
    assert_eq!(shown(1, BoardFilter { until_ms: Some(1), ..all() }), []);
    world.run(1, step(routine, claim())).await.unwrap();
    agree(&mut world, &[0, 1], one, routine, State::Claimed).await;
    world.run(1, step(routine, complete())).await.unwrap();
    agree(&mut world, &[0, 1], one, routine, State::Completed).await;
    let now = world.clock.now();
    let open = world.devices[1].core().board(&all(), now).unwrap();
    assert_eq!(open.len(), 1);
    let closed = BoardFilter { closed: true, ..all() };
    assert_eq!(world.devices[1].core().board(&closed, now).unwrap().len(), 2);
}

#[tokio::test]
async fn a_timeline_names_the_request_of_each_step_and_leaves_out_what_did_not_count() {
    let mut world = World::with(&["anne", "bruno", "claire"]).await;
    let group = world.conversation("Soins", &[0, 1, 2]).await;
    let id = ask(&mut world, 0, &[group], visit()).await;
    agree(&mut world, &[0, 1, 2], group, id, State::Open).await;
    // Both claim; the hub has Bruno's claim first.
    let now = world.clock.now();
    world.devices[2].disconnect(now);
    world.start(2, step(id, claim()));
    world.run(1, step(id, claim())).await.unwrap();
    agree(&mut world, &[0, 1], group, id, State::Claimed).await;
    world.devices[2].online = true;
    world.all_at_one_epoch(group, &[0, 1, 2]).await;
    world.run(1, step(id, complete())).await.unwrap();
    agree(&mut world, &[0, 1, 2], group, id, State::Completed).await;
    for device in 0..3 {
        let filter = TimelineFilter::default();
        let lines = world.devices[device].core().timeline(group, &filter, Language::French).unwrap();
        let lines: Vec<&str> = lines.iter().map(|line| line.line.as_str()).collect();
        assert!(lines[0].contains("Visite infirmière"), "{lines:?}");
        let steps = ["Visite infirmière : [prise en charge]", "Visite infirmière : [traitée] Fait."];
        assert_eq!(lines[1..], steps, "device {device}");
    }
}
