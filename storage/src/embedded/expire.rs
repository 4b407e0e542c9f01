//! Deletes what nobody needs any more, in slices between which appends get their turn.
//!
//! What may go is searched for on a snapshot, off the writer. That is safe because it can only become
//! more: cursors and the floor never go back, and who joins later starts behind the head.

use std::sync::{Mutex, PoisonError};

use cercle_proto::id::{GroupId, Seq};

use super::{Embedded, group, inbox, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    limits,
    record::{
        expiry::{self, ExpiryRow},
        group::GroupRow,
        inbox::WelcomePointersRow,
        key_package::{ClaimRow, SpentRow},
        log::{EntryRow, VerdictRow},
    },
    store::{ExpirePolicy, Expired, InvitationRecord, ReadError, WriteError},
    table::{self, Key, KeyRange, Table},
};

/// The group after which the next call goes on; `None`: at the first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position(Option<GroupId>);

/// A group's floor is to be raised to an entry.
#[derive(Debug, Clone, Copy)]
struct Raise {
    group: GroupId,
    floor: Seq,
    entries: usize,
}

struct Plan {
    raises: Vec<Raise>,
    /// Where the next call goes on.
    position: Position,
    /// The last group was not reached.
    more: bool,
}

/// Carries out [`crate::store::Maintenance::expire`].
pub(super) async fn expire(store: &Embedded, policy: ExpirePolicy) -> Result<Expired, WriteError> {
    // A budget of nothing would never get anywhere.
    let policy = ExpirePolicy { budget_rows: policy.budget_rows.max(1), ..policy };
    let mut expired = Expired::default();
    let from = *lock(&store.expire_from);
    let plan = store.on_snapshot(move |snapshot| plan(snapshot, &policy, from)).await?;
    *lock(&store.expire_from) = plan.position;
    expired.more = plan.more;

    for slice in slices(&plan.raises) {
        expired.entries += store.write(move |tx| raise_floors(tx, &slice)).await?;
    }
    let mut budget = policy.budget_rows.saturating_sub(expired.entries);
    loop {
        let slice = budget.min(limits::EXPIRE_ROWS_PER_WRITE_MAX);
        let due = store.write(move |tx| delete_due(tx, policy.keep_records_after, slice)).await?;
        expired.records += due.deleted;
        budget = budget.saturating_sub(due.looked_at);
        if !due.more || budget == 0 {
            expired.more |= due.more;
            return Ok(expired);
        }
    }
}

fn lock(position: &Mutex<Position>) -> std::sync::MutexGuard<'_, Position> {
    // A position is one value: a panic elsewhere cannot leave it half written.
    position.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds groups whose floor can rise, from a position on, until the budget is spent.
fn plan(snapshot: &dyn Snapshot, policy: &ExpirePolicy, from: Position) -> Result<Plan, ReadError> {
    let range = from.0.map_or_else(KeyRange::all, |group| KeyRange::prefix_after(&[], group.as_bytes()));
    let groups = rows::collect::<GroupRow>(snapshot, &range, limits::EXPIRE_GROUPS_PER_CALL_MAX)?;
    let reached_end = groups.len() < limits::EXPIRE_GROUPS_PER_CALL_MAX;
    let mut budget = policy.budget_rows;
    let mut plan = Plan { raises: Vec::new(), position: from, more: true };
    for (key, row) in groups {
        let group = GroupId::new(table::last_id(&key).ok_or_else(|| rows::bad_key(Table::Groups))?);
        let floor = deletable_up_to(snapshot, group, &row, policy, budget)?;
        plan_raise(&mut plan.raises, group, row.floor, floor);
        budget -= length(floor - row.floor);
        if budget == 0 {
            // This group may have more to give: the next call looks at it again.
            return Ok(plan);
        }
        plan.position = Position(Some(group));
    }
    if reached_end {
        plan.position = Position(None);
        plan.more = false;
    }
    Ok(plan)
}

/// Splits a raise into steps that one write may take.
fn plan_raise(raises: &mut Vec<Raise>, group: GroupId, mut from: Seq, to: Seq) {
    while from < to {
        let entries = length(to - from).min(limits::EXPIRE_ROWS_PER_WRITE_MAX);
        from += entries as u64;
        raises.push(Raise { group, floor: from, entries });
    }
}

/// The entry up to which all may go: acknowledged by every member, or too old. A group without members
/// keeps its entries until they are too old, for those who still read up to their removal.
fn deletable_up_to(
    snapshot: &dyn Snapshot,
    group: GroupId,
    row: &GroupRow,
    policy: &ExpirePolicy,
    budget: usize,
) -> Result<Seq, ReadError> {
    let end = row.head.min(row.floor.saturating_add(budget as u64));
    if end == row.floor {
        return Ok(row.floor);
    }
    let roster = group::roster(snapshot, group)?;
    let members = roster.iter().filter(|entry| entry.removed_at.is_none());
    let acked = members.map(|entry| entry.acked).min().unwrap_or(0);
    let mut floor = acked.clamp(row.floor, end);
    let range = KeyRange { from: table::entry(group, floor + 1), to: Some(table::entry(group, end + 1)) };
    rows::each(snapshot, &range, |_, EntryRow(entry)| {
        let too_old = entry.at < policy.keep_after;
        if too_old {
            floor = entry.seq;
        }
        Ok(rows::go_on(too_old))
    })?;
    Ok(floor)
}

fn length(entries: u64) -> usize {
    usize::try_from(entries).unwrap_or(usize::MAX)
}

/// Packs raises into as few writes as the limit allows.
fn slices(raises: &[Raise]) -> Vec<Vec<Raise>> {
    let mut slices: Vec<Vec<Raise>> = Vec::new();
    let mut rows = 0;
    for raise in raises {
        rows += raise.entries;
        match slices.last_mut() {
            Some(slice) if rows <= limits::EXPIRE_ROWS_PER_WRITE_MAX => slice.push(*raise),
            _ => {
                rows = raise.entries;
                slices.push(vec![*raise]);
            }
        }
    }
    slices
}

fn raise_floors(tx: &mut Transaction<'_>, raises: &[Raise]) -> Result<usize, WriteError> {
    let mut deleted = 0;
    for raise in raises {
        deleted += raise_floor(tx, raise)?;
    }
    Ok(deleted)
}

fn raise_floor(tx: &mut Transaction<'_>, raise: &Raise) -> Result<usize, WriteError> {
    let key = table::group(raise.group);
    let Some(mut row) = tx.load::<GroupRow>(&key)? else { return Ok(0) };
    let floor = raise.floor.min(row.head);
    if floor <= row.floor {
        return Ok(0);
    }
    for seq in row.floor + 1..=floor {
        tx.delete(Table::Log, table::entry(raise.group, seq));
    }
    let deleted = length(floor - row.floor);
    row.floor = floor;
    tx.put(key, &row);
    for entry in group::roster(tx, raise.group)? {
        if entry.removed_at.is_some_and(|removed_at| removed_at <= floor) {
            group::forget(tx, raise.group, entry.device);
        }
    }
    Ok(deleted)
}

/// What one slice of the expiry index gave.
struct Due {
    deleted: usize,
    looked_at: usize,
    more: bool,
}

/// Follows the expiry index up to a time and deletes what it points to, if that is still due.
fn delete_due(tx: &mut Transaction<'_>, keep_after: u64, budget: usize) -> Result<Due, WriteError> {
    let end = expiry::bucket(keep_after);
    let range = KeyRange { from: Vec::new(), to: Some(end.to_be_bytes().to_vec()) };
    let mut due = Due { deleted: 0, looked_at: 0, more: false };
    let mut index_rows = Vec::new();
    rows::each(tx, &range, |key, row: ExpiryRow| {
        due.more = due.looked_at >= budget;
        if !due.more {
            due.looked_at += row.subjects.len();
            index_rows.push((key.to_vec(), row));
        }
        Ok(rows::go_on(!due.more))
    })?;
    for (key, row) in index_rows {
        let (_, kind) = expiry::parse_key(&key).map_err(ReadError::from)?;
        for subject in row.subjects {
            due.deleted += usize::from(delete_if_due(tx, kind, subject, end)?);
        }
        tx.delete(Table::Expiry, key);
    }
    Ok(due)
}

/// Deletes a subject if its own time lies before the end; a later time has an index row of its own.
fn delete_if_due(
    tx: &mut Transaction<'_>,
    kind: expiry::Kind,
    subject: Key,
    end: u64,
) -> Result<bool, WriteError> {
    let (table, at) = match kind {
        expiry::Kind::Verdict => (Table::Idempotency, tx.load(&subject)?.map(|row: VerdictRow| row.at)),
        expiry::Kind::Claim => (Table::Claims, tx.load(&subject)?.map(|row: ClaimRow| row.at)),
        expiry::Kind::Welcome => (Table::Welcomes, tx.load(&subject)?.map(|row: WelcomePointersRow| row.at)),
        expiry::Kind::Invitation => {
            (Table::Invitations, tx.load(&subject)?.map(|row: InvitationRecord| row.expires_at))
        }
        expiry::Kind::SpentKeyPackage => {
            (Table::SpentKeyPackages, tx.load(&subject)?.map(|row: SpentRow| row.at))
        }
    };
    if at.is_none_or(|at| expiry::bucket(at) >= end) {
        return Ok(false);
    }
    if kind == expiry::Kind::Welcome {
        inbox::delete_welcome(tx, &subject);
    } else {
        tx.delete(table, subject);
    }
    Ok(true)
}
