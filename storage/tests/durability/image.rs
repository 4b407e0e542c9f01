//! The disk images that a power loss may leave: what was synced, and any part of what was not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{load::Random, trace::Op};

/// Bytes that a disk writes as one.
const BLOCK: usize = 4_096;

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// All are lost, and names that were not synced with their directory.
    Dropped,
    /// Each block is kept or lost at random; names are kept.
    Random,
}

/// A change of a file that is not yet on the disk.
#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
    Extend(usize),
}

#[derive(Debug, Default, Clone)]
struct DiskFile {
    durable: Vec<u8>,
    /// Changes in order, each with the op that made it.
    pending: Vec<(usize, Change)>,
}

/// A disk with a volatile cache, fed op by op.
#[derive(Default)]
pub(crate) struct Disk {
    /// Files by number, so that a name can be lost apart from its content.
    files: Vec<DiskFile>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
    durable_directories: BTreeSet<PathBuf>,
    /// Directories with another name than the disk knows: from, to.
    renamed_directories: Vec<(PathBuf, PathBuf)>,
    ops: usize,
}

impl Disk {
    /// Carries out the next op.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(path) => {
                self.names.insert(path.clone(), self.files.len());
                self.files.push(DiskFile::default());
            }
            Op::Write { path, at, bytes } => {
                self.change(path, Change::Write { at: *at, bytes: bytes.clone() })
            }
            Op::Resize { path, length } => self.change(path, Change::Resize(*length)),
            Op::Extend { path, length } => self.change(path, Change::Extend(*length)),
            Op::Sync { path, began } => self.sync(path, *began),
            Op::Rename { from, to } => {
                if self.directories.contains(from) {
                    self.renamed_directories.push((from.clone(), to.clone()));
                }
                self.names = std::mem::take(&mut self.names)
                    .into_iter()
                    .map(|(name, file)| (moved(name, from, to), file))
                    .collect();
                self.directories = std::mem::take(&mut self.directories)
                    .into_iter()
                    .map(|name| moved(name, from, to))
                    .collect();
            }
            Op::Remove(path) => {
                self.names.remove(path);
                self.directories.remove(path);
            }
            Op::MakeDirectory(path) => {
                self.directories.insert(path.clone());
            }
            Op::Acknowledged(_) => {}
        }
        self.ops += 1;
    }

    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.names.get(path) {
            self.files[*file].pending.push((self.ops, change));
        }
    }

    fn sync(&mut self, path: &Path, began: usize) {
        if let Some(file) = self.names.get(path) {
            let file = &mut self.files[*file];
            let later = file.pending.iter().position(|(op, _)| *op >= began).unwrap_or(file.pending.len());
            for (_, change) in file.pending.drain(..later) {
                change.carry_out(&mut file.durable);
            }
            return;
        }
        let inside = |name: &PathBuf| name.parent() == Some(path);
        for (from, to) in std::mem::take(&mut self.renamed_directories) {
            if inside(&to) {
                let names = std::mem::take(&mut self.durable_names).into_iter();
                self.durable_names = names.map(|(name, file)| (moved(name, &from, &to), file)).collect();
            } else {
                self.renamed_directories.push((from, to));
            }
        }
        self.durable_names.retain(|name, _| !inside(name));
        self.durable_names
            .extend(self.names.iter().filter(|(name, _)| inside(name)).map(|(n, f)| (n.clone(), *f)));
        self.durable_directories.retain(|name| !inside(name));
        self.durable_directories.extend(self.directories.iter().filter(|name| inside(name)).cloned());
    }

    /// Writes the image of a loss of power at this moment into a directory, in place of `store`.
    pub(crate) fn write_image(&self, store: &Path, to: &Path, unsynced: Unsynced, random: &mut Random) {
        let strict = unsynced == Unsynced::Dropped;
        let names = if strict { &self.durable_names } else { &self.names };
        let directories = if strict { &self.durable_directories } else { &self.directories };
        let place = |path: &Path| to.join(path.strip_prefix(store).unwrap());
        for directory in directories.iter().filter(|directory| *directory != store) {
            std::fs::create_dir_all(place(directory)).unwrap();
        }
        if directories.contains(store) {
            std::fs::create_dir_all(to).unwrap();
        }
        for (name, file) in names {
            let mut content = self.files[*file].durable.clone();
            if unsynced == Unsynced::Random {
                for (_, change) in &self.files[*file].pending {
                    change.carry_out_in_part(&mut content, random);
                }
            }
            let path = place(name);
            if path.parent().is_some_and(Path::exists) {
                std::fs::write(path, content).unwrap();
            }
        }
    }
}

impl Change {
    fn carry_out(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write(content, *at, bytes),
            Self::Resize(length) => content.resize(*length, 0),
            Self::Extend(length) => content.resize(content.len().max(*length), 0),
        }
    }

    /// Each block of the disk that the change touches is written or not.
    fn carry_out_in_part(&self, content: &mut Vec<u8>, random: &mut Random) {
        let Self::Write { at, bytes } = self else {
            if random.below(2) == 0 {
                self.carry_out(content);
            }
            return;
        };
        let mut done = 0;
        while done < bytes.len() {
            let end = bytes.len().min(done + BLOCK - (at + done) % BLOCK);
            if random.below(2) == 0 {
                write(content, at + done, &bytes[done..end]);
            }
            done = end;
        }
    }
}

/// A name under `from`, under `to`.
pub(crate) fn moved(name: PathBuf, from: &Path, to: &Path) -> PathBuf {
    match name.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => name,
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn only_what_was_synced_is_sure_to_remain() {
    let (store, file) = (PathBuf::from("/s"), PathBuf::from("/s/f"));
    let write = |at, byte| Op::Write { path: file.clone(), at, bytes: vec![byte; BLOCK] };
    let image = |ops: &[Op], unsynced| {
        let mut disk = Disk::default();
        ops.iter().for_each(|op| disk.apply(op));
        let place = tempfile::tempdir().unwrap();
        disk.write_image(&store, &place.path().join("image"), unsynced, &mut Random(1));
        std::fs::read(place.path().join("image/f")).ok()
    };
    let mut ops = vec![Op::MakeDirectory(store.clone()), Op::Create(file.clone()), write(0, 1)];
    ops.push(Op::Sync { path: file.clone(), began: 3 });
    assert_eq!(image(&ops, Unsynced::Dropped), None, "its name was not synced");
    ops.push(Op::Sync { path: "/".into(), began: 4 });
    ops.push(Op::Sync { path: store.clone(), began: 5 });
    ops.push(write(BLOCK, 2));
    ops.push(Op::Sync { path: file.clone(), began: 6 });
    assert_eq!(image(&ops, Unsynced::Dropped), Some(vec![1; BLOCK]), "the sync began before the write ended");
    ops.push(Op::Sync { path: file.clone(), began: 8 });
    assert_eq!(image(&ops, Unsynced::Dropped).unwrap().len(), 2 * BLOCK);
    (2..40).for_each(|block| ops.push(write(block * BLOCK, 3)));
    let random = image(&ops, Unsynced::Random).unwrap();
    let blocks = random.chunks(BLOCK).filter(|block| block[0] == 3).count();
    assert!((5..33).contains(&blocks), "{blocks} of 38 blocks");
}
