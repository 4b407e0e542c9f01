//! Finds entries: what a person types, structured filters, ranking, pages and facets.
//!
//! Each word that was typed must be found somewhere: in the name best exactly, then as a beginning, then with a
//! typing error. Equal finds are ordered: members of this hub first, then the nearest, then persons before
//! places, then by name. The order is total, so pages do not overlap.

mod facets;
mod keyset;
mod words;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentReader, TantivyDocument, Term,
    collector::{Count, TopDocs},
    query::{AllQuery, BooleanQuery, ConstScoreQuery, Occur, Query, TermQuery, TermSetQuery},
    schema::{Field, IndexRecordOption},
};

pub(super) use self::keyset::KeySet;
use self::{facets::Facets, words::Tolerance};
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

/// A part of a query, and whether it must, may or must not hold.
type Clause = (Occur, Box<dyn Query>);

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
}

/// Order of the found entries, greatest first: how well the words fit, member or not, how near, then persons
/// before places, by name.
type Rank = (u32, bool, Reverse<u32>, Reverse<u64>);

impl Scene<'_> {
    /// Searches; a word that is found nowhere as it was typed is allowed a typing error.
    pub(super) fn search(&self, filter: &Filter) -> Result<Found, Error> {
        let near = self.near(filter);
        let filters = self.filters(filter, near.as_ref())?;
        for tolerance in [Tolerance::Unknown, Tolerance::All] {
            let query = self.query(filter, &filters, tolerance)?;
            let found = self.collect(&*query, filter, near.clone().unwrap_or_default())?;
            if found.total > 0 || filter.text.is_empty() || tolerance == Tolerance::All {
                return Ok(found);
            }
        }
        Ok(Found::default())
    }

    /// Communes that fit, with their distance; `None` if it does not matter where.
    fn near(&self, filter: &Filter) -> Option<Arc<HashMap<String, f64>>> {
        if filter.communes.is_empty() {
            return None;
        }
        let named: Vec<String> = filter.communes.iter().flat_map(|name| self.commune_codes(name)).collect();
        let mut near = match filter.radius_km {
            0 => HashMap::new(),
            radius => self.communes.around(&named, f64::from(radius.min(limits::DIRECTORY_RADIUS_KM_MAX))),
        };
        near.extend(named.into_iter().map(|code| (code, 0.0)));
        Some(Arc::new(near))
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

    fn filters(
        &self,
        filter: &Filter,
        near: Option<&Arc<HashMap<String, f64>>>,
    ) -> Result<Vec<Clause>, Error> {
        let fields = self.fields;
        let mut clauses: Vec<Clause> = Vec::new();
        let mut must = |query: Box<dyn Query>| clauses.push((Occur::Must, silent(query)));
        if !filter.professions.is_empty() {
            let codes = filter.professions.iter().flat_map(|name| self.profession_codes(name));
            must(any_of(fields.profession, codes));
        }
        if !filter.skills.is_empty() {
            let skills = filter.skills.iter().map(|skill| self.skill(skill));
            must(Box::new(BooleanQuery::union(skills.collect())));
        }
        if !filter.structure.is_empty() {
            must(self.structure(&filter.structure));
        }
        if let Some(near) = near {
            must(any_of(fields.commune, near.keys().cloned()));
        }
        if let Some(kind) = filter.kind {
            must(exactly(fields.kind, kind_word(kind)));
        }
        for set in [&self.sets.accepting, &self.sets.on_duty].into_iter().flatten() {
            must(Box::new(set.clone()));
        }
        match filter.member {
            Some(true) => must(Box::new(self.sets.members.clone())),
            Some(false) => clauses.push((Occur::MustNot, Box::new(self.sets.members.clone()))),
            None => {}
        }
        clauses.push((Occur::MustNot, Box::new(self.sets.hidden.clone())));
        Ok(clauses)
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

    fn skill(&self, skill: &str) -> Box<dyn Query> {
        let by_code = exactly(self.fields.skill, skill.trim());
        let by_words = words::all_begin(self.fields.skill_words, skill);
        Box::new(BooleanQuery::union(std::iter::once(by_code).chain(by_words).collect()))
    }

    fn structure(&self, structure: &str) -> Box<dyn Query> {
        let by_key = exactly(self.fields.structure, structure.trim());
        let by_words = words::all_begin(self.fields.place_words, structure);
        Box::new(BooleanQuery::union(std::iter::once(by_key).chain(by_words).collect()))
    }

    fn query(
        &self,
        filter: &Filter,
        filters: &[Clause],
        tolerance: Tolerance,
    ) -> Result<Box<dyn Query>, Error> {
        let mut clauses = words::clauses(self.searcher, self.fields, &filter.text, tolerance)?;
        clauses.extend(filters.iter().map(|(occur, query)| (*occur, query.box_clone())));
        if clauses.iter().all(|(occur, _)| *occur != Occur::Must) {
            clauses.push((Occur::Must, silent(Box::new(AllQuery))));
        }
        Ok(Box::new(BooleanQuery::new(clauses)))
    }

    fn collect(
        &self,
        query: &dyn Query,
        filter: &Filter,
        near: Arc<HashMap<String, f64>>,
    ) -> Result<Found, Error> {
        let limit = if filter.limit == 0 { limits::DIRECTORY_PAGE_MAX } else { filter.limit };
        let top = TopDocs::with_limit(limit).and_offset(filter.offset);
        let top = top.tweak_score(ranking(self.sets.members.clone(), near.clone()));
        let (ranked, total, professions, communes) = if filter.facets {
            let all = (top, Count, Facets("profession"), Facets("commune"));
            self.searcher.search(query, &all)?
        } else {
            let (ranked, total) = self.searcher.search(query, &(top, Count))?;
            (ranked, total, HashMap::new(), HashMap::new())
        };
        let addresses = ranked.into_iter().map(|(_, address)| address);
        let entries = addresses.map(|address| self.entry(address, &near)).collect::<Result<_, _>>()?;
        let profession_label = |code: &str| match self.manifest.professions.get(code) {
            Some(label) => label.clone(),
            None => nomenclature::profession_label(code).to_owned(),
        };
        let commune_label = |code: &str| match self.communes.get(code) {
            Some(commune) => commune.name.clone(),
            None => self.manifest.communes.get(code).cloned().unwrap_or_default(),
        };
        Ok(Found {
            entries,
            total,
            professions: most(professions, profession_label),
            communes: most(communes, commune_label),
        })
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
        let query = exactly(self.fields.key, key);
        let found = self.searcher.search(&*query, &TopDocs::with_limit(1).order_by_score())?;
        let Some((_, address)) = found.into_iter().next() else { return Ok(None) };
        let document: TantivyDocument = self.searcher.doc(address)?;
        index::entry(self.fields, &document).map(Some)
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

/// Computes the order of a document of a segment.
fn ranking(
    members: KeySet,
    near: Arc<HashMap<String, f64>>,
) -> impl Fn(&SegmentReader) -> Box<dyn Fn(DocId, Score) -> Rank> + Send + Sync + 'static {
    move |segment: &SegmentReader| {
        let members = members.of(segment);
        let columns = segment.fast_fields();
        let order = columns.u64("order").ok().map(|column| column.first_or_default_col(0));
        let communes = if near.is_empty() { None } else { columns.str("commune").ok().flatten() };
        let distances = communes.as_ref().map(|column| {
            let of = |value| {
                let mut code = String::new();
                let is_there = column.ord_to_str(value, &mut code).unwrap_or(false);
                near.get(&code).filter(|_| is_there).map_or(u32::MAX, |km| whole_km(*km))
            };
            (0..column.num_terms() as u64).map(of).collect::<Vec<u32>>()
        });
        Box::new(move |document, score| {
            let is_member = members.as_ref().is_some_and(|members| members.contains(document));
            let distance = match (&communes, &distances) {
                (Some(column), Some(distances)) => {
                    let all = column.term_ords(document).filter_map(|value| usize::try_from(value).ok());
                    all.filter_map(|value| distances.get(value).copied()).min().unwrap_or(u32::MAX)
                }
                _ => 0,
            };
            let name = order.as_ref().map_or(0, |order| order.get_val(document));
            (whole_score(score), is_member, Reverse(distance), Reverse(name))
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score is small and positive")]
fn whole_score(score: Score) -> u32 {
    (score * 10.0).round() as u32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a distance on earth, in km")]
fn whole_km(km: f64) -> u32 {
    km.round() as u32
}

/// A clause that must hold and says nothing about how well.
fn silent(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

fn exactly(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

fn any_of(field: Field, values: impl Iterator<Item = String>) -> Box<dyn Query> {
    Box::new(TermSetQuery::new(values.map(|value| Term::from_field_text(field, &value))))
}

/// The most frequent values, then by code.
fn most(counts: HashMap<String, u32>, label: impl Fn(&str) -> String) -> Vec<Facet> {
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
    counts.truncate(limits::DIRECTORY_FACETS_MAX);
    counts.into_iter().map(|(code, count)| Facet { label: label(&code), code, count }).collect()
}
