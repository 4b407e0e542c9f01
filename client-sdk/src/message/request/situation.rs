//! In which of his situations somebody acts: a professional may work in several.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    limits,
    message::{kind::bounded, wire},
};

/// Acting situation (situation d'exercice). Who acts is said by the certificate, not here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Situation {
    /// Profession code (TRE_G15), or empty.
    pub profession: String,
    /// Structure (`idNat_Struct` or FINESS), or empty.
    pub structure: String,
}

impl Situation {
    /// In words, which are the same in French and English; empty if nothing is said.
    #[must_use]
    pub fn render(&self) -> String {
        let said = [("profession", &self.profession), ("structure", &self.structure)];
        let said = said.into_iter().filter(|(_, code)| !code.is_empty());
        // Codes of others go to a terminal.
        let plain = |code: &str| code.chars().filter(|c| !c.is_control()).collect::<String>();
        said.map(|(word, code)| format!("{word} {}", plain(code))).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        bounded("situation.profession", &self.profession, limits::CODE_BYTES_MAX)?;
        bounded("situation.structure", &self.structure, limits::CODE_BYTES_MAX)
    }

    pub(crate) fn to_wire(&self) -> wire::Situation {
        wire::Situation { profession: self.profession.clone(), structure: self.structure.clone() }
    }

    pub(crate) fn from_wire(message: Option<wire::Situation>) -> Self {
        let message = message.unwrap_or_default();
        Self { profession: message.profession, structure: message.structure }
    }
}
