//! The model's timers and audit log.

use std::sync::Arc;

use cercle_proto::id::TimestampMs;

use super::{Model, State};
use crate::{
    record::audit::AuditHeadRow,
    store::{
        Audit, AuditEntry, AuditRecord, ReadError, Timer, TimerEffect, TimerEffects, Timers, WriteError,
    },
};

#[async_trait::async_trait]
impl Timers for Model {
    async fn arm(&self, timer: Timer) -> Result<(), WriteError> {
        self.state().timers.insert(timer.id, timer);
        Ok(())
    }

    async fn disarm(&self, id: [u8; 16]) -> Result<(), WriteError> {
        self.state().timers.remove(&id);
        Ok(())
    }

    async fn fire_due(
        &self,
        now: TimestampMs,
        limit: usize,
        effects: Arc<TimerEffects>,
    ) -> Result<Vec<Timer>, WriteError> {
        let mut state = self.state();
        let mut due: Vec<_> = state.timers.values().map(|timer| (timer.due, timer.id)).collect();
        due.retain(|(due, _)| *due <= now);
        due.sort_unstable();
        let mut fired = Vec::new();
        for (due, id) in due.into_iter().take(limit) {
            // An effect of a timer before it may have armed it anew, for another time.
            if state.timers.get(&id).is_none_or(|timer| timer.due != due) {
                continue;
            }
            let Some(timer) = state.timers.remove(&id) else { continue };
            for effect in effects(&timer) {
                match effect {
                    TimerEffect::Arm(timer) => {
                        state.timers.insert(timer.id, timer);
                    }
                    TimerEffect::Audit(entry) => {
                        state.record(entry);
                    }
                }
            }
            fired.push(timer);
        }
        Ok(fired)
    }

    async fn next_due(&self) -> Result<Option<TimestampMs>, ReadError> {
        Ok(self.state().timers.values().map(|timer| timer.due).min())
    }
}

#[async_trait::async_trait]
impl Audit for Model {
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError> {
        Ok(self.state().record(entry))
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError> {
        let state = self.state();
        let wanted = state.audit.iter().filter(|record| record.number > after);
        Ok(wanted.take(limit).cloned().collect())
    }
}

impl State {
    fn record(&mut self, entry: AuditEntry) -> u64 {
        let head = self.audit.last().map(AuditHeadRow::of).unwrap_or_default();
        let record = head.next(entry);
        let number = record.number;
        self.audit.push(record);
        number
    }
}
