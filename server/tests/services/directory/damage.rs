//! A damaged file is taken without its damaged lines, or not at all.
#![expect(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use cercle_server::directory::search::Filter;

use super::world::{PEOPLE, World, people_text};
use crate::synthetic::rpps;

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
