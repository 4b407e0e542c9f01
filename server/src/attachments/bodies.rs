//! The bytes of blobs at rest.
//!
//! A blob is its parts: objects `<first two hex digits>/<blob>/<offset>`, each written once and whole, never
//! changed. So an upload that is cut goes on behind its last part without any copying, a part that was being
//! written when the hub was killed does not exist, and nothing here needs appending, which object stores do
//! not have. Names come from 16 bytes and a number, never from a client's text.
//!
//! The local folder is used with fsync of file and folder before a write is answered: an upload that was told
//! "this much is stored" goes on there after a loss of power too.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cercle_proto::id::{BlobId, from_hex, to_hex};
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path};

/// The files cannot be read or written. Says what the system said, without any name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

impl BodyError {
    fn missing() -> Self {
        Self("a part is missing".into())
    }
}

impl From<object_store::Error> for BodyError {
    /// Keeps the system's own error only: the others quote paths, and with them whole ids.
    fn from(error: object_store::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return error.kind().into();
            }
            cause = error.source();
        }
        Self("the object store failed".into())
    }
}

impl From<io::ErrorKind> for BodyError {
    fn from(kind: io::ErrorKind) -> Self {
        Self(kind.to_string())
    }
}

/// The parts of one blob, in order, without a gap from the first byte.
#[derive(Debug)]
pub(super) struct Parts {
    blob: BlobId,
    /// First byte and number of bytes of each.
    parts: Vec<(u64, u64)>,
}

impl Parts {
    /// Bytes that are there.
    pub(super) fn stored(&self) -> u64 {
        self.parts.last().map_or(0, |(offset, bytes)| offset + bytes)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Where the part behind the last belongs.
    pub(super) fn next(&self) -> path::Path {
        part(self.blob, self.stored())
    }

    /// Takes up a part that was written behind the last.
    pub(super) fn push(&mut self, bytes: u64) {
        self.parts.push((self.stored(), bytes));
    }

    /// The part that holds a byte: where it begins, and how many bytes it has.
    fn around(&self, byte: u64) -> Option<(u64, u64)> {
        let behind = self.parts.partition_point(|(offset, _)| *offset <= byte);
        let (offset, bytes) = *self.parts.get(behind.checked_sub(1)?)?;
        (byte < offset + bytes).then_some((offset, bytes))
    }
}

/// The bytes of all blobs.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    objects: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

impl Bodies {
    /// Over a folder that exists, perhaps since a moment ago: its own place is synced here, what is made in it
    /// with each write.
    pub(super) fn open(folder: &Path) -> Result<Self, BodyError> {
        let failed = |error: io::Error| BodyError::from(error.kind());
        // Whole, because a relative path may have no parent to name.
        let folder = folder.canonicalize().map_err(failed)?;
        if let Some(parent) = folder.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        let files = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Arc::new(files), folder })
    }

    /// What is there of a blob.
    pub(super) async fn parts(&self, blob: BlobId) -> Result<Parts, BodyError> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        let mut objects = self.objects.list(Some(&place(blob)));
        while let Some(object) = objects.try_next().await? {
            let offset = object.location.filename().and_then(|name| u64::from_str_radix(name, 16).ok());
            found.extend(offset.map(|offset| (offset, object.size)));
        }
        found.sort_unstable();
        let mut parts = Parts { blob, parts: Vec::with_capacity(found.len()) };
        for (offset, bytes) in found {
            if offset != parts.stored() {
                break;
            }
            parts.push(bytes);
        }
        Ok(parts)
    }

    /// Writes a part at its place; when this returns, it is on disk.
    pub(super) async fn write(self, place: path::Path, bytes: Bytes) -> Result<(), BodyError> {
        self.objects.put(&place, PutPayload::from(bytes)).await?;
        Ok(())
    }

    /// Reads bytes from the beginning of a range, not past the end of a part, at most `bytes_max`.
    pub(super) async fn read(
        &self,
        parts: &Parts,
        range: &Range<u64>,
        bytes_max: u64,
    ) -> Result<Bytes, BodyError> {
        let (offset, bytes) = parts.around(range.start).ok_or_else(BodyError::missing)?;
        let end = range.end.min(offset + bytes).min(range.start + bytes_max);
        let within = range.start - offset..end - offset;
        Ok(self.objects.get_range(&part(parts.blob, offset), within).await?)
    }

    /// Deletes what is there of a blob. The caller has its turn.
    pub(super) async fn delete(&self, blob: BlobId) -> Result<(), BodyError> {
        self.remove_unfinished(blob).await?;
        let mut objects = self.objects.list(Some(&place(blob)));
        while let Some(object) = objects.try_next().await? {
            self.objects.delete(&object.location).await?;
        }
        Ok(())
    }

    /// Deletes what a killed hub was just writing. The caller has the blob's turn, so nobody writes.
    pub(super) async fn remove_unfinished(&self, blob: BlobId) -> Result<(), BodyError> {
        let folder = self.folder.join(place(blob).as_ref());
        let failed = |error: io::Error| BodyError::from(error.kind());
        let mut files = match tokio::fs::read_dir(folder).await {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            // The local store writes `<name>#<number>` and renames it when it is whole.
            if file.file_name().to_string_lossy().contains('#') {
                tokio::fs::remove_file(file.path()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The blobs of which there are files, of those whose id begins with this byte.
    pub(super) async fn shard(&self, first: u8) -> Result<Vec<BlobId>, BodyError> {
        let found = self.objects.list_with_delimiter(Some(&path::Path::from(to_hex(&[first])))).await?;
        let blob = |folder: &path::Path| {
            let bytes: [u8; 16] = from_hex(folder.filename()?)?.try_into().ok()?;
            Some(BlobId::new(bytes))
        };
        Ok(found.common_prefixes.iter().filter_map(blob).collect())
    }
}

fn place(blob: BlobId) -> path::Path {
    let hex = to_hex(blob.as_bytes());
    path::Path::from(format!("{}/{hex}", &hex[..2]))
}

fn part(blob: BlobId, offset: u64) -> path::Path {
    place(blob).join(format!("{offset:016x}"))
}
