//! Where messages lie for good: files that each checkpoint adds to, sorted by group and number.
//!
//! A body carries its key and a checksum, so that a file can be read without the index, and nothing that is
//! damaged or somebody else's is ever served. What a checkpoint has not recorded in the index counts as not
//! written. A file goes when nothing in it is alive; one that is mostly dead is copied together first.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::disk::{Disk, JournalPlace};
use crate::{
    engine::EngineError,
    limits::{BODY_FILES_OPEN_MAX, BODY_READ_BYTES_MAX},
};

const PREFIX: &str = "bodies-";
const VERSION: u8 = 1;
/// Checksum, length of the key, length of the body.
const HEADER_BYTES: usize = 4 + 2 + 4;

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) file: u32,
    at: u32,
    /// Of the body alone.
    length: u32,
}

impl Pointer {
    /// As it lies in the index.
    pub(super) fn encode(self) -> [u8; 13] {
        let mut out = [VERSION; 13];
        out[1..5].copy_from_slice(&self.file.to_be_bytes());
        out[5..9].copy_from_slice(&self.at.to_be_bytes());
        out[9..].copy_from_slice(&self.length.to_be_bytes());
        out
    }

    /// Reads what [`Pointer::encode`] wrote.
    pub(super) fn decode(value: &[u8]) -> Result<Self, EngineError> {
        let fields: Option<&[u8; 13]> = value.try_into().ok().filter(|value: &&[u8; 13]| value[0] == VERSION);
        let fields =
            fields.ok_or_else(|| EngineError::Damaged("table log: a pointer that does not read".into()))?;
        let number =
            |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
        Ok(Self { file: number(1), at: number(5), length: number(9) })
    }

    /// Bytes of the file that the body takes with its header and key.
    pub(super) const fn bytes(self, key: &[u8]) -> u64 {
        (HEADER_BYTES + key.len()) as u64 + self.length as u64
    }

    const fn end(self, key: &[u8]) -> u64 {
        self.at as u64 + self.bytes(key)
    }
}

/// The files of a directory, for reading. A few are kept open.
#[derive(Debug)]
pub(super) struct Bodies {
    disk: Disk,
    directory: PathBuf,
    open: Mutex<OpenFiles>,
}

/// What becomes of a file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<u32, (u64, Arc<File>)>,
    uses: u64,
}

impl Bodies {
    pub(super) fn new(disk: Disk, directory: &Path) -> Self {
        Self { disk, directory: directory.to_owned(), open: Mutex::default() }
    }

    /// Numbers of the files that are there.
    pub(super) fn numbers(&self) -> Result<Vec<u32>, super::JournalError> {
        let names = super::numbered(&self.directory, PREFIX)?;
        Ok(names.into_iter().filter_map(|(number, _)| u32::try_from(number).ok()).collect())
    }

    /// Reads bodies. Those that follow each other in a file are read together.
    pub(super) fn read(&self, wanted: &[(Vec<u8>, Pointer)]) -> Result<Vec<Bytes>, EngineError> {
        let mut bodies = Vec::with_capacity(wanted.len());
        let mut left = wanted;
        while let Some((first, rest)) = left.split_first() {
            let from = u64::from(first.1.at);
            let mut end = first.1.end(&first.0);
            let follows = rest.iter().take_while(|(key, next)| {
                let follows = next.file == first.1.file
                    && u64::from(next.at) == end
                    && next.end(key) - from <= BODY_READ_BYTES_MAX;
                end = if follows { next.end(key) } else { end };
                follows
            });
            let (run, rest) = left.split_at(1 + follows.count());
            let content = self.content(first.1.file, from, end - from)?;
            for (key, pointer) in run {
                let start = usize::try_from(u64::from(pointer.at) - from).unwrap_or(usize::MAX);
                let body = body_in(&content, start, key).filter(|body| body.len() == pointer.length as usize);
                bodies.push(body.ok_or_else(|| self.damaged(pointer.file, pointer.at.into()))?);
            }
            left = rest;
        }
        Ok(bodies)
    }

    fn content(&self, number: u32, from: u64, bytes: u64) -> Result<Bytes, EngineError> {
        let failed = |error: io::Error| {
            let what = format!("{} at byte {from}: {error}", self.path(number).display());
            match error.kind() {
                // The index points to what is no longer there.
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => EngineError::Damaged(what),
                _ => EngineError::Failed(what),
            }
        };
        let file = self.file(number, Missing::Refused).map_err(failed)?;
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut content, from).map_err(failed)?;
        Ok(content.into())
    }

    /// A file, opened if it is not; the one that was not asked for longest makes room.
    fn file(&self, number: u32, missing: Missing) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let now = open.uses;
        if let Some((used, file)) = open.files.get_mut(&number) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(missing == Missing::Made).truncate(false);
        let path = self.path(number);
        let new = missing == Missing::Made && !path.exists();
        let file = Arc::new(how.open(&path)?);
        if new {
            self.disk.created(&path)?;
        }
        if open.files.len() >= BODY_FILES_OPEN_MAX {
            let oldest = open.files.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number);
            oldest.and_then(|oldest| open.files.remove(&oldest));
        }
        open.files.insert(number, (now, Arc::clone(&file)));
        Ok(file)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{PREFIX}{number:08}"))
    }

    pub(super) fn damaged(&self, number: u32, at: u64) -> EngineError {
        EngineError::Damaged(format!(
            "a stored body is damaged: {} at byte {at}",
            self.path(number).display()
        ))
    }

    /// Deletes a file that nobody reads any more.
    pub(super) fn remove(&self, number: u32) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).files.remove(&number);
        if let Err(error) = self.disk.remove(&self.path(number)) {
            tracing::warn!(%error, number, "a file of bodies that is empty cannot be removed");
        }
    }
}

/// The body at a place of a content, if it is whole and belongs to the key.
fn body_in(content: &Bytes, at: usize, key: &[u8]) -> Option<Bytes> {
    let (found, body) = record_at(content, at)?;
    (found == key).then_some(body)
}

/// The key and body at a place of a content, if they are whole.
pub(super) fn record_at(content: &Bytes, at: usize) -> Option<(Bytes, Bytes)> {
    let header: &[u8; HEADER_BYTES] = content.get(at..)?.first_chunk()?;
    let checksum = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let key_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let body_bytes = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    let (key_at, end) = (at + HEADER_BYTES, (at + HEADER_BYTES + key_bytes).checked_add(body_bytes)?);
    if crc32fast::hash(content.get(at + 4..end)?) != checksum {
        return None;
    }
    Some((content.slice(key_at..key_at + key_bytes), content.slice(key_at + key_bytes..end)))
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FileState {
    /// Bytes that checkpoints have written.
    pub(super) length: u64,
    pub(super) live_rows: u64,
    pub(super) live_bytes: u64,
}

/// What one checkpoint adds to the files.
#[derive(Debug)]
pub(super) struct BodyWriter<'a> {
    bodies: &'a Bodies,
    file_bytes_max: u64,
    /// File that is written to, and what was not yet handed to the system.
    current: u32,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    buffer_at: u64,
    touched: Vec<u32>,
}

impl<'a> BodyWriter<'a> {
    /// Goes on behind `length` bytes of a file.
    pub(super) const fn new(bodies: &'a Bodies, file_bytes_max: u64, current: u32, length: u64) -> Self {
        Self { bodies, file_bytes_max, current, buffer: Vec::new(), buffer_at: length, touched: Vec::new() }
    }

    /// File that is written to.
    pub(super) const fn current(&self) -> u32 {
        self.current
    }

    /// Writes a body behind the others.
    pub(super) fn append(&mut self, key: &[u8], body: &[u8]) -> io::Result<Pointer> {
        let (end, length) = (self.buffer_at + self.buffer.len() as u64, u32::try_from(body.len()));
        let key_bytes = u16::try_from(key.len());
        let (Ok(length), Ok(key_bytes)) = (length, key_bytes) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a body of 4 GiB or a key of 64 KiB"));
        };
        if end >= self.file_bytes_max {
            self.flush()?;
            self.current += 1;
            self.buffer_at = 0;
        } else if self.buffer.len() as u64 >= BODY_READ_BYTES_MAX {
            self.flush()?;
        }
        let at = u32::try_from(self.buffer_at + self.buffer.len() as u64).map_err(io::Error::other)?;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&key_bytes.to_be_bytes());
        self.buffer.extend_from_slice(&length.to_be_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(body);
        let checksum = crc32fast::hash(&self.buffer[start + 4..]);
        self.buffer[start..start + 4].copy_from_slice(&checksum.to_be_bytes());
        Ok(Pointer { file: self.current, at, length })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // One that has bodies and is gone must not come back as a hole.
        let missing = if self.buffer_at == 0 { Missing::Made } else { Missing::Refused };
        let (bodies, file) = (self.bodies, self.bodies.file(self.current, missing)?);
        let path = bodies.path(self.current);
        bodies.disk.write(JournalPlace::Bodies, &path, (&file, self.buffer_at), &self.buffer)?;
        if self.touched.last() != Some(&self.current) {
            self.touched.push(self.current);
        }
        self.buffer_at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything durable that was written, names included.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        for number in &self.touched {
            let file = self.bodies.file(*number, Missing::Refused)?;
            let path = self.bodies.path(*number);
            self.bodies.disk.sync(JournalPlace::Bodies, &path, || file.sync_data())?;
        }
        if self.touched.is_empty() {
            return Ok(());
        }
        self.bodies.disk.sync_names(JournalPlace::Bodies, &self.bodies.directory)
    }
}

/// Reads a whole file, record by record.
pub(super) struct Walk<'a> {
    bodies: &'a Bodies,
    number: u32,
    length: u64,
    at: u64,
    content: Bytes,
    content_at: u64,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(bodies: &'a Bodies, number: u32, length: u64) -> Self {
        Self { bodies, number, length, at: 0, content: Bytes::new(), content_at: 0 }
    }

    /// The next record: where it lies, its key, its body. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Pointer, Bytes, Bytes)>, EngineError> {
        let mut bytes = BODY_READ_BYTES_MAX;
        while self.at < self.length {
            let start = usize::try_from(self.at - self.content_at).unwrap_or(usize::MAX);
            if let Some((key, body)) = record_at(&self.content, start) {
                let (Ok(at), Ok(length)) = (u32::try_from(self.at), u32::try_from(body.len())) else { break };
                let pointer = Pointer { file: self.number, at, length };
                self.at = pointer.end(&key);
                return Ok(Some((pointer, key, body)));
            }
            let (left, have) = (self.length - self.at, self.content.len() as u64);
            if self.content_at == self.at && have >= left {
                return Err(self.bodies.damaged(self.number, self.at));
            }
            // The content ends within the record: from here on once more, and more of it each time.
            self.content = self.bodies.content(self.number, self.at, bytes.min(left))?;
            self.content_at = self.at;
            bytes = bytes.saturating_mul(4);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Vec<u8> {
        vec![number; 24]
    }

    fn written(place: &Path, file_bytes_max: u64) -> (Bodies, Vec<(Vec<u8>, Pointer)>) {
        let bodies = Bodies::new(Disk::default(), place);
        let mut writer = BodyWriter::new(&bodies, file_bytes_max, 0, 0);
        let pointers = (0..50_u8)
            .map(|number| {
                let body = vec![number; usize::from(number) * 100];
                (key(number), writer.append(&key(number), &body).unwrap())
            })
            .collect();
        writer.sync().unwrap();
        (bodies, pointers)
    }

    #[test]
    fn bodies_are_read_back_over_several_files_and_walked() {
        let place = tempfile::tempdir().unwrap();
        let (bodies, pointers) = written(place.path(), 10_000);
        assert!(bodies.numbers().unwrap().len() > 5);
        let read = bodies.read(&pointers).unwrap();
        for (number, body) in (0_u8..).zip(&read) {
            assert_eq!(body, &vec![number; usize::from(number) * 100]);
        }
        let last = pointers[49].1;
        let mut walk = Walk::new(&bodies, last.file, last.end(&key(49)));
        let mut walked = Vec::new();
        while let Some((pointer, key, _)) = walk.next().unwrap() {
            walked.push((key.to_vec(), pointer));
        }
        let expected: Vec<_> = pointers.iter().filter(|(_, at)| at.file == last.file).cloned().collect();
        assert_eq!(walked, expected);
    }

    #[test]
    fn a_damaged_body_is_named_and_never_served() {
        let place = tempfile::tempdir().unwrap();
        let (bodies, pointers) = written(place.path(), u64::MAX);
        let path = place.path().join("bodies-00000000");
        let mut content = std::fs::read(&path).unwrap();
        let at = pointers[20].1.at as usize + HEADER_BYTES + 24 + 5;
        content[at] ^= 1;
        std::fs::write(&path, content).unwrap();
        assert_eq!(bodies.read(&pointers[..20]).unwrap().len(), 20);
        let refused = bodies.read(&pointers[18..25]).unwrap_err();
        assert!(matches!(refused, EngineError::Damaged(_)), "{refused:?}");
        assert!(refused.to_string().contains("bodies-00000000 at byte"), "{refused}");
        let someone_elses = [(key(3), pointers[4].1)];
        assert!(bodies.read(&someone_elses).is_err());
    }

    #[test]
    fn a_file_that_was_cut_off_or_is_gone_is_named_and_does_not_come_back_empty() {
        let place = tempfile::tempdir().unwrap();
        let (_, pointers) = written(place.path(), u64::MAX);
        let path = place.path().join("bodies-00000000");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..pointers[40].1.at as usize]).unwrap();
        let bodies = Bodies::new(Disk::default(), place.path());
        assert_eq!(bodies.read(&pointers[..40]).unwrap().len(), 40);
        std::fs::remove_file(&path).unwrap();
        for (bodies, wanted) in
            [(&bodies, &pointers[40..]), (&Bodies::new(Disk::default(), place.path()), &pointers[..1])]
        {
            let refused = bodies.read(wanted).unwrap_err();
            assert!(matches!(refused, EngineError::Damaged(_)), "{refused:?}");
            assert!(refused.to_string().contains("bodies-00000000 at byte"), "{refused}");
        }
        // A checkpoint that would go on behind what is gone fails instead.
        let bodies = Bodies::new(Disk::default(), place.path());
        let mut writer = BodyWriter::new(&bodies, u64::MAX, 0, whole.len() as u64);
        writer.append(&key(1), b"more").unwrap();
        assert_eq!(writer.sync().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists(), "an empty file in its place would look like one of ours");
    }

    #[test]
    fn a_pointer_reads_as_it_was_written() {
        let pointer = Pointer { file: 7, at: 9, length: 1 << 20 };
        assert_eq!(Pointer::decode(&pointer.encode()), Ok(pointer));
        assert!(Pointer::decode(&pointer.encode()[..12]).is_err());
        assert!(Pointer::decode(&[9; 13]).is_err());
    }
}
