//! What members and the operator add: cards, shared inboxes, local entries.

use cercle_proto::v1::MemberClass;
use cercle_server::directory::{
    Error,
    card::{Card, Inbox, Period},
    entry::{Entry, Kind},
    operator,
    search::Filter,
};

use super::world::{DAY, DOMAIN, NOW, World, identity, people_text};
use crate::synthetic::rpps;

#[tokio::test]
async fn a_card_says_who_is_on_duty_and_hides_what_it_shall() {
    let world = World::new();
    world.import(people_text()).unwrap();
    let user = format!("8{}", rpps(5));
    world.user(&user, MemberClass::Professional).await;
    world.user("claire", MemberClass::Professional).await;
    let card = Card {
        note: "Pansements complexes".into(),
        hide_phone: true,
        accepting_until_ms: NOW + DAY,
        on_duty: vec![Period { from_ms: NOW + DAY, to_ms: NOW + 2 * DAY }],
        delegate: format!("claire@{DOMAIN}"),
        ..Card::default()
    };
    let own = world.directory.update_card(&identity(&user), card.clone(), NOW).await.unwrap();
    assert_eq!(own.entry.family, "LE GOFF", "the card is that of the imported entry");
    let on_duty = Filter { on_duty: true, ..Filter::default() };
    let accepting = Filter { accepting: true, ..Filter::default() };
    let at = |filter: &Filter, day: u64| world.search_at(filter.clone(), NOW + day * DAY);
    assert_eq!(
        (at(&on_duty, 0).await.total, at(&on_duty, 1).await.total, at(&on_duty, 2).await.total),
        (0, 1, 0)
    );
    assert_eq!((at(&accepting, 0).await.total, at(&accepting, 1).await.total), (1, 0));
    let hit = at(&accepting, 0).await.hits.remove(0);
    assert_eq!((hit.entry.activities[0].phone.as_str(), hit.users.len()), ("", 1));
    assert_eq!(hit.card.unwrap().note, "Pansements complexes");
    let hidden = Card { unlisted: true, ..card.clone() };
    world.directory.update_card(&identity(&user), hidden, NOW).await.unwrap();
    assert!(world.names("le goff yann").await.iter().all(|name| name != "LE GOFF YANN"));
    let nobody = Card { delegate: "nobody@cpts.example".into(), ..card };
    assert!(matches!(world.directory.update_card(&identity(&user), nobody, NOW).await, Err(Error::Field(_))));
    assert_eq!(
        world.names("claire").await,
        ["claire (test)"],
        "a member without imported entry is found too"
    );
}

#[tokio::test]
async fn a_shared_inbox_belongs_to_those_behind_it() {
    let world = World::new();
    for name in ["anne", "bruno", "carl"] {
        world.user(name, MemberClass::Professional).await;
    }
    let user = |name: &str| format!("{name}@{DOMAIN}");
    let inbox = Inbox {
        key: "inbox:01".into(),
        name: "Secrétariat Saint-Antoine".into(),
        users: vec![user("anne"), user("bruno")],
        commune: "31555".into(),
    };
    let stranger = world.directory.update_inbox(&identity("carl"), inbox.clone(), NOW).await;
    assert!(matches!(stranger, Err(Error::NotAllowed)));
    let made = world.directory.update_inbox(&identity("anne"), inbox.clone(), NOW).await.unwrap().unwrap();
    assert_eq!(made.users, [user("anne"), user("bruno")]);
    let found = world.search(Filter { text: "secretariat st antoine".into(), ..Filter::default() }).await;
    assert_eq!((found.total, found.hits[0].entry.kind), (1, Kind::Inbox));
    let renamed = Inbox { name: "Accueil".into(), ..inbox.clone() };
    assert!(world.directory.update_inbox(&identity("carl"), renamed.clone(), NOW).await.is_err());
    world.directory.update_inbox(&identity("bruno"), renamed, NOW).await.unwrap();
    let given_up = Inbox { users: Vec::new(), ..inbox };
    assert!(world.directory.update_inbox(&identity("anne"), given_up, NOW).await.unwrap().is_none());
    assert_eq!(world.names("accueil").await.len(), 0);
}

#[tokio::test]
async fn local_entries_stand_beside_imported_ones_and_survive_imports() {
    let world = World::new();
    world.import(people_text()).unwrap();
    let mut entry = Entry::new("local:as-dupont".into(), Kind::Professional);
    entry.family = "DUPONT".into();
    entry.given = "ALICE".into();
    operator::add(&world.path(), entry, Vec::new()).unwrap();
    assert_eq!(world.names("alice dupont").await, ["DUPONT ALICE"]);
    world.import(people_text()).unwrap();
    let later = world.search_at(Filter { text: "dupont".into(), ..Filter::default() }, NOW + DAY).await;
    assert_eq!(later.total, 1);
    operator::remove(&world.path(), "local:as-dupont").unwrap();
    let gone = world.search_at(Filter { text: "dupont".into(), ..Filter::default() }, NOW + 2 * DAY).await;
    assert_eq!(gone.total, 0);
    let imported = format!("ps:8{}", rpps(1));
    assert!(operator::remove(&world.path(), &imported).is_err(), "an imported entry is hidden, not removed");
}
