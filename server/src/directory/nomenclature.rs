//! Labels of profession codes where a source has none, and the everyday words under which people look for them.
//! Nomenclature `TRE_G15-ProfessionSante`, version of 28 March 2025 (Agence du numérique en santé).

/// Code, label, everyday words.
const PROFESSIONS: &[(&str, &str, &str)] = &[
    ("10", "Médecin", "docteur medecin"),
    ("21", "Pharmacien", "pharmacie officine"),
    ("26", "Audioprothésiste", ""),
    ("28", "Opticien-Lunetier", ""),
    ("31", "Assistant dentaire", ""),
    ("32", "Physicien médical", ""),
    ("35", "Aide-soignant", "aide soignante"),
    ("36", "Ambulancier", "ambulance"),
    ("37", "Auxiliaire de puériculture", ""),
    ("38", "Préparateur en pharmacie hospitalière", ""),
    ("39", "Préparateur en pharmacie (officine)", ""),
    ("40", "Chirurgien-Dentiste", "dentaire"),
    ("50", "Sage-Femme", "maieuticien"),
    ("60", "Infirmier", "infirmiere ide idel"),
    ("69", "Infirmier psychiatrique", "infirmiere"),
    ("70", "Masseur-Kinésithérapeute", "kine kinesi"),
    ("80", "Pédicure-Podologue", "podo"),
    ("81", "Orthoprothésiste", ""),
    ("82", "Podo-Orthésiste", ""),
    ("83", "Orthopédiste-Orthésiste", ""),
    ("84", "Oculariste", ""),
    ("85", "Epithésiste", ""),
    ("86", "Technicien de laboratoire médical", ""),
    ("91", "Orthophoniste", "orthophonie"),
    ("92", "Orthoptiste", ""),
    ("93", "Psychologue", "psy"),
    ("94", "Ergothérapeute", "ergo"),
    ("95", "Diététicien", "dieteticienne nutrition"),
    ("96", "Psychomotricien", "psychomotricienne"),
    ("98", "Manipulateur ERM", "radio"),
];

/// Skill code of `TRE_R38` and the name of whoever has it.
const SPECIALISTS: &[(&str, &str)] = &[
    ("SM04", "cardiologue"),
    ("SM32", "neurologue"),
    ("SM41", "pneumologue"),
    ("SM53", "generaliste"),
    ("SM54", "generaliste"),
];

/// Label of a profession code; empty if it is not known.
#[must_use]
pub(super) fn profession_label(code: &str) -> &'static str {
    PROFESSIONS.iter().find(|(known, ..)| *known == code).map_or("", |(_, label, _)| label)
}

/// Everyday words for a profession or skill code, folded and separated by blanks.
#[must_use]
pub(super) fn everyday_words(code: &str) -> &'static str {
    let profession = PROFESSIONS.iter().find(|(known, ..)| *known == code).map(|(.., words)| *words);
    let specialist = SPECIALISTS.iter().find(|(known, _)| *known == code).map(|(_, word)| *word);
    profession.or(specialist).unwrap_or("")
}

/// Codes whose label or everyday words begin with every word of a text: "kiné" is 70. Empty if none.
#[must_use]
pub(super) fn professions_named(text: &str) -> Vec<&'static str> {
    let wanted = super::fold::words(text);
    let named = |label: &str, words: &str| {
        let known = super::fold::words(&format!("{label} {words}"));
        wanted.iter().all(|word| known.iter().any(|known| known.starts_with(word.as_str())))
    };
    if wanted.is_empty() {
        return Vec::new();
    }
    PROFESSIONS.iter().filter(|(_, label, words)| named(label, words)).map(|(code, ..)| *code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profession_is_known_by_its_everyday_names() {
        assert_eq!(profession_label("60"), "Infirmier");
        assert_eq!(profession_label("ZZ"), "");
        assert_eq!(professions_named("kiné"), ["70"]);
        assert_eq!(professions_named("sage-femme"), ["50"]);
        assert!(professions_named("infirmière").contains(&"60"));
        assert!(professions_named("plombier").is_empty());
    }
}
