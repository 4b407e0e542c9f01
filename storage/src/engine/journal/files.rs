//! The journal files: what was acknowledged, in the order of its numbers.
//!
//! A file is filled with zeros before it is used, and used again once a checkpoint has everything in it:
//! a sync then has no metadata to write. Nothing in a file says how far it is valid; its records do, by
//! their numbers. One batch is under way at a time, so only the newest record can be incomplete: a record
//! with a higher number proves that one that is missing had been whole.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ring::hmac;

use super::{
    JournalError,
    disk::{Disk, JournalPlace},
    record,
};
use crate::{
    engine::ApplyError,
    limits::{JOURNAL_BLOCK_BYTES, JOURNAL_FILE_BYTES_MIN, JOURNAL_FILES_SPARE_MAX},
};

const PREFIX: &str = "journal-";

/// A journal file.
#[derive(Debug)]
struct JournalFile {
    file: File,
    path: PathBuf,
    bytes: usize,
    /// Number of the newest record in it.
    last: u64,
}

/// The files, as the one writer sees them.
#[derive(Debug)]
pub(super) struct JournalFiles {
    disk: Disk,
    directory: PathBuf,
    key: hmac::Key,
    /// Where the next record goes, and where in it.
    current: Option<(JournalFile, usize)>,
    /// Hold records that no checkpoint has yet.
    full: Vec<JournalFile>,
    spare: Vec<JournalFile>,
    /// Size of the next new file.
    bytes_next: usize,
    bytes_max: usize,
    /// For the name of the next new file.
    name_next: u64,
    /// Number of the newest record.
    last: u64,
}

/// A record as it was found.
struct Place {
    number: u64,
    file: usize,
    at: usize,
    bytes: Bytes,
}

impl JournalFiles {
    /// Opens the files of a directory. Returns them with the records after `checkpoint`, in order and
    /// certainly durable.
    ///
    /// # Errors
    /// When a file cannot be read, or a record is damaged that had been acknowledged.
    pub(super) fn open(
        (disk, directory): (Disk, &Path),
        key: hmac::Key,
        bytes_max: usize,
        checkpoint: u64,
    ) -> Result<(Self, Vec<(u64, Bytes)>), JournalError> {
        let names = super::numbered(directory, PREFIX)?;
        let mut files = Vec::new();
        let mut places = Vec::new();
        for (_, path) in &names {
            let io = |source| JournalError::Io { path: path.clone(), source };
            let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
            let content = std::fs::read(path).map_err(io)?;
            places.extend(places_in(&key, &content, files.len(), checkpoint));
            files.push(JournalFile { file, path: path.clone(), bytes: content.len(), last: 0 });
        }
        places.sort_by_key(|place| place.number);
        for place in &places {
            files[place.file].last = place.number;
        }
        check_dense(&places, &files, checkpoint)?;
        let end = places.last().map(|place| (place.file, place.at, place.bytes.clone()));
        if let Some((file, at, bytes)) = &end {
            make_durable(&disk, &files, *file, (*at, bytes))?;
        }
        let mut this = Self {
            disk,
            directory: directory.to_owned(),
            key,
            current: None,
            full: Vec::new(),
            spare: Vec::new(),
            bytes_next: JOURNAL_FILE_BYTES_MIN.min(bytes_max),
            bytes_max,
            name_next: names.last().map_or(0, |(number, _)| number + 1),
            last: places.last().map_or(checkpoint, |place| place.number),
        };
        let end = end.map(|(file, at, bytes)| (file, at + bytes.len()));
        this.sort(files, end);
        Ok((this, places.into_iter().map(|place| (place.number, place.bytes)).collect()))
    }

    fn sort(&mut self, files: Vec<JournalFile>, end: Option<(usize, usize)>) {
        for (place, file) in files.into_iter().enumerate() {
            self.bytes_next = self.bytes_next.max(file.bytes * 2).min(self.bytes_max);
            match end {
                Some((current, at)) if current == place => self.current = Some((file, at)),
                _ if file.last > 0 => self.full.push(file),
                _ => self.spare.push(file),
            }
        }
    }

    /// How many files there are.
    pub(super) fn count(&self) -> usize {
        usize::from(self.current.is_some()) + self.full.len() + self.spare.len()
    }

    /// Number of the newest record.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Writes a batch as the next record and syncs it. Returns its number and the record.
    ///
    /// # Errors
    /// `NotStored` when it could not be written, `Unknown` when it could not be synced.
    pub(super) fn append(&mut self, batch: &crate::engine::Batch) -> Result<(u64, Bytes), ApplyError> {
        let number = self.last + 1;
        let record = record::seal(&self.key, number, batch);
        self.make_room(record.len()).map_err(|error| {
            ApplyError::NotStored(format!(
                "no room for a journal file in {}: {error}",
                self.directory.display()
            ))
        })?;
        let (file, at) = self.current.as_mut().expect("there is a file once there is room");
        let failed = |error: io::Error| format!("{}: {error}", file.path.display());
        let disk = &self.disk;
        disk.write(JournalPlace::Journal, &file.path, (&file.file, *at as u64), &record)
            .map_err(|error| ApplyError::NotStored(failed(error)))?;
        disk.sync(JournalPlace::Journal, &file.path, || file.file.sync_data())
            .map_err(|error| ApplyError::Unknown(failed(error)))?;
        *at += record.len();
        file.last = number;
        self.last = number;
        Ok((number, record))
    }

    /// Lets go of files whose records the index has.
    pub(super) fn release(&mut self, checkpoint: u64) {
        let (done, full) =
            std::mem::take(&mut self.full).into_iter().partition(|file| file.last <= checkpoint);
        self.full = full;
        let done: Vec<JournalFile> = done;
        for file in done {
            // Small files are from the beginning of the store: larger ones take their place.
            if self.spare.len() < JOURNAL_FILES_SPARE_MAX && file.bytes >= self.bytes_max.min(self.bytes_next)
            {
                self.spare.push(file);
            } else if let Err(error) = self.disk.remove(&file.path) {
                tracing::warn!(%error, file = %file.path.display(), "a journal file that is done cannot be removed");
            }
        }
    }

    /// Goes on to another file if the current one is too full.
    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|(file, at)| at + bytes <= file.bytes) {
            return Ok(());
        }
        let spare = self.spare.iter().position(|file| file.bytes >= bytes);
        let next = match spare {
            Some(spare) => self.spare.swap_remove(spare),
            None => self.make_file(bytes)?,
        };
        if let Some((file, _)) = self.current.replace((next, 0)) {
            self.full.push(file);
        }
        Ok(())
    }

    fn make_file(&mut self, bytes_min: usize) -> io::Result<JournalFile> {
        let bytes = self.bytes_next.max(bytes_min.next_multiple_of(JOURNAL_BLOCK_BYTES));
        let path = self.directory.join(format!("{PREFIX}{:08}", self.name_next));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let named = |()| self.disk.sync_names(JournalPlace::Journal, &self.directory);
        let made = self.disk.created(&path).and_then(|()| fill(&self.disk, &path, &file, bytes));
        if let Err(error) = made.and_then(named) {
            // Half a file is of no use, and the disk may be full.
            drop(self.disk.remove(&path));
            return Err(error);
        }
        self.name_next += 1;
        self.bytes_next = (self.bytes_next * 2).min(self.bytes_max);
        Ok(JournalFile { file, path, bytes, last: 0 })
    }
}

/// Fills a new file with zeros that are really on the disk.
fn fill(disk: &Disk, path: &Path, file: &File, bytes: usize) -> io::Result<()> {
    let zeros = vec![0; bytes.min(JOURNAL_FILE_BYTES_MIN)];
    let mut done = 0;
    while done < bytes {
        let part = zeros.len().min(bytes - done);
        disk.write(JournalPlace::Journal, path, (file, done as u64), &zeros[..part])?;
        done += part;
    }
    disk.sync(JournalPlace::Journal, path, || file.sync_all())
}

/// All records of a file after a checkpoint. First those that follow each other from its start; then, block
/// by block, any that lie behind one that does not read. What the checkpoint has is stepped over.
fn places_in(key: &hmac::Key, content: &[u8], file: usize, checkpoint: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let (mut at, mut last, mut in_order) = (0, 0, true);
    while at < content.len() {
        let rest = &content[at..];
        let newer = |head: &record::Head| head.number > last.max(if in_order { 0 } else { checkpoint });
        let whole = |head: &record::Head| head.number <= checkpoint || record::is_whole(key, rest, *head);
        let Some(head) = record::head(key, rest).filter(newer).filter(whole) else {
            // Behind the newest record lie those of the file's earlier use.
            in_order = false;
            at += JOURNAL_BLOCK_BYTES;
            continue;
        };
        in_order &= last == 0 || head.number == last + 1;
        last = head.number;
        if head.number > checkpoint {
            let bytes = Bytes::copy_from_slice(&rest[..head.bytes().min(rest.len())]);
            places.push(Place { number: head.number, file, at, bytes });
        }
        at += head.bytes();
    }
    places
}

/// Nothing may be missing between the checkpoint and the newest record.
fn check_dense(places: &[Place], files: &[JournalFile], checkpoint: u64) -> Result<(), JournalError> {
    for (expected, place) in (checkpoint + 1..).zip(places) {
        if place.number != expected {
            let (path, at) = (files[place.file].path.clone(), place.at);
            return Err(JournalError::RecordMissing { number: expected, found: place.number, path, at });
        }
    }
    Ok(())
}

/// Makes sure of records that a process may have written and not synced before it ended. The newest is
/// written once more: a sync of it may have failed, and a repeated sync alone would prove nothing.
fn make_durable(
    disk: &Disk,
    files: &[JournalFile],
    newest: usize,
    (at, record): (usize, &Bytes),
) -> Result<(), JournalError> {
    for (place, file) in files.iter().enumerate().filter(|(_, file)| file.last > 0) {
        let io = |source| JournalError::Io { path: file.path.clone(), source };
        if place == newest {
            disk.write(JournalPlace::Journal, &file.path, (&file.file, at as u64), record).map_err(io)?;
        }
        disk.sync(JournalPlace::Journal, &file.path, || file.file.sync_data()).map_err(io)?;
    }
    Ok(())
}
