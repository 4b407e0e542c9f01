//! A directory in a folder of its own, and the people that its tests import.

use std::{fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use cercle_proto::{
    id::{DeviceId, UserId},
    v1::{MemberClass, Role},
};
use cercle_server::{
    auth::Identity,
    directory::{
        Directory, Page, Settings,
        import::{self, ImportError, Options, Report},
        search::Filter,
    },
};
use cercle_storage::store::{DeviceRecord, Enrolment, InvitationRecord, Store, UserRecord};

use crate::synthetic::{PEOPLE_HEADER, rpps};

pub(super) const DOMAIN: &str = "cpts.example";
/// When it is.
pub(super) const NOW: u64 = 1_800_000_000_000;
pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;

/// A directory in a folder of its own, over a store in memory.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    pub(super) directory: Directory,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = cercle_storage::open_memory();
        let directory = Directory::new(&folder.path().join("directory"), store.clone(), settings);
        Self { folder, store, directory }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("directory")
    }

    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn import(&self, content: impl AsRef<[u8]>) -> Result<Report, ImportError> {
        self.import_with(content, Options::default())
    }

    pub(super) fn import_with(
        &self,
        content: impl AsRef<[u8]>,
        options: Options,
    ) -> Result<Report, ImportError> {
        let files = vec![self.file("import.txt", content)];
        import::run(&self.path(), &Options { files, now_ms: NOW, ..options }, &mut |_| {})
    }

    pub(super) async fn search(&self, filter: Filter) -> Page {
        self.search_at(filter, NOW).await
    }

    pub(super) async fn search_at(&self, filter: Filter, now: u64) -> Page {
        // Somebody else each day, because the limits count forwards.
        self.directory.search(&identity(&format!("searcher{now}")), filter, now).await.unwrap()
    }

    pub(super) async fn names(&self, text: &str) -> Vec<String> {
        let page = self.search(Filter { text: text.into(), ..Filter::default() }).await;
        page.hits
            .iter()
            .map(|hit| format!("{} {}", hit.entry.family, hit.entry.given).trim().into())
            .collect()
    }

    /// A user with an enrolled device.
    pub(super) async fn user(&self, name: &str, class: MemberClass) {
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

pub(super) fn identity(user: &str) -> Identity {
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
pub(super) type Person =
    (u64, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

/// Whom the searches look for.
pub(super) const PEOPLE: &[Person] = &[
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

pub(super) fn people_text() -> String {
    let mut text = PEOPLE_HEADER.trim_end().to_owned() + "\n";
    for (number, family, given, profession, skill, commune, structure) in PEOPLE {
        text += &person_line(PEOPLE_HEADER, *number, family, given, profession, skill, commune, structure);
        text += "\n";
    }
    text
}

#[expect(clippy::too_many_arguments, reason = "the columns of a line")]
pub(super) fn person_line(
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
