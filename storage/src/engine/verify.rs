//! Checks every page of a redb file against its checksums.
//!
//! redb looks at them only when it repairs, so a byte that rotted on the disk would change rows, or hide them,
//! without a word. A repair goes back to the commit before, which would lose what was acknowledged: so the
//! check runs over a copy in memory, and a file that fails it is refused as it is.

use std::{io, path::Path};

use redb::{Database, StorageBackend as _, backends::InMemoryBackend};

use crate::limits::VERIFY_BYTES_MAX;

/// Reads the whole file. The caller has it open, so that nobody else writes to it.
///
/// # Errors
/// What is wrong, in words. A file of more than [`VERIFY_BYTES_MAX`] is not looked at, which is said in the log.
pub(super) fn whole(file: &Path) -> Result<(), String> {
    let length = std::fs::metadata(file).map_err(text)?.len();
    if length > VERIFY_BYTES_MAX {
        tracing::info!(length, "the store's rows are too many to be verified at every start");
        return Ok(());
    }
    let copy = copy(file).map_err(text)?;
    let mut database = Database::builder().create_with_backend(copy).map_err(text)?;
    match database.check_integrity() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} is damaged: its checksums do not match", file.display())),
        Err(error) => Err(format!("{} is damaged: {error}", file.display())),
    }
}

fn copy(file: &Path) -> io::Result<InMemoryBackend> {
    let bytes = std::fs::read(file)?;
    let memory = InMemoryBackend::new();
    memory.set_len(bytes.len() as u64)?;
    memory.write(0, &bytes)?;
    Ok(memory)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::RedbEngine;
    use crate::{
        engine::{Batch, Change, Engine as _},
        table::Table,
    };

    #[test]
    fn a_changed_byte_anywhere_in_what_is_kept_is_noticed_and_the_file_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows");
        let mut batch = Batch::default();
        for number in 0..2_000_u32 {
            batch.set(
                Table::Log,
                number.to_be_bytes().to_vec(),
                Change::Put(b"a value that is kept".to_vec()),
            );
        }
        RedbEngine::open(&file).unwrap().apply(&batch).unwrap();
        let good = std::fs::read(&file).unwrap();
        let places: Vec<usize> =
            good.windows(5).enumerate().filter(|(_, at)| *at == b"value").map(|at| at.0).collect();
        assert!(places.len() >= 2_000);
        for place in places.iter().step_by(places.len() / 20) {
            let mut bytes = good.clone();
            bytes[*place] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            // Twice: a repair would hide it from the second look.
            for _ in 0..2 {
                let refused = RedbEngine::open(&file).unwrap_err().to_string();
                assert!(refused.contains("rows is damaged"), "{refused}");
            }
        }
        std::fs::write(&file, &good).unwrap();
        RedbEngine::open(&file).unwrap();
    }
}
