//! What a person typed becomes questions to the index: each word exactly, as a beginning, or with a typing error, and
//! how good each of these is.

use tantivy::{Searcher, Term, schema::Field};

use super::leaf::Leaf;
use crate::directory::{
    error::Error,
    fold::{query_terms, words},
    index::Fields,
};

type Goodness = [u16; 4];

/// Which words may hold a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Those that the directory does not know: almost every search ends here.
    Unknown,
    /// All: nothing was found otherwise.
    All,
}

/// What was typed.
pub(super) struct Text {
    /// Each must be found in one of its ways, best first; the best one counts.
    pub(super) words: Vec<Vec<(u16, Leaf)>>,
    /// Names that are made of several words; each that is found counts besides.
    pub(super) compounds: Vec<Leaf>,
}

/// How good it is to find a word in a field: exactly, as a beginning, with one typing error, with two. A family
/// name or a profession counts more than a given name, which counts more than a place; but an exact word always
/// counts more than a beginning, and a beginning more than an error.
const FAMILY: Goodness = [110, 70, 40, 25];
const TRADE: Goodness = [110, 65, 40, 25];
const GIVEN: Goodness = [90, 70, 35, 20];
const ABOUT: Goodness = [80, 50, 30, 15];
/// How much less it is to find the beginning of a longer name with an error in it.
const BEGINNING_WITH_ERROR: u16 = 10;
/// Two or three words that together are one name ("Le Goff", "Jean-Pierre").
pub(super) const COMPOUND: u16 = 20;
/// Letters from which a word that is not the last one counts as a beginning.
const BEGINNING_LETTERS: usize = 3;
/// Letters from which a word may hold one typing error, and two; and from which it may hold two if nothing is
/// found otherwise.
const ERROR_LETTERS: [usize; 2] = [4, 8];
const TWO_ERRORS_LETTERS: usize = 5;

/// The questions for a text.
pub(super) fn read(
    searcher: &Searcher,
    fields: &Fields,
    text: &str,
    tolerance: Tolerance,
) -> Result<Text, Error> {
    let terms = query_terms(text);
    let all = words(text);
    let mut read = Text { words: Vec::new(), compounds: Vec::new() };
    for (place, term) in terms.iter().enumerate() {
        let is_last = place + 1 == terms.len();
        let mut ways = ways(searcher, fields, term, is_last, tolerance)?;
        // "le goff" may be written LEGOFF.
        for pair in all.windows(2).filter(|pair| pair[1] == *term) {
            for (field, [exact, ..]) in [(fields.family, FAMILY), (fields.given, GIVEN)] {
                ways.push((exact, Leaf::Is(field, pair.concat())));
            }
        }
        ways.sort_by_key(|(goodness, _)| std::cmp::Reverse(*goodness));
        read.words.push(ways);
    }
    for length in 2..=3 {
        for run in all.windows(length) {
            read.compounds.extend([fields.family, fields.given].map(|field| Leaf::Is(field, run.concat())));
        }
    }
    Ok(read)
}

/// Questions for entries in whose field every word of the text begins a word.
pub(super) fn all_begin(field: Field, text: &str) -> Vec<Leaf> {
    query_terms(text).into_iter().map(|word| Leaf::Begins(field, word)).collect()
}

fn ways(
    searcher: &Searcher,
    fields: &Fields,
    word: &str,
    is_last: bool,
    tolerance: Tolerance,
) -> Result<Vec<(u16, Leaf)>, Error> {
    let mut ways = Vec::new();
    let letters = word.chars().count();
    let errors = match tolerance {
        Tolerance::All if letters >= TWO_ERRORS_LETTERS => 2,
        _ => ERROR_LETTERS.iter().filter(|least| letters >= **least).count(),
    };
    let mut is_known = false;
    for (field, [exact, beginning, ..]) in weights(fields) {
        is_known |= searcher.doc_freq(&Term::from_field_text(field, word))? > 0;
        ways.push((exact, Leaf::Is(field, word.to_owned())));
        if is_last || letters >= BEGINNING_LETTERS {
            ways.push((beginning, Leaf::Begins(field, word.to_owned())));
        }
    }
    let may_err = tolerance == Tolerance::All || !is_known;
    if may_err && errors > 0 {
        for (field, [.., one, two]) in weights(fields) {
            ways.push((one, Leaf::Near(field, word.to_owned(), 1)));
            if errors > 1 {
                ways.push((two, Leaf::Near(field, word.to_owned(), 2)));
            }
            if is_last && tolerance == Tolerance::All {
                ways.push((two - BEGINNING_WITH_ERROR, Leaf::BeginsNear(field, word.to_owned(), 1)));
            }
        }
    }
    Ok(ways)
}

fn weights(fields: &Fields) -> [(Field, Goodness); 4] {
    [(fields.family, FAMILY), (fields.trade, TRADE), (fields.given, GIVEN), (fields.about, ABOUT)]
}
