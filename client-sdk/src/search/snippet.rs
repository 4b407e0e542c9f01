//! The part of a text that fits a search, on one line, and where in it the words are.

use std::ops::Range;

use super::fold;
use crate::limits;

/// Cuts the text around the first word that begins with one of `words`.
pub(crate) fn cut(text: &str, words: &[String]) -> (String, Vec<Range<usize>>) {
    let fits = |word: &fold::Word| words.iter().any(|wanted| word.folded.starts_with(wanted.as_str()));
    let found: Vec<Range<usize>> = fold::words(text).into_iter().filter(fits).map(|word| word.at).collect();
    let first = found.first().map_or(0, |at| at.start);
    let before = text[..first].char_indices().rev();
    let start = before.take(limits::SNIPPET_CHARS).last().map_or(first, |(at, _)| at);
    let end =
        text[first..].char_indices().nth(2 * limits::SNIPPET_CHARS).map_or(text.len(), |(at, _)| first + at);
    let lead = if start > 0 { "…" } else { "" };
    let trail = if end < text.len() { "…" } else { "" };
    let line = text[start..end].replace(['\n', '\r', '\t'], " ");
    let marks = found.into_iter().filter(|at| at.end <= end);
    let marks = marks.map(|at| at.start - start + lead.len()..at.end - start + lead.len()).collect();
    (format!("{lead}{line}{trail}"), marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_for(text: &str, word: &str) -> (String, Vec<String>) {
        let (snippet, marks) = cut(text, &[word.to_owned()]);
        let marked = marks.into_iter().map(|at| snippet[at].to_owned()).collect();
        (snippet, marked)
    }

    #[test]
    fn a_short_text_is_shown_whole_on_one_line() {
        let (snippet, marked) = cut_for("Pansement\nrefait, pansements prêts", "pansement");
        assert_eq!(snippet, "Pansement refait, pansements prêts");
        assert_eq!(marked, ["Pansement", "pansements"]);
    }

    #[test]
    fn a_long_text_is_cut_around_the_word() {
        let text = format!("{} la Céphalée persiste {}", "é ".repeat(200), "à ".repeat(200));
        let (snippet, marked) = cut_for(&text, "cephal");
        assert!(snippet.starts_with('…') && snippet.ends_with('…'), "{snippet}");
        assert!(snippet.chars().count() <= 3 * limits::SNIPPET_CHARS + 2);
        assert_eq!(marked, ["Céphalée"]);
    }

    #[test]
    fn a_text_without_the_word_is_shown_from_its_beginning() {
        assert_eq!(cut_for("Bonjour", "x"), ("Bonjour".to_owned(), vec![]));
    }
}
