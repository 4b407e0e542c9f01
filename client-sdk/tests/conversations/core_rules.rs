//! Groups whose members follow the directory: an import, a card, an absence, two administrators at once.

use cercle_proto::{
    ErrorCode,
    id::{GroupId, UserId},
    policy::PolicyError,
    v1,
};
use cercle_sdk::{
    core::{Command, Outcome},
    directory::{GroupRule, MembershipDue, Question},
    error::Error,
    message::{Body, GroupProfile, ThreadKind},
};
use cercle_server::{
    auth::{InvitationRequest, Inviter},
    directory::{
        import::{self, Options},
        operator::{self, Edit},
    },
};

use crate::core_world::World;

/// The form of the national extraction.
const SAMPLE: &str =
    include_str!("../../../server/tests/fixtures/directory/synthetic_personne_activite_50rows.txt");
/// Somebody of the sample: a self-employed nurse.
const NURSE: &str = "99700000039";
const HERE: &str = "31022";
const ELSEWHERE: &str = "31555";

/// National identifier of an invented person.
fn person(number: usize) -> String {
    format!("899700{:06}", 100_000 + number)
}

/// Replaces the directory of the hub: nurses, each in a commune. The hub has opened it when this returns, so that no
/// request waits for it while the common clock runs.
async fn import(world: &World, people: impl Iterator<Item = (String, &'static str)>) {
    let mut lines = SAMPLE.lines();
    let title = lines.next().unwrap();
    let nurse = lines.find(|line| line.contains(NURSE)).unwrap();
    let line = |(person, commune): (String, &str)| {
        nurse.replace(NURSE, &person[1..]).replace(&format!("|{HERE}|"), &format!("|{commune}|"))
    };
    let lines: Vec<String> = std::iter::once(title.to_owned()).chain(people.map(line)).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let options =
        Options { files: vec![file], communes: Vec::new(), accept_removals: true, now_ms: world.clock.now() };
    import::run(&world.directory(), &options, &mut |_| {}).unwrap();
    world.clock.advance(3_000);
    let directory = &world.services.dispatch.directory;
    directory.fitting(Vec::new(), world.clock.now()).await.unwrap();
}

/// Lets the hub compare groups and directory, as its timer does.
async fn look(world: &World) {
    world.clock.advance(3_000);
    world.services.dispatch.group_rules().look(world.clock.now()).await.unwrap();
}

fn nurses_here() -> GroupRule {
    let (professions, communes) = (vec!["60".to_owned()], vec![HERE.to_owned()]);
    GroupRule { professions, communes, ..GroupRule::default() }
}

fn set(group: GroupId, rule: Option<GroupRule>) -> Command {
    Command::Directory(Box::new(Question::SetRule(group, rule)))
}

/// Says in the group that it follows the directory, as the client does with a rule.
fn says_so(world: &mut World, device: usize, group: GroupId) -> Command {
    let summary = world.devices[device].core().groups().unwrap();
    let profile = summary.into_iter().find(|summary| summary.group == group).unwrap().profile;
    let profile = GroupProfile { follows_directory: true, ..profile };
    Command::Send { group, draft: Body::GroupProfile(profile).into() }
}

async fn follow(world: &mut World, device: usize, group: GroupId) -> MembershipDue {
    let answer = world.run(device, set(group, Some(nurses_here()))).await.unwrap();
    let Outcome::GroupRules(mut rules) = answer else { panic!("{answer:?}") };
    let said = says_so(world, device, group);
    world.run(device, said).await.unwrap();
    rules.remove(0)
}

fn users(world: &mut World, device: usize, group: GroupId) -> Vec<String> {
    // A device that is still joining has no members to show.
    let members = world.devices[device].core().members(group).unwrap_or_default();
    let mut users: Vec<String> = members.into_iter().map(|member| member.user.local().to_owned()).collect();
    users.sort();
    users
}

async fn has(world: &mut World, device: usize, group: GroupId, mut expected: Vec<String>) {
    expected.sort();
    world.until(|world| users(world, device, group) == expected).await;
}

fn epoch(world: &mut World, device: usize, group: GroupId) -> u64 {
    world.devices[device].epoch_and_cursor(group).unwrap().0
}

/// Anne, who administers, and some people of the directory.
async fn world_of(count: usize) -> (World, GroupId) {
    let mut world = World::with(&["anne"]).await;
    for number in 0..count {
        world.enrol(&person(number)).await;
    }
    let group = world.conversation("Infirmiers d'Aucamville", &[0]).await;
    (world, group)
}

fn with_anne(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(person).chain(["anne".to_owned()]).collect()
}

#[tokio::test]
async fn an_import_that_changes_ten_of_fifty_changes_the_group_in_two_commits() {
    let (mut world, group) = world_of(55).await;
    let place = |number: usize| if number < 50 { HERE } else { ELSEWHERE };
    import(&world, (0..55).map(|number| (person(number), place(number)))).await;
    let due = follow(&mut world, 0, group).await;
    assert_eq!((due.add.len(), due.remove.len()), (50, 0));
    has(&mut world, 0, group, with_anne(0..50)).await;
    world.until(|world| (1..=50).all(|device| world.devices[device].epoch_and_cursor(group).is_some())).await;
    let before = epoch(&mut world, 0, group);

    let place = |number: usize| if number < 5 { ELSEWHERE } else { HERE };
    import(&world, (0..55).map(|number| (person(number), place(number)))).await;
    look(&world).await;
    has(&mut world, 0, group, with_anne(5..55)).await;
    assert_eq!(epoch(&mut world, 0, group), before + 2, "one commit removes five, one adds five");
    world.send(0, group, "Réunion jeudi");
    world.reads(52, group, &["Réunion jeudi"]).await;
    assert!(world.devices[1].texts(group).is_empty(), "who left the territory reads nothing more");
    look(&world).await;
    world.turns(50).await;
    assert_eq!(epoch(&mut world, 0, group), before + 2, "nothing is due any more");
}

#[tokio::test]
async fn what_changed_while_the_administrator_was_away_is_done_at_his_return() {
    let (mut world, group) = world_of(3).await;
    import(&world, (0..2).map(|number| (person(number), HERE))).await;
    follow(&mut world, 0, group).await;
    has(&mut world, 0, group, with_anne(0..2)).await;
    let now = world.clock.now();
    world.devices[0].online = false;
    world.devices[0].disconnect(now);
    import(&world, (1..3).map(|number| (person(number), HERE))).await;
    look(&world).await;
    world.turns(50).await;
    assert_eq!(users(&mut world, 2, group), {
        let mut as_before = with_anne(0..2);
        as_before.sort();
        as_before
    });
    world.devices[0].online = true;
    has(&mut world, 0, group, with_anne(1..3)).await;
    has(&mut world, 3, group, with_anne(1..3)).await;
}

#[tokio::test]
async fn two_administrators_at_once_add_and_remove_everybody_once() {
    let (mut world, _) = world_of(4).await;
    let second = person(0);
    let group = world.conversation("À deux", &[0, 1]).await;
    let both = vec![World::user("anne"), World::user(&second)];
    world.run(0, Command::SetAdministrators { group, users: both }).await.unwrap();
    world.all_at_one_epoch(group, &[0, 1]).await;
    import(&world, (0..3).map(|number| (person(number), HERE))).await;
    follow(&mut world, 0, group).await;
    has(&mut world, 1, group, with_anne(0..3)).await;
    let before = epoch(&mut world, 1, group);
    // The first to act is away, the other does it; then both are there when something changes.
    let now = world.clock.now();
    world.devices[0].online = false;
    world.devices[0].disconnect(now);
    import(&world, [0, 1, 3].into_iter().map(|number| (person(number), HERE))).await;
    look(&world).await;
    has(&mut world, 1, group, with_anne([0, 1, 3].into_iter())).await;
    world.devices[0].online = true;
    has(&mut world, 0, group, with_anne([0, 1, 3].into_iter())).await;
    import(&world, (0..4).map(|number| (person(number), HERE))).await;
    look(&world).await;
    has(&mut world, 0, group, with_anne(0..4)).await;
    world.all_at_one_epoch(group, &[0, 1]).await;
    assert_eq!(epoch(&mut world, 0, group), before + 3, "each change was made by one of them");
}

#[tokio::test]
async fn a_relative_never_comes_in_and_an_administrator_never_goes() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let request = InvitationRequest {
        user: Some(person(7)),
        display_name: "Son".into(),
        profession: "60".into(),
        class: v1::MemberClass::Relative,
        roles: Vec::new(),
        valid_for_ms: None,
        lost_devices: false,
    };
    let auth = &world.services.dispatch.auth;
    let created = auth.create_invitation(Inviter::Operator, request, world.clock.now()).await.unwrap();
    let link = world.services.dispatch.link.link(created.secret);
    let invitation = cercle_proto::invitation::Invitation::parse(&link).unwrap();
    let relative = world.install(&person(7), &invitation);
    world.until(|world| world.devices[relative].published).await;
    world.enrol(&person(8)).await;
    import(&world, (7..9).map(|number| (person(number), HERE))).await;
    // Nor does an entry that the operator links to him help.
    let link = Some(World::user(&person(7)).as_str().to_owned());
    operator::edit(&world.directory(), &format!("ps:{}", person(7)), Edit { link, ..Edit::default() })
        .unwrap();
    world.clock.advance(3_000);
    let group = world.conversation("A", &[0, 1]).await;
    let due = follow(&mut world, 0, group).await;
    assert_eq!(
        (due.add, due.remove),
        (vec![World::user(&person(8)).as_str().to_owned()], vec!["bruno@cpts.example".into()])
    );
    has(&mut world, 0, group, with_anne(std::iter::once(8))).await;
}

#[tokio::test]
async fn tags_of_the_operator_and_hidden_entries_count() {
    let (mut world, group) = world_of(3).await;
    import(&world, (0..3).map(|number| (person(number), HERE))).await;
    let edit = |number: usize, edit: Edit| {
        operator::edit(&world.directory(), &format!("ps:{}", person(number)), edit).unwrap();
    };
    let tags = Some(vec!["bureau".to_owned()]);
    edit(0, Edit { tags: tags.clone(), ..Edit::default() });
    edit(1, Edit { tags, unlisted: Some(true), ..Edit::default() });
    world.clock.advance(3_000);
    let rule = GroupRule { tags: vec!["bureau".into()], ..GroupRule::default() };
    let answer = world.run(0, set(group, Some(rule))).await.unwrap();
    let Outcome::GroupRules(rules) = answer else { panic!("{answer:?}") };
    assert_eq!(rules[0].add, [World::user(&person(0)).as_str().to_owned()], "who hides is named to nobody");
}

#[tokio::test]
async fn only_administrators_set_a_rule_and_no_group_follows_that_did_not_say_so() {
    let (mut world, _) = world_of(2).await;
    import(&world, (0..2).map(|number| (person(number), HERE))).await;
    let group = world.conversation("A", &[0, 1]).await;
    let refused = world.run(1, set(group, Some(nurses_here()))).await;
    assert!(matches!(refused, Err(Error::Refused { code: ErrorCode::NotAuthorised, .. })), "{refused:?}");
    let everybody = world.run(0, set(group, Some(GroupRule::default()))).await;
    assert!(matches!(everybody, Err(Error::Refused { code: ErrorCode::InvalidField, .. })), "{everybody:?}");
    world.run(0, set(group, Some(nurses_here()))).await.unwrap();
    look(&world).await;
    world.turns(100).await;
    let before = {
        let mut before = vec!["anne".to_owned(), person(0)];
        before.sort();
        before
    };
    assert_eq!(users(&mut world, 0, group), before, "the hub alone decides nothing");
    let circle =
        GroupProfile { follows_directory: true, ..GroupProfile::of_kind("x", ThreadKind::PatientCircle) };
    let refused = world.run(0, Command::Send { group, draft: Body::GroupProfile(circle).into() }).await;
    assert!(matches!(refused, Err(Error::Field { field: "follows_directory", .. })), "{refused:?}");
    world.run(0, set(group, None)).await.unwrap();
    let rules = world.run(0, Command::Directory(Box::new(Question::GetRule(group)))).await.unwrap();
    assert!(matches!(rules, Outcome::GroupRules(rules) if rules.is_empty()), "the rule is gone");
}

#[tokio::test]
async fn the_last_administrator_does_not_leave_others_alone() {
    let mut world = World::with(&["anne", "bruno"]).await;
    let group = world.conversation("A", &[0, 1]).await;
    let refused = world.run(0, Command::Leave { group }).await;
    assert!(matches!(refused, Err(Error::Denied(PolicyError::NoAdministrator))), "{refused:?}");
    assert_eq!(users(&mut world, 1, group).len(), 2);
    let users = vec![UserId::parse("bruno@cpts.example").unwrap()];
    world.run(0, Command::SetAdministrators { group, users }).await.unwrap();
    world.run(0, Command::Leave { group }).await.unwrap();
    has(&mut world, 1, group, vec!["bruno".into()]).await;
    world.run(1, Command::Leave { group }).await.unwrap();
}
