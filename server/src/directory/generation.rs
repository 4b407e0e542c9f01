//! Generations of the directory on disk: the truth of an import, and the switch between two of them.
//!
//! ```text
//! directory/
//!   CURRENT                  number of the generation in use; replaced by rename, so a reader sees old or new
//!   lock                     held by the one import that runs
//!   communes.csv             optional, see `commune`
//!   generations/00000001/    manifest.json, part-000.bin …, index/ (derived, rebuilt if it cannot be opened)
//!   local/                   what the operator and the members say, see `local`
//! ```
//!
//! A part holds the entries whose key hashes to it, so that an import needs memory for a piece of one part, not for
//! the country; the fragments of an entry lie one after the other. Bytes of a part: version, then for each fragment its length (u32, little endian) and its postcard
//! bytes. An unfinished generation lies under another name and is removed by the next import.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, Source},
    error::Error,
};
use crate::limits;

/// Version byte of a part.
const PART_VERSION: u8 = 1;

/// What one source says of one entry.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Fragment {
    pub(super) source: Source,
    pub(super) entry: Entry,
}

/// What a generation holds, for people and for the hub.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the generation.
    pub generation: u64,
    /// When it was made, ms.
    pub made_at_ms: u64,
    /// Entries.
    pub entries: u64,
    /// Names of profession codes.
    pub professions: BTreeMap<String, String>,
    /// Names of commune codes.
    pub communes: BTreeMap<String, String>,
}

/// The folder of the directory.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Number of the generation in use; 0: none was imported.
    pub(super) fn current(&self) -> Result<u64, Error> {
        match fs::read_to_string(self.0.join("CURRENT")) {
            Ok(text) => text.trim().parse().map_err(|_| Error::Damaged("CURRENT is no number")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn generation(&self, number: u64) -> Generation {
        Generation(self.0.join("generations").join(format!("{number:08}")))
    }

    /// Takes the lock of imports, which ends with the file.
    pub(super) fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(self.0.join("generations"))?;
        let lock = File::options().create(true).truncate(false).write(true).open(self.0.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// An empty folder for a generation that is being made; what an earlier, killed import left is removed.
    pub(super) fn building(&self) -> Result<Generation, Error> {
        let path = self.0.join("generations").join("building");
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(Generation(path))
    }

    /// Gives a finished generation its number, makes it the one in use and removes those before the last.
    pub(super) fn publish(&self, built: &Generation, number: u64) -> Result<(), Error> {
        let place = self.generation(number).0;
        if place.exists() {
            // Renamed, then killed before CURRENT named it: nobody has seen it.
            fs::remove_dir_all(&place)?;
        }
        sync_tree(&built.0)?;
        fs::rename(&built.0, &place)?;
        sync_folder(&self.0.join("generations"))?;
        replace(&self.0.join("CURRENT"), format!("{number}\n").as_bytes())?;
        for old in fs::read_dir(self.0.join("generations"))? {
            let old = old?;
            let is_old = old.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if is_old.is_some_and(|old| old + 1 < number) {
                fs::remove_dir_all(old.path())?;
            }
        }
        Ok(())
    }
}

/// The folder of one generation.
#[derive(Debug, Clone)]
pub(super) struct Generation(PathBuf);

impl Generation {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub(super) fn manifest(&self) -> Result<Manifest, Error> {
        let text = fs::read(self.0.join("manifest.json"))?;
        serde_json::from_slice(&text).map_err(|_| Error::Damaged("the manifest of a generation"))
    }

    pub(super) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(manifest).expect("a manifest is made of JSON values");
        Ok(replace(&self.0.join("manifest.json"), &text)?)
    }

    fn part(&self, number: usize) -> PathBuf {
        self.0.join(format!("part-{number:03}.bin"))
    }

    /// The fragments of a part; none if the generation does not have it.
    pub(super) fn read_part(&self, number: usize) -> Result<Vec<Fragment>, Error> {
        self.fragments(number)?.map_or_else(|| Ok(Vec::new()), Iterator::collect)
    }

    /// The fragments of a part one by one; `None` if the generation does not have it.
    pub(super) fn fragments(&self, number: usize) -> Result<Option<Fragments>, Error> {
        match File::open(self.part(number)) {
            Ok(file) => Ok(Some(Fragments::new(file)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Length of the file of a part; 0 if there is none.
    pub(super) fn part_bytes(&self, number: usize) -> u64 {
        fs::metadata(self.part(number)).map_or(0, |file| file.len())
    }

    /// A new, empty part.
    pub(super) fn create_part(&self, number: usize) -> Result<PartWriter, Error> {
        PartWriter::create(&self.part(number))
    }

    /// Hands the entries of a part over, one by one: the fragments of all sources as one entry each.
    pub(super) fn for_each_entry(
        &self,
        number: usize,
        mut take: impl FnMut(&Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(fragments) = self.fragments(number)? else { return Ok(()) };
        let mut of_one: Vec<Fragment> = Vec::new();
        for fragment in fragments {
            let fragment = fragment?;
            if of_one.first().is_some_and(|first| first.entry.key != fragment.entry.key) {
                merged(std::mem::take(&mut of_one)).values().try_for_each(&mut take)?;
            }
            of_one.push(fragment);
        }
        merged(of_one).values().try_for_each(&mut take)
    }
}

/// Writes fragments one after the other.
pub(super) struct PartWriter(BufWriter<File>);

impl PartWriter {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut file = BufWriter::with_capacity(limits::DIRECTORY_PART_BUFFER_BYTES, File::create(path)?);
        file.write_all(&[PART_VERSION])?;
        Ok(Self(file))
    }

    pub(super) fn write(&mut self, fragment: &Fragment) -> Result<(), Error> {
        let bytes = postcard::to_stdvec(fragment).expect("a fragment has a length postcard can write");
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Damaged("an entry of 4 GiB"))?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(&bytes)?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        Ok(self.0.flush()?)
    }
}

/// Reads the fragments of a file one after the other.
pub(super) struct Fragments(BufReader<File>);

impl Fragments {
    /// Reads the version.
    pub(super) fn new(file: File) -> Result<Self, Error> {
        let mut reader = BufReader::new(file);
        let mut version = [0];
        reader.read_exact(&mut version)?;
        if version[0] != PART_VERSION {
            return Err(Error::Damaged("a part of a version that this hub does not know"));
        }
        Ok(Self(reader))
    }

    fn read(&mut self) -> Result<Option<Fragment>, Error> {
        const DAMAGED: Error = Error::Damaged("a part of a generation");
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > limits::DIRECTORY_ENTRY_BYTES_MAX {
            return Err(DAMAGED);
        }
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).map_err(|_| DAMAGED)?;
        postcard::from_bytes(&bytes).map(Some).map_err(|_| DAMAGED)
    }
}

impl Iterator for Fragments {
    type Item = Result<Fragment, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// One entry for each key. What only a mailbox says is no entry: it belongs to somebody outside the territory.
pub(super) fn merged(mut fragments: Vec<Fragment>) -> BTreeMap<String, Entry> {
    fragments.sort_by(|a, b| (&a.entry.key, a.source).cmp(&(&b.entry.key, b.source)));
    let mut entries = BTreeMap::<String, Entry>::new();
    for Fragment { source, entry } in fragments {
        match entries.get_mut(&entry.key) {
            Some(known) => known.absorb(entry),
            None if source == Source::Mailboxes => {}
            None => {
                entries.insert(entry.key.clone(), entry);
            }
        }
    }
    for entry in entries.values_mut() {
        entry.normalise();
    }
    entries
}

/// The part that an entry belongs to (FNV-1a: the same on every machine and in every version).
pub(super) fn part_of(key: &str) -> usize {
    let hash = hash(key);
    usize::try_from(hash % limits::DIRECTORY_PARTS as u64).expect("a remainder of a small number is small")
}

/// A stable 64-bit hash of a key.
pub(super) fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Replaces a file so that a reader, or a crash, finds the old or the new one whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for inside in fs::read_dir(folder)? {
        let path = inside?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_folder(folder)
}
