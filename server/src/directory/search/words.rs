//! What a person typed becomes clauses of a query: each word exactly, as a beginning, or with a typing error.

use tantivy::{
    Searcher, Term,
    query::{BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, Query},
    schema::Field,
};

use super::exactly;
use crate::directory::{
    error::Error,
    fold::{query_terms, words},
    index::Fields,
};

/// Which words may hold a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Those that the directory does not know: almost every search ends here.
    Unknown,
    /// All: nothing was found otherwise.
    All,
}

/// How good it is to find a word in a field: exactly, as a beginning, with a typing error. A family name counts
/// more than a given name, which counts more than a profession or place; but an exact word always counts more
/// than a beginning, and a beginning more than an error.
const FAMILY: [f32; 3] = [11.0, 7.0, 4.0];
const GIVEN: [f32; 3] = [9.0, 6.0, 3.0];
const ABOUT: [f32; 3] = [8.0, 5.0, 2.0];
/// Two or three words that together are one name ("Le Goff", "Jean-Pierre").
const COMPOUND: f32 = 2.0;
/// Letters from which a word that is not the last one counts as a beginning.
const BEGINNING_LETTERS: usize = 3;
/// Letters from which a word may hold one typing error, and two.
const ERROR_LETTERS: [usize; 2] = [4, 8];

/// The clauses for a text; none if it has no word.
pub(super) fn clauses(
    searcher: &Searcher,
    fields: &Fields,
    text: &str,
    tolerance: Tolerance,
) -> Result<Vec<(Occur, Box<dyn Query>)>, Error> {
    let terms = query_terms(text);
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for (place, term) in terms.iter().enumerate() {
        let is_last = place + 1 == terms.len();
        let ways = ways(searcher, fields, term, is_last, tolerance)?;
        clauses.push((Occur::Must, Box::new(DisjunctionMaxQuery::new(ways))));
    }
    let all = words(text);
    for length in 2..=3 {
        for run in all.windows(length) {
            for field in [fields.family, fields.given] {
                let compound = exactly(field, &run.concat());
                clauses.push((Occur::Should, Box::new(ConstScoreQuery::new(compound, COMPOUND))));
            }
        }
    }
    Ok(clauses)
}

/// Entries in whose field every word of the text begins a word; `None` if the text has none.
pub(super) fn all_begin(field: Field, text: &str) -> Option<Box<dyn Query>> {
    let begins = |word: &String| -> Box<dyn Query> {
        Box::new(FuzzyTermQuery::new_prefix(Term::from_field_text(field, word), 0, true))
    };
    let all: Vec<Box<dyn Query>> = query_terms(text).iter().map(begins).collect();
    (!all.is_empty()).then(|| Box::new(BooleanQuery::intersection(all)) as Box<dyn Query>)
}

fn ways(
    searcher: &Searcher,
    fields: &Fields,
    word: &str,
    is_last: bool,
    tolerance: Tolerance,
) -> Result<Vec<Box<dyn Query>>, Error> {
    let mut ways: Vec<Box<dyn Query>> = Vec::new();
    let mut add = |query: Box<dyn Query>, score| ways.push(Box::new(ConstScoreQuery::new(query, score)));
    let letters = word.chars().count();
    let errors = ERROR_LETTERS.iter().filter(|least| letters >= **least).count();
    let errors = u8::try_from(errors).expect("there are two steps");
    let mut is_known = false;
    for (field, [exact, beginning, _]) in weights(fields) {
        let term = Term::from_field_text(field, word);
        is_known |= searcher.doc_freq(&term)? > 0;
        add(exactly(field, word), exact);
        if is_last || letters >= BEGINNING_LETTERS {
            add(Box::new(FuzzyTermQuery::new_prefix(term, 0, true)), beginning);
        }
    }
    let may_err = tolerance == Tolerance::All || !is_known;
    if may_err && errors > 0 {
        for (field, [.., error]) in weights(fields) {
            let term = Term::from_field_text(field, word);
            add(Box::new(FuzzyTermQuery::new(term.clone(), errors, true)), error);
            if is_last && tolerance == Tolerance::All {
                // The beginning of a longer name, with an error in it.
                add(Box::new(FuzzyTermQuery::new_prefix(term, 1, true)), error - 1.0);
            }
        }
    }
    Ok(ways)
}

fn weights(fields: &Fields) -> [(Field, [f32; 3]); 3] {
    [(fields.family, FAMILY), (fields.given, GIVEN), (fields.about, ABOUT)]
}
