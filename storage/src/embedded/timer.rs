//! Durable timers and notes: timers fire with their effects in the same write, notes are decided upon where
//! they are written.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::{Embedded, audit, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    record::{self, timer::TimerRow},
    store::{
        Effect, NoteDecision, NoteKey, NoteKind, Notes, ReadError, Timer, TimerEffects, Timers, WriteError,
    },
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Timers for Embedded {
    async fn arm(&self, timer: Timer) -> Result<(), WriteError> {
        self.write(move |tx| arm(tx, timer)).await
    }

    async fn disarm(&self, id: [u8; 16]) -> Result<(), WriteError> {
        self.write(move |tx| {
            take(tx, &id)?;
            Ok(())
        })
        .await
    }

    async fn fire_due(
        &self,
        now: TimestampMs,
        limit: usize,
        effects: Arc<TimerEffects>,
    ) -> Result<Vec<Timer>, WriteError> {
        self.write(move |tx| fire_due(tx, now, limit, &*effects)).await
    }

    async fn next_due(&self) -> Result<Option<TimestampMs>, ReadError> {
        self.on_snapshot(|snapshot| {
            let first = rows::keys(snapshot, Table::TimersDue, &KeyRange::all(), 1)?;
            first.first().map(|key| due_of(key).map(|(due, _)| due)).transpose()
        })
        .await
    }
}

#[async_trait::async_trait]
impl Notes for Embedded {
    async fn note(&self, key: NoteKey) -> Result<Option<Bytes>, ReadError> {
        self.on_snapshot(move |snapshot| rows::load_blob(snapshot, Table::Notes, &table::note(&key))).await
    }

    async fn notes(
        &self,
        kind: NoteKind,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, ReadError> {
        self.on_snapshot(move |snapshot| notes(snapshot, kind, &prefix, after, limit)).await
    }

    async fn change(&self, read: Vec<NoteKey>, decide: Box<NoteDecision>) -> Result<(), WriteError> {
        self.write(move |tx| {
            let load = |key: &NoteKey| rows::load_blob(tx, Table::Notes, &table::note(key));
            let found = read.iter().map(load).collect::<Result<Vec<_>, _>>()?;
            decide(&found).into_iter().try_for_each(|effect| carry_out(tx, effect))
        })
        .await
    }
}

fn notes(
    snapshot: &dyn Snapshot,
    kind: NoteKind,
    prefix: &[u8],
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Bytes)>, ReadError> {
    let key = |key: &[u8]| table::note(&NoteKey::new(kind, key));
    let range = match after {
        Some(after) => KeyRange::prefix_after(&key(prefix), &key(&after)),
        None => KeyRange::prefix(&key(prefix)),
    };
    let mut found = Vec::new();
    let mut failure = None;
    let mut visit = |key: &[u8], value: &[u8]| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        match record::decode_blob(Table::Notes, value) {
            Ok(value) => found.push((key.get(1..).unwrap_or_default().to_vec(), value)),
            Err(error) => {
                failure = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    snapshot.scan(Table::Notes, &range, &mut visit).map_err(rows::engine)?;
    failure.map_or(Ok(found), |error| Err(error.into()))
}

fn arm(tx: &mut Transaction<'_>, timer: Timer) -> Result<(), WriteError> {
    take(tx, &timer.id)?;
    tx.put_mark(Table::TimersDue, table::timer_due(timer.due, &timer.id));
    tx.put(timer.id.to_vec(), &TimerRow { due: timer.due, payload: timer.payload });
    Ok(())
}

/// Removes a timer if it is armed.
fn take(tx: &mut Transaction<'_>, id: &[u8; 16]) -> Result<Option<Timer>, WriteError> {
    let Some(row) = tx.load::<TimerRow>(id)? else { return Ok(None) };
    tx.delete(Table::TimersDue, table::timer_due(row.due, id));
    tx.delete(Table::Timers, id.to_vec());
    Ok(Some(Timer { id: *id, due: row.due, payload: row.payload }))
}

fn fire_due(
    tx: &mut Transaction<'_>,
    now: TimestampMs,
    limit: usize,
    effects: &TimerEffects,
) -> Result<Vec<Timer>, WriteError> {
    let range = KeyRange { from: Vec::new(), to: now.checked_add(1).map(|end| end.to_be_bytes().to_vec()) };
    let mut fired = Vec::new();
    for key in rows::keys(tx, Table::TimersDue, &range, limit)? {
        // An effect of a timer before it may have armed it anew, for another time.
        if !tx.exists(Table::TimersDue, &key)? {
            continue;
        }
        let (_, id) = due_of(&key)?;
        let Some(timer) = take(tx, &id)? else { continue };
        for effect in effects(&timer) {
            carry_out(tx, effect)?;
        }
        fired.push(timer);
    }
    Ok(fired)
}

fn carry_out(tx: &mut Transaction<'_>, effect: Effect) -> Result<(), WriteError> {
    match effect {
        Effect::Arm(timer) => arm(tx, timer)?,
        Effect::Disarm(id) => {
            take(tx, &id)?;
        }
        Effect::Put(at, value) => tx.put_blob(Table::Notes, table::note(&at), &value),
        Effect::Erase(at) => tx.delete(Table::Notes, table::note(&at)),
        Effect::Audit(entry) => {
            audit::record(tx, entry)?;
        }
    }
    Ok(())
}

/// Time and id from a key of the index.
fn due_of(key: &[u8]) -> Result<(TimestampMs, [u8; 16]), ReadError> {
    let parts = key.first_chunk::<8>().zip(table::last_id(key)).filter(|_| key.len() == 24);
    let (due, id) = parts.ok_or_else(|| rows::bad_key(Table::TimersDue))?;
    Ok((TimestampMs::from_be_bytes(*due), id))
}
