//! Finds entries: what a person types, structured filters, ranking, pages and facets.
//!
//! Each word that was typed must be found somewhere: in the name best exactly, then as a beginning, then with a
//! typing error. Equal finds are ordered: members of this hub first, then the nearest, then persons before
//! places, then by name. The order is total, so pages do not overlap.
//!
//! - `words`: what was typed, as questions. `leaf`: the questions and their answers, as `documents`.
//! - `ranked`: the best of what fits. `facets`: how many have which value. `keyset`, `outline`: what is known before.

mod documents;
mod facets;
mod keyset;
mod leaf;
mod outline;
mod ranked;
mod words;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tantivy::{
    DocAddress, DocSet, Searcher, SegmentReader, TERMINATED, TantivyDocument, Term,
    schema::{Field, IndexRecordOption},
};

use self::{
    documents::{Bits, Documents},
    facets::Counted,
    leaf::Leaf,
    ranked::{Rank, Ranking, Rings},
    words::{Text, Tolerance},
};
pub(super) use self::{keyset::KeySet, leaf::Leaves, outline::Outline};
use super::{
    commune::Communes,
    entry::{Entry, Kind},
    error::Error,
    generation::Manifest,
    index::{self, Fields, kind_word},
    nomenclature,
};
use crate::limits;

/// What is looked for. Every field that is given must fit.
#[derive(Clone, Default)]
pub struct Filter {
    /// Words: names, professions, places, in any order.
    pub text: String,
    /// Professions, by code or name; any of them.
    pub professions: Vec<String>,
    /// Specialties and skills, by code or words; any of them.
    pub skills: Vec<String>,
    /// A structure, by key or words of its name.
    pub structure: String,
    /// Communes, by INSEE code, postal code or name; any of them.
    pub communes: Vec<String>,
    /// Also communes whose centre is as near, km.
    pub radius_km: u32,
    /// Takes new people on.
    pub accepting: bool,
    /// On duty at the moment.
    pub on_duty: bool,
    /// Reachable on this hub, or not.
    pub member: Option<bool>,
    /// Only entries of this kind.
    pub kind: Option<Kind>,
    /// Entries to skip.
    pub offset: usize,
    /// Entries wanted; 0: as many as fit a page.
    pub limit: usize,
    /// Whether facets are wanted.
    pub facets: bool,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

/// How many found entries have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// Code.
    pub code: String,
    /// Its name.
    pub label: String,
    /// Entries.
    pub count: u32,
}

/// Found entries, best first.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<(Entry, Option<u32>)>,
    pub(super) total: usize,
    pub(super) professions: Vec<Facet>,
    pub(super) communes: Vec<Facet>,
}

/// What must hold for an entry.
enum Condition {
    Leaf(Leaf),
    Any(Vec<Self>),
    All(Vec<Self>),
    Set(KeySet),
}

/// Where was asked for, and how near it is.
#[derive(Default)]
struct Near {
    /// Distance of communes, km.
    distances: HashMap<String, f64>,
    rings: Rings,
}

/// Who fits what changes by the minute.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) members: KeySet,
    pub(super) hidden: KeySet,
    pub(super) accepting: Option<KeySet>,
    pub(super) on_duty: Option<KeySet>,
}

/// An index to search in, and what is known beside it.
pub(super) struct Scene<'a> {
    pub(super) searcher: &'a Searcher,
    pub(super) fields: &'a Fields,
    pub(super) communes: &'a Communes,
    pub(super) manifest: &'a Manifest,
    pub(super) sets: &'a Sets,
    pub(super) leaves: &'a Leaves,
    pub(super) outline: &'a Outline,
}

impl Scene<'_> {
    /// Searches; a word that is found nowhere as it was typed is allowed a typing error.
    pub(super) fn search(&self, filter: &Filter) -> Result<Found, Error> {
        let near = self.near(filter);
        let conditions = self.conditions(filter);
        for tolerance in [Tolerance::Unknown, Tolerance::All] {
            let text = words::read(self.searcher, self.fields, &filter.text, tolerance)?;
            let found = self.collect(filter, &conditions, &text, &near)?;
            if found.total > 0 || filter.text.is_empty() || tolerance == Tolerance::All {
                return Ok(found);
            }
        }
        Ok(Found::default())
    }

    /// Communes that fit, with their distance; none if it does not matter where.
    fn near(&self, filter: &Filter) -> Near {
        let named: Vec<String> = filter.communes.iter().flat_map(|name| self.commune_codes(name)).collect();
        let mut distances = match filter.radius_km {
            0 => HashMap::new(),
            radius => self.communes.around(&named, f64::from(radius.min(limits::DIRECTORY_RADIUS_KM_MAX))),
        };
        distances.extend(named.into_iter().map(|code| (code, 0.0)));
        let mut rings = BTreeMap::<u32, Vec<Leaf>>::new();
        for (code, km) in &distances {
            let leaf = Leaf::Is(self.fields.commune, code.clone());
            rings.entry(whole_km(*km)).or_default().push(leaf);
        }
        Near { distances, rings: rings.into_iter().collect() }
    }

    /// Codes that a name means: of the list of communes, else of the imported entries.
    fn commune_codes(&self, name: &str) -> Vec<String> {
        let known = self.communes.named(name);
        if !known.is_empty() {
            return known;
        }
        let wanted = super::fold::words(name);
        let is_meant = |(code, label): &(&String, &String)| {
            *code == name.trim() || !wanted.is_empty() && super::fold::words(label) == wanted
        };
        self.manifest.communes.iter().filter(is_meant).map(|(code, _)| code.clone()).collect()
    }

    fn conditions(&self, filter: &Filter) -> Vec<Condition> {
        let fields = self.fields;
        let any_of = |field: Field, values: Vec<String>| {
            Condition::Any(values.into_iter().map(|value| Condition::Leaf(Leaf::Is(field, value))).collect())
        };
        let mut conditions = Vec::new();
        if !filter.professions.is_empty() {
            let codes = filter.professions.iter().flat_map(|name| self.profession_codes(name));
            conditions.push(any_of(fields.profession, codes.collect()));
        }
        if !filter.skills.is_empty() {
            let skills = filter.skills.iter().map(|skill| named(fields.skill, fields.skill_words, skill));
            conditions.push(Condition::Any(skills.collect()));
        }
        if !filter.structure.is_empty() {
            conditions.push(named(fields.structure, fields.place_words, &filter.structure));
        }
        if let Some(kind) = filter.kind {
            conditions.push(any_of(fields.kind, vec![kind_word(kind).to_owned()]));
        }
        for set in [&self.sets.accepting, &self.sets.on_duty].into_iter().flatten() {
            conditions.push(Condition::Set(set.clone()));
        }
        if filter.member == Some(true) {
            conditions.push(Condition::Set(self.sets.members.clone()));
        }
        conditions
    }

    fn profession_codes(&self, name: &str) -> Vec<String> {
        let name = name.trim();
        if self.manifest.professions.contains_key(name) || !nomenclature::profession_label(name).is_empty() {
            return vec![name.to_owned()];
        }
        let wanted = super::fold::words(name);
        let is_meant = |label: &str| {
            let label = super::fold::words(label);
            wanted.iter().all(|word| label.iter().any(|known| known.starts_with(word.as_str())))
        };
        let imported = self.manifest.professions.iter().filter(|(_, label)| is_meant(label));
        let mut codes: Vec<String> = imported.map(|(code, _)| code.clone()).collect();
        codes.extend(nomenclature::professions_named(name).into_iter().map(str::to_owned));
        // A code that nobody has finds nobody.
        if codes.is_empty() { vec![name.to_owned()] } else { codes }
    }

    /// Documents of a segment that fit.
    fn candidates(
        &self,
        segment: &SegmentReader,
        filter: &Filter,
        conditions: &[Condition],
        text: &Text,
        near: &Near,
    ) -> Result<Bits, Error> {
        let mut candidates = Bits::all(segment.max_doc());
        if let Some(alive) = segment.alive_bitset() {
            candidates = Bits::none(segment.max_doc());
            alive.iter_alive().for_each(|document| candidates.insert(document));
        }
        let out =
            [Some(&self.sets.hidden), Some(&self.sets.members).filter(|_| filter.member == Some(false))];
        for set in out.into_iter().flatten().filter_map(|set| set.of(segment)) {
            candidates.take_out(set);
        }
        for condition in conditions {
            candidates.keep(&self.fitting(segment, condition)?);
        }
        if !filter.communes.is_empty() {
            candidates.keep(&self.any(segment, near.rings.iter().flat_map(|(_, leaves)| leaves))?);
        }
        for ways in &text.words {
            // Nothing is left that further words could narrow.
            if candidates.is_empty() {
                break;
            }
            candidates.keep(&self.any(segment, ways.iter().map(|(_, leaf)| leaf))?);
        }
        Ok(candidates)
    }

    fn fitting(&self, segment: &SegmentReader, condition: &Condition) -> Result<Bits, Error> {
        match condition {
            Condition::Leaf(leaf) => self.any(segment, std::iter::once(leaf)),
            Condition::Any(conditions) => {
                let mut any = Bits::none(segment.max_doc());
                for condition in conditions {
                    match condition {
                        Condition::Leaf(leaf) => any.add(&*self.leaf(segment, leaf)?),
                        other => any.add(&Documents::Many(self.fitting(segment, other)?)),
                    }
                }
                Ok(any)
            }
            Condition::All(conditions) => {
                let mut all = Bits::all(segment.max_doc());
                for condition in conditions {
                    all.keep(&self.fitting(segment, condition)?);
                }
                Ok(all)
            }
            Condition::Set(set) => {
                Ok(set.of(segment).cloned().unwrap_or_else(|| Bits::none(segment.max_doc())))
            }
        }
    }

    fn any<'l>(
        &self,
        segment: &SegmentReader,
        leaves: impl Iterator<Item = &'l Leaf>,
    ) -> Result<Bits, Error> {
        let mut any = Bits::none(segment.max_doc());
        for leaf in leaves {
            any.add(&*self.leaf(segment, leaf)?);
        }
        Ok(any)
    }

    /// Documents of a segment with a word, deleted ones among them.
    fn leaf(&self, segment: &SegmentReader, leaf: &Leaf) -> Result<Arc<Documents>, Error> {
        self.leaves.of(self.searcher, segment, leaf)
    }

    fn collect(
        &self,
        filter: &Filter,
        conditions: &[Condition],
        text: &Text,
        near: &Near,
    ) -> Result<Found, Error> {
        let limit = if filter.limit == 0 { limits::DIRECTORY_PAGE_MAX } else { filter.limit };
        let mut best: Vec<Rank> = Vec::new();
        let mut parts = Vec::new();
        let mut total = 0;
        for (ordinal, segment) in (0..).zip(self.searcher.segment_readers()) {
            let candidates = self.candidates(segment, filter, conditions, text, near)?;
            total += candidates.count();
            if filter.facets {
                parts.push((segment, candidates.clone()));
            }
            let ranking = Ranking::of(self, (ordinal, segment), &near.distances, &near.rings)?;
            best.extend(ranking.best(candidates, text, filter.offset + limit)?);
        }
        best.sort_unstable_by(|a, b| b.cmp(a));
        let page = best.into_iter().skip(filter.offset).take(limit);
        let entries = page.map(|(.., address)| self.entry(address.0, &near.distances));
        let entries = entries.collect::<Result<_, _>>()?;
        let (professions, communes) = if filter.facets { self.facets(&parts)? } else { Default::default() };
        Ok(Found { entries, total, professions, communes })
    }

    fn facets(&self, parts: &[(&SegmentReader, Bits)]) -> Result<(Vec<Facet>, Vec<Facet>), Error> {
        let (fields, outline) = (self.fields, self.outline);
        let professions =
            Counted { column: "profession", field: fields.profession, values: &outline.professions };
        let communes = Counted { column: "commune", field: fields.commune, values: &outline.communes };
        let profession_label = |code: &str| match self.manifest.professions.get(code) {
            Some(label) => label.clone(),
            None => nomenclature::profession_label(code).to_owned(),
        };
        let commune_label = |code: &str| match self.communes.get(code) {
            Some(commune) => commune.name.clone(),
            None => self.manifest.communes.get(code).cloned().unwrap_or_default(),
        };
        Ok((
            most(facets::count(self, parts, professions)?, profession_label),
            most(facets::count(self, parts, communes)?, commune_label),
        ))
    }

    fn entry(&self, address: DocAddress, near: &HashMap<String, f64>) -> Result<(Entry, Option<u32>), Error> {
        let document: TantivyDocument = self.searcher.doc(address)?;
        let entry = index::entry(self.fields, &document)?;
        let distances = entry.activities.iter().filter_map(|activity| near.get(&activity.commune.code));
        let nearest = distances.copied().reduce(f64::min).map(whole_km);
        Ok((entry, nearest))
    }

    /// The entry with a key, hidden or not.
    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let term = Term::from_field_text(self.fields.key, key);
        for (ordinal, segment) in (0..).zip(self.searcher.segment_readers()) {
            let inverted = segment.inverted_index(self.fields.key)?;
            let Some(mut found) = inverted.read_postings(&term, IndexRecordOption::Basic)? else { continue };
            while found.doc() != TERMINATED && segment.is_deleted(found.doc()) {
                found.advance();
            }
            if found.doc() != TERMINATED {
                let document: TantivyDocument = self.searcher.doc(DocAddress::new(ordinal, found.doc()))?;
                return index::entry(self.fields, &document).map(Some);
            }
        }
        Ok(None)
    }

    /// Those of the keys that the index holds.
    pub(super) fn existing(&self, keys: &[String]) -> Result<HashSet<String>, Error> {
        let mut existing = HashSet::new();
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(self.fields.key)?;
            for key in keys {
                let term = Term::from_field_text(self.fields.key, key);
                if inverted.get_term_info(&term)?.is_some() {
                    existing.insert(key.clone());
                }
            }
        }
        Ok(existing)
    }
}

/// Entries that have this as a code, or all its words as beginnings.
fn named(code: Field, in_words: Field, text: &str) -> Condition {
    let mut ways = vec![Condition::Leaf(Leaf::Is(code, text.trim().to_owned()))];
    let begin: Vec<Condition> = words::all_begin(in_words, text).into_iter().map(Condition::Leaf).collect();
    if !begin.is_empty() {
        ways.push(Condition::All(begin));
    }
    Condition::Any(ways)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a distance on earth, in km")]
fn whole_km(km: f64) -> u32 {
    km.round() as u32
}

/// The most frequent values, then by code.
fn most(counts: HashMap<String, u32>, label: impl Fn(&str) -> String) -> Vec<Facet> {
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
    counts.truncate(limits::DIRECTORY_FACETS_MAX);
    counts.into_iter().map(|(code, count)| Facet { label: label(&code), code, count }).collect()
}
