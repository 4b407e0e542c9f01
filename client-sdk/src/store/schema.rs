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
pub(crate) const FORMAT: u32 = 1;

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
    Ok(false)
}

fn create(connection: &Connection, sealer: &Sealer) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    let insert = "INSERT INTO meta(name, value) VALUES (?1, ?2)";
    transaction.execute(insert, ("format", FORMAT.to_be_bytes().as_slice()))?;
    transaction.execute(insert, ("check", sealer.check_value().as_slice()))?;
    transaction.commit()?;
    Ok(())
}
