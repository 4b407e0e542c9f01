//! Users, devices and invitations.

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, TimestampMs, UserId};

use super::{Embedded, key_package, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    record::{expiry, group::RosterRow},
    store::{
        Accounts, DeviceRecord, EnrolError, Enrolment, InvitationRecord, Opening, ReadError, UserRecord,
        WriteError,
    },
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Accounts for Embedded {
    async fn put_user(&self, user: UserRecord) -> Result<(), WriteError> {
        self.write(move |tx| {
            tx.put(table::user(&user.user), &user);
            Ok(())
        })
        .await
    }

    async fn user(&self, user: &UserId) -> Result<Option<UserRecord>, ReadError> {
        let key = table::user(user);
        self.briefly(|snapshot| rows::load(snapshot, &key))
    }

    async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>, ReadError> {
        let range =
            after.map_or_else(KeyRange::all, |after| KeyRange::prefix_after(&[], &table::user(&after)));
        self.on_snapshot(move |snapshot| {
            let rows = rows::collect(snapshot, &range, limit)?;
            Ok(rows.into_iter().map(|(_, user)| user).collect())
        })
        .await
    }

    async fn put_invitation(&self, invitation: InvitationRecord) -> Result<(), WriteError> {
        self.write(move |tx| {
            let key = invitation.secret_hash.to_vec();
            tx.note_expiry(expiry::Kind::Invitation, invitation.expires_at, key.clone());
            tx.put(key, &invitation);
            Ok(())
        })
        .await
    }

    async fn invitation(&self, secret_hash: [u8; 32]) -> Result<Option<InvitationRecord>, ReadError> {
        self.briefly(|snapshot| rows::load(snapshot, &secret_hash))
    }

    async fn enrol(&self, enrolment: Enrolment, devices_max: usize) -> Result<DeviceRecord, EnrolError> {
        self.write(move |tx| enrol(tx, enrolment, devices_max)).await
    }

    async fn readmit(&self, device: DeviceRecord, user: UserRecord) -> Result<DeviceRecord, WriteError> {
        self.write(move |tx| {
            let key = table::device(device.device);
            if let Some(on_file) = tx.load::<DeviceRecord>(&key)? {
                return Ok(on_file);
            }
            let user_key = table::user(&user.user);
            if !tx.exists(Table::Users, &user_key)? {
                tx.put(user_key, &user);
            }
            tx.put(key, &device);
            tx.put_mark(Table::UserDevices, table::user_device(&device.user, device.device));
            Ok(device)
        })
        .await
    }

    async fn device(&self, device: DeviceId) -> Result<Option<DeviceRecord>, ReadError> {
        self.briefly(|snapshot| rows::load(snapshot, &table::device(device)))
    }

    async fn opening(&self, device: DeviceId) -> Result<Option<Opening>, ReadError> {
        self.briefly(|snapshot| {
            let Some(record) = rows::load::<DeviceRecord>(snapshot, &table::device(device))? else {
                return Ok(None);
            };
            let Some(user) = rows::load::<UserRecord>(snapshot, &table::user(&record.user))? else {
                return Ok(None);
            };
            let key_packages_left = key_package::left(snapshot, device)?;
            Ok(Some(Opening { device: record, user, key_packages_left }))
        })
    }

    async fn devices_of(&self, user: &UserId) -> Result<Vec<DeviceRecord>, ReadError> {
        let user = user.clone();
        self.on_snapshot(move |snapshot| devices_of(snapshot, &user)).await
    }

    async fn set_certificate(
        &self,
        device: DeviceId,
        certificate: Bytes,
        expires_at: TimestampMs,
    ) -> Result<(), WriteError> {
        self.write(move |tx| {
            let record = tx.load::<DeviceRecord>(&table::device(device))?;
            if let Some(record) = record.filter(|record| record.revoked_at.is_none()) {
                tx.put(table::device(device), &DeviceRecord { certificate, expires_at, ..record });
            }
            Ok(())
        })
        .await
    }

    async fn set_last_seen(&self, device: DeviceId, at: TimestampMs) -> Result<(), WriteError> {
        self.write(move |tx| {
            let record = tx.load::<DeviceRecord>(&table::device(device))?;
            if let Some(record) = record.filter(|record| record.last_seen_at < at) {
                tx.put(table::device(device), &DeviceRecord { last_seen_at: at, ..record });
            }
            Ok(())
        })
        .await
    }

    async fn revoke(&self, device: DeviceId, at: TimestampMs) -> Result<bool, WriteError> {
        self.write(move |tx| revoke(tx, device, at)).await
    }

    async fn revoked_members(&self) -> Result<Vec<(DeviceId, GroupId)>, ReadError> {
        self.on_snapshot(revoked_members).await
    }
}

fn devices_of(from: &dyn Snapshot, user: &UserId) -> Result<Vec<DeviceRecord>, ReadError> {
    let keys =
        rows::keys(from, Table::UserDevices, &KeyRange::prefix(&table::user_devices(user)), usize::MAX)?;
    let record = |key: &table::Key| {
        let device = table::last_id(key).ok_or_else(|| rows::bad_key(Table::UserDevices))?;
        rows::load(from, &device)?.ok_or_else(|| rows::bad_key(Table::UserDevices))
    };
    keys.iter().map(record).collect()
}

fn enrol(
    tx: &mut Transaction<'_>,
    enrolment: Enrolment,
    devices_max: usize,
) -> Result<DeviceRecord, EnrolError> {
    let Enrolment { secret_hash, device, now } = enrolment;
    let invitation = tx.load::<InvitationRecord>(&secret_hash)?.ok_or(EnrolError::Unknown)?;
    let key = table::device(device.device);
    let on_file = tx.load::<DeviceRecord>(&key)?;
    if let Some(used_by) = invitation.used_by {
        let same =
            |on_file: &DeviceRecord| used_by == device.device && on_file.public_key == device.public_key;
        return on_file.filter(same).ok_or(EnrolError::Used);
    }
    if now > invitation.expires_at {
        return Err(EnrolError::Expired);
    }
    if device.user != invitation.user {
        return Err(EnrolError::Unknown);
    }
    let record = match on_file {
        Some(on_file) if !may_enrol_again(&on_file, &device) => return Err(EnrolError::DeviceIdTaken),
        Some(on_file) => {
            DeviceRecord { certificate: device.certificate, expires_at: device.expires_at, ..on_file }
        }
        None => device,
    };
    make_user(tx, &invitation)?;
    let active = |other: &DeviceRecord| other.revoked_at.is_none() && other.device != record.device;
    let others = devices_of(tx, &record.user).map_err(WriteError::from)?.into_iter().filter(active).count();
    if others >= devices_max {
        return Err(EnrolError::TooManyDevices(others));
    }
    tx.put(key, &record);
    tx.put_mark(Table::UserDevices, table::user_device(&record.user, record.device));
    tx.put(secret_hash.to_vec(), &InvitationRecord { used_by: Some(record.device), ..invitation });
    Ok(record)
}

/// A device on file takes a second invitation only as what it is, and never once it is revoked.
fn may_enrol_again(on_file: &DeviceRecord, device: &DeviceRecord) -> bool {
    on_file.public_key == device.public_key && on_file.user == device.user && on_file.revoked_at.is_none()
}

/// Makes the invited user if there is none yet.
fn make_user(tx: &mut Transaction<'_>, invitation: &InvitationRecord) -> Result<(), EnrolError> {
    let key = table::user(&invitation.user);
    if tx.exists(Table::Users, &key)? {
        return Ok(());
    }
    let user = invitation.new_user.as_ref().filter(|user| user.user == invitation.user);
    tx.put(key, user.ok_or(EnrolError::Unknown)?);
    Ok(())
}

fn revoke(tx: &mut Transaction<'_>, device: DeviceId, at: TimestampMs) -> Result<bool, WriteError> {
    let Some(mut record) = tx.load::<DeviceRecord>(&table::device(device))? else { return Ok(false) };
    if record.revoked_at.is_none() {
        record.revoked_at = Some(at);
        tx.put(table::device(device), &record);
        tx.put_mark(Table::RevokedDevices, table::device(device));
        key_package::delete_all(tx, device)?;
    }
    Ok(true)
}

fn revoked_members(snapshot: &dyn Snapshot) -> Result<Vec<(DeviceId, GroupId)>, ReadError> {
    let mut members = Vec::new();
    for device in rows::keys(snapshot, Table::RevokedDevices, &KeyRange::all(), usize::MAX)? {
        let device = table::last_id(&device).ok_or_else(|| rows::bad_key(Table::RevokedDevices))?;
        let range = KeyRange::prefix(&device);
        for key in rows::keys(snapshot, Table::Memberships, &range, usize::MAX)? {
            let group = table::last_id(&key).ok_or_else(|| rows::bad_key(Table::Memberships))?;
            let (device, group) = (DeviceId::new(device), GroupId::new(group));
            let row = rows::load::<RosterRow>(snapshot, &table::roster(group, device))?;
            if row.is_some_and(|row| row.is_member()) {
                members.push((device, group));
            }
        }
    }
    Ok(members)
}
