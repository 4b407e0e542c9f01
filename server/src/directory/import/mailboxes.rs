//! The national extraction of secure mailboxes (`Extraction_Correspondance_MSSante`): one line for each mailbox and
//! holder. Boxes on the red list are not in it.

use super::{
    ImportError, Sink,
    people::structure_identity,
    table::{Column, Header, Row},
};
use crate::directory::entry::{Entry, Kind, Source, person_key};

/// Where the columns are.
pub(super) struct Mailboxes {
    address: Column,
    national: Column,
    structure_kind: Column,
    structure: Column,
    red_list: Column,
}

impl Mailboxes {
    /// Whether a header is one of this extraction.
    pub(super) fn knows(header: &Header) -> bool {
        header.has("adresse bal")
    }

    pub(super) fn new(header: &Header) -> Result<Self, ImportError> {
        Ok(Self {
            address: header.needed(&["adresse bal"], "no column of mailboxes")?,
            national: header.needed(&["identification nationale pp"], "no column of national identifiers")?,
            structure_kind: header.column(&["type identifiant structure"]),
            structure: header.column(&["identification structure"]),
            red_list: header.column(&["liste rouge"]),
        })
    }

    /// Takes one line in, whole or not at all.
    pub(super) fn take(&self, row: &Row<'_>, line: usize, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let address = row.get(self.address);
        if !is_address(address) {
            return sink.refuse(line, "the mailbox is no address");
        }
        if matches!(row.get(self.red_list), "O" | "true" | "1") {
            sink.report.outside += 1;
            return Ok(());
        }
        let national = row.get(self.national);
        let structure = self.structure(row);
        let mut holder = match (national, structure) {
            ("", None) => return sink.refuse(line, "the mailbox belongs to nobody"),
            ("", Some(key)) => Entry::new(key, Kind::Structure),
            (national, _) => Entry::new(person_key(national), Kind::Professional),
        };
        holder.mailboxes.push(address.to_lowercase());
        sink.give(Source::Mailboxes, holder)
    }

    fn structure(&self, row: &Row<'_>) -> Option<String> {
        let identifier = row.get(self.structure);
        // National identifiers of structures say their kind in the first digit too: 1 FINESS, 3 SIRET.
        let bare = |kind: &str, length: usize| match identifier.strip_prefix(kind) {
            Some(rest) if rest.len() == length => rest,
            _ => identifier,
        };
        let key = match row.get(self.structure_kind) {
            "1" => structure_identity(bare("1", 9), "", ""),
            "3" => structure_identity("", "", bare("3", 14)),
            _ => structure_identity("", identifier, ""),
        };
        Some(key).filter(|_| !identifier.is_empty())
    }
}

/// One `@` with something on both sides, no blanks.
pub(super) fn is_address(text: &str) -> bool {
    let mut parts = text.split('@');
    let is_part = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    is_part(parts.next())
        && is_part(parts.next())
        && parts.next().is_none()
        && !text.contains(char::is_whitespace)
}
