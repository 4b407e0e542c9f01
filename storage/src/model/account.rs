//! The model's users, devices and invitations.

use std::collections::btree_map::Entry;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, TimestampMs, UserId};

use super::{Model, State};
use crate::store::{
    Accounts, DeviceRecord, EnrolError, Enrolment, InvitationRecord, Opening, ReadError, UserRecord,
    WriteError,
};

#[async_trait::async_trait]
impl Accounts for Model {
    async fn put_user(&self, user: UserRecord) -> Result<(), WriteError> {
        self.state().users.insert(user.user.clone(), user);
        Ok(())
    }

    async fn user(&self, user: &UserId) -> Result<Option<UserRecord>, ReadError> {
        Ok(self.state().users.get(user).cloned())
    }

    async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>, ReadError> {
        let state = self.state();
        let wanted = state.users.iter().filter(|(user, _)| after.as_ref().is_none_or(|after| *user > after));
        Ok(wanted.take(limit).map(|(_, record)| record.clone()).collect())
    }

    async fn put_invitation(&self, invitation: InvitationRecord) -> Result<(), WriteError> {
        self.state().invitations.insert(invitation.secret_hash, invitation);
        Ok(())
    }

    async fn invitation(&self, secret_hash: [u8; 32]) -> Result<Option<InvitationRecord>, ReadError> {
        Ok(self.state().invitations.get(&secret_hash).cloned())
    }

    async fn enrol(&self, enrolment: Enrolment, devices_max: usize) -> Result<DeviceRecord, EnrolError> {
        self.state().enrol(enrolment, devices_max)
    }

    async fn readmit(&self, device: DeviceRecord, user: UserRecord) -> Result<DeviceRecord, WriteError> {
        let mut state = self.state();
        if let Some(on_file) = state.devices.get(&device.device) {
            return Ok(on_file.clone());
        }
        state.users.entry(user.user.clone()).or_insert(user);
        state.devices.insert(device.device, device.clone());
        Ok(device)
    }

    async fn device(&self, device: DeviceId) -> Result<Option<DeviceRecord>, ReadError> {
        Ok(self.state().devices.get(&device).cloned())
    }

    async fn opening(&self, device: DeviceId) -> Result<Option<Opening>, ReadError> {
        let state = self.state();
        let Some(record) = state.devices.get(&device).cloned() else { return Ok(None) };
        let Some(user) = state.users.get(&record.user).cloned() else { return Ok(None) };
        let key_packages_left = state.left(device);
        Ok(Some(Opening { device: record, user, key_packages_left }))
    }

    async fn devices_of(&self, user: &UserId) -> Result<Vec<DeviceRecord>, ReadError> {
        Ok(self.state().devices.values().filter(|device| device.user == *user).cloned().collect())
    }

    async fn set_certificate(
        &self,
        device: DeviceId,
        certificate: Bytes,
        expires_at: TimestampMs,
    ) -> Result<(), WriteError> {
        let mut state = self.state();
        if let Some(record) = state.devices.get_mut(&device).filter(|record| record.revoked_at.is_none()) {
            (record.certificate, record.expires_at) = (certificate, expires_at);
        }
        Ok(())
    }

    async fn set_last_seen(&self, device: DeviceId, at: TimestampMs) -> Result<(), WriteError> {
        if let Some(record) = self.state().devices.get_mut(&device) {
            record.last_seen_at = record.last_seen_at.max(at);
        }
        Ok(())
    }

    async fn revoke(&self, device: DeviceId, at: TimestampMs) -> Result<bool, WriteError> {
        let State { devices, stocks, .. } = &mut *self.state();
        let Some(record) = devices.get_mut(&device) else { return Ok(false) };
        if record.revoked_at.is_none() {
            record.revoked_at = Some(at);
            if let Some(stock) = stocks.get_mut(&device) {
                stock.packages.clear();
                stock.last_resort = None;
            }
        }
        Ok(true)
    }

    async fn revoked_members(&self) -> Result<Vec<(DeviceId, GroupId)>, ReadError> {
        let state = self.state();
        let mut members = Vec::new();
        for device in state.devices.values().filter(|device| device.revoked_at.is_some()) {
            let groups = state.groups.iter().filter(|(_, group)| group.member(device.device).is_some());
            members.extend(groups.map(|(id, _)| (device.device, *id)));
        }
        Ok(members)
    }
}

impl State {
    fn enrol(&mut self, enrolment: Enrolment, devices_max: usize) -> Result<DeviceRecord, EnrolError> {
        let Enrolment { secret_hash, device, now } = enrolment;
        let invitation = self.invitations.get_mut(&secret_hash).ok_or(EnrolError::Unknown)?;
        let on_file = self.devices.get(&device.device).cloned();
        if let Some(used_by) = invitation.used_by {
            let same = |on_file: &DeviceRecord| on_file.public_key == device.public_key;
            return on_file.filter(|_| used_by == device.device).filter(same).ok_or(EnrolError::Used);
        }
        if now > invitation.expires_at {
            return Err(EnrolError::Expired);
        }
        if device.user != invitation.user {
            return Err(EnrolError::Unknown);
        }
        let mut record = device;
        if let Some(on_file) = on_file {
            let same = on_file.public_key == record.public_key && on_file.user == record.user;
            if !same || on_file.revoked_at.is_some() {
                return Err(EnrolError::DeviceIdTaken);
            }
            let DeviceRecord { certificate, expires_at, .. } = record;
            record = DeviceRecord { certificate, expires_at, ..on_file };
        }
        let new_user = invitation.new_user.clone().filter(|user| user.user == record.user);
        if !self.users.contains_key(&record.user) && new_user.is_none() {
            return Err(EnrolError::Unknown);
        }
        let others = self.devices.values().filter(|other| {
            other.user == record.user && other.revoked_at.is_none() && other.device != record.device
        });
        let others = others.count();
        if others >= devices_max {
            return Err(EnrolError::TooManyDevices(others));
        }
        invitation.used_by = Some(record.device);
        if let (Entry::Vacant(user), Some(new_user)) = (self.users.entry(record.user.clone()), new_user) {
            user.insert(new_user);
        }
        self.devices.insert(record.device, record.clone());
        Ok(record)
    }
}
