//! What people type leads to whom they mean; filters, facets and pages agree.

use cercle_proto::v1::MemberClass;
use cercle_server::directory::{entry::Kind, search::Filter};

use super::world::{PEOPLE, World, people_text};
use crate::synthetic::rpps;

/// What a person types, and whom he means.
const TYPED: &[(&str, &str)] = &[
    ("martin", "MARTIN CAMILLE"),
    ("MARTIN", "MARTIN CAMILLE"),
    ("martin paul", "MARTIN PAUL"),
    ("paul martin", "MARTIN PAUL"),
    ("Dr Paul Martin", "MARTIN PAUL"),
    ("martin p", "MARTIN PAUL"),
    ("martin fenouillet", "MARTIN PAUL"),
    ("martin médecin", "MARTIN PAUL"),
    ("martin infirmière", "MARTIN CAMILLE"),
    ("martine", "MARTINEZ LÉA"),
    ("martinez", "MARTINEZ LÉA"),
    ("martinès", "MARTINEZ LÉA"),
    ("saint martin", "SAINT-MARTIN HUGO"),
    ("st martin", "SAINT-MARTIN HUGO"),
    ("le goff", "LE GOFF YANN"),
    ("goff", "LE GOFF YANN"),
    ("legoff anne", "LEGOFF ANNE"),
    ("le goff anne", "LEGOFF ANNE"),
    ("yann legoff", "LE GOFF YANN"),
    ("d'arc", "D'ARC JEANNE"),
    ("d arc", "D'ARC JEANNE"),
    ("darc", "D'ARC JEANNE"),
    ("jeanne d’arc", "D'ARC JEANNE"),
    ("nguessan", "N'GUESSAN OMAR"),
    ("n'guessan", "N'GUESSAN OMAR"),
    ("cardiologue", "N'GUESSAN OMAR"),
    ("cardio toulouse", "N'GUESSAN OMAR"),
    ("lefevre", "LEFÈVRE ELÉONORE"),
    ("lefèvre", "LEFÈVRE ELÉONORE"),
    ("lefevre eleonore", "LEFÈVRE ELÉONORE"),
    ("lefebvre", "LEFEBVRE SOPHIE"),
    ("lefebvre sofie", "LEFEBVRE SOPHIE"),
    ("pneumologue aucamville", "LEFÈVRE ELÉONORE"),
    ("durand jean-pierre", "DURAND JEAN-PIERRE"),
    ("durand jeanpierre", "DURAND JEAN-PIERRE"),
    ("durant", "DURAND JEAN-PIERRE"),
    ("jean pierre dentiste", "PIERRE JEAN"),
    ("kiné toulouse", "DURAND JEAN-PIERRE"),
    ("kine aucamville", "MARTINEZ LÉA"),
    ("munoz", "MUÑOZ INÈS"),
    ("neurologue", "MUÑOZ INÈS"),
    ("pharmacie aucamville", "PHARMACIE D'AUCAMVILLE"),
    ("pharmacien aucamville", "FRANÇOIS CHLOÉ"),
    ("francois chloe", "FRANÇOIS CHLOÉ"),
    ("coeur", "CŒUR ZOÉ"),
    ("infirmier fenouillet", "CŒUR ZOÉ"),
    ("nguyen", "NGUYEN LINH"),
    ("nguyenn", "NGUYEN LINH"),
    ("de la fontaine", "DE LA FONTAINE MARIE"),
    ("psychologue ajaccio", "DE LA FONTAINE MARIE"),
    ("o'connor", "O'CONNOR SEAN"),
    ("oconnor", "O'CONNOR SEAN"),
    ("ergothérapeute", "O'CONNOR SEAN"),
    ("sage-femme", "D'ARC JEANNE"),
    ("garcia", "GARCIA NOÉ"),
    ("orthoptiste saint-pierre", "ROUX MAËLLE"),
    ("mael", "ROUX MAËLLE"),
];

#[tokio::test]
async fn fifty_things_that_people_type_lead_to_whom_they_mean() {
    let world = World::new();
    world.import(people_text()).unwrap();
    let mut wrong = Vec::new();
    for (typed, meant) in TYPED {
        let found = world.names(typed).await;
        if found.first().map(String::as_str) != Some(meant) {
            wrong.push(format!(
                "{typed}: {meant} meant, found {:?}",
                found.iter().take(4).collect::<Vec<_>>()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(world.names("xyzzyx").await.is_empty(), "what nobody is called finds nobody");
}

#[tokio::test]
async fn members_come_first_and_the_nearest_before_the_rest() {
    let world = World::new();
    world.import(people_text()).unwrap();
    world.user(&format!("8{}", rpps(2)), MemberClass::Professional).await;
    assert_eq!(world.names("martin").await[0], "MARTIN PAUL", "a member comes before an equal");
    assert_eq!(world.names("camille martin").await[0], "MARTIN CAMILLE", "but not before a better fit");
    let near = Filter {
        communes: vec!["Aucamville".into()],
        radius_km: 15,
        kind: Some(Kind::Professional),
        member: Some(false),
        ..Filter::default()
    };
    let hits = world.search(near).await.hits;
    let distances: Vec<u32> = hits.iter().map(|hit| hit.distance_km.unwrap()).collect();
    assert!(distances.is_sorted() && distances[0] == 0 && *distances.last().unwrap() > 3, "{distances:?}");
    assert!(hits.iter().all(|hit| !hit.entry.activities[0].commune.code.starts_with("97")));
}

#[tokio::test]
async fn structured_filters_facets_and_pages_agree() {
    let world = World::new();
    world.import(people_text()).unwrap();
    let people = Filter { kind: Some(Kind::Professional), facets: true, ..Filter::default() };
    let all = world.search(people.clone()).await;
    assert_eq!(all.total, PEOPLE.len());
    assert_eq!(all.professions[0].label, "Médecin");
    for facet in &all.professions {
        let filter = Filter { professions: vec![facet.code.clone()], ..people.clone() };
        assert_eq!(world.search(filter).await.total, facet.count as usize, "{}", facet.code);
    }
    for facet in &all.communes {
        let filter = Filter { communes: vec![facet.label.clone()], ..people.clone() };
        assert_eq!(world.search(filter).await.total, facet.count as usize, "{}", facet.code);
    }
    let mut keys = Vec::new();
    for page in 0..7 {
        let filter = Filter { offset: page * 3, limit: 3, ..people.clone() };
        keys.extend(world.search(filter).await.hits.into_iter().map(|hit| hit.entry.key));
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), PEOPLE.len(), "pages neither overlap nor leave anybody out");
    let by_words = |skill: &str| Filter { skills: vec![skill.into()], ..people.clone() };
    assert_eq!(world.search(by_words("cardio")).await.total, 1);
    assert_eq!(world.search(by_words("SM41")).await.total, 1);
    let structure = Filter { structure: "clinique lilas".into(), ..people.clone() };
    assert_eq!(world.search(structure).await.total, 2);
    let places = Filter { text: "lilas".into(), kind: Some(Kind::Structure), ..Filter::default() };
    assert_eq!(world.search(places).await.total, 3);
}
