//! What an import takes: every layout, every form, again and again.
#![expect(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cercle_server::directory::{
    entry::Kind,
    import::{self, ImportError, Options},
    search::Filter,
};

use super::world::{DAY, NOW, PEOPLE, World, identity, people_text, person_line};
use crate::synthetic::{self, MAILBOX_HEADER, PEOPLE_HEADER, rpps};

#[tokio::test]
async fn the_samples_are_read_whole_and_other_layouts_by_their_headers() {
    let world = World::new();
    let people = include_str!("../../fixtures/directory/synthetic_personne_activite_50rows.txt");
    let report = world.import(people).unwrap();
    assert_eq!((report.lines, report.refused, report.warned), (50, 0, 0), "{report}");
    let mailboxes = include_str!("../../fixtures/directory/synthetic_mssante_25rows.txt");
    let report = world.import(mailboxes).unwrap();
    assert_eq!((report.lines, report.refused, report.removed), (25, 0, 0), "people stay: {report}");
    let hit = world.directory.get(&identity("searcher"), "99700000021", NOW).await.unwrap();
    assert_eq!(hit.entry.mailboxes, ["linh.martin.2@test.mssante.example"]);
    for header in [
        include_str!("../../fixtures/directory/people_52.txt"),
        include_str!("../../fixtures/directory/people_49.txt"),
        &format!("Colonne nouvelle|{}", PEOPLE_HEADER),
    ] {
        let world = World::new();
        let line = person_line(header, 1, "MARTIN", "CAMILLE", "60", "", "31555", "CABINET");
        let report = world.import(format!("{}\n{line}\n", header.trim_end())).unwrap();
        assert_eq!((report.entries, report.refused), (2, 0), "{report}");
        assert_eq!(
            world.names("infirmier toulouse").await.len().min(1),
            usize::from(header.contains("Libellé commune"))
        );
        assert_eq!(world.names("martin").await[0], "MARTIN CAMILLE");
    }
}

#[tokio::test]
async fn an_import_again_counts_the_differences_and_refuses_to_empty_the_directory() {
    let world = World::new();
    let text = people_text();
    assert_eq!(world.import(&text).unwrap().added as usize, 2 * PEOPLE.len());
    let same = world.import(&text).unwrap();
    assert_eq!((same.added, same.changed, same.removed, same.generation), (0, 0, 0, 2));
    let lines: Vec<&str> = text.lines().collect();
    let shuffled = [&lines[..1], &lines[11..], &lines[1..11]].concat().join("\n");
    let same = world.import(shuffled).unwrap();
    assert_eq!((same.added, same.changed, same.removed), (0, 0, 0), "the order of lines is no difference");
    let new = person_line(PEOPLE_HEADER, 21, "ABADIE", "LUC", "60", "", "31555", "CABINET ABADIE");
    let edited = text.replacen("SEAN", "SHAUN", 1).replace(lines[20], &new);
    let edited = world.import(edited).unwrap();
    assert_eq!((edited.added, edited.changed, edited.removed), (2, 1, 2), "{edited}");
    let few = lines[..12].join("\n");
    assert!(matches!(world.import(&few), Err(ImportError::TooManyRemovals { .. })));
    assert_eq!(world.names("muñoz").await.len(), 1, "a refused import changes nothing");
    let accepted = Options { accept_removals: true, ..Options::default() };
    assert!(world.import_with(&few, accepted).unwrap().removed > 10);
    // The hub looks again after a while.
    let later = world.search_at(Filter { text: "muñoz".into(), ..Filter::default() }, NOW + DAY).await;
    assert_eq!(later.total, 0);
}

#[tokio::test]
async fn a_list_of_communes_keeps_the_rest_of_the_country_out() {
    let world = World::new();
    let options = Options { communes: vec!["31555".into(), "2A*".into()], ..Options::default() };
    let report = world.import_with(people_text(), options).unwrap();
    let inside = PEOPLE.iter().filter(|person| ["31555", "2A004"].contains(&person.5)).count();
    assert_eq!(report.entries as usize, 2 * inside, "{report}");
    assert_eq!(report.outside as usize, PEOPLE.len() - inside);
    assert!(world.names("martinez").await.iter().all(|name| !name.starts_with("MARTINEZ")));
}

#[tokio::test]
async fn a_zip_of_both_extractions_is_imported_at_once() {
    use std::io::Write;
    let world = World::new();
    let path = world.folder.path().join("both.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let mailbox = format!("PER|Camille@mail.example|8|{0}|8{0}{1}", rpps(1), "|".repeat(26));
    let mailboxes = format!("{}\n{mailbox}\n", MAILBOX_HEADER.trim_end());
    for (name, text) in
        [("people.txt", people_text()), ("boxes.txt", mailboxes), ("lisezmoi.pdf", "x".into())]
    {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let options = Options { files: vec![path], ..Options::default() };
    let report = import::run(&world.path(), &options, &mut |_| {}).unwrap();
    assert_eq!((report.lines as usize, report.refused), (PEOPLE.len() + 1, 0), "{report}");
    let hit = world.directory.get(&identity("searcher"), &rpps(1), NOW).await.unwrap();
    assert_eq!(hit.entry.mailboxes, ["camille@mail.example"]);
}

const BUNDLE: &str = include_str!("../../fixtures/directory/bundle.json");

#[tokio::test]
async fn fhir_resources_are_read_as_a_bundle_and_as_lines() {
    let resources: serde_json::Value = serde_json::from_str(BUNDLE).unwrap();
    let lines = resources["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].to_string());
    let lines = lines.collect::<Vec<_>>().join("\n") + "\n{broken\n";
    for (text, refused) in [(BUNDLE.to_owned(), 1), (lines, 2)] {
        let world = World::new();
        let report = world.import(text).unwrap();
        assert_eq!((report.refused, report.inactive), (refused, 1), "{report}");
        let hit = world.directory.get(&identity("searcher"), "810003461033", NOW).await.unwrap();
        assert_eq!((hit.entry.family.as_str(), hit.entry.given.as_str()), ("Saucier", "Arthur"));
        assert_eq!(hit.entry.professions[0].label, "Médecin");
        assert_eq!(hit.entry.mailboxes, ["arthur@pro.mssante.example"], "not the one on the red list");
        let place = &hit.entry.activities[0];
        assert_eq!(
            (place.name.as_str(), place.commune.code.as_str(), place.mode.as_str()),
            ("CH EURE-SEINE", "75114", "S")
        );
        assert!(world.names("eure seine").await.iter().any(|name| name == "CH EURE-SEINE"));
        assert_eq!(world.names("plannings").await, ["Créneaux de la CPTS (plannings)"]);
    }
}

#[tokio::test]
async fn a_generated_directory_is_the_same_each_time_and_imported_without_a_fault() {
    let world = World::new();
    let (mut people, mut again, mut mailboxes) = (Vec::new(), Vec::new(), Vec::new());
    let written = synthetic::write(300, &mut people, &mut mailboxes).unwrap();
    synthetic::write(300, &mut again, &mut Vec::new()).unwrap();
    assert!(people == again);
    let files = vec![world.file("people.txt", people), world.file("mailboxes.txt", mailboxes)];
    let options = Options { files, now_ms: NOW, ..Options::default() };
    let report = import::run(&world.path(), &options, &mut |_| {}).unwrap();
    assert_eq!((report.lines, report.refused, report.warned), (written.lines + written.mailboxes, 0, 0));
    let persons = world.search(Filter { kind: Some(Kind::Professional), ..Filter::default() }).await;
    assert_eq!(persons.total, 300);
}

#[tokio::test]
async fn an_index_that_is_lost_is_made_again() {
    let world = World::new();
    world.import(people_text()).unwrap();
    fs::remove_dir_all(index(&world.path())).unwrap();
    assert_eq!(world.names("muñoz").await, ["MUÑOZ INÈS"]);
}

fn index(directory: &Path) -> PathBuf {
    directory.join("generations/00000001/index")
}
