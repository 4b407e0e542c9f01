//! A value that the hub refuses: what is wrong, where it was given, how to mend it. The hub's sentence names the field
//! of its protocol; a person has given an option.

use super::Failure;
use crate::{exit::Exit, language::Text};

/// Sentence of the hub, the same in French, where the value comes from and how to mend it, in French and in English.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    (
        "user must be 1 to 64 of A-Z a-z 0-9 . _ -",
        "un identifiant a de 1 à 64 lettres sans accent, chiffres, points, tirets",
        "Choisissez un autre identifiant de personne, par exemple claire.martin.",
        "Choose another user id, for example claire.martin.",
    ),
    ("user is missing", "l'identifiant de la personne manque", "Donnez-le.", "Give it."),
    (
        "display_name is empty, too long or holds control characters",
        "le nom affiché est vide, trop long ou contient des caractères de contrôle",
        "Corrigez --name.",
        "Correct --name.",
    ),
    (
        "profession is not a code of letters and digits",
        "la profession n'est pas un code (TRE_G15)",
        "Corrigez --profession, par exemple 60.",
        "Correct --profession, for example 60.",
    ),
    (
        "lost_devices is for another user",
        "vous avez encore cet appareil",
        "Retirez les autres : cercle unlink.",
        "Remove the others: cercle unlink.",
    ),
    (
        "valid_for_ms is longer than an invitation may wait",
        "une invitation ne peut pas attendre si longtemps",
        "Donnez une durée plus courte.",
        "Give a shorter time.",
    ),
    (
        "target fits nobody of the groups",
        "personne de ces groupes ne correspond",
        "Corrigez --for-profession, --for-commune ou --on-duty ; voyez : cercle alert reach",
        "Correct --for-profession, --for-commune or --on-duty; see: cercle alert reach",
    ),
    (
        "next_in_line names nobody of the groups",
        "une personne de la liste d'astreinte n'est pas dans ces groupes",
        "Corrigez --next, ou invitez cette personne.",
        "Correct --next, or invite that person.",
    ),
    (
        "next_in_line holds no user id",
        "la liste d'astreinte contient autre chose qu'un identifiant",
        "Corrigez --next.",
        "Correct --next.",
    ),
    (
        "next_in_line has at most 32 users",
        "la liste d'astreinte a au plus 32 personnes",
        "Donnez moins de --next.",
        "Give fewer --next.",
    ),
    (
        "groups must be 1 to 64",
        "une alerte va à 1 à 64 groupes",
        "Faites plusieurs alertes.",
        "Send several alerts.",
    ),
    (
        "expires_at_ms must lie in the next 30 days",
        "une alerte dure au plus 30 jours",
        "Corrigez --hours (au plus 720), ou la fin de validité du fichier CAP.",
        "Correct --hours (at most 720), or the end of validity in the CAP file.",
    ),
    (
        "repeat_every_ms must be 0 or at least 10 s",
        "deux rappels sont séparés d'au moins 10 s",
        "Corrigez --repeat-every.",
        "Correct --repeat-every.",
    ),
    (
        "repeat_max must be at most 1000",
        "une alerte rappelle au plus 1000 fois",
        "Corrigez --repeat-max.",
        "Correct --repeat-max.",
    ),
    (
        "radius_km needs a commune",
        "un rayon demande une commune",
        "Ajoutez --commune, son centre doit être connu du hub.",
        "Add --commune; the hub must know its centre.",
    ),
    (
        "radius_km is at most 200",
        "un rayon a au plus 200 km",
        "Donnez un rayon plus petit.",
        "Give a smaller radius.",
    ),
    (
        "card.delegate is no user of this hub",
        "le remplaçant n'est pas inscrit sur ce hub",
        "Corrigez le remplaçant ; voyez : cercle directory search",
        "Correct the delegate; see: cercle directory search",
    ),
    (
        "card.note is longer than 280 characters",
        "la note de la fiche dépasse 280 caractères",
        "Raccourcissez-la.",
        "Shorten it.",
    ),
    (
        "card.quiet_hours must name days, and minutes below 1440",
        "les heures calmes demandent des jours, et des heures avant minuit",
        "Corrigez les heures calmes.",
        "Correct the quiet hours.",
    ),
    (
        "card.on_duty must end after it begins",
        "une garde se termine après son début",
        "Corrigez la période de garde.",
        "Correct the period on duty.",
    ),
    (
        "inbox.name must have 1 to 64 characters",
        "une boîte partagée a un nom de 1 à 64 caractères",
        "Corrigez le nom de la boîte.",
        "Correct the name of the inbox.",
    ),
    (
        "inbox.users names somebody who is no user of this hub",
        "une personne de la boîte partagée n'est pas inscrite sur ce hub",
        "Corrigez les personnes de la boîte ; voyez : cercle directory search",
        "Correct the people of the inbox; see: cercle directory search",
    ),
    (
        "rule must name at least one value",
        "une règle demande au moins un critère",
        "Ajoutez --profession, --commune, --structure, --skill ou --tag.",
        "Add --profession, --commune, --structure, --skill or --tag.",
    ),
    (
        "listing.title must have 1 to 128 characters",
        "un titre publié a de 1 à 128 caractères",
        "Changez le titre du groupe : cercle set-profile",
        "Change the title of the group: cercle set-profile",
    ),
    (
        "listing.about is longer than 280 characters",
        "la description publiée dépasse 280 caractères",
        "Raccourcissez --about.",
        "Shorten --about.",
    ),
    (
        "reason is longer than 280 characters",
        "la raison dépasse 280 caractères",
        "Raccourcissez --reason.",
        "Shorten --reason.",
    ),
];

/// The hub refuses a value and says which.
pub(super) fn refused(sentence: &str) -> Failure {
    let sentence = sentence.trim_end_matches('.');
    let (french, mend) = match KNOWN.iter().find(|(known, ..)| *known == sentence) {
        Some((_, french, fr, en)) => (*french, Text { fr: (*fr).to_owned(), en: (*en).to_owned() }),
        // A newer hub, or a value that no option gives.
        None => (
            sentence,
            text!(
                "Corrigez cette valeur et recommencez ; si vous ne l'avez pas donnée, mettez la commande cercle à jour.";
                "Correct that value and try again; if you have not given it, update the cercle command."
            ),
        ),
    };
    let what = text!("Le hub refuse une valeur : {french}."; "The hub refuses a value: {sentence}.");
    Failure::new(Exit::Refused, what).mend(mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_sentence_is_told_in_both_languages_and_an_unknown_one_as_it_is() {
        let known = refused("radius_km needs a commune");
        assert!(known.what.fr.contains("un rayon demande une commune"), "{}", known.what.fr);
        assert!(known.what.en.contains("radius_km needs a commune"), "{}", known.what.en);
        let unknown = refused("frobs must be even.");
        assert!(unknown.what.fr.ends_with(": frobs must be even."), "{}", unknown.what.fr);
        let no_developer = |text: &Text| !text.en.contains("Fix the client");
        assert!(unknown.mend.as_ref().is_some_and(no_developer));
    }

    #[test]
    fn no_sentence_stands_twice() {
        let sentences: std::collections::HashSet<_> = KNOWN.iter().map(|row| row.0).collect();
        assert_eq!(sentences.len(), KNOWN.len());
    }
}
