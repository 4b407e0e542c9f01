//! Takes the national directory in: reads, compares with what is there, and switches in one step.
//!
//! Called by `cercle-server directory import`, in its own process, while the hub serves; the hub notices the new
//! generation by itself. Nothing is changed until everything was read, compared and indexed; a process that is
//! killed leaves the old generation in use. Memory holds a piece of one part of the directory at a time.
//!
//! - `input`: files, zips, encodings. `table`: columns by header. `people`, `mailboxes`, `fhir`: the sources.
//! - `merge`: the new generation of what was read and of what was there. [`Report`]: what happened.

mod fhir;
mod input;
mod mailboxes;
mod merge;
mod people;
mod report;
mod table;

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

pub use report::{Fault, Report};

use self::{
    fhir::{Pass, References},
    input::Input,
    mailboxes::Mailboxes,
    people::People,
    table::Header,
};
use super::{
    entry::{Activity, Entry, Source},
    error::Error,
    generation::{Folder, Fragment, Generation, Manifest, PartWriter, part_of},
    index,
};
use crate::limits;

/// What to import, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Extractions, zips of them, FHIR texts: together they are the sources that they belong to, whole.
    pub files: Vec<PathBuf>,
    /// Only activities in these communes (INSEE or postal codes; `31*`: all that begin so). None: everything.
    pub communes: Vec<String>,
    /// Remove entries even if they are more than the twentieth part.
    pub accept_removals: bool,
    /// Time to note, ms.
    pub now_ms: u64,
}

/// Why an import was not carried out. The directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be opened.
    #[error("the file cannot be opened")]
    Open(#[source] io::Error),
    /// A file cannot be read to its end.
    #[error("the file cannot be read to its end")]
    Read(#[source] io::Error),
    /// A zip is damaged.
    #[error("the zip is damaged: download it again")]
    Zip,
    /// A header is none that is known.
    #[error("the header is not that of a known extraction: {0}")]
    Header(&'static str),
    /// A text that should be JSON is not.
    #[error("line {line}, column {column}: this is not JSON")]
    Json {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// More resources than references are kept for.
    #[error("the text holds too many resources: import it in the flat layout")]
    TooManyResources,
    /// Nothing was read.
    #[error("the files hold no line that can be used")]
    Empty(Box<Report>),
    /// Too many entries would go.
    #[error(
        "{removed} of {before} entries would be removed, more than 5 %: check the files, then repeat with --accept-removals"
    )]
    TooManyRemovals {
        /// Entries that would go.
        removed: u64,
        /// Entries before.
        before: u64,
    },
    /// The folder of the directory, or the index.
    #[error(transparent)]
    Directory(#[from] Error),
}

/// Carries an import out. `progress` is called with the bytes read since the last call.
///
/// # Errors
/// As [`ImportError`] says; the directory is then as it was.
pub fn run(folder: &Path, options: &Options, progress: &mut dyn FnMut(u64)) -> Result<Report, ImportError> {
    let folder = Folder::new(folder);
    let _lock = folder.lock()?;
    let current = folder.current()?;
    let built = folder.building()?;
    let (mut report, sources) = spool(&built, options, progress)?;
    if sources.is_empty() {
        return Err(ImportError::Empty(Box::new(report)));
    }
    let old = folder.generation(current);
    let mut manifest =
        Manifest { generation: current + 1, made_at_ms: options.now_ms, ..Manifest::default() };
    let before = merge::merge(&built, &old, &sources, options, &mut manifest, &mut report)?;
    let within = report.removed * limits::DIRECTORY_REMOVALS_ONE_IN <= before;
    if !within && !options.accept_removals {
        fs::remove_dir_all(built.path()).map_err(Error::from)?;
        return Err(ImportError::TooManyRemovals { removed: report.removed, before });
    }
    index::build(&built).map_err(ImportError::Directory)?;
    built.write_manifest(&manifest)?;
    folder.publish(&built, manifest.generation)?;
    report.generation = manifest.generation;
    report.entries = manifest.entries;
    Ok(report)
}

/// Takes fragments in: into the spool of their part, if they are of the territory.
struct Sink<'a> {
    parts: Vec<PartWriter>,
    territory: &'a Territory,
    report: Report,
    sources: BTreeSet<Source>,
    file: usize,
}

/// Which communes belong to the directory.
struct Territory {
    codes: HashSet<String>,
    beginnings: Vec<String>,
}

impl Territory {
    fn new(communes: &[String]) -> Self {
        let (beginnings, codes) = communes.iter().cloned().partition::<Vec<_>, _>(|code| code.ends_with('*'));
        let beginnings = beginnings.iter().map(|code| code.trim_end_matches('*').to_owned()).collect();
        Self { codes: codes.into_iter().collect(), beginnings }
    }

    fn is_everything(&self) -> bool {
        self.codes.is_empty() && self.beginnings.is_empty()
    }

    fn holds(&self, place: &Activity) -> bool {
        let code = if place.commune.code.is_empty() { &place.postal_code } else { &place.commune.code };
        self.is_everything()
            || self.codes.contains(code)
            || self.codes.contains(&place.postal_code)
            || self.beginnings.iter().any(|start| code.starts_with(start.as_str()))
    }
}

impl Sink<'_> {
    fn is_in_territory(&self, place: &Activity) -> bool {
        self.territory.holds(place)
    }

    fn give(&mut self, source: Source, entry: Entry) -> Result<(), ImportError> {
        self.sources.insert(source);
        let part = part_of(&entry.key);
        Ok(self.parts[part].write(&Fragment { source, entry })?)
    }

    /// Notes a line that is skipped.
    #[expect(clippy::unnecessary_wraps, reason = "a skipped line is an answer of those who may also fail")]
    fn refuse(&mut self, line: usize, what: &'static str) -> Result<(), ImportError> {
        self.report.note(Fault { file: self.file, line, what, skipped: true });
        Ok(())
    }

    fn warn(&mut self, line: usize, what: &'static str) {
        self.report.note(Fault { file: self.file, line, what, skipped: false });
    }
}

fn spooled(built: &Generation, part: usize) -> PathBuf {
    built.path().join(format!("spool-{part:03}.bin"))
}

/// Reads all files into one spool for each part.
fn spool(
    built: &Generation,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<(Report, BTreeSet<Source>), ImportError> {
    let parts = (0..limits::DIRECTORY_PARTS).map(|part| PartWriter::create(&spooled(built, part)));
    let territory = Territory::new(&options.communes);
    let mut sink = Sink {
        parts: parts.collect::<Result<_, _>>()?,
        territory: &territory,
        report: Report::default(),
        sources: BTreeSet::new(),
        file: 0,
    };
    for (index, path) in options.files.iter().enumerate() {
        sink.file = index + 1;
        let mut references = References::default();
        let mut holds_json = false;
        input::for_each_text(path, progress, |mut input| {
            if input.is_json()? {
                holds_json = true;
                return fhir::read(input, Pass::WhoAndWhere, &mut references, &mut sink);
            }
            flat(input, &mut sink)
        })?;
        if holds_json {
            input::for_each_text(path, &mut |_| {}, |mut input| match input.is_json()? {
                true => fhir::read(input, Pass::WhoWorksWhere, &mut references, &mut sink),
                false => Ok(()),
            })?;
        }
    }
    let Sink { parts, report, sources, .. } = sink;
    for part in parts {
        part.finish()?;
    }
    Ok((report, sources))
}

enum Table {
    People(Box<People>),
    Mailboxes(Mailboxes),
}

/// Reads an extraction in columns.
fn flat(mut input: Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let Some(first) = input.next_line()? else { return Ok(()) };
    let header = Header::read(&first)?;
    let table = if Mailboxes::knows(&header) {
        Table::Mailboxes(Mailboxes::new(&header)?)
    } else if People::knows(&header) {
        Table::People(Box::new(People::new(&header)?))
    } else {
        return Err(ImportError::Header("neither persons nor mailboxes"));
    };
    while let Some(line) = input.next_line()? {
        let number = line.number;
        let text = match line.text {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => text,
            Err(fault) => {
                sink.report.lines += 1;
                sink.refuse(number, fault)?;
                continue;
            }
        };
        sink.report.lines += 1;
        sink.report.latin += u64::from(line.latin);
        match header.row(&text) {
            Err(fault) => sink.refuse(number, fault)?,
            Ok(row) => match &table {
                Table::People(people) => people.take(&row, number, sink)?,
                Table::Mailboxes(mailboxes) => mailboxes.take(&row, number, sink)?,
            },
        }
    }
    Ok(())
}
