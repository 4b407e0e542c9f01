//! What the directory holds: one entry per person, structure or shared inbox.
//!
//! Made by the import and by the operator, kept in generations and local files, answered by the search. Codes
//! are kept as they came, known or not. Nothing here derives `Debug` that could print a name.

use serde::{Deserialize, Serialize};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person.
    #[default]
    Professional,
    /// A place or organisation where people work.
    Structure,
    /// One address with several people behind it.
    Inbox,
}

/// Where a part of an entry comes from. The order is that of precedence: earlier wins on a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The national extraction of persons and activities.
    #[default]
    Extraction,
    /// FHIR resources of the national directory.
    Fhir,
    /// The extraction of secure mailboxes.
    Mailboxes,
    /// The operator, or the members themselves.
    Local,
}

/// A code of a nomenclature, and its label if the source gave one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Coded {
    /// The code.
    pub code: String,
    /// The label; empty if the source had none.
    #[serde(default)]
    pub label: String,
}

impl Coded {
    /// A code with its label.
    #[must_use]
    pub fn new(code: &str, label: &str) -> Self {
        Self { code: code.trim().to_owned(), label: label.trim().to_owned() }
    }

    /// Whether there is neither code nor label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty() && self.label.is_empty()
    }
}

/// One place where a person works, or the address of a structure.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Activity {
    /// Key of the structure; empty if the source names none.
    pub structure: String,
    /// Name of the structure.
    pub name: String,
    /// Mode (`TRE_R23`: L self-employed, S employed, B voluntary).
    pub mode: String,
    /// Sector (`TRE_R02`, `SAxx`).
    pub sector: Coded,
    /// Number and street.
    pub street: String,
    /// Postal code, as the source writes it.
    pub postal_code: String,
    /// Commune (INSEE code and name).
    pub commune: Coded,
    /// Telephone.
    pub phone: String,
}

/// A person, structure or inbox.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Stable key: `ps:` and the national identifier, `st:` and that of a structure, `local:…`, `inbox:…`,
    /// `user:` and a user id.
    pub key: String,
    /// What it is.
    pub kind: Kind,
    /// Title of practice (DR, PR …).
    pub title: String,
    /// Family name of a person; name of anything else.
    pub family: String,
    /// Given names.
    pub given: String,
    /// Professions (`TRE_G15` and others), usually one.
    pub professions: Vec<Coded>,
    /// Specialties and skills (`TRE_R38` and others).
    pub skills: Vec<Coded>,
    /// Where the person works; of a structure: its address.
    pub activities: Vec<Activity>,
    /// Addresses of the secure mail of health professionals.
    pub mailboxes: Vec<String>,
    /// Users of this hub that stand behind the entry, with domain.
    pub users: Vec<String>,
    /// On the red list: never shown to anybody but the operator.
    pub unlisted: bool,
}

impl Entry {
    /// An entry without content.
    #[must_use]
    pub fn new(key: String, kind: Kind) -> Self {
        Self { key, kind, ..Self::default() }
    }

    /// Adds what another fragment of the same entry says: single values only where none is, lists as unions.
    pub fn absorb(&mut self, other: Self) {
        for (mine, theirs) in
            [(&mut self.title, other.title), (&mut self.family, other.family), (&mut self.given, other.given)]
        {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
        unite(&mut self.professions, other.professions);
        unite(&mut self.skills, other.skills);
        unite(&mut self.activities, other.activities);
        unite(&mut self.mailboxes, other.mailboxes);
        unite(&mut self.users, other.users);
        self.unlisted |= other.unlisted;
    }

    /// Puts lists into one order, so that equal content has equal bytes whatever the order of the rows.
    pub fn normalise(&mut self) {
        self.professions.sort();
        self.skills.sort();
        self.activities.sort();
        self.mailboxes.sort();
    }
}

fn unite<T: PartialEq>(mine: &mut Vec<T>, theirs: Vec<T>) {
    for value in theirs {
        if !mine.contains(&value) {
            mine.push(value);
        }
    }
}

/// Key of a person with this national identifier.
#[must_use]
pub fn person_key(national: &str) -> String {
    format!("ps:{national}")
}

/// Key of a structure with this technical or FINESS identifier.
#[must_use]
pub fn structure_key(identifier: &str) -> String {
    format!("st:{identifier}")
}

macro_rules! hide {
    ($($name:ident),*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}
hide!(Coded, Activity, Entry);
