//! From a text to words that can be compared: without case, accents, ligatures and elisions.
//!
//! `L'ordonnance` is `ordonnance`, `cœur` is `coeur`, `Céphalée` is `cephalee`; `rendez-vous` is `rendez`,
//! `vous` and `rendezvous`.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::limits;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Without case and accents.
    pub(crate) folded: String,
    /// Where it is in the text, bytes.
    pub(crate) at: Range<usize>,
}

/// What an apostrophe may follow without being a word of its own.
const ELIDED: [&str; 12] = ["l", "d", "j", "m", "n", "s", "t", "c", "qu", "jusqu", "lorsqu", "puisqu"];
/// A word before an apostrophe that is this long belongs to what follows: aujourd'hui.
const JOINED_CHARS_MIN: usize = 4;

/// The words of a text, in order, each without the compounds that it is part of.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        if !is_part(first) {
            continue;
        }
        let (mut folded, mut end) = (String::new(), start);
        let mut part = Some((start, first));
        while let Some((at, c)) = part {
            end = at + c.len_utf8();
            fold_into(&mut folded, c);
            part = rest.next_if(|(_, next)| is_part(*next));
        }
        let apostrophe = rest.peek().is_some_and(|(_, next)| is_apostrophe(*next));
        if folded.is_empty() || apostrophe && ELIDED.contains(&folded.as_str()) {
            continue;
        }
        if let Some((cut, _)) = folded.char_indices().nth(limits::WORD_CHARS_MAX) {
            folded.truncate(cut);
        }
        words.push(Word { folded, at: start..end });
    }
    words
}

/// Words joined by hyphens, and by an apostrophe after a long word, written as one.
pub(crate) fn compounds(text: &str, words: &[Word]) -> Vec<String> {
    let mut compounds = Vec::new();
    let mut joined: Option<String> = None;
    for pair in words.windows(2) {
        let between = &text[pair[0].at.end..pair[1].at.start];
        let mut between = between.chars();
        let link = between.next().filter(|_| between.next().is_none());
        let long = pair[0].folded.chars().count() >= JOINED_CHARS_MIN;
        if link.is_some_and(|c| is_hyphen(c) || is_apostrophe(c) && long) {
            let compound = joined.get_or_insert_with(|| pair[0].folded.clone());
            compound.push_str(&pair[1].folded);
        } else {
            compounds.extend(joined.take());
        }
    }
    compounds.extend(joined);
    compounds
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || !c.is_ascii() && (is_combining_mark(c) || is_invisible(c))
}

/// Soft hyphen, zero-width space and joiners: somebody pasted them.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '\u{2bc}' | '\u{2018}')
}

const fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

fn fold_into(folded: &mut String, c: char) {
    match c {
        c if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
        'œ' | 'Œ' => folded.push_str("oe"),
        'æ' | 'Æ' => folded.push_str("ae"),
        'ß' | 'ẞ' => folded.push_str("ss"),
        'ø' | 'Ø' => folded.push('o'),
        'ł' | 'Ł' => folded.push('l'),
        c => {
            let letters = std::iter::once(c).nfkd().filter(|c| c.is_alphanumeric());
            folded.extend(letters.flat_map(char::to_lowercase));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.folded).collect()
    }

    #[test]
    fn case_accents_and_ligatures_do_not_matter() {
        assert_eq!(folded("CÉPHALÉE cœur Noël Œdème"), ["cephalee", "coeur", "noel", "oedeme"]);
        let decomposed: String = "Céphalée".nfd().collect();
        assert_eq!(folded(&decomposed), ["cephalee"], "written with combining accents");
    }

    #[test]
    fn elisions_are_no_words_and_apostrophes_of_both_kinds_separate() {
        assert_eq!(folded("l'ordonnance d’Anne, qu'elle a"), ["ordonnance", "anne", "elle", "a"]);
        assert_eq!(folded("vitamine D"), ["vitamine", "d"], "a letter by itself is a word");
    }

    #[test]
    fn compounds_are_found_in_parts_and_as_one() {
        for (text, expected) in [
            ("un rendez-vous demain", vec!["rendezvous"]),
            ("aujourd'hui", vec!["aujourdhui"]),
            ("Saint-Étienne-du-Bois et Aix", vec!["saintetiennedubois"]),
            ("l'eau - ou pas", vec![]),
        ] {
            assert_eq!(compounds(text, &words(text)), expected, "{text}");
        }
    }

    #[test]
    fn invisible_characters_do_not_cut_words() {
        assert_eq!(folded("para\u{ad}cétamol pan\u{200b}sement"), ["paracetamol", "pansement"]);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "à l'hôpital";
        let places: Vec<&str> = words(text).into_iter().map(|word| &text[word.at]).collect();
        assert_eq!(places, ["à", "hôpital"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_words_at_valid_places(text in "\\PC{0,40}") {
            for word in words(&text) {
                proptest::prop_assert!(text.get(word.at.clone()).is_some() && !word.folded.is_empty());
            }
        }
    }
}
