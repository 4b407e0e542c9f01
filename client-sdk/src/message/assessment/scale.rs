//! The scales that the SDK computes. Screening aids, no diagnosis: the meaning says what to do next.
//!
//! - `imc`: body mass index, kg/m². Bounds of the World Health Organization (Technical Report Series 894, 2000).
//! - `icope1`: step 1 of ICOPE, intrinsic capacity of older people in six domains (WHO, *Integrated care for
//!   older people: guidance on person-centred assessment and pathways in primary care*, 2019). The score is the
//!   number of domains to be assessed further in step 2.
//! - `bpco5`: the five yes-or-no questions on chronic obstructive pulmonary disease by which the Haute Autorité
//!   de Santé and GOLD suggest whom to send to spirometry; three times yes or more.

use super::{Assessment, Score};
use crate::{
    error::Error,
    message::{
        Language,
        field::{missing, wrong},
    },
};

/// Weight in grams and height in millimetres that a person can have; beyond, a unit was mistaken.
const WEIGHT_G: std::ops::RangeInclusive<i64> = 500..=500_000;
const HEIGHT_MM: std::ops::RangeInclusive<i64> = 300..=2_500;

/// Domains of ICOPE step 1, each with the observations that alert: 1 is a difficulty.
const ICOPE_DOMAINS: &[&[&str]] = &[
    &["orientation", "recall"],
    &["chair_rise"],
    &["weight_loss", "appetite_loss"],
    &["vision"],
    &["hearing"],
    &["low_mood", "loss_of_interest"],
];

/// Questions on BPCO: 1 is yes.
const BPCO_QUESTIONS: &[&str] = &["cough", "sputum", "breathless", "over_40", "smoker"];
/// Answers of yes from which spirometry is suggested.
const BPCO_YES_MIN: i64 = 3;

/// What follows from the items.
pub(crate) struct Computed {
    /// The score.
    pub(crate) score: Score,
    title: (&'static str, &'static str),
    meaning: (&'static str, &'static str),
}

impl Computed {
    pub(crate) fn title(&self, language: Language) -> &'static str {
        language.pick(self.title.0, self.title.1)
    }

    pub(crate) fn meaning(&self, language: Language) -> &'static str {
        language.pick(self.meaning.0, self.meaning.1)
    }
}

/// Computes a scale; `None` for one that the SDK does not know.
///
/// # Errors
/// When an item is missing or out of range.
pub(crate) fn result(assessment: &Assessment) -> Result<Option<Computed>, Error> {
    match assessment.scale.as_str() {
        "imc" => imc(assessment).map(Some),
        "icope1" => icope1(assessment).map(Some),
        "bpco5" => bpco5(assessment).map(Some),
        _ => Ok(None),
    }
}

fn item(assessment: &Assessment, code: &str) -> Result<i64, Error> {
    let mut found = assessment.items.iter().filter(|item| item.code == code);
    match (found.next(), found.next()) {
        (Some(item), None) => Ok(item.value),
        (Some(_), Some(_)) => Err(wrong("items", "has an item twice")),
        (None, _) => Err(missing("items")),
    }
}

fn yes(assessment: &Assessment, code: &str) -> Result<bool, Error> {
    match item(assessment, code)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong("items.value", "must be 0 or 1")),
    }
}

fn imc(assessment: &Assessment) -> Result<Computed, Error> {
    let (weight, height) = (item(assessment, "weight_g")?, item(assessment, "height_mm")?);
    if !WEIGHT_G.contains(&weight) || !HEIGHT_MM.contains(&height) {
        return Err(wrong("items.value", "must be a weight in grams and a height in millimetres"));
    }
    // 1 kg/m² is 1 g per 1 000 mm²; in tenths, rounded half up.
    let square = height * height;
    let tenths = (weight * 10_000 + square / 2) / square;
    let meaning = match tenths {
        ..185 => ("maigreur (< 18,5)", "underweight (< 18.5)"),
        185..250 => ("corpulence normale (18,5 à 24,9)", "normal weight (18.5 to 24.9)"),
        250..300 => ("surpoids (25 à 29,9)", "overweight (25 to 29.9)"),
        300..350 => ("obésité modérée (30 à 34,9)", "obesity class I (30 to 34.9)"),
        350..400 => ("obésité sévère (35 à 39,9)", "obesity class II (35 to 39.9)"),
        400.. => ("obésité massive (40 ou plus)", "obesity class III (40 or more)"),
    };
    let title = ("IMC (kg/m²)", "Body mass index (kg/m²)");
    Ok(Computed { score: Score { value: tenths, decimals: 1 }, title, meaning })
}

fn icope1(assessment: &Assessment) -> Result<Computed, Error> {
    let mut alerts = 0;
    for domain in ICOPE_DOMAINS {
        let mut alert = false;
        for code in *domain {
            alert |= yes(assessment, code)?;
        }
        alerts += i64::from(alert);
    }
    let meaning = if alerts == 0 {
        ("aucune fragilité repérée ; à refaire dans 6 mois", "no difficulty found; repeat in 6 months")
    } else {
        ("domaines à évaluer à l'étape 2", "domains to be assessed in step 2")
    };
    let title = ("ICOPE étape 1 (domaines sur 6)", "ICOPE step 1 (domains of 6)");
    Ok(Computed { score: Score { value: alerts, decimals: 0 }, title, meaning })
}

fn bpco5(assessment: &Assessment) -> Result<Computed, Error> {
    let mut answers = 0;
    for code in BPCO_QUESTIONS {
        answers += i64::from(yes(assessment, code)?);
    }
    let meaning = if answers >= BPCO_YES_MIN {
        ("risque de BPCO : proposer une spirométrie", "risk of COPD: suggest spirometry")
    } else {
        ("pas d'argument pour une BPCO", "nothing that suggests COPD")
    };
    let title = ("Questionnaire BPCO (sur 5)", "COPD questionnaire (of 5)");
    Ok(Computed { score: Score { value: answers, decimals: 0 }, title, meaning })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Kind as _;

    fn scored(scale: &str, items: &[(&str, i64)]) -> Result<(i64, String), Error> {
        let assessment = Assessment::of(scale, items, "Inès Durand", "2026-11-21")?;
        let rendered = assessment.render(Language::French);
        Ok((assessment.score.unwrap().value, rendered))
    }

    #[test]
    fn the_body_mass_index_is_rounded_to_tenths_and_named() {
        for (weight_g, height_mm, tenths, class) in [
            (70_000, 1_750, 229, "normale"),
            (53_465, 1_700, 185, "normale"),
            (53_300, 1_700, 184, "maigreur"),
            (92_480, 1_700, 320, "modérée"),
            (150_000, 1_600, 586, "massive"),
        ] {
            let (value, text) = scored("imc", &[("weight_g", weight_g), ("height_mm", height_mm)]).unwrap();
            assert_eq!(value, tenths, "{weight_g} {height_mm}");
            assert!(text.contains(class), "{text}");
        }
        assert!(scored("imc", &[("weight_g", 70), ("height_mm", 175)]).is_err(), "kilograms, centimetres");
    }

    #[test]
    fn icope_counts_domains_and_not_observations() {
        let all: Vec<(&str, i64)> =
            ICOPE_DOMAINS.iter().flat_map(|domain| domain.iter()).map(|code| (*code, 1)).collect();
        assert_eq!(scored("icope1", &all).unwrap().0, 6);
        let none: Vec<(&str, i64)> = all.iter().map(|(code, _)| (*code, 0)).collect();
        assert_eq!(scored("icope1", &none).unwrap().0, 0);
        assert!(scored("icope1", &none[1..]).is_err(), "an item is missing");
    }

    #[test]
    fn three_times_yes_suggests_spirometry() {
        for yes in 0..=5_usize {
            let answer = |(at, code): (usize, &&'static str)| (*code, i64::from(at < yes));
            let items: Vec<(&str, i64)> = BPCO_QUESTIONS.iter().enumerate().map(answer).collect();
            let (value, text) = scored("bpco5", &items).unwrap();
            assert_eq!(value, i64::try_from(yes).unwrap());
            assert_eq!(text.contains("spirométrie"), yes >= 3, "{text}");
        }
    }

    #[test]
    fn a_score_that_does_not_follow_from_the_items_is_refused() {
        let items = [("weight_g", 70_000), ("height_mm", 1_750)];
        let mut assessment = Assessment::of("imc", &items, "Inès Durand", "2026-11-21").unwrap();
        assessment.score = Some(Score { value: 199, decimals: 1 });
        assert!(matches!(assessment.check(), Err(Error::Field { field: "score", .. })));
    }
}
