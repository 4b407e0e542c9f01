//! Check digits of identifiers. A fault is a warning, never a refusal: published test identities and half of the
//! official examples fail them (domain reference, section 0.2).

/// Whether the last digit is the Luhn check of the others (RPPS, ADELI, numeric FINESS, SIREN, SIRET).
#[must_use]
pub(super) fn luhn(digits: &str) -> bool {
    let mut sum = 0;
    for (place, byte) in digits.bytes().rev().enumerate() {
        if !byte.is_ascii_digit() {
            return false;
        }
        let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
        sum += if digit > 9 { digit - 9 } else { digit };
    }
    !digits.is_empty() && sum % 10 == 0
}

/// What is odd about an identifier of a person: of 8 + RPPS or 0 + ADELI; others are not judged.
#[must_use]
pub(super) fn national_identifier(identifier: &str) -> Option<&'static str> {
    let mut characters = identifier.chars();
    let (kind, rest) = (characters.next()?, characters.as_str());
    match kind {
        '8' if rest.len() != 11 || !rest.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some("an RPPS number has 11 digits")
        }
        '8' if !luhn(rest) => Some("the check digit of the RPPS number is wrong"),
        '0' if rest.len() == 9 && !luhn(rest) => Some("the check digit of the ADELI number is wrong"),
        _ => None,
    }
}

/// What is odd about the FINESS or SIRET number of a site; empty numbers are not judged.
#[must_use]
pub(super) fn site(finess: &str, siret: &str) -> Option<&'static str> {
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !finess.is_empty() && finess.len() != 9 {
        return Some("a FINESS number has 9 characters");
    }
    // Corsican numbers (2A, 2B) have no published check.
    if numeric(finess) && !luhn(finess) {
        return Some("the check digit of the FINESS number is wrong");
    }
    if !siret.is_empty() && (siret.len() != 14 || !luhn(siret)) {
        return Some("the check digit of the SIRET number is wrong");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_computed_as_published() {
        assert!(luhn("99700000005"), "an RPPS number of the test block");
        assert!(!luhn("99700000006"));
        assert!(!luhn("") && !luhn("12a"));
    }

    #[test]
    fn identifiers_of_other_kinds_are_not_judged() {
        assert_eq!(national_identifier("899700000005"), None);
        assert!(national_identifier("899700000006").is_some());
        assert!(national_identifier("8997").is_some());
        assert_eq!(national_identifier("ANS20231122132732"), None);
        assert_eq!(site("2A0000012", ""), None);
        assert!(site("123", "").is_some());
    }
}
