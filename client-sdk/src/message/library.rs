//! A version of a protocol or document of a library. The highest version of an entry counts; which one that is,
//! is in [`thread::library`](crate::thread::library).

use cercle_proto::id::MessageId;

use super::{
    Kind, Language,
    field::{Page, choice, content, hex_message, missing, texts, wrong},
    kind::{bounded, required},
    moment,
};
use crate::{error::Error, limits};

content! {
    /// A version of a protocol or document.
    pub struct LibraryEntry {
        /// Short name that stays the same over all versions; required.
        pub entry: String,
        /// From 1; the highest counts; required.
        pub version: u32,
        /// One line; required.
        pub title: String,
        /// Required.
        pub category: LibraryCategory,
        /// Profession codes (TRE_G15), themes, or `all`; required.
        pub audience: Vec<String>,
        /// The text itself, if it is short. This or `document` is required, unless it is withdrawn.
        pub text: String,
        /// Message id of the document in the same group.
        #[serde(with = "hex_message")]
        pub document: Option<MessageId>,
        /// Message id of the version that this one replaces.
        #[serde(with = "hex_message")]
        pub supersedes: Option<MessageId>,
        /// First day on which it counts; may be empty.
        pub valid_from: String,
        /// It no longer counts, and nothing replaces it.
        pub withdrawn: bool,
    }
}

choice! {
    /// What is in a library.
    pub enum LibraryCategory {
        /// Protocole pluriprofessionnel.
        Protocol = "protocole", "protocol";
        /// Référentiel, recommandation.
        Guideline = "référentiel", "guideline";
        /// Guide.
        Guide = "guide", "guide";
        /// Formulaire à imprimer ou à remplir.
        Form = "formulaire", "form";
        /// Another document.
        Other = "document", "document";
    }
}

impl Kind for LibraryEntry {
    fn check(&self) -> Result<(), Error> {
        required("entry", &self.entry, limits::CODE_BYTES_MAX)?;
        if self.version == 0 {
            return Err(missing("version"));
        }
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        self.category.chosen("category")?;
        texts("audience", &self.audience, limits::CODES_MAX, limits::CODE_BYTES_MAX)?;
        bounded("text", &self.text, limits::TEXT_BYTES_MAX)?;
        if self.text.trim().is_empty() && self.document.is_none() && !self.withdrawn {
            return Err(wrong("text", "is missing: give the text, or the id of a document"));
        }
        moment::optional_day("valid_from", &self.valid_from)
    }

    fn render(&self, language: Language) -> String {
        let state = if self.withdrawn { language.pick(" (retiré)", " (withdrawn)") } else { "" };
        let heading = format!("[{}] {}, v{}{state}", self.category.label(language), self.title, self.version);
        Page::new(language, &heading)
            .plain(&self.text)
            .line("Public", "Audience", self.audience.join(", "))
            .line("À partir du", "From", moment::day(&self.valid_from, language))
            .line("Document", "Document", self.document.map_or_else(String::new, MessageId::to_hex))
            .finish()
    }
}
