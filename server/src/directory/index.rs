//! The search index of a generation (tantivy): which fields there are, and how it is made.
//!
//! The index is derived: the entries beside it are the truth, and an index that cannot be opened is made again.
//! Local entries are added to the index of the generation in use, under a mark, and replaced as a whole.

use std::{fs, path::Path};

use tantivy::{
    Index, IndexWriter, TantivyDocument, Term,
    indexer::NoMergePolicy,
    schema::{
        BytesOptions, FAST, Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions, Value,
    },
};

use super::{
    entry::{Entry, Kind},
    error::Error,
    fold::{name_terms, sort_key, words},
    generation::Generation,
    layered::Layered,
    nomenclature::everyday_words,
};
use crate::limits;

/// The fields of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// Key of the entry.
    pub(super) key: Field,
    /// The entry itself, postcard; only stored.
    pub(super) body: Field,
    /// Words of the family name, or of the name of a structure.
    pub(super) family: Field,
    /// Words of the given names.
    pub(super) given: Field,
    /// Words of professions and skills.
    pub(super) trade: Field,
    /// Words of structures, sectors and communes.
    pub(super) about: Field,
    /// Words of skills.
    pub(super) skill_words: Field,
    /// Words of the names of structures.
    pub(super) place_words: Field,
    /// Codes of professions.
    pub(super) profession: Field,
    /// Codes of skills.
    pub(super) skill: Field,
    /// Keys of structures.
    pub(super) structure: Field,
    /// Codes of communes.
    pub(super) commune: Field,
    /// What the entry is.
    pub(super) kind: Field,
    /// There for local entries.
    pub(super) local: Field,
    /// Person or place, and beginning of the name, to sort by.
    pub(super) order: Field,
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let worded = || TextOptions::default().set_indexing_options(indexing.clone());
    let fields = Fields {
        key: builder.add_text_field("key", STRING),
        body: builder.add_bytes_field("body", BytesOptions::default().set_stored()),
        family: builder.add_text_field("family", worded()),
        given: builder.add_text_field("given", worded()),
        trade: builder.add_text_field("trade", worded()),
        about: builder.add_text_field("about", worded()),
        skill_words: builder.add_text_field("skill_words", worded()),
        place_words: builder.add_text_field("place_words", worded()),
        profession: builder.add_text_field("profession", STRING | FAST),
        skill: builder.add_text_field("skill", STRING),
        structure: builder.add_text_field("structure", STRING),
        commune: builder.add_text_field("commune", STRING | FAST),
        kind: builder.add_text_field("kind", STRING),
        local: builder.add_text_field("local", STRING),
        order: builder.add_u64_field("order", FAST),
    };
    (builder.build(), fields)
}

/// Word of a kind in the index.
pub(super) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Professional => "p",
        Kind::Structure => "s",
        Kind::Inbox => "i",
    }
}

/// Makes the index of a generation of its entries.
pub(super) fn build(generation: &Generation) -> Result<(), Error> {
    let path = generation.index();
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    let (schema, fields) = schema();
    let index = Index::create_in_dir(&path, schema)?;
    let mut writer: IndexWriter =
        index.writer_with_num_threads(limits::DIRECTORY_INDEX_THREADS, limits::DIRECTORY_INDEX_BYTES)?;
    for part in 0..limits::DIRECTORY_PARTS {
        generation.for_each_entry(part, |entry| {
            writer.add_document(document(&fields, entry))?;
            Ok(())
        })?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    Ok(())
}

/// Opens the index of a generation; makes it again if that fails. Generation 0, before the first import, gets an
/// empty one. With `local_in_memory` nothing local is on the disk, nor gets there.
pub(super) fn open(generation: &Generation, local_in_memory: bool) -> Result<Index, Error> {
    let path = generation.index();
    let is_usable = |index: &Index| !local_in_memory || local_mark(index).is_ok_and(|mark| mark.is_empty());
    let index = match open_existing(&path) {
        Ok(index) if is_usable(&index) => index,
        _ => {
            tracing::warn!("the search index of the directory is made again from its entries");
            build(generation)?;
            Index::open_in_dir(&path)?
        }
    };
    if !local_in_memory {
        return Ok(index);
    }
    drop(index);
    Ok(Index::open(Layered::over(&path)?)?)
}

fn open_existing(path: &Path) -> Result<Index, Error> {
    let index = Index::open_in_dir(path)?;
    if index.schema() == schema().0 {
        Ok(index)
    } else {
        Err(Error::Damaged("the index is of another version"))
    }
}

/// The mark of the local entries that an index holds; empty if none were ever added.
pub(super) fn local_mark(index: &Index) -> Result<String, Error> {
    Ok(index.load_metas()?.payload.unwrap_or_default())
}

/// Replaces the local entries of an index.
pub(super) fn replace_local(index: &Index, entries: &[Entry], mark: &str) -> Result<(), Error> {
    let (_, fields) = schema();
    let mut writer: IndexWriter = index.writer_with_num_threads(1, limits::DIRECTORY_LOCAL_INDEX_BYTES)?;
    // Nothing that is on the disk is merged into what may be in memory; emptied segments go by themselves.
    writer.set_merge_policy(Box::new(NoMergePolicy));
    writer.delete_term(Term::from_field_text(fields.local, "1"));
    for entry in entries {
        let mut document = document(&fields, entry);
        document.add_text(fields.local, "1");
        writer.add_document(document)?;
    }
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(mark);
    commit.commit()?;
    writer.wait_merging_threads()?;
    Ok(())
}

/// The entry that a document holds.
pub(super) fn entry(fields: &Fields, document: &TantivyDocument) -> Result<Entry, Error> {
    let bytes = document.get_first(fields.body).and_then(|value| value.as_bytes());
    postcard::from_bytes(bytes.unwrap_or_default()).map_err(|_| Error::Damaged("an entry of the index"))
}

fn document(fields: &Fields, entry: &Entry) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    let body = postcard::to_stdvec(entry).expect("an entry has a length postcard can write");
    document.add_text(fields.key, &entry.key);
    document.add_bytes(fields.body, &body);
    document.add_text(fields.family, name_terms(&entry.family).join(" "));
    document.add_text(fields.given, name_terms(&entry.given).join(" "));
    document.add_text(fields.kind, kind_word(entry.kind));
    // Persons come before places, each by name.
    let place = u64::from(entry.kind != Kind::Professional) << 63;
    document.add_u64(fields.order, place | sort_key(&format!("{} {}", entry.family, entry.given)) >> 1);
    let mut trade = Vec::new();
    for profession in &entry.professions {
        trade.extend(words(&profession.label));
        trade.extend(words(everyday_words(&profession.code)));
        document.add_text(fields.profession, &profession.code);
    }
    for skill in &entry.skills {
        let named = words(&format!("{} {}", skill.label, everyday_words(&skill.code)));
        document.add_text(fields.skill_words, named.join(" "));
        document.add_text(fields.skill, &skill.code);
        trade.extend(named);
    }
    document.add_text(fields.trade, trade.join(" "));
    let mut about = Vec::new();
    let mut places = vec![entry.key.as_str()];
    let mut communes: Vec<&str> = Vec::new();
    for activity in &entry.activities {
        if entry.kind == Kind::Professional {
            let named = name_terms(&activity.name);
            document.add_text(fields.place_words, named.join(" "));
            about.extend(named);
        }
        about.extend(name_terms(&activity.commune.label));
        about.extend(words(&activity.postal_code));
        about.extend(words(&activity.sector.label));
        places.push(&activity.structure);
        communes.push(&activity.commune.code);
    }
    if entry.kind != Kind::Professional {
        document.add_text(fields.place_words, name_terms(&entry.family).join(" "));
    }
    about.sort_unstable();
    about.dedup();
    document.add_text(fields.about, about.join(" "));
    for (field, mut values) in [(fields.structure, places), (fields.commune, communes)] {
        values.sort_unstable();
        values.dedup();
        values.iter().filter(|value| !value.is_empty()).for_each(|value| document.add_text(field, value));
    }
    document
}
