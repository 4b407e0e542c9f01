//! A synthetic national directory of any size, always the same for the same size: the columns of the 2026 layout,
//! invented people, RPPS numbers of the test block 997 with a right check digit, 0 to 8 activities each.

use std::io::{self, Write};

/// Header of the extraction of persons and activities, 56 columns, trailing separator.
pub(crate) const PEOPLE_HEADER: &str = include_str!("../fixtures/directory/people_56.txt");
/// Header of the extraction of mailboxes, 31 columns.
pub(crate) const MAILBOX_HEADER: &str = include_str!("../fixtures/directory/mailboxes_31.txt");

const FAMILY: &[&str] = &[
    "MARTIN",
    "BERNARD",
    "THOMAS",
    "PETIT",
    "ROBERT",
    "RICHARD",
    "DURAND",
    "DUBOIS",
    "MOREAU",
    "LAURENT",
    "SIMON",
    "MICHEL",
    "LEFÈVRE",
    "LEROY",
    "ROUX",
    "GARCIA",
    "FOURNIER",
    "LAMBERT",
    "BONNET",
    "FRANÇOIS",
    "N'GUESSAN",
    "D'ARC",
    "LE GALL",
    "MUÑOZ",
];
/// Endings that make as many family names as there are in the country.
const ENDINGS: &[&str] =
    &["", "", "", "EAU", "ET", "IER", "ARD", "IN", "OT", "AZ", "EC", "IC", "OUX", "ELLE"];
const GIVEN: &[&str] = &[
    "CAMILLE",
    "ELÉONORE",
    "JEAN-MARIE",
    "LÉA",
    "HUGO",
    "INÈS",
    "NOÉ",
    "ZOÉ",
    "PAUL",
    "CHLOÉ",
    "MAËLLE",
    "YANN",
    "SOPHIE",
    "OMAR",
    "LINH",
];
/// Code, label, share in 100.
const PROFESSIONS: &[(&str, &str, u64)] = &[
    ("60", "Infirmier", 38),
    ("10", "Médecin", 22),
    ("70", "Masseur-Kinésithérapeute", 14),
    ("21", "Pharmacien", 9),
    ("40", "Chirurgien-Dentiste", 7),
    ("91", "Orthophoniste", 4),
    ("50", "Sage-Femme", 3),
    ("80", "Pédicure-Podologue", 3),
];
const SKILLS: &[(&str, &str)] = &[
    ("SM54", "Médecine Générale"),
    ("SM53", "Spécialiste en Médecine Générale"),
    ("SM04", "Cardiologie et maladies vasculaires"),
    ("SM41", "Pneumologie"),
    ("SM32", "Neurologie"),
];
/// Postal code, INSEE code, name.
const COMMUNES: &[(&str, &str, &str)] = &[
    ("31000", "31555", "TOULOUSE"),
    ("31100", "31555", "TOULOUSE"),
    ("31150", "31182", "FENOUILLET"),
    ("31140", "31022", "AUCAMVILLE"),
    ("20090", "2A004", "AJACCIO"),
    ("97410", "97416", "SAINT-PIERRE"),
];

/// How much was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// Lines of the extraction of persons, without the header.
    pub(crate) lines: u64,
    /// Lines of the extraction of mailboxes, without the header.
    pub(crate) mailboxes: u64,
}

/// Random numbers, always the same (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

/// The RPPS number of the nth person.
pub(crate) fn rpps(number: u64) -> String {
    let body = format!("997{number:07}");
    (0..10).map(|digit| format!("{body}{digit}")).find(|number| luhn(number)).unwrap()
}

fn luhn(digits: &str) -> bool {
    let doubled = |(place, byte): (usize, u8)| {
        let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    };
    digits.bytes().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}

/// Writes both extractions for so many persons.
pub(crate) fn write(
    persons: u64,
    people: &mut impl Write,
    mailboxes: &mut impl Write,
) -> io::Result<Written> {
    let mut dice = Dice(1);
    let mut written = Written::default();
    let header: Vec<&str> = PEOPLE_HEADER.trim_end().trim_end_matches('|').split('|').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let columns: Vec<usize> = COLUMNS.iter().map(|name| place(name)).collect();
    writeln!(people, "{}", PEOPLE_HEADER.trim_end())?;
    writeln!(mailboxes, "{}", MAILBOX_HEADER.trim_end())?;
    for number in 0..persons {
        let rpps = rpps(number);
        let family = format!("{}{}", dice.pick(FAMILY), dice.pick(ENDINGS));
        let given = dice.pick(GIVEN);
        let mut share = dice.roll(100);
        let profession = PROFESSIONS
            .iter()
            .find(|(.., part)| {
                share < *part || {
                    share -= part;
                    false
                }
            })
            .unwrap();
        let skill = if profession.0 == "10" { *dice.pick(SKILLS) } else { ("", "") };
        let activities = match dice.roll(100) {
            0..4 => 0,
            4..82 => 1,
            82..94 => 2,
            94..99 => 3,
            _ => 8,
        };
        for _ in 0..activities.max(1) {
            let work = (activities > 0).then(|| workplace(&mut dice, &family, profession.0));
            let person = [
                "8",
                &rpps,
                &format!("8{rpps}"),
                &family,
                given,
                profession.0,
                profession.1,
                skill.0,
                skill.1,
            ];
            let empty = std::array::from_fn(|_| String::new());
            let work: [String; 12] = work.unwrap_or(empty);
            let mut cells = vec![""; header.len()];
            let values = person.iter().copied().chain(work.iter().map(String::as_str));
            columns.iter().zip(values).for_each(|(column, value)| cells[*column] = value);
            writeln!(people, "{}|", cells.join("|"))?;
            written.lines += 1;
        }
        if dice.roll(100) < 45 {
            let address = format!("p{number}@test.mssante.example");
            writeln!(
                mailboxes,
                "PER|{address}|8|{rpps}|8{rpps}|||||{family}|{given}|||{}|{}|||O|||||||||||||",
                profession.0, profession.1
            )?;
            written.mailboxes += 1;
        }
    }
    Ok(written)
}

/// The columns that are filled, in the order in which values are made.
const COLUMNS: &[&str] = &[
    "Type d'identifiant PP",
    "Identifiant PP",
    "Identification nationale PP",
    "Nom d'exercice",
    "Prénom d'exercice",
    "Code profession",
    "Libellé profession",
    "Code savoir-faire",
    "Libellé savoir-faire",
    "Code mode exercice",
    "Identifiant technique de la structure",
    "Raison sociale site",
    "Numéro Voie (coord. structure)",
    "Libellé type de voie (coord. structure)",
    "Libellé Voie (coord. structure)",
    "Code postal (coord. structure)",
    "Code commune (coord. structure)",
    "Libellé commune (coord. structure)",
    "Téléphone (coord. structure)",
    "Code secteur d'activité",
    "Libellé secteur d'activité",
];

fn workplace(dice: &mut Dice, family: &str, profession: &str) -> [String; 12] {
    let commune = dice.pick(COMMUNES);
    let own = dice.roll(4) > 0 && profession != "21";
    let (technical, name) = if own {
        (format!("R1010{:010}", dice.roll(10_000_000_000)), format!("CABINET {family}"))
    } else {
        let number = dice.roll(400);
        (format!("R2020{number:010}"), format!("STRUCTURE FICTIVE {number}"))
    };
    [
        "L".into(),
        technical,
        name,
        dice.roll(200).to_string(),
        "Rue".into(),
        "DES ESSAIS".into(),
        commune.0.into(),
        commune.1.into(),
        commune.2.into(),
        format!("05000{:05}", dice.roll(100_000)),
        "SA07".into(),
        "Cabinet individuel".into(),
    ]
}
