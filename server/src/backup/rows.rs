//! The store's rows as chunks: table number, key and value, each with its length.
//!
//! Where a chunk ends depends on the keys alone, so a row that is added or changed changes its own chunk and
//! leaves the others as they were: they are not copied again.

use cercle_proto::signing::sha256;
use cercle_storage::table::Table;

use super::BackupError;
use crate::limits;

/// Cuts rows into chunks.
#[derive(Default)]
pub(super) struct Cutter {
    table: Option<Table>,
    chunk: Vec<u8>,
}

impl Cutter {
    /// Takes a row; gives the chunk that ended before or with it.
    pub(super) fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        if self.table.is_some_and(|before| before != table) {
            ended.extend(self.end());
        }
        self.table = Some(table);
        self.chunk.push(table.number());
        for part in [key, value] {
            let length =
                u32::try_from(part.len()).expect("a row is far below 4 GiB: frames are at most 1 MiB");
            self.chunk.extend_from_slice(&length.to_be_bytes());
            self.chunk.extend_from_slice(part);
        }
        let large = self.chunk.len() >= limits::BACKUP_CHUNK_BYTES_MIN && is_cut(key);
        if large || self.chunk.len() >= limits::BACKUP_CHUNK_BYTES_MAX {
            ended.extend(self.end());
        }
        ended
    }

    /// Gives what is left.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        let chunk = std::mem::take(&mut self.chunk);
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Whether a chunk may end with this key.
fn is_cut(key: &[u8]) -> bool {
    u64::from(sha256(key)[0]) % limits::BACKUP_CUT_EVERY == 0
}

/// Reads the rows of a chunk.
pub(super) fn read(
    mut chunk: &[u8],
    mut each: impl FnMut(Table, &[u8], &[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let damaged = || BackupError::Damaged("a chunk of rows cannot be read".to_owned());
    while let Some((number, rest)) = chunk.split_first() {
        let place = usize::from(*number).checked_sub(1).ok_or_else(damaged)?;
        let table = *Table::ALL.get(place).ok_or_else(damaged)?;
        let (key, rest) = part(rest).ok_or_else(damaged)?;
        let (value, rest) = part(rest).ok_or_else(damaged)?;
        each(table, key, value)?;
        chunk = rest;
    }
    Ok(())
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(rows: &[(Table, Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::default();
        let mut chunks: Vec<Vec<u8>> =
            rows.iter().flat_map(|(table, key, value)| cutter.row(*table, key, value)).collect();
        chunks.extend(cutter.end());
        chunks
    }

    fn many() -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let row = |number: u32| (Table::Log, number.to_be_bytes().to_vec(), vec![7; 4_000]);
        let users = [(Table::Users, b"a".to_vec(), vec![1]), (Table::Users, b"b".to_vec(), Vec::new())];
        (0..2_000).map(row).chain(users).collect()
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let mut read_back = Vec::new();
        for chunk in chunks(&many()) {
            read(&chunk, |table, key, value| {
                read_back.push((table, key.to_vec(), value.to_vec()));
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(read_back, many());
    }

    #[test]
    fn one_new_row_leaves_the_other_chunks_as_they_were() {
        let before = chunks(&many());
        let mut rows = many();
        rows.insert(700, (Table::Log, [699_u32.to_be_bytes().as_slice(), &[1]].concat(), vec![9; 50]));
        let after = chunks(&rows);
        let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!(before.len() > 10, "{}", before.len());
        assert_eq!(new, 1);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let chunk = chunks(&many()[..3]).remove(0);
        for length in [1, 4, 7, chunk.len() - 1] {
            assert!(read(&chunk[..length], |_, _, _| Ok(())).is_err(), "{length}");
        }
        assert!(read(&[200, 0, 0, 0, 0, 0, 0, 0, 0], |_, _, _| Ok(())).is_err());
    }
}
