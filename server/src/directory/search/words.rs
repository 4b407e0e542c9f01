//! What a person typed becomes clauses of a query: each word exactly, as a beginning, or with a typing error.

use tantivy::{
    Searcher, Term,
    query::{BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, Query},
    schema::Field,
};

use super::{Clause, exactly};
use crate::directory::{
    error::Error,
    fold::{query_terms, words},
    index::Fields,
};

type Goodness = [f32; 4];

/// Which words may hold a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Those that the directory does not know: almost every search ends here.
    Unknown,
    /// All: nothing was found otherwise.
    All,
}

/// How good it is to find a word in a field: exactly, as a beginning, with one typing error, with two. A family
/// name or a profession counts more than a given name, which counts more than a place; but an exact word always
/// counts more than a beginning, and a beginning more than an error.
const FAMILY: Goodness = [11.0, 7.0, 4.0, 2.5];
const TRADE: Goodness = [11.0, 6.5, 4.0, 2.5];
const GIVEN: Goodness = [9.0, 7.0, 3.5, 2.0];
const ABOUT: Goodness = [8.0, 5.0, 3.0, 1.5];
/// Two or three words that together are one name ("Le Goff", "Jean-Pierre").
const COMPOUND: f32 = 2.0;
/// Letters from which a word that is not the last one counts as a beginning.
const BEGINNING_LETTERS: usize = 3;
/// Letters from which a word may hold one typing error, and two; and from which it may hold two if nothing is
/// found otherwise.
const ERROR_LETTERS: [usize; 2] = [4, 8];
const TWO_ERRORS_LETTERS: usize = 5;

/// The clauses for a text; none if it has no word.
pub(super) fn clauses(
    searcher: &Searcher,
    fields: &Fields,
    text: &str,
    tolerance: Tolerance,
) -> Result<Vec<Clause>, Error> {
    let terms = query_terms(text);
    let all = words(text);
    let mut clauses: Vec<Clause> = Vec::new();
    for (place, term) in terms.iter().enumerate() {
        let is_last = place + 1 == terms.len();
        let mut ways = ways(searcher, fields, term, is_last, tolerance)?;
        // "le goff" may be written LEGOFF.
        for pair in all.windows(2).filter(|pair| pair[1] == *term) {
            for (field, [exact, ..]) in [(fields.family, FAMILY), (fields.given, GIVEN)] {
                ways.push(Box::new(ConstScoreQuery::new(exactly(field, &pair.concat()), exact)));
            }
        }
        clauses.push((Occur::Must, Box::new(DisjunctionMaxQuery::new(ways))));
    }
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
    let errors = match tolerance {
        Tolerance::All if letters >= TWO_ERRORS_LETTERS => 2,
        _ => ERROR_LETTERS.iter().filter(|least| letters >= **least).count(),
    };
    let mut is_known = false;
    for (field, [exact, beginning, ..]) in weights(fields) {
        let term = Term::from_field_text(field, word);
        is_known |= searcher.doc_freq(&term)? > 0;
        add(exactly(field, word), exact);
        if is_last || letters >= BEGINNING_LETTERS {
            add(Box::new(FuzzyTermQuery::new_prefix(term, 0, true)), beginning);
        }
    }
    let may_err = tolerance == Tolerance::All || !is_known;
    if may_err && errors > 0 {
        for (field, [.., one, two]) in weights(fields) {
            let term = Term::from_field_text(field, word);
            add(Box::new(FuzzyTermQuery::new(term.clone(), 1, true)), one);
            if errors > 1 {
                add(Box::new(FuzzyTermQuery::new(term.clone(), 2, true)), two);
            }
            if is_last && tolerance == Tolerance::All {
                // The beginning of a longer name, with an error in it.
                add(Box::new(FuzzyTermQuery::new_prefix(term, 1, true)), two - 1.0);
            }
        }
    }
    Ok(ways)
}

fn weights(fields: &Fields) -> [(Field, Goodness); 4] {
    [(fields.family, FAMILY), (fields.trade, TRADE), (fields.given, GIVEN), (fields.about, ABOUT)]
}
