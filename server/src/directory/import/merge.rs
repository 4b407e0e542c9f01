//! The new generation: of what was read, and of what the sources that were not imported said before.
//!
//! Part by part; a part that is larger than [`limits::MERGE_BYTES`] in pieces, so that the memory of an import does
//! not grow with the directory here. All fragments of a key are in one piece.

mod limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
};

use super::{ImportError, Options, Report, spooled};
use crate::directory::{
    entry::{Entry, Kind, Source},
    error::Error,
    generation::{Fragment, Fragments, Generation, Manifest, PartWriter, hash, merged},
};

/// Makes the parts of the new generation and counts the differences. Returns how many entries there were.
pub(super) fn merge(
    built: &Generation,
    old: &Generation,
    sources: &BTreeSet<Source>,
    options: &Options,
    manifest: &mut Manifest,
    report: &mut Report,
) -> Result<u64, ImportError> {
    let mut merge = Merge { built, old, sources, options, manifest, report, before: 0 };
    for part in 0..crate::limits::DIRECTORY_PARTS {
        merge.part(part, limits::MERGE_BYTES)?;
    }
    Ok(merge.before)
}

struct Merge<'a> {
    built: &'a Generation,
    old: &'a Generation,
    sources: &'a BTreeSet<Source>,
    options: &'a Options,
    manifest: &'a mut Manifest,
    report: &'a mut Report,
    before: u64,
}

impl Merge<'_> {
    /// Makes one part of its spool, which is removed.
    fn part(&mut self, part: usize, bytes_max: u64) -> Result<(), ImportError> {
        let spool = spooled(self.built, part);
        let new = File::open(&spool).map_err(Error::from)?;
        let bytes = new.metadata().map_err(Error::from)?.len() + self.old.part_bytes(part);
        let pieces = bytes / bytes_max + 1;
        let mut writer = self.built.create_part(part)?;
        if pieces == 1 {
            let new = Fragments::new(new)?.collect::<Result<_, _>>()?;
            let known = self.old.read_part(part)?;
            self.piece(new, known, &mut writer)?;
        } else {
            self.split("new", Some(Fragments::new(new)?), pieces)?;
            self.split("old", self.old.fragments(part)?, pieces)?;
            for piece in 0..pieces {
                let (new, known) = (self.take_piece("new", piece)?, self.take_piece("old", piece)?);
                self.piece(new, known, &mut writer)?;
            }
        }
        fs::remove_file(&spool).map_err(Error::from)?;
        Ok(writer.finish()?)
    }

    /// Writes fragments into files, each the pieces of the keys that hash to it.
    fn split(&self, name: &str, from: Option<Fragments>, pieces: u64) -> Result<(), ImportError> {
        let writers = (0..pieces).map(|piece| PartWriter::create(&self.piece_file(name, piece)));
        let mut writers = writers.collect::<Result<Vec<_>, _>>()?;
        for fragment in from.into_iter().flatten() {
            let fragment = fragment?;
            writers[piece_of(&fragment.entry.key, pieces)].write(&fragment)?;
        }
        writers.into_iter().try_for_each(PartWriter::finish)?;
        Ok(())
    }

    fn take_piece(&self, name: &str, piece: u64) -> Result<Vec<Fragment>, ImportError> {
        let path = self.piece_file(name, piece);
        let fragments = Fragments::new(File::open(&path).map_err(Error::from)?)?;
        let fragments = fragments.collect::<Result<_, _>>()?;
        fs::remove_file(&path).map_err(Error::from)?;
        Ok(fragments)
    }

    fn piece_file(&self, name: &str, piece: u64) -> PathBuf {
        self.built.path().join(format!("piece-{name}-{piece}.bin"))
    }

    /// Makes the entries of a piece, of everything that was read and known of their keys.
    fn piece(
        &mut self,
        new: Vec<Fragment>,
        known: Vec<Fragment>,
        writer: &mut PartWriter,
    ) -> Result<(), ImportError> {
        let mut fragments = fused(new);
        fragments.extend(known.iter().filter(|known| !self.sources.contains(&known.source)).cloned());
        fragments.sort_by(|a, b| (&a.entry.key, a.source).cmp(&(&b.entry.key, b.source)));
        let mut known = merged(known);
        self.before += known.len() as u64;
        for of_one in fragments.chunk_by(|a, b| a.entry.key == b.entry.key) {
            let entry = merged(of_one.to_vec()).into_values().next();
            // Somebody without a place in the territory is none of its directory.
            let belongs = |entry: &Entry| {
                self.options.communes.is_empty()
                    || entry.kind != Kind::Professional
                    || !entry.activities.is_empty()
            };
            let Some(entry) = entry.filter(belongs) else { continue };
            for fragment in of_one {
                writer.write(fragment)?;
            }
            match known.remove(&entry.key) {
                None => self.report.added += 1,
                Some(before) => self.report.changed += u64::from(before != entry),
            }
            self.manifest.entries += 1;
            name_codes(&entry, self.manifest);
        }
        self.report.removed += known.len() as u64;
        Ok(())
    }
}

/// The piece of a part that a key belongs to; another remainder than that of the part.
fn piece_of(key: &str, pieces: u64) -> usize {
    let piece = hash(key) / crate::limits::DIRECTORY_PARTS as u64 % pieces;
    usize::try_from(piece).expect("a remainder of a small number is small")
}

/// One fragment for each entry and source.
fn fused(fragments: Vec<Fragment>) -> Vec<Fragment> {
    let mut fused = BTreeMap::<(String, Source), Entry>::new();
    for Fragment { source, entry } in fragments {
        match fused.get_mut(&(entry.key.clone(), source)) {
            Some(known) => known.absorb(entry),
            None => {
                fused.insert((entry.key.clone(), source), entry);
            }
        }
    }
    fused.into_iter().map(|((_, source), entry)| Fragment { source, entry }).collect()
}

fn name_codes(entry: &Entry, manifest: &mut Manifest) {
    for profession in &entry.professions {
        manifest.professions.entry(profession.code.clone()).or_insert_with(|| profession.label.clone());
    }
    for activity in entry.activities.iter().filter(|activity| !activity.commune.code.is_empty()) {
        let label = || activity.commune.label.clone();
        manifest.communes.entry(activity.commune.code.clone()).or_insert_with(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::generation::Folder;

    const PEOPLE: Source = Source::Extraction;

    fn fragment(number: u32, family: &str) -> Fragment {
        let mut entry = Entry::new(format!("ps:{number}"), Kind::Professional);
        entry.family = family.into();
        Fragment { source: PEOPLE, entry }
    }

    /// Merges 300 people, of whom 100 were there under another name and 100 the same, 50 more are gone.
    fn counts(bytes_max: u64) -> (u64, Vec<(String, String)>, [u64; 4]) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        let (built, old) = (folder.building().unwrap(), folder.generation(1));
        fs::create_dir_all(old.path()).unwrap();
        let mut writer = old.create_part(0).unwrap();
        (100..300).for_each(|number| {
            writer.write(&fragment(number, if number < 200 { "avant" } else { "dupont" })).unwrap();
        });
        (900..950).for_each(|number| writer.write(&fragment(number, "parti")).unwrap());
        writer.finish().unwrap();
        let mut spool = PartWriter::create(&spooled(&built, 0)).unwrap();
        // Twice each, as with two lines of one person.
        for _ in 0..2 {
            (0..300).for_each(|number| spool.write(&fragment(number, "dupont")).unwrap());
        }
        spool.finish().unwrap();
        let (mut manifest, mut report) = (Manifest::default(), Report::default());
        let (sources, options) = (BTreeSet::from([PEOPLE]), Options::default());
        let mut merge = Merge {
            built: &built,
            old: &old,
            sources: &sources,
            options: &options,
            manifest: &mut manifest,
            report: &mut report,
            before: 0,
        };
        merge.part(0, bytes_max).unwrap();
        let before = merge.before;
        let mut entries = Vec::new();
        built
            .for_each_entry(0, |entry| {
                entries.push((entry.key.clone(), entry.family.clone()));
                Ok(())
            })
            .unwrap();
        entries.sort();
        let left = fs::read_dir(built.path()).unwrap().count();
        assert_eq!(left, 1, "only the part is left");
        (before, entries, [manifest.entries, report.added, report.changed, report.removed])
    }

    #[test]
    fn a_part_in_pieces_is_the_same_as_a_part_at_once() {
        let whole = counts(u64::MAX);
        assert_eq!((whole.0, whole.1.len(), whole.2), (250, 300, [300, 100, 100, 50]));
        for bytes_max in [1_000, 5_000] {
            assert_eq!(counts(bytes_max), whole);
        }
    }
}
