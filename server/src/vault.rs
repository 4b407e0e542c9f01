//! Vaults: what a user needs to come back with nothing but his recovery code, as ciphertext
//! (docs/protocol.md, section "Recovery"). Called by the dispatch, and by the authentication service's door for
//! recovery.
//!
//! A vault is a note (public key, header, version of the manifest) and files: the manifest of each version and
//! the chunks that it names. Files come first: they are synced before the note that makes them count. What
//! no manifest names any more is deleted after a while.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cercle_proto::{
    id::{ChunkId, UserId},
    signing::sha256,
};
use cercle_storage::store::{Effect, NoteKey, ReadError, Store, WriteError};
use serde::{Deserialize, Serialize};

mod files;
pub(crate) mod limits;
mod names;

use files::Folder;
pub use names::Place;
use names::{Names, note_key};

/// Why a vault was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is missing or out of range.
    #[error("{0}")]
    InvalidField(&'static str),
    /// Another device has written meanwhile, or the caller has not read.
    #[error("the vault is at version {0}: read it and write the next")]
    Conflict(u64),
    /// No such chunk.
    #[error("no such chunk in the vault")]
    Unknown,
    /// The vault would take more than it may.
    #[error("the vault would take more than it may")]
    Full,
    /// The store did not take it, or perhaps did: the source tells.
    #[error("the store did not take it")]
    Write(#[from] WriteError),
    /// A record is damaged.
    #[error("a stored record is damaged")]
    Damaged,
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// A file cannot be read or written.
    #[error("a file of a vault cannot be used")]
    Files(#[from] io::Error),
}

/// A change of a vault.
#[derive(Debug)]
pub struct Change {
    /// One more than the last.
    pub version: u64,
    /// Key and header, with a new recovery code.
    pub recovery: Option<([u8; 32], Bytes)>,
    /// The manifest.
    pub manifest: Bytes,
    /// Chunks that it names.
    pub chunks: Vec<ChunkId>,
}

/// A vault as it is given out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vault {
    /// Of the manifest; 0: there is no vault.
    pub version: u64,
    /// Public key that derives from the recovery code.
    pub public_key: Vec<u8>,
    /// What only the recovery code opens.
    pub header: Bytes,
    /// The manifest, unless the caller has it.
    pub manifest: Bytes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    version: u64,
    public_key: [u8; 32],
    header: Vec<u8>,
    /// SHA-256 of the manifest: which file it is.
    manifest: [u8; 32],
}

/// The vaults of this hub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vaults {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    root: PathBuf,
    names: Names,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Vaults {
    /// Over a store, with files at this place.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, place: Place) -> Self {
        Self { inner: Arc::new(Inner { store, root: place.folder, names: Names(place.names) }) }
    }

    /// The public key that derives from a user's recovery code, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn recovery_key(&self, user: &UserId) -> Result<Option<[u8; 32]>, Error> {
        Ok(self.note(user).await?.map(|note| note.public_key))
    }

    /// A user's vault.
    ///
    /// # Errors
    /// When store or files cannot be read.
    pub async fn get(&self, user: &UserId, known_version: u64) -> Result<Vault, Error> {
        let Some(note) = self.note(user).await? else { return Ok(Vault::default()) };
        let manifest = if note.version == known_version {
            Bytes::new()
        } else {
            let (version, digest) = (note.version, note.manifest);
            self.on_files(user, move |folder| Ok(folder.manifest(version, &digest)?)).await?
        };
        let (version, public_key) = (note.version, note.public_key.to_vec());
        Ok(Vault { version, public_key, header: note.header.into(), manifest })
    }

    /// One chunk.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file cannot be read.
    pub async fn chunk(&self, user: &UserId, chunk: ChunkId) -> Result<Bytes, Error> {
        self.on_files(user, move |folder| folder.chunk(chunk)?.ok_or(Error::Unknown)).await
    }

    /// Stores a chunk. The same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::InvalidField`] for another content under the same id, or the file cannot be
    /// written.
    pub async fn put_chunk(&self, user: &UserId, chunk: ChunkId, content: Bytes) -> Result<(), Error> {
        if content.is_empty() || content.len() > limits::CHUNK_BYTES_MAX {
            return Err(Error::InvalidField("content is empty or longer than a chunk may be"));
        }
        self.on_files(user, move |folder| {
            if let Some(known) = folder.chunk(chunk)? {
                let same = known == content;
                return if same { Ok(()) } else { Err(Error::InvalidField("the chunk id is taken")) };
            }
            let (files, bytes) = folder.usage()?;
            let more = bytes + content.len() as u64;
            if files >= limits::FILES_MAX || more > limits::BYTES_MAX {
                return Err(Error::Full);
            }
            Ok(folder.write_chunk(chunk, &content)?)
        })
        .await
    }

    /// Changes a vault, all or nothing.
    ///
    /// # Errors
    /// See [`Error`]; after [`WriteError::OutcomeUnknown`] the caller reads what came of it.
    pub async fn put(&self, user: &UserId, change: Change) -> Result<(), Error> {
        let Change { version, recovery, manifest, chunks } = change;
        let known = self.note(user).await?;
        let last = known.as_ref().map_or(0, |note| note.version);
        if version != last + 1 {
            return Err(Error::Conflict(last));
        }
        if manifest.len() > limits::MANIFEST_BYTES_MAX || chunks.len() > limits::CHUNKS_MAX {
            return Err(Error::InvalidField("manifest or chunks are longer than a vault may have"));
        }
        if recovery.as_ref().is_some_and(|(_, header)| header.len() > limits::HEADER_BYTES_MAX) {
            return Err(Error::InvalidField("header is too long"));
        }
        if known.is_none() && recovery.is_none() {
            return Err(Error::InvalidField("a new vault needs public_key and header"));
        }
        let named: BTreeSet<ChunkId> = chunks.into_iter().collect();
        // Two devices may write the same version: which of the two files counts is decided with the note,
        // so each has a name of its own.
        let digest = sha256(&manifest);
        let named_files = named.clone();
        self.on_files(user, move |folder| {
            if !folder.has_all(&named_files)? {
                return Err(Error::Unknown);
            }
            Ok(folder.write_manifest(version, &digest, &manifest, &named_files)?)
        })
        .await?;
        self.decide(user, version, digest, recovery).await?;
        let superseded = known.map(|note| (note.version, note.manifest));
        let tidied = self.on_files(user, move |folder| Ok(folder.keep((version, digest), superseded)?)).await;
        if let Err(error) = tidied {
            // The vault is right; what is too much is deleted with the next change.
            tracing::warn!(%error, "files of a vault that nothing names were not deleted");
        }
        Ok(())
    }

    /// Makes a version count, if it is still the next.
    async fn decide(
        &self,
        user: &UserId,
        version: u64,
        manifest: [u8; 32],
        recovery: Option<([u8; 32], Bytes)>,
    ) -> Result<(), Error> {
        let (key, read) = (self.note_key(user), self.note_key(user));
        let outcome = Arc::new(Mutex::new(Err(Error::Damaged)));
        let told = outcome.clone();
        let decide = move |notes: &[Option<Bytes>]| {
            let known = notes.first().and_then(Option::as_ref);
            let decided = next_note(known, version, manifest, recovery);
            let effects = match &decided {
                Ok(note) => vec![Effect::Put(key, note.clone())],
                Err(_) => Vec::new(),
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = decided.map(drop);
            effects
        };
        self.inner.store.change(vec![read], Box::new(decide)).await?;
        let mut decided = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *decided, Ok(()))
    }

    async fn note(&self, user: &UserId) -> Result<Option<Note>, Error> {
        let note = self.inner.store.note(self.note_key(user)).await?;
        note.map(|bytes| decode(&bytes)).transpose()
    }

    fn note_key(&self, user: &UserId) -> NoteKey {
        note_key(&self.inner.names.of(user))
    }

    async fn on_files<T: Send + 'static>(
        &self,
        user: &UserId,
        work: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let folder = Folder::new(&self.inner.root, &self.inner.names.of(user));
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.map_err(|_| io::Error::other("the thread that uses files ended"))?
    }
}

fn decode(bytes: &[u8]) -> Result<Note, Error> {
    postcard::from_bytes(bytes).map_err(|_| Error::Damaged)
}

/// The note after a change, if the change is of the next version.
fn next_note(
    known: Option<&Bytes>,
    version: u64,
    manifest: [u8; 32],
    recovery: Option<([u8; 32], Bytes)>,
) -> Result<Bytes, Error> {
    let known = known.map(|bytes| decode(bytes)).transpose()?;
    let last = known.as_ref().map_or(0, |note| note.version);
    if version != last + 1 {
        return Err(Error::Conflict(last));
    }
    let note = match (known, recovery) {
        (_, Some((public_key, header))) => Note { version, public_key, header: header.to_vec(), manifest },
        (Some(note), None) => Note { version, manifest, ..note },
        (None, None) => return Err(Error::InvalidField("a new vault needs public_key and header")),
    };
    postcard::to_allocvec(&note).map(Bytes::from).map_err(|_| Error::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vaults() -> (tempfile::TempDir, Vaults, UserId) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().join("vaults"), names: None };
        let vaults = Vaults::new(cercle_storage::open_memory(), place);
        (folder, vaults, UserId::new("a", "cpts.example").unwrap())
    }

    fn chunk(byte: u8) -> ChunkId {
        ChunkId::new([byte; 16])
    }

    fn change(version: u64, chunks: &[ChunkId]) -> Change {
        let recovery = (version == 1).then(|| ([7; 32], Bytes::from_static(b"header")));
        let manifest = Bytes::from(format!("manifest {version}"));
        Change { version, recovery, manifest, chunks: chunks.to_vec() }
    }

    #[tokio::test]
    async fn a_vault_is_read_back_and_changes_by_one_version_at_a_time() {
        let (_folder, vaults, user) = vaults();
        assert_eq!(vaults.get(&user, 0).await.unwrap(), Vault::default());
        vaults.put_chunk(&user, chunk(1), Bytes::from_static(b"one")).await.unwrap();
        vaults.put(&user, change(1, &[chunk(1)])).await.unwrap();
        let vault = vaults.get(&user, 0).await.unwrap();
        assert_eq!((vault.version, vault.manifest.as_ref()), (1, b"manifest 1".as_slice()));
        assert_eq!(vault.public_key, [7; 32]);
        assert!(vaults.get(&user, 1).await.unwrap().manifest.is_empty(), "the caller has it");
        for wrong in [1, 3] {
            assert!(matches!(vaults.put(&user, change(wrong, &[])).await, Err(Error::Conflict(1))));
        }
        vaults.put(&user, change(2, &[chunk(1)])).await.unwrap();
        let vault = vaults.get(&user, 1).await.unwrap();
        assert_eq!(
            (vault.header.as_ref(), vault.manifest.as_ref()),
            (b"header".as_slice(), b"manifest 2".as_slice())
        );
        assert_eq!(vaults.chunk(&user, chunk(1)).await.unwrap().as_ref(), b"one");
    }

    #[tokio::test]
    async fn what_a_manifest_named_until_a_moment_ago_can_still_be_read_and_goes_later() {
        let (folder, vaults, user) = vaults();
        let old = |name: &str| {
            let path =
                std::fs::read_dir(folder.path().join("vaults")).unwrap().next().unwrap().unwrap().path();
            let file = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
            let file = file.into_iter().find(|file| file.to_string_lossy().contains(name)).unwrap();
            let file = std::fs::File::options().append(true).open(file).unwrap();
            let long_ago = file.metadata().unwrap().modified().unwrap() - limits::UNNAMED * 2;
            file.set_modified(long_ago).unwrap();
        };
        for number in [1, 2] {
            vaults.put_chunk(&user, chunk(number), Bytes::from_static(b"content")).await.unwrap();
        }
        vaults.put(&user, change(1, &[chunk(1), chunk(2)])).await.unwrap();
        for name in [&format!("chunk-{}", chunk(1).to_hex()), &chunk(2).to_hex(), "manifest-1"] {
            old(name);
        }
        // The second no longer names the first chunk: whoever reads by the first manifest still finds it.
        vaults.put(&user, change(2, &[chunk(2)])).await.unwrap();
        assert!(vaults.chunk(&user, chunk(1)).await.is_ok());
        old("manifest-1");
        vaults.put(&user, change(3, &[chunk(2)])).await.unwrap();
        assert!(matches!(vaults.chunk(&user, chunk(1)).await, Err(Error::Unknown)));
        assert!(vaults.chunk(&user, chunk(2)).await.is_ok(), "it is named");
    }

    #[tokio::test]
    async fn a_manifest_names_only_chunks_that_are_there_and_ids_are_not_used_twice() {
        let (_folder, vaults, user) = vaults();
        assert!(matches!(vaults.put(&user, change(1, &[chunk(1)])).await, Err(Error::Unknown)));
        vaults.put_chunk(&user, chunk(1), Bytes::from_static(b"one")).await.unwrap();
        vaults.put_chunk(&user, chunk(1), Bytes::from_static(b"one")).await.unwrap();
        let other = vaults.put_chunk(&user, chunk(1), Bytes::from_static(b"two")).await;
        assert!(matches!(other, Err(Error::InvalidField(_))));
        let stranger = UserId::new("b", "cpts.example").unwrap();
        assert!(matches!(vaults.chunk(&stranger, chunk(1)).await, Err(Error::Unknown)));
        let large = Bytes::from(vec![0; limits::CHUNK_BYTES_MAX + 1]);
        assert!(matches!(vaults.put_chunk(&user, chunk(2), large).await, Err(Error::InvalidField(_))));
        let without_key = Change { recovery: None, ..change(1, &[]) };
        assert!(matches!(vaults.put(&user, without_key).await, Err(Error::InvalidField(_))));
    }

    #[tokio::test]
    async fn of_two_devices_that_write_the_same_version_one_wins_and_its_manifest_counts() {
        let (_folder, vaults, user) = vaults();
        vaults.put(&user, change(1, &[])).await.unwrap();
        let write = |text: &'static str| {
            let (vaults, user) = (vaults.clone(), user.clone());
            let change = Change { manifest: Bytes::from_static(text.as_bytes()), ..change(2, &[]) };
            async move { vaults.put(&user, change).await }
        };
        let (one, two) = tokio::join!(write("one"), write("two"));
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|won| **won).count(), 1);
        let winner = if one.is_ok() { b"one" } else { b"two" };
        assert_eq!(vaults.get(&user, 1).await.unwrap().manifest.as_ref(), winner);
    }

    #[tokio::test]
    async fn vaults_of_a_hub_that_is_sealed_later_get_names_that_only_its_key_makes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, root) = (cercle_storage::open_memory(), folder.path().join("vaults"));
        let names = |byte| {
            let sealer = cercle_storage::Sealer::new(&cercle_storage::DataKey::new([byte; 32]), "vaults");
            Some(Arc::new(sealer.unwrap()))
        };
        let open = |names| Vaults::new(store.clone(), Place { folder: root.clone(), names });
        let listed = || {
            let entries = std::fs::read_dir(&root).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let users = ["a", "b"].map(|user| UserId::new(user, "cpts.example").unwrap());
        for (secret, user) in (1..).zip(&users) {
            enrol(&*store, user, secret).await;
            let plain = open(None);
            plain.put_chunk(user, chunk(1), Bytes::from_static(b"one")).await.unwrap();
            plain.put(user, change(1, &[chunk(1)])).await.unwrap();
        }
        let plain = listed();
        // The second was interrupted between row and folder.
        let sealed = open(names(1));
        let old = note_key(&Names(None).of(&users[1]));
        let new = sealed.note_key(&users[1]);
        let note = store.note(old.clone()).await.unwrap().unwrap();
        let moved = vec![Effect::Put(new, note), Effect::Erase(old)];
        store.change(Vec::new(), Box::new(move |_| moved)).await.unwrap();

        assert_eq!(sealed.rename_plain().await.unwrap(), 2);
        assert_eq!(sealed.rename_plain().await.unwrap(), 0, "it is done once");
        let renamed = listed();
        assert_eq!(renamed.len(), 2);
        assert!(renamed.is_disjoint(&plain));
        for user in &users {
            assert_eq!(sealed.get(user, 0).await.unwrap().version, 1);
            assert_eq!(sealed.chunk(user, chunk(1)).await.unwrap().as_ref(), b"one");
            sealed.put(user, change(2, &[chunk(1)])).await.unwrap();
            assert_eq!(open(None).get(user, 0).await.unwrap().version, 0, "no row has the plain name");
        }
        assert_eq!(open(names(2)).get(&users[0], 0).await.unwrap().version, 0, "another key, another name");
        assert_eq!(listed(), renamed);
    }

    async fn enrol(store: &dyn Store, user: &UserId, secret: u8) {
        let record = cercle_storage::store::UserRecord {
            user: user.clone(),
            display_name: "A".into(),
            profession: String::new(),
            class: 1,
            roles: vec![1],
            created_at: 1,
        };
        let invitation = cercle_storage::store::InvitationRecord {
            secret_hash: [secret; 32],
            user: user.clone(),
            new_user: Some(record),
            expires_at: 9,
            created_at: 1,
            used_by: None,
            by_user: false,
        };
        store.put_invitation(invitation).await.unwrap();
        let device = cercle_storage::store::DeviceRecord {
            device: cercle_proto::id::DeviceId::new([secret; 16]),
            user: user.clone(),
            public_key: [secret; 32],
            certificate: Bytes::new(),
            expires_at: 9,
            enrolled_at: 2,
            last_seen_at: 0,
            revoked_at: None,
        };
        let enrolment = cercle_storage::store::Enrolment { secret_hash: [secret; 32], device, now: 2 };
        store.enrol(enrolment, 9).await.unwrap();
    }
}
