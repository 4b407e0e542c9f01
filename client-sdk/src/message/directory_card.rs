//! A professional or structure to get in touch with, handed on in a conversation.
//!
//! What it says is the sender's word; the directory and the certificate of a member are what can be checked.

use super::{
    Kind, Language,
    field::{Page, content, wrong},
    kind::{at_most, bounded, required},
};
use crate::{error::Error, limits};

content! {
    /// A professional or structure.
    pub struct DirectoryCard {
        /// Person or structure; required.
        pub name: String,
        /// TRE_G15; this or `structure` is required.
        pub profession: String,
        /// Savoir-faire; may be empty.
        pub specialties: Vec<String>,
        /// Name of the structure; may be empty for a person.
        pub structure: String,
        /// May be empty.
        pub address: String,
        /// INSEE code; may be empty.
        pub commune: String,
        /// May be empty.
        pub phone: String,
        /// MSSanté address; may be empty.
        pub mailbox: String,
        /// User id on this hub; may be empty.
        pub user: String,
        /// RPPS, FINESS and others, as text: never parsed as numbers.
        pub identifiers: Vec<CardIdentifier>,
        /// A few words; may be empty.
        pub text: String,
    }
}

content! {
    /// A number with the system that gave it.
    pub struct CardIdentifier {
        /// FHIR system, for example `https://rpps.esante.gouv.fr`; required.
        pub system: String,
        /// Required.
        pub value: String,
    }
}

impl Kind for DirectoryCard {
    fn check(&self) -> Result<(), Error> {
        required("name", &self.name, limits::NAME_BYTES_MAX)?;
        bounded("profession", &self.profession, limits::CODE_BYTES_MAX)?;
        bounded("structure", &self.structure, limits::NAME_BYTES_MAX)?;
        if self.profession.is_empty() && self.structure.is_empty() {
            return Err(wrong("profession", "is missing: give a profession code, or a structure"));
        }
        at_most("specialties", &self.specialties, limits::PARTS_MAX)?;
        self.specialties.iter().try_for_each(|text| required("specialties", text, limits::NAME_BYTES_MAX))?;
        bounded("address", &self.address, limits::TOPIC_BYTES_MAX)?;
        bounded("commune", &self.commune, limits::CODE_BYTES_MAX)?;
        bounded("phone", &self.phone, limits::CODE_BYTES_MAX)?;
        bounded("mailbox", &self.mailbox, limits::NAME_BYTES_MAX)?;
        bounded("user", &self.user, limits::NAME_BYTES_MAX)?;
        at_most("identifiers", &self.identifiers, limits::PARTS_MAX)?;
        for identifier in &self.identifiers {
            required("identifiers.system", &identifier.system, limits::NAME_BYTES_MAX)?;
            required("identifiers.value", &identifier.value, limits::CODE_BYTES_MAX)?;
        }
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)
    }

    fn render(&self, language: Language) -> String {
        let page =
            Page::new(language, &format!("[{}] {}", language.pick("annuaire", "directory"), self.name))
                .line("Profession", "Profession", &self.profession)
                .line("Compétences", "Skills", self.specialties.join(", "))
                .line("Structure", "Structure", &self.structure)
                .line("Adresse", "Address", &self.address)
                .line("Commune", "Commune", &self.commune)
                .line("Téléphone", "Telephone", &self.phone)
                .line("MSSanté", "MSSanté", &self.mailbox)
                .line("Cercle", "Cercle", &self.user)
                .plain(&self.text);
        let line = |identifier: &CardIdentifier| format!("- {} {}", identifier.system, identifier.value);
        self.identifiers.iter().fold(page, |page, identifier| page.plain(&line(identifier))).finish()
    }
}
