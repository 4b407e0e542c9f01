//! The directory: what an import takes and refuses, what a search finds, who is never found.
#![expect(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cercle_proto::{
    id::{DeviceId, UserId},
    v1::{MemberClass, Role},
};
use cercle_server::{
    auth::Identity,
    directory::{
        Directory, Error, Page, Settings,
        card::{Card, Inbox, Period},
        entry::{Entry, Kind},
        import::{self, ImportError, Options, Report},
        operator,
        search::Filter,
    },
};
use cercle_storage::store::{DeviceRecord, Enrolment, InvitationRecord, Store, UserRecord};

use crate::synthetic::{self, MAILBOX_HEADER, PEOPLE_HEADER, rpps};

const DOMAIN: &str = "cpts.example";
const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// A directory in a folder of its own, over a store in memory.
struct World {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    directory: Directory,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = cercle_storage::open_memory();
        let directory = Directory::new(&folder.path().join("directory"), store.clone(), settings);
        Self { folder, store, directory }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("directory")
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn import(&self, content: impl AsRef<[u8]>) -> Result<Report, ImportError> {
        self.import_with(content, Options::default())
    }

    fn import_with(&self, content: impl AsRef<[u8]>, options: Options) -> Result<Report, ImportError> {
        let files = vec![self.file("import.txt", content)];
        import::run(&self.path(), &Options { files, now_ms: NOW, ..options }, &mut |_| {})
    }

    async fn search(&self, filter: Filter) -> Page {
        self.search_at(filter, NOW).await
    }

    async fn search_at(&self, filter: Filter, now: u64) -> Page {
        // Somebody else each day, because the limits count forwards.
        self.directory.search(&identity(&format!("searcher{now}")), filter, now).await.unwrap()
    }

    async fn names(&self, text: &str) -> Vec<String> {
        let page = self.search(Filter { text: text.into(), ..Filter::default() }).await;
        page.hits
            .iter()
            .map(|hit| format!("{} {}", hit.entry.family, hit.entry.given).trim().into())
            .collect()
    }

    /// A user with an enrolled device.
    async fn user(&self, name: &str, class: MemberClass) {
        let user = UserId::new(name, DOMAIN).unwrap();
        let device = DeviceId::new(crate::world::unique().to_be_bytes().repeat(2).try_into().unwrap());
        let mut secret_hash = [0; 32];
        secret_hash[..16].copy_from_slice(device.as_bytes());
        let record = UserRecord {
            user: user.clone(),
            display_name: format!("{name} (test)"),
            profession: "60".into(),
            class: class as u32,
            roles: vec![Role::Member as u32],
            created_at: NOW,
        };
        let invitation = InvitationRecord {
            secret_hash,
            user: user.clone(),
            new_user: Some(record),
            expires_at: NOW + DAY,
            created_at: NOW,
            used_by: None,
            by_user: false,
        };
        self.store.put_invitation(invitation).await.unwrap();
        let device = DeviceRecord {
            device,
            user,
            public_key: [1; 32],
            certificate: Bytes::new(),
            expires_at: NOW + DAY,
            enrolled_at: NOW,
            last_seen_at: 0,
            revoked_at: None,
        };
        self.store.enrol(Enrolment { secret_hash, device, now: NOW }, 5).await.unwrap();
    }
}

fn identity(user: &str) -> Identity {
    Identity {
        user: UserId::new(user, DOMAIN).unwrap(),
        device: DeviceId::new([7; 16]),
        roles: vec![Role::Member],
        certificate_expired: false,
    }
}

/// A line under some header, from the cells that are named.
fn line(header: &str, cells: &[(&str, &str)]) -> String {
    let columns: Vec<&str> = header.trim_end().trim_end_matches('|').split('|').collect();
    let cell = |column: &&str| {
        let found = cells.iter().find(|(name, _)| name == column);
        found.map_or("", |(_, value)| value).to_owned()
    };
    columns.iter().map(cell).collect::<Vec<_>>().join("|") + "|"
}

/// A person of the relevance table: number, name, profession, skill, commune, structure.
type Person = (u64, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const PEOPLE: &[Person] = &[
    (1, "MARTIN", "CAMILLE", "60", "", "31555", "CABINET DU CAPITOLE"),
    (2, "MARTIN", "PAUL", "10", "SM54", "31182", "MAISON DE SANTÉ DU NORD"),
    (3, "MARTINEZ", "LÉA", "70", "", "31022", "CABINET MARTINEZ"),
    (4, "SAINT-MARTIN", "HUGO", "21", "", "2A004", "PHARMACIE DE LA PLAGE"),
    (5, "LE GOFF", "YANN", "60", "", "31555", "CABINET DU CAPITOLE"),
    (6, "LEGOFF", "ANNE", "91", "", "97416", "CABINET LEGOFF"),
    (7, "D'ARC", "JEANNE", "50", "", "31555", "MATERNITÉ DES LILAS"),
    (8, "N'GUESSAN", "OMAR", "10", "SM04", "31555", "CLINIQUE DES LILAS"),
    (9, "LEFÈVRE", "ELÉONORE", "10", "SM41", "31022", "CENTRE DES POUMONS"),
    (10, "LEFEBVRE", "SOPHIE", "80", "", "31555", "CABINET LEFEBVRE"),
    (11, "DURAND", "JEAN-PIERRE", "70", "", "31555", "KINÉ SPORT"),
    (12, "PIERRE", "JEAN", "40", "", "31182", "CABINET DENTAIRE"),
    (13, "MUÑOZ", "INÈS", "10", "SM32", "31555", "CLINIQUE DES LILAS"),
    (14, "FRANÇOIS", "CHLOÉ", "21", "", "31022", "PHARMACIE D'AUCAMVILLE"),
    (15, "CŒUR", "ZOÉ", "60", "", "31182", "SOINS DU NORD"),
    (16, "NGUYEN", "LINH", "95", "", "31555", "NUTRITION TOULOUSE"),
    (17, "DE LA FONTAINE", "MARIE", "93", "", "2A004", "CABINET DE LA FONTAINE"),
    (18, "O'CONNOR", "SEAN", "94", "", "31022", "ERGO SERVICES"),
    (19, "GARCIA", "NOÉ", "98", "", "31555", "IMAGERIE DU CAPITOLE"),
    (20, "ROUX", "MAËLLE", "92", "", "97416", "CABINET ROUX"),
];

fn people_text() -> String {
    let mut text = PEOPLE_HEADER.trim_end().to_owned() + "\n";
    for (number, family, given, profession, skill, commune, structure) in PEOPLE {
        text += &person_line(PEOPLE_HEADER, *number, family, given, profession, skill, commune, structure);
        text += "\n";
    }
    text
}

#[expect(clippy::too_many_arguments, reason = "the columns of a line")]
fn person_line(
    header: &str,
    number: u64,
    family: &str,
    given: &str,
    profession: &str,
    skill: &str,
    commune: &str,
    structure: &str,
) -> String {
    let rpps = rpps(number);
    let town = match commune {
        "31555" => "TOULOUSE",
        "31182" => "FENOUILLET",
        "31022" => "AUCAMVILLE",
        "2A004" => "AJACCIO",
        _ => "SAINT-PIERRE",
    };
    let skill_label = match skill {
        "SM54" => "Médecine Générale",
        "SM04" => "Cardiologie et maladies vasculaires",
        "SM41" => "Pneumologie",
        "SM32" => "Neurologie",
        _ => "",
    };
    let technical = format!("R1010{number:010}");
    line(
        header,
        &[
            ("Type d'identifiant PP", "8"),
            ("Identifiant PP", &rpps),
            ("Identification nationale PP", &format!("8{rpps}")),
            ("Nom d'exercice", family),
            ("Prénom d'exercice", given),
            ("Code profession", profession),
            ("Code savoir-faire", skill),
            ("Libellé savoir-faire", skill_label),
            ("Identifiant technique de la structure", &technical),
            ("Raison sociale site", structure),
            ("Libellé Voie (coord. structure)", "DES ESSAIS"),
            ("Code postal (coord. structure)", "31000"),
            ("Code commune (coord. structure)", commune),
            ("Libellé commune (coord. structure)", town),
            ("Téléphone (coord. structure)", "0500000000"),
        ],
    )
}

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

#[tokio::test]
async fn the_samples_are_read_whole_and_other_layouts_by_their_headers() {
    let world = World::new();
    let people = include_str!("../fixtures/directory/synthetic_personne_activite_50rows.txt");
    let report = world.import(people).unwrap();
    assert_eq!((report.lines, report.refused, report.warned), (50, 0, 0), "{report}");
    let mailboxes = include_str!("../fixtures/directory/synthetic_mssante_25rows.txt");
    let report = world.import(mailboxes).unwrap();
    assert_eq!((report.lines, report.refused, report.removed), (25, 0, 0), "people stay: {report}");
    let hit = world.directory.get(&identity("searcher"), "99700000021", NOW).await.unwrap();
    assert_eq!(hit.entry.mailboxes, ["linh.martin.2@test.mssante.example"]);
    for header in [
        include_str!("../fixtures/directory/people_52.txt"),
        include_str!("../fixtures/directory/people_49.txt"),
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

/// Damages a file.
type DamageFn = dyn Fn(String) -> Vec<u8>;

/// What a damaged file leads to.
enum Outcome {
    /// All is taken but so many lines.
    Skipped(u64),
    /// All is taken, with so many warnings.
    Warned(u64),
    /// Nothing is taken.
    Refused,
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of damages")]
async fn a_file_damaged_in_twenty_ways_is_never_half_applied() {
    use Outcome::{Refused, Skipped, Warned};
    type Damage = fn(String) -> Vec<u8>;
    let replace_in_third = |text: String, from: &str, to: &str| -> Vec<u8> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3] = lines[3].replacen(from, to, 1);
        (lines.join("\n") + "\n").into_bytes()
    };
    let damages: Vec<(&str, Box<DamageFn>, Outcome)> = vec![
        ("nothing", Box::new(String::into_bytes as Damage), Warned(0)),
        ("a column too few", Box::new(move |t| replace_in_third(t, "|", "")), Skipped(1)),
        ("a column too many", Box::new(move |t| replace_in_third(t, "|", "||")), Skipped(1)),
        ("no identifier", Box::new(move |t| replace_in_third(t, &format!("8{}", rpps(3)), "")), Skipped(1)),
        (
            "an identifier of blanks and signs",
            Box::new(move |t| replace_in_third(t, &format!("8{}", rpps(3)), "8 - ?")),
            Skipped(1),
        ),
        ("no name", Box::new(move |t| replace_in_third(t, "MARTINEZ", "''")), Skipped(1)),
        (
            "a wrong check digit",
            Box::new(move |t| replace_in_third(t, &format!("8{}", rpps(3)), "899700000031")),
            Warned(1),
        ),
        (
            "a short number",
            Box::new(move |t| replace_in_third(t, &format!("8{}", rpps(3)), "8997")),
            Warned(1),
        ),
        ("an unknown profession", Box::new(move |t| replace_in_third(t, "|70|", "|ZZ|")), Warned(0)),
        ("an unknown commune", Box::new(move |t| replace_in_third(t, "31022", "99999")), Warned(0)),
        ("a postal code of letters", Box::new(move |t| replace_in_third(t, "|31000|", "|GL|")), Warned(0)),
        ("a zero byte", Box::new(move |t| replace_in_third(t, "MARTINEZ", "MAR\0TINEZ")), Skipped(1)),
        (
            "Latin-1",
            Box::new(|t: String| t.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()),
            Warned(0),
        ),
        (
            "a byte order mark",
            Box::new(|t: String| ["\u{feff}".as_bytes(), t.as_bytes()].concat()),
            Warned(0),
        ),
        ("Windows line ends", Box::new(|t: String| t.replace('\n', "\r\n").into_bytes()), Warned(0)),
        ("empty lines", Box::new(|t: String| t.replace('\n', "\n\n").into_bytes()), Warned(0)),
        ("an endless line", Box::new(|t: String| (t + &"x".repeat(200_000) + "\n").into_bytes()), Skipped(1)),
        ("the end is missing", Box::new(|t: String| t.as_bytes()[..t.len() - 60].to_vec()), Skipped(1)),
        ("no header", Box::new(|t: String| t.split_once('\n').unwrap().1.into()), Refused),
        ("another file", Box::new(|_| b"nom;prenom\nmartin;paul\n".to_vec()), Refused),
        ("only a header", Box::new(|t: String| t.split_once('\n').unwrap().0.into()), Refused),
        ("an empty file", Box::new(|_| Vec::new()), Refused),
        ("a broken zip", Box::new(|_| b"PK\x03\x04 and so on".to_vec()), Refused),
        ("broken JSON", Box::new(|_| b"{\"resourceType\": \"Bundle\", \"entry\": [{]}".to_vec()), Refused),
    ];
    for (name, damage, outcome) in damages {
        let world = World::new();
        let text = people_text();
        let result = world.import(damage(text));
        match (result, outcome) {
            (Ok(report), Skipped(lines)) => {
                assert_eq!((report.refused, report.warned), (lines, 0), "{name}: {report}");
                assert!(report.faults.iter().all(|fault| fault.line > 1), "{name}: {report}");
                assert!(world.names("muñoz").await[0].starts_with("MUÑOZ"), "{name}");
            }
            (Ok(report), Warned(lines)) => {
                assert_eq!((report.refused, report.warned), (0, lines), "{name}: {report}");
                assert_eq!(report.entries as usize, 2 * PEOPLE.len(), "{name}: {report}");
            }
            (Err(_), Refused) => {
                assert_eq!(world.search(Filter::default()).await.total, 0, "{name}");
                assert!(!world.path().join("CURRENT").exists(), "{name}");
            }
            (Ok(report), Refused) => panic!("{name} was taken: {report}"),
            (Err(error), _) => panic!("{name} was refused: {error}"),
        }
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

const BUNDLE: &str = include_str!("../fixtures/directory/bundle.json");

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
