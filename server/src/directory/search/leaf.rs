//! The smallest questions to the index ("which documents have a word in a field that begins so"), and their answers
//! kept: the words of a profession or a large commune are asked for all day.
//!
//! An answer holds for one segment, which never changes; what was deleted from it is left out by the search.

use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tantivy::{
    Searcher, SegmentReader, Term,
    index::SegmentId,
    query::{EnableScoring, FuzzyTermQuery, Query},
    schema::{Field, IndexRecordOption},
};

use super::documents::{Collected, Documents};
use crate::{directory::error::Error, limits};

/// Which documents are asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Leaf {
    /// Those with this word in a field.
    Is(Field, String),
    /// Those with a word in a field that begins so.
    Begins(Field, String),
    /// Those with a word in a field that is the same up to so many typing errors.
    Near(Field, String, u8),
    /// Those with a word in a field that begins so, up to so many typing errors.
    BeginsNear(Field, String, u8),
}

/// Answers that were given.
pub(in crate::directory) struct Leaves(Mutex<Kept>);

struct Kept {
    answers: LruCache<(SegmentId, Leaf), Arc<Documents>>,
    bytes: usize,
}

impl Default for Leaves {
    fn default() -> Self {
        Self(Mutex::new(Kept { answers: LruCache::unbounded(), bytes: 0 }))
    }
}

impl Leaves {
    /// The documents of a segment, kept or read.
    pub(super) fn of(
        &self,
        searcher: &Searcher,
        segment: &SegmentReader,
        leaf: &Leaf,
    ) -> Result<Arc<Documents>, Error> {
        let key = (segment.segment_id(), leaf.clone());
        if let Some(known) = self.kept().answers.get(&key) {
            return Ok(known.clone());
        }
        let read = Arc::new(read(searcher, segment, leaf)?);
        self.keep(key, read.clone());
        Ok(read)
    }

    /// Keeps an answer; those unused longest make room.
    fn keep(&self, key: (SegmentId, Leaf), read: Arc<Documents>) {
        let mut kept = self.kept();
        kept.bytes += cost(&read);
        if let Some(before) = kept.answers.put(key, read) {
            kept.bytes -= cost(&before);
        }
        while kept.bytes > limits::DIRECTORY_ANSWERS_BYTES {
            let Some((_, oldest)) = kept.answers.pop_lru() else { return };
            kept.bytes -= cost(&oldest);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A holder cannot leave the answers half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an answer with its question and its place.
fn cost(documents: &Documents) -> usize {
    const QUESTION: usize = 256;
    documents.bytes() + QUESTION
}

fn read(searcher: &Searcher, segment: &SegmentReader, leaf: &Leaf) -> Result<Documents, Error> {
    let mut found = Collected::of(segment.max_doc());
    match leaf {
        Leaf::Is(field, word) => {
            let term = Term::from_field_text(*field, word);
            let postings = segment.inverted_index(*field)?.read_postings(&term, IndexRecordOption::Basic)?;
            postings.into_iter().for_each(|postings| found.take(postings));
        }
        Leaf::Begins(field, word) => {
            let inverted = segment.inverted_index(*field)?;
            let mut range = inverted.terms().range().ge(word);
            if let Some(end) = after_beginning(word) {
                range = range.lt(end);
            }
            let mut terms = range.into_stream()?;
            while terms.advance() {
                let option = IndexRecordOption::Basic;
                found.take(inverted.read_postings_from_terminfo(terms.value(), option)?);
            }
        }
        Leaf::Near(field, word, errors) => {
            let term = Term::from_field_text(*field, word);
            take_all(searcher, segment, &FuzzyTermQuery::new(term, *errors, true), &mut found)?;
        }
        Leaf::BeginsNear(field, word, errors) => {
            let term = Term::from_field_text(*field, word);
            take_all(searcher, segment, &FuzzyTermQuery::new_prefix(term, *errors, true), &mut found)?;
        }
    }
    Ok(found.finish())
}

fn take_all(
    searcher: &Searcher,
    segment: &SegmentReader,
    query: &dyn Query,
    found: &mut Collected,
) -> Result<(), Error> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    found.take(weight.scorer(segment, 1.0)?);
    Ok(())
}

/// The first text after all that begin with a word; `None`: there is none.
fn after_beginning(word: &str) -> Option<Vec<u8>> {
    let mut end = word.as_bytes().to_vec();
    // No byte of a text is 255, so the last one can always be raised.
    *end.last_mut()? += 1;
    Some(end)
}
