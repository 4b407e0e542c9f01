//! What a search needs to know of an index at once: the order of its documents, and how frequent the values of the
//! counted fields are. Made once for each generation; segments that stay are not looked at again.

use std::{collections::HashMap, sync::Arc};

use tantivy::{DocId, Searcher, SegmentReader, index::SegmentId, schema::Field};

use crate::directory::{error::Error, index::Fields};

/// The outline of an index. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::directory) struct Outline {
    segments: HashMap<SegmentId, Arc<SegmentOutline>>,
    /// Professions, the most frequent first.
    pub(super) professions: Arc<Vec<(String, u64)>>,
    /// Communes, the most frequent first.
    pub(super) communes: Arc<Vec<(String, u64)>>,
}

struct SegmentOutline {
    /// Persons before places, each by name.
    order: Vec<DocId>,
    professions: Vec<(String, u64)>,
    communes: Vec<(String, u64)>,
}

impl Outline {
    /// The outline of what a searcher sees; what is known of its segments is taken over.
    pub(in crate::directory) fn of(
        searcher: &Searcher,
        fields: &Fields,
        known: &Self,
    ) -> Result<Self, Error> {
        let mut segments = HashMap::new();
        for segment in searcher.segment_readers() {
            let id = segment.segment_id();
            let outline = match known.segments.get(&id) {
                Some(outline) => outline.clone(),
                None => Arc::new(SegmentOutline::of(segment, fields)?),
            };
            segments.insert(id, outline);
        }
        let together = |values: fn(&SegmentOutline) -> &[(String, u64)]| {
            let mut together = HashMap::<&str, u64>::new();
            for (value, count) in segments.values().flat_map(|segment| values(segment)) {
                *together.entry(value).or_default() += count;
            }
            let mut sorted: Vec<_> =
                together.into_iter().map(|(value, count)| (value.to_owned(), count)).collect();
            sorted.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
            Arc::new(sorted)
        };
        let professions = together(|segment| &segment.professions);
        let communes = together(|segment| &segment.communes);
        Ok(Self { segments, professions, communes })
    }

    /// Documents of a segment in their order; empty if the segment is unknown.
    pub(super) fn order(&self, segment: &SegmentReader) -> &[DocId] {
        self.segments.get(&segment.segment_id()).map_or(&[], |segment| &segment.order)
    }
}

impl SegmentOutline {
    fn of(segment: &SegmentReader, fields: &Fields) -> Result<Self, Error> {
        let column = segment.fast_fields().u64("order")?.first_or_default_col(0);
        let mut order: Vec<(u64, DocId)> =
            (0..segment.max_doc()).map(|document| (column.get_val(document), document)).collect();
        order.sort_unstable();
        Ok(Self {
            order: order.into_iter().map(|(_, document)| document).collect(),
            professions: values(segment, fields.profession)?,
            communes: values(segment, fields.commune)?,
        })
    }
}

fn values(segment: &SegmentReader, field: Field) -> Result<Vec<(String, u64)>, Error> {
    let inverted = segment.inverted_index(field)?;
    let mut terms = inverted.terms().stream()?;
    let mut values = Vec::new();
    while terms.advance() {
        let value = String::from_utf8_lossy(terms.key()).into_owned();
        values.push((value, u64::from(terms.value().doc_freq)));
    }
    Ok(values)
}
