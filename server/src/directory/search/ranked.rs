//! The best documents of a segment, without looking at those that cannot be among them.
//!
//! The order is: how well the words fit, members of this hub first, the nearest, then persons before places, by name.
//! What fits equally well is taken apart by the next criterion as a set, and the last one follows a list that was
//! sorted once; so a profession of the whole country costs no more than a rare name.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    sync::Arc,
};

use tantivy::{
    DocAddress, DocId, SegmentReader,
    columnar::{ColumnValues, StrColumn},
};

use super::{
    Scene,
    documents::Bits,
    leaf::Leaf,
    whole_km,
    words::{COMPOUND, Text},
};
use crate::directory::error::Error;

/// Order of the found entries, greatest first.
pub(super) type Rank = (u16, bool, Reverse<u32>, Reverse<u64>, Reverse<DocAddress>);

/// Communes by their distance from where was asked, nearest first.
pub(super) type Rings = Vec<(u32, Vec<Leaf>)>;

/// Ranks the documents of one segment.
pub(super) struct Ranking<'a> {
    scene: &'a Scene<'a>,
    segment: &'a SegmentReader,
    ordinal: u32,
    near: &'a HashMap<String, f64>,
    rings: &'a Rings,
    names: Arc<dyn ColumnValues<u64>>,
    communes: Option<StrColumn>,
}

impl<'a> Ranking<'a> {
    pub(super) fn of(
        scene: &'a Scene<'a>,
        (ordinal, segment): (u32, &'a SegmentReader),
        near: &'a HashMap<String, f64>,
        rings: &'a Rings,
    ) -> Result<Self, Error> {
        let columns = segment.fast_fields();
        let names = columns.u64("order")?.first_or_default_col(0);
        let communes = if near.is_empty() { None } else { columns.str("commune")? };
        Ok(Self { scene, segment, ordinal, near, rings, names, communes })
    }

    /// The best so many of the candidates, in any order.
    pub(super) fn best(&self, candidates: Bits, text: &Text, wanted: usize) -> Result<Vec<Rank>, Error> {
        if text.words.is_empty() {
            return self.select(candidates, 0, wanted);
        }
        let scores = self.scores(&candidates, text)?;
        let least = least(&candidates, &scores, wanted);
        let mut best = Vec::new();
        let mut equal = Bits::none(self.segment.max_doc());
        for document in candidates.iter() {
            let score = scores[document as usize];
            match score.cmp(&least) {
                Ordering::Greater => best.push(self.rank(document, score)),
                Ordering::Equal => equal.insert(document),
                Ordering::Less => {}
            }
        }
        let rest = wanted.saturating_sub(best.len());
        best.extend(self.select(equal, least, rest)?);
        Ok(best)
    }

    /// How well the words fit, by document.
    fn scores(&self, candidates: &Bits, text: &Text) -> Result<Vec<u16>, Error> {
        let mut scores = vec![0_u16; self.segment.max_doc() as usize];
        for ways in &text.words {
            let mut seen = Bits::none(self.segment.max_doc());
            for (goodness, leaf) in ways {
                let mut fresh = Vec::new();
                self.scene.leaf(self.segment, leaf)?.each_between(candidates, &seen, |document| {
                    let score = &mut scores[document as usize];
                    *score = score.saturating_add(*goodness);
                    fresh.push(document);
                });
                fresh.into_iter().for_each(|document| seen.insert(document));
            }
        }
        let none = Bits::none(self.segment.max_doc());
        for leaf in &text.compounds {
            self.scene.leaf(self.segment, leaf)?.each_between(candidates, &none, |document| {
                let score = &mut scores[document as usize];
                *score = score.saturating_add(COMPOUND);
            });
        }
        Ok(scores)
    }

    /// The best so many of documents whose words fit equally well.
    fn select(&self, mut set: Bits, score: u16, wanted: usize) -> Result<Vec<Rank>, Error> {
        let mut best = Vec::new();
        if wanted == 0 {
            return Ok(best);
        }
        if let Some(members) = self.scene.sets.members.of(self.segment) {
            let mut inside = set.clone();
            inside.keep(members);
            best.extend(inside.iter().map(|document| self.rank(document, score)));
            best.sort_unstable_by(|a, b| b.cmp(a));
            best.truncate(wanted);
            set.take_out(members);
        }
        if self.rings.is_empty() {
            best.extend(self.first(&set, wanted - best.len(), score, 0));
            return Ok(best);
        }
        for (km, leaves) in self.rings {
            if best.len() == wanted {
                break;
            }
            let mut ring = Bits::none(self.segment.max_doc());
            for leaf in leaves {
                ring.add(&*self.scene.leaf(self.segment, leaf)?);
            }
            ring.keep(&set);
            set.take_out(&ring);
            best.extend(self.first(&ring, wanted - best.len(), score, *km));
        }
        Ok(best)
    }

    /// The first so many by name, of documents that are no members and equally near.
    fn first(&self, set: &Bits, wanted: usize, score: u16, km: u32) -> Vec<Rank> {
        let count = set.count();
        if count == 0 || wanted == 0 {
            return Vec::new();
        }
        let rank = |document| self.ranked(document, score, false, km);
        let order = self.scene.outline.order(self.segment);
        // Along the sorted list, or one by one: whichever looks at fewer.
        let along = wanted.saturating_mul(order.len()) / count;
        if along < count && !order.is_empty() {
            let found = order.iter().filter(|document| set.contains(**document));
            return found.take(wanted).map(|document| rank(*document)).collect();
        }
        let mut all: Vec<Rank> = set.iter().map(rank).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.truncate(wanted);
        all
    }

    fn rank(&self, document: DocId, score: u16) -> Rank {
        let members = self.scene.sets.members.of(self.segment);
        let is_member = members.is_some_and(|members| members.contains(document));
        self.ranked(document, score, is_member, self.distance(document))
    }

    fn ranked(&self, document: DocId, score: u16, is_member: bool, km: u32) -> Rank {
        let name = self.names.get_val(document);
        let address = DocAddress::new(self.ordinal, document);
        (score, is_member, Reverse(km), Reverse(name), Reverse(address))
    }

    /// Distance of the nearest commune of a document, km.
    fn distance(&self, document: DocId) -> u32 {
        let Some(column) = &self.communes else { return 0 };
        let distance = |value| {
            let mut code = String::new();
            let is_there = column.ord_to_str(value, &mut code).unwrap_or(false);
            self.near.get(&code).filter(|_| is_there).map(|km| whole_km(*km))
        };
        column.term_ords(document).filter_map(distance).min().unwrap_or(u32::MAX)
    }
}

/// The score from which on there are as many as are wanted; 0 if there are fewer.
fn least(candidates: &Bits, scores: &[u16], wanted: usize) -> u16 {
    let mut counts = HashMap::<u16, usize>::new();
    for document in candidates.iter() {
        *counts.entry(scores[document as usize]).or_default() += 1;
    }
    let mut counts: Vec<(u16, usize)> = counts.into_iter().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let mut above = 0;
    for (score, count) in counts {
        above += count;
        if above >= wanted {
            return score;
        }
    }
    0
}
