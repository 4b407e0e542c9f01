//! The model's timers, notes and audit log.

use std::sync::Arc;

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::{Model, State};
use crate::{
    limits,
    record::audit::AuditHeadRow,
    store::{
        Audit, AuditCut, AuditEntry, AuditPlan, AuditPruned, AuditRecord, Effect, NoteDecision, NoteKey,
        NoteKind, Notes, ReadError, Timer, TimerEffects, Timers, WriteError,
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
                state.carry_out(effect);
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
impl Notes for Model {
    async fn note(&self, key: NoteKey) -> Result<Option<Bytes>, ReadError> {
        Ok(self.state().notes.get(&key).cloned())
    }

    async fn notes(
        &self,
        kind: NoteKind,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, ReadError> {
        let state = self.state();
        let wanted = state.notes.iter().filter(|(at, _)| at.kind == kind && at.key.starts_with(&prefix));
        let wanted = wanted.filter(|(at, _)| after.as_ref().is_none_or(|after| at.key > *after));
        Ok(wanted.take(limit).map(|(at, value)| (at.key.clone(), value.clone())).collect())
    }

    async fn change(&self, read: Vec<NoteKey>, decide: Box<NoteDecision>) -> Result<(), WriteError> {
        let mut state = self.state();
        let found: Vec<_> = read.iter().map(|key| state.notes.get(key).cloned()).collect();
        decide(&found).into_iter().for_each(|effect| state.carry_out(effect));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Audit for Model {
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError> {
        Ok(self.state().record(entry))
    }

    async fn prune_audit(&self, cut: AuditCut) -> Result<AuditPruned, WriteError> {
        let mut state = self.state();
        let head = state.audit.last().map_or(0, |record| record.number);
        let mut plan = AuditPlan::new(cut, head, limits::AUDIT_PRUNED_PER_WRITE_MAX);
        state.audit.iter().all(|record| plan.show(record));
        let plan = plan.finish();
        state.audit.retain(|record| !plan.remove.contains(&record.number));
        for record in state.audit.iter_mut().filter(|record| plan.empty.contains(&record.number)) {
            *record = record.clone().emptied();
        }
        Ok(plan.pruned())
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError> {
        let state = self.state();
        let wanted = state.audit.iter().filter(|record| record.number > after);
        Ok(wanted.take(limit).cloned().collect())
    }
}

impl State {
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Arm(timer) => {
                self.timers.insert(timer.id, timer);
            }
            Effect::Disarm(id) => {
                self.timers.remove(&id);
            }
            Effect::Put(at, value) => {
                self.notes.insert(at, value);
            }
            Effect::Erase(at) => {
                self.notes.remove(&at);
            }
            Effect::Audit(entry) => {
                self.record(entry);
            }
        }
    }

    fn record(&mut self, entry: AuditEntry) -> u64 {
        let head = self.audit.last().map(AuditHeadRow::of).unwrap_or_default();
        let record = head.next(entry);
        let number = record.number;
        self.audit.push(record);
        number
    }
}
