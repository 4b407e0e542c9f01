//! File names that may be proposed: for a file that is sent, and once more for one that is fetched, because
//! a name that comes from somebody else may try to lead out of a folder or to look like another kind of file.

use super::limits::FILE_NAME_BYTES_MAX;

/// Name for what is left without one.
const NAMELESS: &str = "document";

/// Names that Windows takes for devices, whatever follows the first dot.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];

/// A name without folders, control and direction characters, or anything that a file system takes for
/// something else. Never empty, never hidden, at most [`FILE_NAME_BYTES_MAX`] bytes; a proper name is
/// unchanged.
#[must_use]
pub fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !is_invisible(*c)).map(replaced).collect();
    let trimmed = kept.trim_matches(|c: char| c.is_whitespace() || c == '.');
    if trimmed.is_empty() {
        return NAMELESS.to_owned();
    }
    let named = if is_device(trimmed) { format!("_{trimmed}") } else { trimmed.to_owned() };
    shortened(&named)
}

/// Control characters, and those that change the direction of writing: `ordonnance\u{202e}fdp.exe` would
/// be shown as `ordonnanceexe.pdf`.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn replaced(c: char) -> char {
    if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered =
        |prefix| stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']));
    DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// Cuts the stem, not the suffix, which says what the file is.
fn shortened(name: &str) -> String {
    if name.len() <= FILE_NAME_BYTES_MAX {
        return name.to_owned();
    }
    let suffix = name.rfind('.').map_or("", |dot| &name[dot..]);
    let suffix = if suffix.len() <= 16 { suffix } else { "" };
    let stem = &name[..name.floor_char_boundary(FILE_NAME_BYTES_MAX - suffix.len())];
    format!("{}{suffix}", stem.trim_end_matches(|c: char| c.is_whitespace() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proper_name_is_unchanged() {
        for name in ["ordonnance.pdf", "Compte rendu du 3 mai (2).pdf", "élève à l'hôpital.jpeg", "a"] {
            assert_eq!(safe(name), name);
        }
    }

    #[test]
    fn a_name_cannot_lead_out_of_a_folder_or_hide() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/shadow", "shadow"),
            ("..", "document"),
            (".bashrc", "bashrc"),
            ("", "document"),
            ("dossier/", "document"),
            ("C:\\temp\\x.pdf", "x.pdf"),
            ("a\0b\n.pdf", "ab.pdf"),
            ("x.pdf. . ", "x.pdf"),
            ("NUL.txt", "_NUL.txt"),
            ("com1", "_com1"),
            ("flux:caché", "flux_caché"),
            ("ordonnance\u{202e}fdp.exe", "ordonnancefdp.exe"),
        ] {
            assert_eq!(safe(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_suffix() {
        let name = safe(&format!("{}.pdf", "é".repeat(300)));
        assert!(name.len() <= FILE_NAME_BYTES_MAX && name.ends_with("é.pdf"), "{name}");
    }

    proptest::proptest! {
        #[test]
        fn any_name_becomes_one_that_stays_as_it_is(name in "\\PC*|[./\\\\ a\\x00\\x1b]{0,300}") {
            let once = safe(&name);
            proptest::prop_assert!(!once.is_empty() && once.len() <= FILE_NAME_BYTES_MAX);
            proptest::prop_assert!(!once.contains(['/', '\\', '\0']) && !once.starts_with('.'));
            proptest::prop_assert_eq!(safe(&once), once);
        }
    }
}
