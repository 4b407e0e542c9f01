//! Seals the rows that identify people, above whichever engine holds them (ADR 0015).
//!
//! Three kinds of tables: rows that say nothing of a person stay as they are; values of the others are sealed,
//! bound to table and key; user ids in keys are replaced by names that only the key can make, and the true key is
//! sealed with the value. Reading in the order of such keys reads the table and sorts it: those tables have one row
//! for a user or a device, and nothing reads them for a message. Of the log only application messages stay as they
//! are, which are ciphertext of the members: a path that every message takes costs nothing more.

use std::ops::{ControlFlow, Range};

use super::{ApplyError, Batch, Change, Engine, EngineError, Snapshot, Visit};
use crate::{
    format::FORMAT_KEY,
    record::log::is_application,
    seal::{DataKey, NoRandomness, Sealer},
    store::{Caps, NoteKind},
    table::{Key, KeyRange, Table},
};

/// Key in `meta` of the id of the key that the rows are sealed with.
const SEALED_BY: &[u8] = b"sealed_by";
/// Added to the format number of a sealed store, so that a version that knows no seals refuses it by number.
pub(crate) const SEALED_FORMAT: u32 = 1 << 16;
/// First byte of a sealed value, where others have the version of their record, from 1.
const SEALED: u8 = 0;
/// Bytes of a name that stands for a user id.
const NAME_BYTES: usize = 16;
/// Bytes before the user id in the key of a note about a recipient: kind and alert.
const RECIPIENT_PREFIX_BYTES: usize = 17;

/// What happens to the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Nothing: random ids, numbers and hashes.
    Clear,
    /// Values are sealed.
    Sealed,
    /// Values are sealed except those of application messages.
    Entries,
}

const fn treatment(table: Table) -> Treatment {
    match table {
        Table::Meta
        | Table::Groups
        | Table::Idempotency
        | Table::Memberships
        | Table::ReAdds
        | Table::InboxHeads
        | Table::Inbox
        | Table::Welcomes
        | Table::WelcomePointers
        | Table::KeyPackageStocks
        | Table::SpentKeyPackages
        | Table::RevokedDevices
        | Table::TimersDue
        | Table::Expiry
        | Table::Forks => Treatment::Clear,
        Table::Log => Treatment::Entries,
        Table::GroupInfos
        | Table::GroupStates
        | Table::Roster
        | Table::KeyPackages
        | Table::LastResorts
        | Table::Claims
        | Table::Users
        | Table::Devices
        | Table::UserDevices
        | Table::Invitations
        | Table::Timers
        | Table::Audit
        | Table::Registers
        | Table::Blobs
        | Table::BlobUsages
        | Table::Notes => Treatment::Sealed,
    }
}

/// Where a key holds a user id.
fn user_in(table: Table, key: &[u8]) -> Option<Range<usize>> {
    match table {
        Table::Users | Table::BlobUsages => Some(0..key.len()),
        // A zero byte and the device follow.
        Table::UserDevices => Some(0..key.len().checked_sub(17)?),
        Table::Notes if key.first() == Some(&(NoteKind::AlertRecipient as u8)) => {
            (key.len() > RECIPIENT_PREFIX_BYTES).then_some(RECIPIENT_PREFIX_BYTES..key.len())
        }
        _ => None,
    }
}

/// Whether keys of the table may hold user ids within a range.
fn hides_users(table: Table, range: &KeyRange) -> bool {
    const RECIPIENT: u8 = NoteKind::AlertRecipient as u8;
    match table {
        Table::Users | Table::BlobUsages | Table::UserDevices => true,
        Table::Notes => {
            let begins_after = range.from.first().is_some_and(|kind| *kind > RECIPIENT);
            let ends_before = range.to.as_deref().is_some_and(|to| to <= &[RECIPIENT][..]);
            !begins_after && !ends_before
        }
        _ => false,
    }
}

/// An engine whose rows about people are sealed.
pub(crate) struct SealedEngine {
    engine: Box<dyn Engine>,
    rows: RowSealer,
}

/// The id of the key that an engine's rows are sealed with; `None` if they are not.
pub(crate) fn sealed_by(engine: &dyn Engine) -> Result<Option<[u8; 16]>, EngineError> {
    let found = engine.snapshot()?.get(Table::Meta, SEALED_BY)?;
    let damaged = |_| EngineError::Damaged("table meta: the id of the key is damaged".into());
    found.map(|id| id.try_into().map_err(damaged)).transpose()
}

impl SealedEngine {
    /// Over an engine that is sealed with this key.
    pub(crate) fn over(engine: Box<dyn Engine>, key: &DataKey) -> Result<Self, NoRandomness> {
        Ok(Self { engine, rows: RowSealer { sealer: Sealer::new(key, "rows")? } })
    }

    /// Over an empty engine, which is sealed with this key from here on.
    pub(crate) fn create(engine: Box<dyn Engine>, key: &DataKey) -> Result<Self, ApplyError> {
        let mut batch = Batch::default();
        batch.set(Table::Meta, SEALED_BY.to_vec(), Change::Put(key.id().to_vec()));
        engine.apply(&batch)?;
        Self::over(engine, key).map_err(|error| ApplyError::NotStored(error.to_string()))
    }
}

impl Engine for SealedEngine {
    fn caps(&self) -> Caps {
        self.engine.caps()
    }

    fn batch_operations_max(&self) -> usize {
        self.engine.batch_operations_max()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        Ok(Box::new(Opened { stored: self.engine.snapshot()?, rows: &self.rows }))
    }

    fn stored(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        self.engine.stored()
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let mut sealed = Batch::default();
        for (table, rows) in batch.tables() {
            for (key, value) in rows {
                let stored = self.rows.stored_key(table, key);
                let change = match value {
                    Some(value) => Change::Put(self.rows.seal(table, key, &stored, value)),
                    None => Change::Delete,
                };
                sealed.set(table, stored, change);
            }
        }
        self.engine.apply(&sealed)
    }
}

struct RowSealer {
    sealer: Sealer,
}

impl RowSealer {
    /// The key that a row lies under.
    fn stored_key(&self, table: Table, key: &[u8]) -> Key {
        let Some(user) = user_in(table, key) else { return key.to_vec() };
        let mut stored = key[..user.start].to_vec();
        stored.extend_from_slice(&self.user_name(table, &key[user.clone()]));
        // Behind a user id stands a zero byte, which a name of a fixed width does not need.
        stored.extend_from_slice(key.get(user.end + 1..).unwrap_or_default());
        stored
    }

    fn user_name(&self, table: Table, user: &[u8]) -> [u8; NAME_BYTES] {
        self.sealer.name(&[table.number()], user)
    }

    fn seal(&self, table: Table, key: &[u8], stored: &[u8], value: &[u8]) -> Vec<u8> {
        match treatment(table) {
            Treatment::Clear if table == Table::Meta && key == FORMAT_KEY => flagged(value),
            Treatment::Clear => value.to_vec(),
            Treatment::Entries if is_application(value) => value.to_vec(),
            Treatment::Entries | Treatment::Sealed => {
                let mut out = Vec::with_capacity(value.len() + key.len() + 64);
                out.push(SEALED);
                let place = context(table, stored);
                if user_in(table, key).is_some() {
                    let length = u32::try_from(key.len()).expect("keys are a few dozen bytes");
                    let plain = [&length.to_be_bytes()[..], key, value].concat();
                    self.sealer.seal_into(&mut out, &place, &plain);
                } else {
                    self.sealer.seal_into(&mut out, &place, value);
                }
                out
            }
        }
    }

    /// The true key and value of a row.
    fn open(&self, table: Table, stored: &[u8], value: &[u8]) -> Result<(Key, Vec<u8>), EngineError> {
        let refuse = |what: &str| EngineError::Damaged(format!("table {}: a row {what}", table.name()));
        match (treatment(table), value.split_first()) {
            (Treatment::Clear, _) if table == Table::Meta && stored == FORMAT_KEY => {
                Ok((stored.to_vec(), unflagged(value)))
            }
            (Treatment::Clear, _) => Ok((stored.to_vec(), value.to_vec())),
            (Treatment::Entries, _) if is_application(value) => Ok((stored.to_vec(), value.to_vec())),
            (_, Some((&SEALED, sealed))) => {
                let opened = self.sealer.open(&context(table, stored), sealed);
                let plain = opened.ok_or_else(|| refuse("does not open: it was changed or moved"))?;
                if !hides_user(table, stored) {
                    return Ok((stored.to_vec(), plain));
                }
                let split = plain.split_first_chunk::<4>().and_then(|(length, rest)| {
                    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
                });
                split
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .ok_or_else(|| refuse("does not say its key"))
            }
            (_, _) => Err(refuse("is not sealed")),
        }
    }

    /// The keys that the rows of a range lie under: at least those.
    fn stored_range(&self, table: Table, range: &KeyRange) -> KeyRange {
        match table {
            Table::UserDevices => {
                let user = range.from.iter().position(|byte| *byte == 0).map(|end| &range.from[..end]);
                match user {
                    Some(user) if within(range, &[user, &[0]].concat()) => {
                        KeyRange::prefix(&self.user_name(table, user))
                    }
                    _ => KeyRange::all(),
                }
            }
            Table::Notes => {
                let cut = |key: &Key| key[..key.len().min(RECIPIENT_PREFIX_BYTES)].to_vec();
                let to = range.to.as_ref().map(|to| match to.len() {
                    ..=RECIPIENT_PREFIX_BYTES => Some(to.clone()),
                    _ => KeyRange::prefix(&cut(to)).to,
                });
                KeyRange { from: cut(&range.from), to: to.flatten() }
            }
            _ => KeyRange::all(),
        }
    }
}

/// Whether a stored key has a name in the place of a user id.
fn hides_user(table: Table, stored: &[u8]) -> bool {
    match table {
        Table::Users | Table::BlobUsages | Table::UserDevices => true,
        Table::Notes => user_in(table, stored).is_some(),
        _ => false,
    }
}

/// Whether all keys of a range begin so.
fn within(range: &KeyRange, prefix: &[u8]) -> bool {
    let whole = KeyRange::prefix(prefix);
    range.from.starts_with(prefix) && range.to.is_some() && range.to <= whole.to
}

fn context(table: Table, stored: &[u8]) -> Vec<u8> {
    [&[table.number()], stored].concat()
}

fn flagged(format: &[u8]) -> Vec<u8> {
    format.try_into().map_or_else(
        |_| format.to_vec(),
        |number| (u32::from_be_bytes(number) | SEALED_FORMAT).to_be_bytes().to_vec(),
    )
}

fn unflagged(format: &[u8]) -> Vec<u8> {
    format.try_into().map_or_else(
        |_| format.to_vec(),
        |number| (u32::from_be_bytes(number) & !SEALED_FORMAT).to_be_bytes().to_vec(),
    )
}

/// A snapshot whose rows are opened while they are read.
struct Opened<'a> {
    stored: Box<dyn Snapshot + 'a>,
    rows: &'a RowSealer,
}

impl Opened<'_> {
    /// Visits rows under whatever keys they lie, opened.
    fn each(
        &self,
        table: Table,
        range: &KeyRange,
        visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let mut failure = None;
        self.stored.scan(table, range, &mut |stored, value| {
            if table == Table::Meta && stored == SEALED_BY {
                return ControlFlow::Continue(());
            }
            match self.rows.open(table, stored, value) {
                Ok((key, value)) => visit(key, value),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}

impl Snapshot for Opened<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let stored = self.rows.stored_key(table, key);
        let Some(value) = self.stored.get(table, &stored)? else { return Ok(None) };
        let (found, value) = self.rows.open(table, &stored, &value)?;
        if found != key {
            return Err(EngineError::Damaged(format!(
                "table {}: a row says another key than its own",
                table.name()
            )));
        }
        Ok(Some(value))
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        if !hides_users(table, range) {
            return self.each(table, range, &mut |key, value| visit(&key, &value));
        }
        let mut rows = Vec::new();
        self.each(table, &self.rows.stored_range(table, range), &mut |key, value| {
            if key >= range.from && range.to.as_ref().is_none_or(|to| key < *to) {
                rows.push((key, value));
            }
            ControlFlow::Continue(())
        })?;
        rows.sort_unstable();
        for (key, value) in rows {
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
