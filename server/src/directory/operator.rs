//! What the operator does with the directory from the command line, on its files: the hub, running or not, takes
//! it over by itself.

use super::{
    entry::{Entry, Kind},
    error::Error,
    generation::{Folder, merged, part_of},
    local::{LocalEntry, LocalFolder, Place},
};

/// Adds an entry beside the imported ones, or replaces one that was added.
///
/// # Errors
/// When the name is missing, the key is one of the national directory, or the files fail.
pub fn add(place: impl Into<Place>, entry: Entry, users: Vec<String>) -> Result<(), Error> {
    if entry.family.trim().is_empty() {
        return Err(Error::Field("an entry needs a name"));
    }
    let own = ["local:", "inbox:"];
    if !own.iter().any(|start| entry.key.starts_with(start)) {
        return Err(Error::Field("keys of local entries begin with local: or inbox:"));
    }
    if entry.key.starts_with("inbox:") != (entry.kind == Kind::Inbox) {
        return Err(Error::Field("keys of inboxes, and only those, begin with inbox:"));
    }
    let key = entry.key.clone();
    LocalFolder::of(&place.into())
        .put_entry(&key, &LocalEntry { entry: Some(entry), users, ..LocalEntry::default() })
}

/// What to change about an entry, imported or added.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Hide it, or show it again.
    pub unlisted: Option<bool>,
    /// Say that it is this user.
    pub link: Option<String>,
    /// Say that it is no user.
    pub unlink: bool,
    /// Replace its tags.
    pub tags: Option<Vec<String>>,
}

/// Changes what is said here about an entry.
///
/// # Errors
/// When there is no such entry, or the files fail.
pub fn edit(place: impl Into<Place>, key: &str, edit: Edit) -> Result<(), Error> {
    let place = place.into();
    let local = LocalFolder::of(&place);
    let (_, mut said) = show(place, key)?;
    if edit.unlink {
        said.users.clear();
    }
    if let Some(user) = edit.link {
        said.users = vec![user];
    }
    said.tags = edit.tags.unwrap_or(said.tags);
    said.unlisted = edit.unlisted.unwrap_or(said.unlisted);
    local.put_entry(key, &said)
}

/// Removes an entry that was added here.
///
/// # Errors
/// When it was not added here: the next import would bring it back; hide it instead.
pub fn remove(place: impl Into<Place>, key: &str) -> Result<(), Error> {
    let local = LocalFolder::of(&place.into());
    match local.entry(key)? {
        Some(LocalEntry { entry: Some(_), .. }) => local.put_entry(key, &LocalEntry::default()),
        _ => Err(Error::Field("only entries that were added here can be removed: hide an imported one")),
    }
}

/// The entry with a key, hidden or not, and what is said here about it.
///
/// # Errors
/// When there is none, or the files fail.
pub fn show(place: impl Into<Place>, key: &str) -> Result<(Entry, LocalEntry), Error> {
    let place = place.into();
    let said = LocalFolder::of(&place).entry(key)?.unwrap_or_default();
    if let Some(entry) = &said.entry {
        return Ok((entry.clone(), said));
    }
    let folder = Folder::new(&place.folder);
    let generation = folder.generation(folder.current()?);
    let entry = merged(generation.read_part(part_of(key))?).remove(key).ok_or(Error::Unknown)?;
    Ok((entry, said))
}
