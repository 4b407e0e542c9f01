//! Files of one user's vault: `<root>/<32 hex digits>/`, with a name that stands for the user id ([`super::names`]).
//!
//! `chunk-<id>` and `manifest-<version>-<digest>`. A file is written under another name, synced, renamed, and
//! its folder synced: what has its name is whole. A manifest's file begins with the chunks that it names.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::{
    id::{ChunkId, to_hex},
    signing::sha256,
};

use super::limits;

const ID_BYTES: usize = 16;

/// Version and SHA-256 of a manifest.
pub(super) type Manifest = (u64, [u8; 32]);

/// The folder of one user.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path, name: &[u8; 16]) -> Self {
        Self { path: root.join(to_hex(name)) }
    }

    /// The content of a chunk.
    pub(super) fn chunk(&self, chunk: ChunkId) -> io::Result<Option<Bytes>> {
        match fs::read(self.path.join(chunk_name(chunk))) {
            Ok(content) => Ok(Some(content.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_chunk(&self, chunk: ChunkId, content: &[u8]) -> io::Result<()> {
        self.write(&chunk_name(chunk), &[content])
    }

    /// The manifest of a version.
    pub(super) fn manifest(&self, version: u64, digest: &[u8; 32]) -> io::Result<Bytes> {
        let mut content = fs::read(self.path.join(manifest_name(version, digest)))?;
        let named = named_bytes(&content).ok_or_else(damaged)?;
        let manifest = Bytes::from(content.split_off(named));
        if sha256(&manifest) == *digest { Ok(manifest) } else { Err(damaged()) }
    }

    pub(super) fn write_manifest(
        &self,
        version: u64,
        digest: &[u8; 32],
        manifest: &[u8],
        chunks: &BTreeSet<ChunkId>,
    ) -> io::Result<()> {
        let count = u32::try_from(chunks.len()).map_err(|_| damaged())?.to_be_bytes();
        let ids: Vec<u8> = chunks.iter().flat_map(|chunk| *chunk.as_bytes()).collect();
        self.write(&manifest_name(version, digest), &[&count, &ids, manifest])
    }

    /// Whether every chunk is there.
    pub(super) fn has_all(&self, chunks: &BTreeSet<ChunkId>) -> io::Result<bool> {
        for chunk in chunks {
            if !self.path.join(chunk_name(*chunk)).try_exists()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many files there are, and their bytes.
    pub(super) fn usage(&self) -> io::Result<(usize, u64)> {
        let (mut files, mut bytes) = (0, 0);
        for entry in self.entries()? {
            files += 1;
            bytes += entry?.metadata()?.len();
        }
        Ok((files, bytes))
    }

    /// Deletes what neither the manifest of this version names nor one that was superseded a short while ago:
    /// a device that comes back, or a backup of the hub, may be reading it. What is young stays too, because
    /// another device may be about to name it.
    pub(super) fn keep(&self, counts: Manifest, superseded: Option<Manifest>) -> io::Result<()> {
        let kept = manifest_name(counts.0, &counts.1);
        // The manifest that counts has just been written: that is the time, by the clock of the files.
        let now = fs::metadata(self.path.join(&kept))?.modified()?;
        if let Some((version, digest)) = superseded {
            let former =
                File::options().append(true).open(self.path.join(manifest_name(version, &digest)))?;
            former.set_modified(now)?;
        }
        let mut named = BTreeSet::new();
        let mut old = Vec::new();
        for entry in self.entries()? {
            let entry = entry?;
            let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or(Duration::ZERO);
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("manifest-") && (name == kept || age <= limits::UNNAMED) {
                named.extend(self.named(&name)?);
            } else if age > limits::UNNAMED {
                old.push(name);
            }
        }
        for name in old {
            let chunk = name.strip_prefix("chunk-").and_then(|id| ChunkId::from_hex(id).ok());
            if chunk.is_none_or(|chunk| !named.contains(&chunk)) {
                fs::remove_file(self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// Chunks that the manifest in a file names.
    fn named(&self, name: &str) -> io::Result<Vec<ChunkId>> {
        let mut head = Vec::new();
        let named_max = 4 + limits::CHUNKS_MAX * ID_BYTES;
        File::open(self.path.join(name))?.take(named_max as u64).read_to_end(&mut head)?;
        let named = named_bytes(&head).ok_or_else(damaged)?;
        let ids = head[4..named].chunks_exact(ID_BYTES);
        Ok(ids.filter_map(|id| id.try_into().ok().map(ChunkId::new)).collect())
    }

    fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
        match fs::read_dir(&self.path) {
            Ok(entries) => Ok(Some(entries).into_iter().flatten()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        // Of two devices that write the same file at the same time, each has a name of its own meanwhile.
        let mut part = tempfile_in(&self.path)?;
        parts.iter().try_for_each(|bytes| part.1.write_all(bytes))?;
        part.1.sync_all()?;
        fs::rename(&part.0, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }
}

/// A new file under a name that nothing else has.
fn tempfile_in(folder: &Path) -> io::Result<(PathBuf, File)> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    let path = folder.join(format!("new-{}", to_hex(&random)));
    let file = File::options().write(true).create_new(true).open(&path)?;
    Ok((path, file))
}

fn chunk_name(chunk: ChunkId) -> String {
    format!("chunk-{}", chunk.to_hex())
}

fn manifest_name(version: u64, digest: &[u8; 32]) -> String {
    format!("manifest-{version}-{}", to_hex(&digest[..8]))
}

/// Length of the part of a manifest's file that names chunks.
fn named_bytes(content: &[u8]) -> Option<usize> {
    let count = u32::from_be_bytes(content.get(..4)?.try_into().ok()?);
    let length = 4 + usize::try_from(count).ok()?.checked_mul(ID_BYTES)?;
    (length <= content.len()).then_some(length)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the manifest of a vault is damaged")
}
