//! Who plays, and what they say. Every person, place and case here is invented.

/// An invented professional.
pub(super) struct Person {
    /// User id without domain.
    pub(super) id: &'static str,
    /// Name, marked as invented wherever it is shown.
    pub(super) name: &'static str,
    /// Code of the nomenclature TRE_G15.
    pub(super) profession: &'static str,
    /// The profession in words, French and English.
    pub(super) words: (&'static str, &'static str),
}

/// An invented group: title and its members' places in [`PEOPLE`], its founder first.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) members: &'static [usize],
}

/// Somebody says something in a group.
pub(super) struct Line {
    /// Place in [`GROUPS`].
    pub(super) group: usize,
    /// Place in [`PEOPLE`].
    pub(super) speaker: usize,
    pub(super) text: &'static str,
}

/// Domain of the invented hub.
pub(super) const DOMAIN: &str = "cpts-val-fictif.example";

/// The members. The first coordinates: she invites everybody else.
pub(super) const PEOPLE: &[Person] = &[
    Person {
        id: "camille.moreau",
        name: "Dr Camille Moreau (fictive)",
        profession: "10",
        words: ("médecin", "doctor"),
    },
    Person {
        id: "ines.durand",
        name: "Inès Durand (fictive)",
        profession: "60",
        words: ("infirmière", "nurse"),
    },
    Person {
        id: "karim.benali",
        name: "Karim Benali (fictif)",
        profession: "21",
        words: ("pharmacien", "pharmacist"),
    },
    Person {
        id: "lucie.petit",
        name: "Lucie Petit (fictive)",
        profession: "70",
        words: ("kinésithérapeute", "physiotherapist"),
    },
    Person {
        id: "hugo.lambert",
        name: "Hugo Lambert (fictif)",
        profession: "50",
        words: ("sage-femme", "midwife"),
    },
    Person {
        id: "nadia.rossi",
        name: "Nadia Rossi (fictive)",
        profession: "91",
        words: ("orthophoniste", "speech therapist"),
    },
];

/// The groups. The first takes the visitor in.
pub(super) const GROUPS: &[Group] = &[
    Group { title: "Accueil CPTS Val-Fictif", members: &[0, 1, 2, 3, 4, 5] },
    Group { title: "Plaies et pansements", members: &[1, 0, 2] },
    Group { title: "Retours à domicile", members: &[0, 1, 3] },
];

/// What is said, in this order.
pub(super) const SCRIPT: &[Line] = &[
    Line {
        group: 0,
        speaker: 0,
        text: "Bonjour à toutes et à tous ! Voici notre espace d'échange, chiffré de bout en bout.",
    },
    Line { group: 0, speaker: 1, text: "Bonjour Camille. Bien reçu au cabinet infirmier." },
    Line { group: 0, speaker: 2, text: "La pharmacie du Marché est là aussi, jusqu'à 19 h 30." },
    Line {
        group: 1,
        speaker: 1,
        text: "Cicatrisation lente chez une patiente suivie à domicile : un avis sur le pansement ?",
    },
    Line {
        group: 1,
        speaker: 0,
        text: "Je passe jeudi matin. En attendant, hydrocellulaire, et surveille la périphérie.",
    },
    Line { group: 1, speaker: 2, text: "J'en ai en stock, je prépare la commande pour ce soir." },
    Line {
        group: 2,
        speaker: 0,
        text: "Sortie d'hospitalisation demain : qui peut assurer la première visite à domicile ?",
    },
    Line { group: 2, speaker: 1, text: "Je prends la visite de 8 h." },
    Line { group: 2, speaker: 3, text: "Bilan kiné possible lundi à 14 h." },
    Line { group: 0, speaker: 4, text: "Sage-femme de garde ce week-end : c'est moi." },
    Line { group: 0, speaker: 5, text: "Deux créneaux d'orthophonie se libèrent en décembre." },
    Line { group: 0, speaker: 3, text: "Merci ! Je le note pour mes patients." },
];

/// What the members answer to a visitor, in turn: speaker and text.
pub(super) const ANSWERS: &[(usize, &str)] = &[
    (1, "Bienvenue ! Votre message est arrivé, déchiffré ici, sur mon appareil, et nulle part entre nous."),
    (2, "Bien reçu à la pharmacie."),
    (0, "Merci ! Le hub a relayé votre message sans pouvoir le lire."),
    (3, "Reçu aussi. Essayez « cercle status accueil » pour voir qui a déjà tout."),
    (4, "Bien reçu. Vous pouvez créer un groupe : cercle new \"Mon groupe\"."),
    (5, "Reçu ! Fermez votre terminal et revenez : rien ne se perd."),
];

/// The visitor's user id and name.
pub(super) const VISITOR: (&str, &str) = ("visite", "Vous (en visite)");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_speaks_in_groups_that_they_are_in() {
        for line in SCRIPT {
            assert!(GROUPS[line.group].members.contains(&line.speaker), "{}", line.text);
        }
        for (speaker, text) in ANSWERS {
            assert!(GROUPS[0].members.contains(speaker), "{text}");
        }
    }

    #[test]
    fn every_name_says_that_it_is_invented() {
        for person in PEOPLE {
            assert!(
                person.name.ends_with("(fictive)") || person.name.ends_with("(fictif)"),
                "{}",
                person.name
            );
        }
    }
}
