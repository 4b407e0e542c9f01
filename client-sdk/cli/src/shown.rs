//! What `recv` has shown already: a place in each group's log, kept beside the store.
//!
//! Only ids and numbers that the hub knows too, so the file is not sealed. It is written after the messages
//! are printed: a crash in between shows them once more, never not at all.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use cercle_proto::id::{GroupId, Seq};

use crate::failure::Failure;

const FILE: &str = "shown.json";

/// The places, loaded.
#[derive(Debug)]
pub(crate) struct Shown {
    path: PathBuf,
    places: BTreeMap<String, Seq>,
}

impl Shown {
    /// Loads the places of a profile. A damaged file counts as none: everything is shown once more.
    pub(crate) fn load(folder: PathBuf) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let places = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path, places })
    }

    /// The newest place that was shown.
    pub(crate) fn get(&self, group: GroupId) -> Seq {
        self.places.get(&group.to_hex()).copied().unwrap_or(0)
    }

    /// Notes a place; [`Shown::save`] keeps it.
    pub(crate) fn set(&mut self, group: GroupId, seq: Seq) {
        self.places.insert(group.to_hex(), seq);
    }

    /// Writes the places whole or not at all. The folder is private, so the file is.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let half = self.path.with_extension("half");
        let text = serde_json::to_vec(&self.places).map_err(io::Error::from)?;
        fs::write(&half, text)?;
        Ok(fs::rename(&half, &self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_and_damage_means_showing_again() {
        let folder = tempfile::tempdir().unwrap();
        let group = GroupId::new([3; 16]);
        let mut shown = Shown::load(folder.path().to_owned()).unwrap();
        assert_eq!(shown.get(group), 0);
        shown.set(group, 41);
        shown.save().unwrap();
        assert_eq!(Shown::load(folder.path().to_owned()).unwrap().get(group), 41);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Shown::load(folder.path().to_owned()).unwrap().get(group), 0);
    }
}
