//! Counts how many of the found entries have each value of a field: so many nurses, so many in Toulouse.

use std::collections::HashMap;

use tantivy::{
    DocId, Score, SegmentOrdinal, SegmentReader,
    collector::{Collector, SegmentCollector},
    columnar::StrColumn,
};

/// Counts the values of one field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facets(pub(super) &'static str);

/// The counts of one segment, by the number of the value there.
pub(super) struct SegmentFacets {
    column: Option<StrColumn>,
    counts: Vec<u32>,
}

impl Collector for Facets {
    type Fruit = HashMap<String, u32>;
    type Child = SegmentFacets;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentFacets> {
        let column = segment.fast_fields().str(self.0)?;
        let counts = vec![0; column.as_ref().map_or(0, |column| column.num_terms())];
        Ok(SegmentFacets { column, counts })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<HashMap<String, u32>>) -> tantivy::Result<HashMap<String, u32>> {
        let mut all = HashMap::new();
        for (value, count) in fruits.into_iter().flatten() {
            *all.entry(value).or_insert(0) += count;
        }
        Ok(all)
    }
}

impl SegmentCollector for SegmentFacets {
    type Fruit = HashMap<String, u32>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let Some(column) = &self.column else { return };
        for value in column.term_ords(doc) {
            if let Some(count) = usize::try_from(value).ok().and_then(|value| self.counts.get_mut(value)) {
                *count += 1;
            }
        }
    }

    fn harvest(self) -> HashMap<String, u32> {
        let Some(column) = self.column else { return HashMap::new() };
        let counted = (0..).zip(self.counts).filter(|(_, count)| *count > 0);
        let named = counted.filter_map(|(value, count)| {
            let mut text = String::new();
            column.ord_to_str(value, &mut text).ok()?.then_some((text, count))
        });
        named.collect()
    }
}
