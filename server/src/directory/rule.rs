//! Rules of groups: which users belong to a group, by what the directory says of them.
//!
//! Pure, but for the files: one for each rule, among the local files of the directory. Called by
//! [`crate::membership`], which compares with who is in the group. A rule names codes; the hub knows no title and
//! no topic of the group.

use cercle_proto::id::{GroupId, from_hex};
use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, Kind},
    error::Error,
};
use crate::limits;

/// Which entries belong: for each list with values, one of them.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Codes of professions (`TRE_G15`).
    pub professions: Vec<String>,
    /// INSEE codes of communes of work.
    pub communes: Vec<String>,
    /// Keys of structures of work; together with communes: in one place.
    pub structures: Vec<String>,
    /// Codes of specialties and skills (`TRE_R38`).
    pub skills: Vec<String>,
    /// Tags that the operator gave.
    pub tags: Vec<String>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").finish_non_exhaustive()
    }
}

impl Rule {
    /// Checks the bounds.
    ///
    /// # Errors
    /// When no list has values (everybody would belong), or one has too many or an overlong one.
    pub fn check(&self) -> Result<(), Error> {
        let lists = [&self.professions, &self.communes, &self.structures, &self.skills, &self.tags];
        if lists.iter().all(|list| list.is_empty()) {
            return Err(Error::Field("rule must name at least one value"));
        }
        if lists.iter().any(|list| list.len() > limits::DIRECTORY_VALUES_MAX) {
            return Err(Error::TooMany("a list of a rule has at most 50 values"));
        }
        let is_code = |value: &&String| (1..=limits::DIRECTORY_KEY_BYTES_MAX).contains(&value.len());
        if !lists.into_iter().flatten().all(|value| is_code(&value)) {
            return Err(Error::Field("a value of a rule has 1 to 100 bytes"));
        }
        Ok(())
    }

    /// Whether a person with this entry and these tags belongs.
    #[must_use]
    pub fn fits(&self, entry: &Entry, tags: &[String]) -> bool {
        let is_anywhere = self.communes.is_empty() && self.structures.is_empty();
        let is_here = entry.activities.iter().any(|place| {
            any(&self.communes, std::iter::once(&place.commune.code))
                && any(&self.structures, std::iter::once(&place.structure))
        });
        entry.kind == Kind::Professional
            && any(&self.professions, entry.professions.iter().map(|coded| &coded.code))
            && any(&self.skills, entry.skills.iter().map(|coded| &coded.code))
            && any(&self.tags, tags.iter())
            && (is_anywhere || is_here)
    }
}

/// Whether one of the values found is wanted, or nothing is.
fn any<'a>(wanted: &[String], mut found: impl Iterator<Item = &'a String>) -> bool {
    wanted.is_empty() || found.any(|value| wanted.contains(value))
}

/// Name of the file of a group's rule.
pub(super) fn key(group: GroupId) -> String {
    group.to_hex()
}

/// The group whose rule has this name.
pub(super) fn group(key: &str) -> Option<GroupId> {
    from_hex(key)?.try_into().ok().map(GroupId::new)
}

#[cfg(test)]
mod tests {
    use super::{
        super::entry::{Activity, Coded},
        *,
    };

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn nurse(places: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::new("ps:1".into(), Kind::Professional);
        entry.professions = vec![Coded::new("60", "")];
        entry.skills = vec![Coded::new("SM04", "")];
        let place = |(commune, structure): &(&str, &str)| Activity {
            commune: Coded::new(commune, ""),
            structure: (*structure).to_owned(),
            ..Activity::default()
        };
        entry.activities = places.iter().map(place).collect();
        entry
    }

    #[test]
    fn every_list_with_values_must_have_one_of_the_person() {
        let entry = nurse(&[("31555", "st:1")]);
        let rule = |professions: &[&str], skills: &[&str], tags: &[&str]| Rule {
            professions: list(professions),
            skills: list(skills),
            tags: list(tags),
            ..Rule::default()
        };
        assert!(rule(&["10", "60"], &[], &[]).fits(&entry, &[]));
        assert!(rule(&["60"], &["SM04"], &["bureau"]).fits(&entry, &list(&["bureau"])));
        assert!(!rule(&["60"], &["SM05"], &[]).fits(&entry, &[]));
        assert!(!rule(&["60"], &[], &["bureau"]).fits(&entry, &[]));
        assert!(!rule(&["10"], &[], &[]).fits(&entry, &[]));
    }

    #[test]
    fn commune_and_structure_are_those_of_one_place() {
        let entry = nurse(&[("31555", "st:1"), ("31022", "st:2")]);
        let rule = |communes: &[&str], structures: &[&str]| Rule {
            communes: list(communes),
            structures: list(structures),
            ..Rule::default()
        };
        assert!(rule(&["31022"], &[]).fits(&entry, &[]));
        assert!(rule(&["31555"], &["st:1"]).fits(&entry, &[]));
        assert!(!rule(&["31555"], &["st:2"]).fits(&entry, &[]), "he is in both, at two places");
        let inbox = Entry { kind: Kind::Inbox, ..entry };
        assert!(!rule(&["31022"], &[]).fits(&inbox, &[]), "only persons belong to groups");
    }

    #[test]
    fn a_rule_for_everybody_is_none() {
        assert!(Rule::default().check().is_err());
        assert!(Rule { tags: list(&[""]), ..Rule::default() }.check().is_err());
        assert!(Rule { tags: vec!["x".into(); 51], ..Rule::default() }.check().is_err());
        assert!(Rule { tags: list(&["x"]), ..Rule::default() }.check().is_ok());
    }
}
