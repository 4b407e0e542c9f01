//! The audit log: appended with its chain, checked while reading.

use super::{Embedded, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    limits,
    record::audit::AuditHeadRow,
    store::{Audit, AuditCut, AuditEntry, AuditPlan, AuditPruned, AuditRecord, ReadError, WriteError},
    table::{self, KeyRange, Table},
};

/// Key of the newest record's place in the table `meta`.
const HEAD: &[u8] = b"audit_head";

#[async_trait::async_trait]
impl Audit for Embedded {
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError> {
        self.write(move |tx| record(tx, entry)).await
    }

    async fn prune_audit(&self, cut: AuditCut) -> Result<AuditPruned, WriteError> {
        // The whole log is looked through, so not on the writer.
        let plan = self.on_snapshot(move |snapshot| plan(snapshot, cut)).await?;
        if plan.remove.is_empty() && plan.empty.is_empty() {
            return Ok(AuditPruned::default());
        }
        self.write(move |tx| prune(tx, &plan)).await
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError> {
        self.on_snapshot(move |snapshot| checked(snapshot, after, limit)).await
    }
}

/// Appends an entry and returns its number.
pub(super) fn record(tx: &mut Transaction<'_>, entry: AuditEntry) -> Result<u64, WriteError> {
    let record = tx.load::<AuditHeadRow>(HEAD)?.unwrap_or_default().next(entry);
    tx.put(HEAD.to_vec(), &AuditHeadRow::of(&record));
    tx.put(table::audit(record.number), &record);
    Ok(record.number)
}

fn checked(snapshot: &dyn Snapshot, after: u64, limit: usize) -> Result<Vec<AuditRecord>, ReadError> {
    let head = rows::load::<AuditHeadRow>(snapshot, HEAD)?.unwrap_or_default();
    if after >= head.number || limit == 0 {
        return Ok(Vec::new());
    }
    // What a reader has seen may be gone by now: then the log begins with a record that was emptied.
    let mut before = match after {
        0 => None,
        _ => rows::load(snapshot, &table::audit(after))?.as_ref().map(AuditHeadRow::of),
    };
    let range = KeyRange { from: table::audit(after + 1), to: None };
    let mut records = Vec::new();
    for (_, record) in rows::collect::<AuditRecord>(snapshot, &range, limit)? {
        if !record.follows_head(before.as_ref()) {
            return Err(broken(before.map_or(after, |before| before.number) + 1));
        }
        before = Some(AuditHeadRow::of(&record));
        records.push(record);
    }
    let before = before.unwrap_or_default();
    let cut_off = records.len() < limit && before.number < head.number;
    let reaches_head = before.number == head.number;
    if cut_off || (reaches_head && before != head) {
        return Err(broken(before.number + 1));
    }
    Ok(records)
}

/// What has outlived its time.
fn plan(snapshot: &dyn Snapshot, cut: AuditCut) -> Result<AuditPlan, ReadError> {
    let head = rows::load::<AuditHeadRow>(snapshot, HEAD)?.unwrap_or_default();
    let mut plan = AuditPlan::new(cut, head.number, limits::AUDIT_PRUNED_PER_WRITE_MAX);
    rows::each::<AuditRecord>(snapshot, &KeyRange::all(), |_, record| Ok(rows::go_on(plan.show(&record))))?;
    Ok(plan.finish())
}

/// Carries a plan out. Records are never changed otherwise, so it holds whenever it was made.
fn prune(tx: &mut Transaction<'_>, plan: &AuditPlan) -> Result<AuditPruned, WriteError> {
    for number in &plan.remove {
        tx.delete(Table::Audit, table::audit(*number));
    }
    for number in &plan.empty {
        let key = table::audit(*number);
        if let Some(record) = tx.load::<AuditRecord>(&key)? {
            tx.put(key, &record.emptied());
        }
    }
    Ok(plan.pruned())
}

fn broken(number: u64) -> ReadError {
    ReadError::Corrupt(format!("table {}: the chain breaks at record {number}", Table::Audit.name()))
}
