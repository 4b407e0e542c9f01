//! Doubts about identity traits: shown to whoever writes or reads them, never a reason to refuse, because a
//! wrong digit must not keep a patient from being cared for.

use jiff::civil::Date;

use super::{Gender, Patient};
use crate::message::{Language, moment};

/// A doubt about identity traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityWarning {
    /// The INS is not 13 characters and a key of 2 digits.
    InsFormat,
    /// The key of the INS is not 97 minus the number modulo 97: a digit is wrong.
    InsKey,
    /// The OID is none of those of an INS.
    InsOid,
    /// Gender, year or month of birth differ from what the INS says.
    InsContradicts,
    /// The birth date is no `YYYY-MM-DD` of the calendar.
    BirthDate,
    /// The birth place is no INSEE code of a commune or country: 5 characters.
    BirthPlace,
    /// The birth place is missing beside an INS.
    BirthPlaceMissing,
    /// The gender is missing.
    GenderMissing,
    /// The identity was validated, and there is no INS.
    InsMissing,
}

/// OIDs of an INS: NIR, NIA, test, demonstration.
const INS_OIDS: [&str; 4] =
    ["1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9", "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"];

impl IdentityWarning {
    /// Name in JSON and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsFormat => "ins_format",
            Self::InsKey => "ins_key",
            Self::InsOid => "ins_oid",
            Self::InsContradicts => "ins_contradicts",
            Self::BirthDate => "birth_date",
            Self::BirthPlace => "birth_place",
            Self::BirthPlaceMissing => "birth_place_missing",
            Self::GenderMissing => "gender_missing",
            Self::InsMissing => "ins_missing",
        }
    }

    /// The doubt in a sentence.
    #[must_use]
    pub const fn explain(self, language: Language) -> &'static str {
        match self {
            Self::InsFormat => language.pick(
                "Le matricule INS n'a pas 13 caractères et une clé de 2 chiffres.",
                "The INS is not 13 characters and a key of 2 digits.",
            ),
            Self::InsKey => language.pick(
                "La clé du matricule INS ne correspond pas : vérifiez les chiffres.",
                "The key of the INS does not fit: check the digits.",
            ),
            Self::InsOid => {
                language.pick("L'OID du matricule INS est inconnu.", "The OID of the INS is unknown.")
            }
            Self::InsContradicts => language.pick(
                "Le sexe, l'année ou le mois de naissance diffèrent de ceux du matricule INS.",
                "Gender, year or month of birth differ from those of the INS.",
            ),
            Self::BirthDate => {
                language.pick("La date de naissance n'est pas une date.", "The birth date is no date.")
            }
            Self::BirthPlace => language.pick(
                "Le lieu de naissance n'est pas un code INSEE à 5 caractères.",
                "The birth place is no INSEE code of 5 characters.",
            ),
            Self::BirthPlaceMissing => {
                language.pick("Le lieu de naissance manque.", "The birth place is missing.")
            }
            Self::GenderMissing => language.pick("Le sexe manque.", "The gender is missing."),
            Self::InsMissing => language.pick(
                "L'identité est validée, mais sans matricule INS.",
                "The identity is validated, but without an INS.",
            ),
        }
    }
}

impl Patient {
    /// Doubts about the traits, the graver first.
    #[must_use]
    pub fn warnings(&self) -> Vec<IdentityWarning> {
        let mut warnings = Vec::new();
        let ins = digits_of(&self.ins);
        let date = parse_date(&self.birth_date);
        if !ins.is_empty() {
            match ins_number(&ins) {
                None => warnings.push(IdentityWarning::InsFormat),
                Some((number, key)) if 97 - number % 97 != key => warnings.push(IdentityWarning::InsKey),
                Some(_) if contradicts(&ins, self.gender, date) => {
                    warnings.push(IdentityWarning::InsContradicts);
                }
                Some(_) => {}
            }
            if !INS_OIDS.contains(&self.ins_oid.trim()) {
                warnings.push(IdentityWarning::InsOid);
            }
        } else if self.reliability == super::Reliability::Validated {
            warnings.push(IdentityWarning::InsMissing);
        }
        if date.is_none() {
            warnings.push(IdentityWarning::BirthDate);
        }
        let place = self.birth_place.trim();
        if place.is_empty() && !ins.is_empty() {
            warnings.push(IdentityWarning::BirthPlaceMissing);
        } else if !place.is_empty()
            && (place.len() != 5 || !place.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            warnings.push(IdentityWarning::BirthPlace);
        }
        if self.gender == Gender::Unspecified {
            warnings.push(IdentityWarning::GenderMissing);
        }
        warnings
    }
}

/// An INS as it is compared: without spaces, in capitals.
pub(super) fn digits_of(ins: &str) -> String {
    ins.chars().filter(|letter| !letter.is_whitespace()).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// A birth date as people read it, `DD/MM/YYYY`; what is no date stays as it is.
pub(super) fn readable_date(date: &str) -> String {
    match parse_date(date) {
        Some(date) => date.strftime("%d/%m/%Y").to_string(),
        None => date.to_owned(),
    }
}

/// Number and key of an INS. The departments of Corsica, 2A and 2B, count as 19 and 18.
fn ins_number(ins: &str) -> Option<(u64, u64)> {
    if ins.len() != 15 || !ins.is_ascii() {
        return None;
    }
    let (number, key) = ins.split_at(13);
    let number = match &number[5..7] {
        "2A" => format!("{}19{}", &number[..5], &number[7..]),
        "2B" => format!("{}18{}", &number[..5], &number[7..]),
        _ => number.to_owned(),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(&number) && digits(key)).then(|| Some((number.parse().ok()?, key.parse().ok()?)))?
}

/// Whether gender, year or month of birth differ from those in an INS that is well formed. Months above 12
/// stand for what is not known.
fn contradicts(ins: &str, gender: Gender, date: Option<Date>) -> bool {
    let other_gender = match ins.as_bytes()[0] {
        b'1' => gender == Gender::Female,
        b'2' => gender == Gender::Male,
        _ => false,
    };
    let Some(date) = date else { return other_gender };
    let (said_year, said_month) = (ins[1..3].parse::<i16>(), ins[3..5].parse::<i8>());
    let other_year = said_year.is_ok_and(|said| said != date.year() % 100);
    let other_month = said_month.is_ok_and(|said| (1..=12).contains(&said) && said != date.month());
    other_gender || other_year || other_month
}

/// The day that a birth date names, if there is one.
fn parse_date(date: &str) -> Option<Date> {
    moment::date(date.trim()).filter(|date| date.year() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::patient::Reliability;

    /// A person who does not exist; the key fits the number.
    fn invented() -> Patient {
        Patient {
            birth_name: "Martin-Lefèvre".into(),
            birth_given_names: vec!["Jeanne".into(), "Marie".into()],
            birth_date: "1948-02-29".into(),
            gender: Gender::Female,
            birth_place: "75056".into(),
            reliability: Reliability::Validated,
            ins: with_key("2480275056123"),
            ins_oid: "1.2.250.1.213.1.4.10".into(),
            ..Patient::default()
        }
    }

    fn with_key(number: &str) -> String {
        let counted: u64 = number.replace("2A", "19").replace("2B", "18").parse().unwrap();
        format!("{number}{:02}", 97 - counted % 97)
    }

    #[test]
    fn good_traits_raise_no_doubt_and_are_all_shown() {
        let patient = invented();
        assert_eq!(patient.warnings(), []);
        let line = patient.traits(Language::French);
        for part in ["MARTIN-LEFÈVRE Jeanne Marie", "29/02/1948", "sexe F", "75056", "validée", &patient.ins]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn each_doubt_has_a_name_and_stops_nobody() {
        let changed = |change: fn(&mut Patient)| {
            let mut patient = invented();
            change(&mut patient);
            assert!(patient.check().is_ok());
            patient.warnings()
        };
        assert_eq!(changed(|p| p.ins = "24802750561230".into()), [IdentityWarning::InsFormat]);
        assert_eq!(changed(|p| p.ins.replace_range(12..13, "4")), [IdentityWarning::InsKey]);
        assert_eq!(changed(|p| p.ins_oid = "1.2.3".into()), [IdentityWarning::InsOid]);
        assert_eq!(changed(|p| p.gender = Gender::Male), [IdentityWarning::InsContradicts]);
        assert_eq!(changed(|p| p.birth_date = "1949-02-28".into()), [IdentityWarning::InsContradicts]);
        assert_eq!(changed(|p| p.birth_date = "1949-02-29".into()), [IdentityWarning::BirthDate]);
        assert_eq!(changed(|p| p.birth_place = "Paris".into()), []);
        assert_eq!(changed(|p| p.birth_place = "Paris 12".into()), [IdentityWarning::BirthPlace]);
        assert_eq!(changed(|p| p.birth_place.clear()), [IdentityWarning::BirthPlaceMissing]);
        assert_eq!(changed(|p| p.gender = Gender::Unspecified), [IdentityWarning::GenderMissing]);
        assert_eq!(changed(|p| p.ins.clear()), [IdentityWarning::InsMissing]);
    }

    #[test]
    fn the_departments_of_corsica_count_as_numbers() {
        for number in ["248022A056123", "248022B056123"] {
            let patient = Patient { ins: with_key(number), ..invented() };
            assert_eq!(patient.warnings(), [], "{number}");
        }
    }

    #[test]
    fn an_ins_goes_with_a_validated_identity_only_and_tests_stay_out_of_production() {
        let doubtful = Patient { reliability: Reliability::Retrieved, ..invented() };
        assert!(doubtful.check().unwrap_err().to_string().starts_with("patient.ins: "));
        assert!(invented().check_for_production().is_err());
        let real = Patient { ins_oid: "1.2.250.1.213.1.4.8".into(), ..invented() };
        assert!(real.check_for_production().is_ok());
    }

    #[test]
    fn one_person_is_recognised_by_ins_or_traits() {
        let spaced = Patient { ins: format!(" {} ", invented().ins), ..Patient::default() };
        assert!(invented().same_person(&spaced), "the INS decides");
        let other = Patient { ins: with_key("2480275056124"), ..invented() };
        assert!(!invented().same_person(&other), "two matricules are two people");
        let without = Patient { ins: String::new(), birth_name: "MARTIN LEFÈVRE".into(), ..invented() };
        assert!(invented().same_person(&without));
        let sister = Patient { birth_date: "1948-03-01".into(), ..without };
        assert!(!invented().same_person(&sister));
    }
}
