//! Who plays, where, and what is said beside the scenes. Every person, place and case here is invented.

use cercle_sdk::message::ThreadKind;

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

/// An invented group: title, purpose, and its members' places in [`PEOPLE`], its founder first.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) kind: ThreadKind,
    pub(super) members: &'static [usize],
}

/// Somebody says something to everybody.
pub(super) struct Line {
    /// Place in [`PEOPLE`].
    pub(super) speaker: usize,
    pub(super) text: &'static str,
}

/// Domain of the invented hub.
pub(super) const DOMAIN: &str = "cpts-val-fictif.example";

/// INSEE code that the cases of the day name.
pub(super) const COMMUNE: &str = "65440";

/// The general practitioner, who coordinates: she invites everybody else.
pub(super) const CAMILLE: usize = 0;
/// A nurse of the north.
pub(super) const INES: usize = 1;
/// The pharmacist.
pub(super) const KARIM: usize = 2;
/// The physiotherapist.
pub(super) const LUCIE: usize = 3;
/// A nurse of the south.
pub(super) const HUGO: usize = 4;
/// The dermatologist.
pub(super) const NADIA: usize = 5;
/// The nurse of the hospital who prepares discharges.
pub(super) const ELISE: usize = 6;

/// The members.
pub(super) const PEOPLE: &[Person] = &[
    Person {
        id: "camille.moreau",
        name: "Dr Camille Moreau (fictive)",
        profession: "10",
        words: ("médecin généraliste", "general practitioner"),
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
        profession: "60",
        words: ("infirmier", "nurse"),
    },
    Person {
        id: "nadia.rossi",
        name: "Dr Nadia Rossi (fictive)",
        profession: "10",
        words: ("dermatologue", "dermatologist"),
    },
    Person {
        id: "elise.garnier",
        name: "Élise Garnier (fictive)",
        profession: "60",
        words: ("infirmière de liaison à l'hôpital", "discharge nurse at the hospital"),
    },
];

/// Everybody; it takes the visitor in.
pub(super) const WELCOME: usize = 0;
/// Discharges to the north of the territory.
pub(super) const NORTH: usize = 1;
/// Discharges to the south of the territory.
pub(super) const SOUTH: usize = 2;
/// Wounds and skin.
pub(super) const SKIN: usize = 3;

/// The groups.
pub(super) const GROUPS: [Group; 4] = [
    Group {
        title: "Accueil CPTS Val-Fictif",
        kind: ThreadKind::Territory,
        members: &[CAMILLE, INES, KARIM, LUCIE, HUGO, NADIA, ELISE],
    },
    Group { title: "Retours à domicile Nord", kind: ThreadKind::Theme, members: &[ELISE, INES, CAMILLE] },
    Group { title: "Retours à domicile Sud", kind: ThreadKind::Theme, members: &[ELISE, HUGO, LUCIE] },
    Group { title: "Plaies et peau", kind: ThreadKind::Theme, members: &[CAMILLE, NADIA, INES] },
];

/// What is said in the first group when the day begins.
pub(super) const GREETINGS: &[Line] = &[
    Line {
        speaker: CAMILLE,
        text: "Bonjour à toutes et à tous ! Voici notre espace d'échange, chiffré de bout en bout.",
    },
    Line { speaker: INES, text: "Bonjour Camille. Bien reçu au cabinet infirmier." },
    Line { speaker: LUCIE, text: "Deux créneaux de kiné se libèrent jeudi après-midi." },
];

/// What the members answer to a visitor, in turn: speaker and text.
pub(super) const ANSWERS: &[(usize, &str)] = &[
    (
        INES,
        "Bienvenue ! Votre message est arrivé, déchiffré ici, sur mon appareil, et nulle part entre nous.",
    ),
    (KARIM, "Bien reçu à la pharmacie."),
    (CAMILLE, "Merci ! Le hub a relayé votre message sans pouvoir le lire."),
    (LUCIE, "Reçu aussi. Essayez « cercle status accueil » pour voir qui a déjà tout."),
    (HUGO, "Bien reçu. Vous pouvez créer un groupe : cercle new \"Mon groupe\"."),
    (ELISE, "Reçu ! Fermez votre terminal et revenez : rien ne se perd."),
];

/// What Karim asks of everybody once the visitor is there to take it on: title and reason.
pub(super) const TASK: (&str, &str) =
    ("Rappeler la pharmacie du Marché avant 19 h", "Confirmer l'heure de livraison du lit médicalisé.");

/// What Karim says to a visitor who takes that on.
pub(super) const TAKEN: &str = "Merci ! C'est noté pour tout le groupe, personne d'autre n'appellera.";

/// What Karim says when it is done.
pub(super) const DONE: &str = "Parfait, c'est réglé. Merci !";

/// The visitor's user id and name.
pub(super) const VISITOR: (&str, &str) = ("visite", "Vous (en visite)");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_speaks_in_groups_that_they_are_in() {
        for line in GREETINGS {
            assert!(GROUPS[WELCOME].members.contains(&line.speaker), "{}", line.text);
        }
        for (speaker, text) in ANSWERS {
            assert!(GROUPS[WELCOME].members.contains(speaker), "{text}");
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
