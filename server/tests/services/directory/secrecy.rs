//! Who is never found, and how much anybody is shown.

use cercle_proto::v1::MemberClass;
use cercle_server::directory::{Error, Settings, entry::Kind, operator, search::Filter};

use super::world::{DAY, NOW, PEOPLE, World, identity, people_text};
use crate::synthetic::rpps;

#[tokio::test]
async fn nobody_finds_who_is_unlisted_and_relatives_find_nobody() {
    let world = World::new();
    world.import(people_text()).unwrap();
    let key = format!("ps:8{}", rpps(13));
    assert_eq!(world.names("muñoz").await.len(), 1);
    let edit = operator::Edit { unlisted: Some(true), ..operator::Edit::default() };
    operator::edit(&world.path(), &key, edit).unwrap();
    let later = NOW + DAY;
    for filter in [
        Filter { text: "muñoz".into(), ..Filter::default() },
        Filter { skills: vec!["SM32".into()], kind: Some(Kind::Professional), ..Filter::default() },
    ] {
        assert_eq!(world.search_at(filter, later).await.total, 0);
    }
    let all = Filter { kind: Some(Kind::Professional), facets: true, ..Filter::default() };
    let all = world.search_at(all, later).await;
    let counted: u32 = all.professions.iter().map(|facet| facet.count).sum();
    assert_eq!((all.total, counted as usize), (PEOPLE.len() - 1, PEOPLE.len() - 1), "nor in counts");
    let got = world.directory.get(&identity("searcher"), &key, later).await;
    assert!(matches!(got, Err(Error::Unknown)));
    assert!(operator::show(&world.path(), &key).unwrap().1.unlisted, "the operator sees the entry");
    world.user("grandmother", MemberClass::Relative).await;
    let asked = world.directory.search(&identity("grandmother"), Filter::default(), later + DAY).await;
    assert!(matches!(asked, Err(Error::NotAllowed)));
    assert_eq!(
        world.search_at(Filter { text: "grandmother".into(), ..Filter::default() }, later + DAY).await.total,
        0
    );
}

#[tokio::test]
async fn nobody_copies_the_directory() {
    let world = World::with(Settings { entries_per_day: 10 });
    world.import(people_text()).unwrap();
    let by = identity("harvester");
    let page = |offset| Filter { offset, limit: 5, kind: Some(Kind::Professional), ..Filter::default() };
    for offset in [0, 5, 0, 5] {
        world.directory.search(&by, page(offset), NOW).await.unwrap();
    }
    let more = world.directory.search(&by, page(10), NOW).await;
    let Err(Error::RateLimited { retry_after_ms }) = more else { panic!("an eleventh entry was shown") };
    assert!(u64::from(retry_after_ms) <= DAY);
    assert!(world.directory.search(&identity("other"), page(10), NOW).await.is_ok());
    world.directory.search(&by, page(10), NOW + DAY).await.unwrap();
    let too_many = [
        Filter { limit: 51, ..Filter::default() },
        Filter { offset: 501, ..Filter::default() },
        Filter { radius_km: 5, ..Filter::default() },
    ];
    for filter in too_many {
        assert!(world.directory.search(&by, filter, NOW + DAY).await.is_err());
    }
    let typing = identity("typing");
    let nothing = Filter { text: "xyzzyx".into(), ..Filter::default() };
    let mut answered = 0;
    while world.directory.search(&typing, nothing.clone(), NOW).await.is_ok() {
        answered += 1;
        assert!(answered < 1_000, "searches are not limited");
    }
    assert_eq!(answered, 120);
}
