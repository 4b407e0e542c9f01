//! Counts how many of the found entries have each value of a field: so many nurses, so many in Toulouse.
//!
//! Few entries are counted one by one. Of many, each value is counted as a set, the most frequent values of the whole
//! directory first, until no other can be among the most frequent of these.

use std::collections::HashMap;

use tantivy::{SegmentReader, schema::Field};

use super::{Scene, documents::Bits, leaf::Leaf};
use crate::{directory::error::Error, limits};

/// Found entries of each segment.
pub(super) type Parts<'a> = [(&'a SegmentReader, Bits)];

/// A field that is counted.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    /// Its name among the columns.
    pub(super) column: &'static str,
    /// The field.
    pub(super) field: Field,
    /// Its values in the whole index, the most frequent first.
    pub(super) values: &'a [(String, u64)],
}

/// Counts of the values of a field, at least of the most frequent ones.
pub(super) fn count(
    scene: &Scene<'_>,
    parts: &Parts<'_>,
    counted: Counted<'_>,
) -> Result<HashMap<String, u32>, Error> {
    let found: usize = parts.iter().map(|(_, found)| found.count()).sum();
    if found <= limits::DIRECTORY_COUNTED_ONE_BY_ONE {
        return one_by_one(parts, counted.column);
    }
    let mut counts = HashMap::new();
    let mut most = Vec::new();
    for (value, everywhere) in counted.values {
        // The least of the most frequent so far.
        if most.len() == limits::DIRECTORY_FACETS_MAX && *everywhere < most[most.len() - 1] {
            break;
        }
        let leaf = Leaf::Is(counted.field, value.clone());
        let mut here = 0;
        for (segment, found) in parts {
            here += scene.leaf(segment, &leaf)?.count_in(found);
        }
        if here > 0 {
            most.push(here as u64);
            most.sort_unstable_by(|a, b| b.cmp(a));
            most.truncate(limits::DIRECTORY_FACETS_MAX);
            counts.insert(value.clone(), u32::try_from(here).unwrap_or(u32::MAX));
        }
    }
    Ok(counts)
}

fn one_by_one(parts: &Parts<'_>, column: &str) -> Result<HashMap<String, u32>, Error> {
    let mut counts = HashMap::new();
    for (segment, found) in parts {
        let Some(column) = segment.fast_fields().str(column)? else { continue };
        let mut here = HashMap::<u64, u32>::new();
        for document in found.iter() {
            column.term_ords(document).for_each(|value| *here.entry(value).or_default() += 1);
        }
        for (value, count) in here {
            let mut text = String::new();
            if column.ord_to_str(value, &mut text)? {
                *counts.entry(text).or_default() += count;
            }
        }
    }
    Ok(counts)
}
