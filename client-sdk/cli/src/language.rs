//! French first, English on request.

use std::ffi::OsString;

pub(crate) use cercle_sdk::message::Language;

/// The same sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) fr: String,
    pub(crate) en: String,
}

/// Makes a [`Text`] from two format strings, French first.
macro_rules! text {
    ($fr:literal; $en:literal) => {
        $crate::language::Text { fr: format!($fr), en: format!($en) }
    };
}

impl Text {
    /// The sentence in this language.
    pub(crate) fn get(&self, language: Language) -> &str {
        match language {
            Language::French => &self.fr,
            Language::English => &self.en,
        }
    }
}

/// Reads `--lang`, then `CERCLE_LANG`, then the locale. French unless one of them says English.
///
/// Works on the raw arguments, because even the answer to unreadable ones has a language.
pub(crate) fn detect(arguments: &[OsString]) -> Language {
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let after_flag = arguments.iter().position(|argument| argument == "--lang");
    let spelled = after_flag.and_then(|at| arguments.get(at + 1)).map(ToString::to_string).or_else(|| {
        arguments.iter().find_map(|argument| argument.strip_prefix("--lang=").map(str::to_owned))
    });
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    choose(spelled, variable("CERCLE_LANG"), ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable))
}

fn choose(argument: Option<String>, own: Option<String>, locale: Option<String>) -> Language {
    let wanted = argument.or(own).or(locale).unwrap_or_default();
    if wanted.to_ascii_lowercase().starts_with("en") { Language::English } else { Language::French }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_unless_somebody_asks_for_english() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(choose(None, None, None), Language::French);
        assert_eq!(choose(None, None, some("C.UTF-8")), Language::French);
        assert_eq!(choose(None, None, some("en_GB.UTF-8")), Language::English);
        assert_eq!(choose(None, some("fr"), some("en_GB.UTF-8")), Language::French);
        assert_eq!(choose(some("en"), some("fr"), None), Language::English);
    }

    #[test]
    fn the_flag_is_found_in_both_spellings() {
        for spelling in [vec!["cercle", "--lang", "en"], vec!["cercle", "groups", "--lang=en"]] {
            let arguments: Vec<_> = spelling.into_iter().map(OsString::from).collect();
            assert_eq!(detect(&arguments), Language::English);
        }
    }
}
