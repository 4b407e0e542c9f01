//! Durable timers: they fire with their effects in the same write.

use std::sync::Arc;

use cercle_proto::id::TimestampMs;

use super::{Embedded, audit, rows, transaction::Transaction};
use crate::{
    record::timer::TimerRow,
    store::{ReadError, Timer, TimerEffect, TimerEffects, Timers, WriteError},
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
            match effect {
                TimerEffect::Arm(timer) => arm(tx, timer)?,
                TimerEffect::Audit(entry) => {
                    audit::record(tx, entry)?;
                }
            }
        }
        fired.push(timer);
    }
    Ok(fired)
}

/// Time and id from a key of the index.
fn due_of(key: &[u8]) -> Result<(TimestampMs, [u8; 16]), ReadError> {
    let parts = key.first_chunk::<8>().zip(table::last_id(key)).filter(|_| key.len() == 24);
    let (due, id) = parts.ok_or_else(|| rows::bad_key(Table::TimersDue))?;
    Ok((TimestampMs::from_be_bytes(*due), id))
}
