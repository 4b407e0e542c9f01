//! Confidentiality flags of a document, with the names of the Ségur mail profile (domain: document mapping).

use crate::{error::Error, message::Language};

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// As in the message.
    pub code: &'static str,
    french: &'static str,
    english: &'static str,
}

impl Flag {
    /// What it means, for a person.
    #[must_use]
    pub const fn label(&self, language: Language) -> &'static str {
        language.pick(self.french, self.english)
    }
}

/// Every flag that this version sets.
pub const FLAGS: &[Flag] = &[
    Flag {
        code: "MASQUE_PS",
        french: "masqué aux professionnels de santé",
        english: "hidden from health professionals",
    },
    Flag {
        code: "INVISIBLE_PATIENT",
        french: "non visible par le patient",
        english: "not visible to the patient",
    },
    Flag {
        code: "INVISIBLE_REP_LEGAUX",
        french: "non visible par les représentants légaux",
        english: "not visible to legal representatives",
    },
    Flag {
        code: "CONNEXION_SECRETE",
        french: "issu d'une connexion secrète",
        english: "made in a secret connection",
    },
];

/// Checks that every flag is one of [`FLAGS`] and stands there once.
///
/// # Errors
/// [`Error::Field`].
pub fn check(flags: &[String]) -> Result<(), Error> {
    for (index, flag) in flags.iter().enumerate() {
        if !FLAGS.iter().any(|known| known.code == flag) || flags[..index].contains(flag) {
            let codes: Vec<&str> = FLAGS.iter().map(|known| known.code).collect();
            let problem = format!("must be some of {}, each once", codes.join(", ")).into();
            return Err(Error::Field { field: "confidentiality", problem });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_flags_pass_once_and_others_do_not() {
        let flags = |flags: &[&str]| check(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>());
        assert!(flags(&["MASQUE_PS", "INVISIBLE_PATIENT"]).is_ok());
        assert!(flags(&["MASQUE_PS", "MASQUE_PS"]).is_err());
        assert!(flags(&["masque_ps"]).is_err());
    }
}
