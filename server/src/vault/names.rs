//! What stands for a user in names of files and keys of rows, which lie readable also on a sealed disk.
//!
//! On a sealed hub only who has the key at rest can make the name of a user: a list of users does not tell which of
//! them have a vault. On a hub that is not sealed the user ids lie readable beside it, and the name is a plain hash;
//! vaults of the time before a hub was sealed get their new names when it starts ([`Vaults::rename_plain`]).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cercle_proto::{
    id::{UserId, to_hex},
    signing::sha256,
};
use cercle_storage::{
    Sealer,
    store::{Effect, NoteKey, NoteKind},
};

use super::{Error, Vaults, limits};

const CONTEXT: &[u8] = b"vault";

/// Makes names of users.
#[derive(Clone, Default)]
pub(super) struct Names(pub(super) Option<Arc<Sealer>>);

impl Names {
    pub(super) fn of(&self, user: &UserId) -> [u8; 16] {
        match &self.0 {
            Some(sealer) => sealer.name(CONTEXT, user.as_str().as_bytes()),
            None => plain(user),
        }
    }
}

fn plain(user: &UserId) -> [u8; 16] {
    let hash = sha256(&[b"cercle vault v1\0", user.as_str().as_bytes()].concat());
    std::array::from_fn(|at| hash[at])
}

pub(super) fn note_key(name: &[u8; 16]) -> NoteKey {
    NoteKey::new(NoteKind::Vault, name.as_slice())
}

impl Vaults {
    /// On a sealed hub, gives every vault whose name is a plain hash one that only the key at rest makes; returns
    /// how many there were. Before the hub serves: nobody else uses vaults. What was interrupted goes on the next
    /// time.
    ///
    /// # Errors
    /// When store or files cannot be read or written.
    pub async fn rename_plain(&self) -> Result<usize, Error> {
        if self.inner.names.0.is_none() {
            return Ok(0);
        }
        let root = self.inner.root.clone();
        let found = tokio::task::spawn_blocking(move || folders(&root)).await;
        let found = found.map_err(|_| io::Error::other("the thread that reads folders ended"))??;
        let (mut renamed, mut after) = (0, None);
        while !found.is_empty() {
            let users = self.inner.store.users(after.take(), limits::USERS_PER_PAGE).await?;
            for user in &users {
                if found.contains(&to_hex(&plain(&user.user))) {
                    self.rename(&user.user).await?;
                    renamed += 1;
                }
            }
            if users.len() < limits::USERS_PER_PAGE {
                break;
            }
            after = users.into_iter().last().map(|user| user.user);
        }
        Ok(renamed)
    }

    /// The note first: as long as the folder has its old name, the next start finds it.
    async fn rename(&self, user: &UserId) -> Result<(), Error> {
        let (old, new) = (plain(user), self.inner.names.of(user));
        let (from, to) = (note_key(&old), note_key(&new));
        let decide = move |notes: &[Option<Bytes>]| match notes {
            [Some(note), None] => vec![Effect::Put(to, note.clone()), Effect::Erase(from)],
            [Some(_), Some(_)] => vec![Effect::Erase(from)],
            _ => Vec::new(),
        };
        self.inner.store.change(vec![note_key(&old), note_key(&new)], Box::new(decide)).await?;
        let root = self.inner.root.clone();
        let moved = tokio::task::spawn_blocking(move || {
            fs::rename(root.join(to_hex(&old)), root.join(to_hex(&new)))?;
            File::open(&root)?.sync_all()
        });
        Ok(moved.await.map_err(|_| io::Error::other("the thread that renames ended"))??)
    }
}

fn folders(root: &Path) -> io::Result<BTreeSet<String>> {
    match fs::read_dir(root) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Where vaults lie, and how they are named.
#[derive(Clone, Default)]
pub struct Place {
    /// The folder; made when it is needed.
    pub folder: PathBuf,
    /// Makes names that nobody else can make; `None`: the hub is not sealed.
    pub names: Option<Arc<Sealer>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
