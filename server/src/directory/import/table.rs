//! Reads a text of columns by its header: which column means what is found by name, so that layouts of other
//! years, with columns added, moved or renamed, are read alike.

use super::{ImportError, input::Line};
use crate::directory::fold::fold;

/// The header of a table.
pub(super) struct Header {
    names: Vec<String>,
}

/// The cells of one line.
pub(super) struct Row<'a>(Vec<&'a str>);

/// A column, if the header has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(Option<usize>);

impl Header {
    pub(super) fn read(line: &Line) -> Result<Self, ImportError> {
        let text = line.text.as_ref().map_err(|_| ImportError::Header("the header is unreadable"))?;
        let text = text.strip_suffix('|').unwrap_or(text);
        let names = text.split('|').map(tidy).collect();
        Ok(Self { names })
    }

    /// The first of these columns that there is; names without accents, punctuation and case.
    pub(super) fn column(&self, names: &[&str]) -> Column {
        Column(names.iter().find_map(|name| self.names.iter().position(|known| known == name)))
    }

    /// As [`Header::column`], for a column without which nothing can be read.
    pub(super) fn needed(&self, names: &[&str], missing: &'static str) -> Result<Column, ImportError> {
        match self.column(names) {
            Column(None) => Err(ImportError::Header(missing)),
            column => Ok(column),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The cells of a line; a line of another length is not read at all, because nobody knows which cell is
    /// missing.
    pub(super) fn row<'a>(&self, text: &'a str) -> Result<Row<'a>, &'static str> {
        let mut cells: Vec<&str> = text.split('|').collect();
        if cells.len() == self.names.len() + 1 && cells.last().is_some_and(|last| last.is_empty()) {
            cells.pop();
        }
        match cells.len().cmp(&self.names.len()) {
            std::cmp::Ordering::Equal => Ok(Row(cells)),
            std::cmp::Ordering::Less => Err("the line has fewer columns than the header"),
            std::cmp::Ordering::Greater => Err("the line has more columns than the header"),
        }
    }
}

impl<'a> Row<'a> {
    pub(super) fn get(&self, column: Column) -> &'a str {
        column.0.and_then(|place| self.0.get(place)).map_or("", |cell| cell.trim())
    }
}

fn tidy(name: &str) -> String {
    fold(name).split_whitespace().collect::<Vec<_>>().join(" ")
}
