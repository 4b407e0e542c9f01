//! What an import did, for the operator: counts, and the first faults with their lines.

use serde::Serialize;

use crate::limits;

/// What an import did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Number of the generation that is in use afterwards.
    pub generation: u64,
    /// Lines or resources read.
    pub lines: u64,
    /// Those that lie outside the list of communes, or on the red list.
    pub outside: u64,
    /// Resources that say of themselves that they are no longer valid.
    pub inactive: u64,
    /// Lines read as Latin-1.
    pub latin: u64,
    /// Lines that were skipped.
    pub refused: u64,
    /// Lines that were taken in spite of an odd identifier.
    pub warned: u64,
    /// Entries afterwards.
    pub entries: u64,
    /// Entries that were not there before.
    pub added: u64,
    /// Entries that say something else than before.
    pub changed: u64,
    /// Entries that are gone.
    pub removed: u64,
    /// The first faults and warnings.
    pub faults: Vec<Fault>,
}

/// One fault. It names the line and never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// File, counted from 1 in the order of the command.
    pub file: usize,
    /// Line, or number of the resource.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
    /// Whether the line was skipped.
    pub skipped: bool,
}

impl Report {
    pub(super) fn note(&mut self, fault: Fault) {
        if fault.skipped {
            self.refused += 1;
        } else {
            self.warned += 1;
        }
        if self.faults.len() < limits::DIRECTORY_FAULTS_KEPT {
            self.faults.push(fault);
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Fault { file, line, what, skipped } in &self.faults {
            let verdict = if *skipped { "skipped" } else { "warning" };
            writeln!(f, "file {file}, line {line}: {verdict}: {what}")?;
        }
        let noted = self.refused + self.warned;
        let shown = self.faults.len() as u64;
        if noted > shown {
            writeln!(f, "… and {} more", noted - shown)?;
        }
        writeln!(
            f,
            "{} lines read, {} outside the territory, {} inactive, {} skipped, {} warnings, {} in Latin-1",
            self.lines, self.outside, self.inactive, self.refused, self.warned, self.latin
        )?;
        write!(
            f,
            "generation {}: {} entries ({} added, {} changed, {} removed)",
            self.generation, self.entries, self.added, self.changed, self.removed
        )
    }
}
