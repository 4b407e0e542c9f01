//! The audit log: appended with its chain, checked while reading.

use super::{Embedded, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    record::audit::AuditHeadRow,
    store::{Audit, AuditEntry, AuditRecord, ReadError, WriteError},
    table::{self, KeyRange, Table},
};

/// Key of the newest record's place in the table `meta`.
const HEAD: &[u8] = b"audit_head";

#[async_trait::async_trait]
impl Audit for Embedded {
    async fn record(&self, entry: AuditEntry) -> Result<u64, WriteError> {
        self.write(move |tx| record(tx, entry)).await
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
    let mut before = match after {
        0 => AuditHeadRow::default(),
        _ => AuditHeadRow::of(&rows::load(snapshot, &table::audit(after))?.ok_or_else(|| broken(after))?),
    };
    let range = KeyRange { from: table::audit(after + 1), to: None };
    let mut records = Vec::new();
    for (_, record) in rows::collect::<AuditRecord>(snapshot, &range, limit)? {
        if record != before.next(record.entry.clone()) {
            return Err(broken(before.number + 1));
        }
        before = AuditHeadRow::of(&record);
        records.push(record);
    }
    let cut_off = records.len() < limit && before.number < head.number;
    let reaches_head = before.number == head.number;
    if cut_off || (reaches_head && before != head) {
        return Err(broken(before.number + 1));
    }
    Ok(records)
}

fn broken(number: u64) -> ReadError {
    ReadError::Corrupt(format!("table {}: the chain breaks at record {number}", Table::Audit.name()))
}
