//! Veille: scientific and regulatory news that a publisher relays, with its source and its end.

use super::{
    Kind, Language,
    field::{Page, content, https, texts},
    kind::required,
    moment,
};
use crate::{error::Error, limits};

content! {
    /// News from a source, for an audience, until a day.
    pub struct Bulletin {
        /// One line; required.
        pub title: String,
        /// Required.
        pub text: String,
        /// Who says so: an agency, a society; required.
        pub source: String,
        /// Number, date or title at the source; required.
        pub reference: String,
        /// Last day on which it counts; required.
        pub valid_until: String,
        /// Profession codes (TRE_G15), commune codes, or `all`; required.
        pub audience: Vec<String>,
        /// Where to read more, https; may be empty.
        pub url: String,
    }
}

impl Kind for Bulletin {
    fn check(&self) -> Result<(), Error> {
        required("title", &self.title, limits::TITLE_BYTES_MAX)?;
        required("text", &self.text, limits::TEXT_BYTES_MAX)?;
        required("source", &self.source, limits::NAME_BYTES_MAX)?;
        required("reference", &self.reference, limits::NAME_BYTES_MAX)?;
        moment::required_day("valid_until", &self.valid_until)?;
        texts("audience", &self.audience, limits::CODES_MAX, limits::CODE_BYTES_MAX)?;
        if self.url.is_empty() { Ok(()) } else { https("url", &self.url) }
    }

    fn render(&self, language: Language) -> String {
        let source = format!("{}, {}", self.source, self.reference);
        Page::new(language, &format!("[{}] {}", language.pick("veille", "bulletin"), self.title))
            .plain(&self.text)
            .line("Source", "Source", source)
            .line("Valable jusqu'au", "Valid until", moment::day(&self.valid_until, language))
            .line("Public", "Audience", self.audience.join(", "))
            .line("Lien", "Link", &self.url)
            .finish()
    }
}
