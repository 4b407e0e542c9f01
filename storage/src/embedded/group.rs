//! Groups and rosters, and the one write that ends an epoch.

use std::collections::BTreeSet;

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq};

use super::{Embedded, blob, inbox, log, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    limits,
    record::{
        group::{GroupRow, RosterRow},
        log::VerdictRow,
    },
    store::{
        AppendError, Appended, CommitRecord, CreateGroup, Delivered, Entry, GroupRecord, Groups, Kind,
        Membership, ReadError, RosterEntry, WriteError,
    },
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Groups for Embedded {
    async fn create_group(&self, group: CreateGroup) -> Result<Appended, AppendError> {
        let bytes = group.group_info.len() + group.group_state.len();
        self.writer.write(bytes, move |tx| create(tx, &group)).await
    }

    async fn commit(&self, commit: CommitRecord) -> Result<Appended, AppendError> {
        let welcome_bytes = commit.welcome.as_ref().map_or(0, |welcome| welcome.body.len());
        let bytes = commit.body.len() + commit.group_info.len() + commit.group_state.len() + welcome_bytes;
        self.writer.write(bytes, move |tx| end_epoch(tx, commit)).await
    }

    async fn verdict(&self, sender: DeviceId, message_id: MessageId) -> Result<Option<Appended>, ReadError> {
        let key = table::idempotency(Some(sender), message_id);
        self.on_snapshot(move |snapshot| {
            Ok(rows::load::<VerdictRow>(snapshot, &key)?.map(|verdict| verdict.repeated()))
        })
        .await
    }

    async fn group(&self, group: GroupId) -> Result<Option<GroupRecord>, ReadError> {
        self.on_snapshot(move |snapshot| record(snapshot, group)).await
    }

    async fn roster(&self, group: GroupId) -> Result<Vec<RosterEntry>, ReadError> {
        self.on_snapshot(move |snapshot| roster(snapshot, group)).await
    }

    async fn roster_entry(&self, group: GroupId, device: DeviceId) -> Result<Option<RosterEntry>, ReadError> {
        let key = table::roster(group, device);
        self.briefly(|snapshot| Ok(rows::load::<RosterRow>(snapshot, &key)?.map(|row| row.0)))
    }

    async fn memberships(&self, device: DeviceId) -> Result<Vec<Membership>, ReadError> {
        let some = self.briefly(|snapshot| {
            let groups = groups_of(snapshot, device, limits::GROUPS_BRIEF_MAX + 1)?;
            let few = groups.len() <= limits::GROUPS_BRIEF_MAX;
            few.then(|| memberships(snapshot, device, groups)).transpose()
        })?;
        match some {
            Some(few) => Ok(few),
            None => {
                self.on_snapshot(move |snapshot| {
                    memberships(snapshot, device, groups_of(snapshot, device, usize::MAX)?)
                })
                .await
            }
        }
    }

    async fn delivered(&self, group: GroupId) -> Result<Vec<Delivered>, ReadError> {
        self.on_snapshot(move |snapshot| {
            let members = roster(snapshot, group)?.into_iter().filter(|row| row.removed_at.is_none());
            Ok(members
                .map(|row| Delivered { user: row.user, device: row.device, acked: row.acked })
                .collect())
        })
        .await
    }

    async fn set_needs_re_add(
        &self,
        group: GroupId,
        device: DeviceId,
        needs: bool,
    ) -> Result<(), WriteError> {
        self.write(move |tx| {
            if let Some(mut row) = member(tx, group, device)?
                && row.0.needs_re_add != needs
            {
                row.0.needs_re_add = needs;
                put_roster(tx, group, &row);
            }
            Ok(())
        })
        .await
    }

    async fn forget_removed(&self, group: GroupId, device: DeviceId) -> Result<(), WriteError> {
        self.write(move |tx| {
            let row = tx.load::<RosterRow>(&table::roster(group, device))?;
            if row.is_some_and(|row| !row.is_member()) {
                forget(tx, group, device);
            }
            Ok(())
        })
        .await
    }
}

/// The roster row of a device that is a member.
pub(super) fn member(
    tx: &Transaction<'_>,
    group: GroupId,
    device: DeviceId,
) -> Result<Option<RosterRow>, WriteError> {
    Ok(tx.load::<RosterRow>(&table::roster(group, device))?.filter(RosterRow::is_member))
}

/// Every row of a roster.
pub(super) fn roster(snapshot: &dyn Snapshot, group: GroupId) -> Result<Vec<RosterEntry>, ReadError> {
    let rows = rows::collect::<RosterRow>(snapshot, &KeyRange::prefix(group.as_bytes()), usize::MAX)?;
    Ok(rows.into_iter().map(|(_, row)| row.0).collect())
}

/// Deletes a device's row and its place in the indexes.
pub(super) fn forget(tx: &mut Transaction<'_>, group: GroupId, device: DeviceId) {
    tx.delete(Table::Roster, table::roster(group, device));
    tx.delete(Table::Memberships, table::membership(device, group));
    tx.delete(Table::ReAdds, table::roster(group, device));
}

fn create(tx: &mut Transaction<'_>, new: &CreateGroup) -> Result<Appended, AppendError> {
    let verdict_key = table::idempotency(Some(new.creator.device), new.message_id);
    if let Some(verdict) = log::first_verdict(tx, &verdict_key)? {
        return Ok(verdict);
    }
    let key = table::group(new.group);
    if tx.exists(Table::Groups, &key)? {
        return Err(AppendError::GroupExists);
    }
    let verdict = VerdictRow { seq: 0, epoch: 0, at: new.at };
    log::remember(tx, verdict_key, &verdict);
    let posting_restricted = new.posting_restricted;
    let row = GroupRow { epoch: 0, head: 0, floor: 0, last_commit: 0, posting_restricted, open_since: 0 };
    tx.put(key.clone(), &row);
    tx.put_blob(Table::GroupInfos, key.clone(), &new.group_info);
    tx.put_blob(Table::GroupStates, key, &new.group_state);
    put_roster(tx, new.group, &RosterRow::joined(&new.creator, 0));
    Ok(verdict.first())
}

fn end_epoch(tx: &mut Transaction<'_>, commit: CommitRecord) -> Result<Appended, AppendError> {
    let verdict_key = table::idempotency(Some(commit.sender), commit.message_id);
    if let Some(verdict) = log::first_verdict(tx, &verdict_key)? {
        return Ok(verdict);
    }
    let key = table::group(commit.group);
    let mut row = tx.load::<GroupRow>(&key)?.ok_or(AppendError::GroupUnknown)?;
    if !commit.external && member(tx, commit.group, commit.sender)?.is_none() {
        return Err(AppendError::NotMember);
    }
    log::check_epoch(&row, commit.epoch, 0)?;

    row.epoch += 1;
    if commit.external {
        row.open_since = row.epoch;
    }
    row.posting_restricted = commit.posting_restricted;
    let entry = Entry {
        seq: 0,
        kind: Kind::Commit,
        epoch: commit.epoch,
        sender: Some(commit.sender),
        message_id: commit.message_id,
        at: commit.at,
        body: commit.body.clone(),
    };
    let appended = log::push(tx, commit.group, &mut row, entry);
    row.last_commit = appended.seq;
    change_roster(tx, &commit, appended.seq)?;
    if let Some(welcome) = &commit.welcome {
        inbox::deliver_welcome(tx, &commit, welcome, &appended)?;
    }
    push_application(tx, &commit, &mut row)?;
    tx.put_blob(Table::GroupInfos, key.clone(), &commit.group_info);
    tx.put_blob(Table::GroupStates, key.clone(), &commit.group_state);
    tx.put(key, &row);
    Ok(appended)
}

/// Removals first: a resynchronised device is removed from its old leaf and joins on a new one.
fn change_roster(tx: &mut Transaction<'_>, commit: &CommitRecord, seq: Seq) -> Result<(), WriteError> {
    for device in &commit.removed {
        if let Some(mut row) = member(tx, commit.group, *device)? {
            row.0.removed_at = Some(seq);
            row.0.needs_re_add = false;
            put_roster(tx, commit.group, &row);
        }
    }
    for joined in &commit.joined {
        put_roster(tx, commit.group, &RosterRow::joined(joined, seq));
    }
    for (device, may_post) in &commit.may_post {
        if let Some(mut row) = member(tx, commit.group, *device)? {
            row.0.may_post = *may_post;
            put_roster(tx, commit.group, &row);
        }
    }
    Ok(())
}

/// Appends the first message of the new epoch, under the rules of that epoch.
fn push_application(
    tx: &mut Transaction<'_>,
    commit: &CommitRecord,
    row: &mut GroupRow,
) -> Result<(), AppendError> {
    let Some((message_id, body)) = &commit.application else { return Ok(()) };
    if log::first_verdict(tx, &table::idempotency(Some(commit.sender), *message_id))?.is_some() {
        return Ok(());
    }
    let sender = member(tx, commit.group, commit.sender)?.ok_or(AppendError::NotMember)?;
    if row.posting_restricted && !sender.0.may_post {
        return Err(AppendError::PostDenied);
    }
    blob::refer(tx, commit.group, &commit.application_blobs, commit.at)?;
    let entry = Entry {
        seq: 0,
        kind: Kind::Application,
        epoch: row.epoch,
        sender: Some(commit.sender),
        message_id: *message_id,
        at: commit.at,
        body: body.clone(),
    };
    log::push(tx, commit.group, row, entry);
    Ok(())
}

/// Stores a roster row and keeps the indexes in step with it.
fn put_roster(tx: &mut Transaction<'_>, group: GroupId, row: &RosterRow) {
    let key = table::roster(group, row.0.device);
    tx.put_mark(Table::Memberships, table::membership(row.0.device, group));
    if row.0.needs_re_add {
        tx.put_mark(Table::ReAdds, key.clone());
    } else {
        tx.delete(Table::ReAdds, key.clone());
    }
    tx.put(key, row);
}

fn record(snapshot: &dyn Snapshot, group: GroupId) -> Result<Option<GroupRecord>, ReadError> {
    let key = table::group(group);
    let Some(row) = rows::load::<GroupRow>(snapshot, &key)? else { return Ok(None) };
    let part = |table: Table| rows::load_blob(snapshot, table, &key)?.ok_or_else(|| lost(table));
    Ok(Some(GroupRecord {
        epoch: row.epoch,
        head: row.head,
        floor: row.floor,
        last_commit: row.last_commit,
        group_info: part(Table::GroupInfos)?,
        group_state: part(Table::GroupStates)?,
        posting_restricted: row.posting_restricted,
    }))
}

/// Groups that a device is in, or was until it has acknowledged its removal.
fn groups_of(snapshot: &dyn Snapshot, device: DeviceId, limit: usize) -> Result<Vec<GroupId>, ReadError> {
    let keys = rows::keys(snapshot, Table::Memberships, &KeyRange::prefix(device.as_bytes()), limit)?;
    let group = |key: &table::Key| {
        table::last_id(key).map(GroupId::new).ok_or_else(|| rows::bad_key(Table::Memberships))
    };
    keys.iter().map(group).collect()
}

fn memberships(
    snapshot: &dyn Snapshot,
    device: DeviceId,
    groups: Vec<GroupId>,
) -> Result<Vec<Membership>, ReadError> {
    groups.into_iter().map(|group| membership(snapshot, device, group)).collect()
}

fn membership(snapshot: &dyn Snapshot, device: DeviceId, group: GroupId) -> Result<Membership, ReadError> {
    let row = rows::load::<GroupRow>(snapshot, &table::group(group))?.ok_or_else(|| lost(Table::Groups))?;
    let entry = rows::load::<RosterRow>(snapshot, &table::roster(group, device))?
        .ok_or_else(|| lost(Table::Roster))?;
    let waiting = rows::keys(snapshot, Table::ReAdds, &KeyRange::prefix(group.as_bytes()), usize::MAX)?;
    let waiting: Option<BTreeSet<_>> =
        waiting.iter().map(|key| table::last_id(key).map(DeviceId::new)).collect();
    Ok(Membership {
        group,
        epoch: row.epoch,
        head: row.head,
        floor: row.floor,
        entry: entry.0,
        needs_re_add: waiting.ok_or_else(|| rows::bad_key(Table::ReAdds))?.into_iter().collect(),
    })
}

/// A row that another one says must be there.
fn lost(table: Table) -> ReadError {
    ReadError::Corrupt(format!("table {}: a row is missing", table.name()))
}
