//! A set of entries named by their keys, as documents of an index: who is a member, on duty, hidden.
//!
//! The sets change by the minute and the index does not, so they are looked up, not indexed.

use std::{collections::HashMap, fmt, sync::Arc};

use tantivy::{
    DocSet, Searcher, SegmentReader, TERMINATED, TantivyError, Term,
    index::SegmentId,
    schema::{Field, IndexRecordOption},
};

use super::documents::Bits;

/// Documents of each segment. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::directory) struct KeySet(Arc<HashMap<SegmentId, Bits>>);

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("segments", &self.0.len()).finish()
    }
}

impl KeySet {
    /// Looks the keys up.
    pub(in crate::directory) fn new<'a>(
        searcher: &Searcher,
        field: Field,
        keys: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, TantivyError> {
        let mut sets = HashMap::new();
        for segment in searcher.segment_readers() {
            let inverted = segment.inverted_index(field)?;
            let mut documents = Bits::none(segment.max_doc());
            for key in keys.clone() {
                let term = Term::from_field_text(field, key);
                let Some(mut found) = inverted.read_postings(&term, IndexRecordOption::Basic)? else {
                    continue;
                };
                while found.doc() != TERMINATED {
                    documents.insert(found.doc());
                    found.advance();
                }
            }
            sets.insert(segment.segment_id(), documents);
        }
        Ok(Self(Arc::new(sets)))
    }

    /// The documents of a segment; `None`: none.
    pub(super) fn of(&self, segment: &SegmentReader) -> Option<&Bits> {
        self.0.get(&segment.segment_id())
    }
}
