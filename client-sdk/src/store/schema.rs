//! The tables of the local store, and the format number that guards them.
//!
//! Clear columns are what SQLite must search and order by: group ids, places in the log, times, states.
//! Every text, name, key and certificate is in a sealed column (`record`, `content`). openmls' own tables
//! are made by its provider, with sealed keys and values.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, seal::Sealer};
use crate::error::OpenError;

/// Newest format that this program reads and writes. A change of a table or record is a new number and a
/// migration here.
pub(crate) const FORMAT: u32 = 2;

const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE groups(
    group_id BLOB PRIMARY KEY,
    cursor INTEGER NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE messages(
    group_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY(group_id, seq, message_id)
) WITHOUT ROWID;
CREATE INDEX messages_by_id ON messages(group_id, message_id);
CREATE TABLE outbox(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id BLOB NOT NULL,
    message_id BLOB NOT NULL UNIQUE,
    queued_at INTEGER NOT NULL,
    after_intent INTEGER NOT NULL,
    content BLOB NOT NULL,
    epoch INTEGER,
    mls BLOB
);
CREATE INDEX outbox_by_group ON outbox(group_id, position);
CREATE TABLE intents(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX intents_by_group ON intents(group_id, id);
CREATE TABLE owed(id INTEGER PRIMARY KEY AUTOINCREMENT, frame BLOB NOT NULL);
CREATE TABLE key_packages(
    reference BLOB PRIMARY KEY,
    generation INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    published INTEGER NOT NULL,
    encoded BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE notes(
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY(kind, key)
) WITHOUT ROWID;
CREATE TABLE agenda(id INTEGER PRIMARY KEY AUTOINCREMENT, due_at INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX agenda_by_time ON agenda(due_at, id);
";

/// Added with format 2. A store of format 1 has its large values whole, and each goes into pieces when it is
/// written next.
const PIECES: &str = "
CREATE TABLE pieces(owner BLOB NOT NULL, id BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY(owner, id));
";

/// Sets how SQLite writes: nothing that was committed is lost with the power, and no second process opens
/// the file, which would use MLS keys twice.
///
/// # Errors
/// When SQLite fails, or another process has the file open.
pub(crate) fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    // What a savepoint would undo stays in memory instead of in a file: each message is decrypted under one.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Makes the tables of a new store, or checks format and key of an existing one. Returns whether it is new.
///
/// # Errors
/// A newer format, another key, or SQLite fails.
pub(crate) fn prepare(connection: &Connection, sealer: &Sealer) -> Result<bool, OpenError> {
    let exists: bool = connection
        .query_row("SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE type='table' AND name='meta')", [], |r| {
            r.get(0)
        })
        .map_err(StoreError::from)?;
    if !exists {
        create(connection, sealer)?;
        return Ok(true);
    }
    let meta = |name: &str| -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT value FROM meta WHERE name = ?1";
        Ok(connection.query_row(query, [name], |row| row.get(0)).optional()?)
    };
    let format = meta("format")?.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let found = format.ok_or(StoreError::Damaged("it has no format number"))?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { found, known: FORMAT });
    }
    if meta("check")?.as_deref() != Some(sealer.check_value()) {
        return Err(OpenError::WrongKey);
    }
    if found < FORMAT {
        let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
        transaction.execute_batch(PIECES).map_err(StoreError::from)?;
        write_format(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
    }
    Ok(false)
}

fn create(connection: &Connection, sealer: &Sealer) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(PIECES)?;
    write_format(&transaction)?;
    let insert = "INSERT INTO meta(name, value) VALUES ('check', ?1)";
    transaction.execute(insert, [sealer.check_value().as_slice()])?;
    transaction.commit()?;
    Ok(())
}

fn write_format(transaction: &Connection) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO meta(name, value) VALUES ('format', ?1)";
    transaction.execute(sql, [FORMAT.to_be_bytes().as_slice()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreKey;

    fn tables(connection: &Connection) -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
        let mut query = connection.prepare(sql).unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_store_of_format_1_becomes_one_of_today_and_keeps_what_is_in_it() {
        let sealer = Sealer::new(&StoreKey::new([1; 32]));
        let (old, new) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        old.execute_batch(TABLES).unwrap();
        let insert = "INSERT INTO meta(name, value) VALUES (?1, ?2)";
        old.execute(insert, ("format", 1_u32.to_be_bytes().as_slice())).unwrap();
        old.execute(insert, ("check", sealer.check_value().as_slice())).unwrap();
        old.execute("INSERT INTO notes(kind, key, record) VALUES ('a', x'01', x'02')", []).unwrap();
        assert!(prepare(&new, &sealer).unwrap());
        for _ in 0..2 {
            assert!(!prepare(&old, &sealer).unwrap());
            assert_eq!(tables(&old), tables(&new));
        }
        let notes: u32 = old.query_row("SELECT COUNT(*) FROM notes", [], |row| row.get(0)).unwrap();
        assert_eq!(notes, 1);
    }

    #[test]
    fn another_key_and_a_newer_format_are_refused_and_change_nothing() {
        let sealer = Sealer::new(&StoreKey::new([1; 32]));
        let store = Connection::open_in_memory().unwrap();
        prepare(&store, &sealer).unwrap();
        let other = Sealer::new(&StoreKey::new([2; 32]));
        assert!(matches!(prepare(&store, &other), Err(OpenError::WrongKey)));
        let newer = (FORMAT + 1).to_be_bytes();
        store.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [newer.as_slice()]).unwrap();
        let refused = prepare(&store, &sealer);
        assert!(matches!(refused, Err(OpenError::NewerFormat { found, .. }) if found == FORMAT + 1));
    }
}
