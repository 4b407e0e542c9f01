//! Devices of a user: the list, the end of one, and the audit entries that every change leaves.

use cercle_proto::id::{DeviceId, TimestampMs, UserId};
use cercle_storage::store::{AuditEntry, DeviceRecord};

use super::{AuthenticationService, Error, Inviter, RevokedDevice};
use crate::held;

impl AuthenticationService {
    /// The devices of a user (`None`: the caller), revoked ones included.
    ///
    /// # Errors
    /// [`Error::NotAuthorised`], [`Error::InvalidField`], or a store failure.
    pub async fn devices(&self, by: Inviter<'_>, user: Option<UserId>) -> Result<Vec<DeviceRecord>, Error> {
        let user = match (user, by) {
            (Some(user), _) => user,
            (None, Inviter::User(identity)) => identity.user.clone(),
            (None, Inviter::Operator) => return Err(Error::InvalidField("user is missing")),
        };
        if !by.may_manage(&user) {
            return Err(Error::NotAuthorised);
        }
        Ok(self.inner.store.devices_of(&user).await?)
    }

    /// Ends a device for ever: marks it and deletes its key packages. The caller ends its session and calls
    /// [`crate::delivery::Delivery::propose_removals`]. Repeating it is harmless.
    ///
    /// # Errors
    /// [`Error::DeviceUnknown`] (also for a device the caller has no say over), or a store failure.
    pub async fn revoke_device(
        &self,
        by: Inviter<'_>,
        device: DeviceId,
        now: TimestampMs,
    ) -> Result<RevokedDevice, Error> {
        let store = &self.inner.store;
        let record = store.device(device).await?.ok_or(Error::DeviceUnknown)?;
        if !by.may_manage(&record.user) {
            return Err(Error::DeviceUnknown);
        }
        store.revoke(device, now).await?;
        if record.revoked_at.is_none() {
            self.audit(now, by.actor(), "device.revoked", &device.to_hex()).await;
        }
        let memberships = store.memberships(device).await?;
        let member_of = memberships.iter().filter(|membership| membership.entry.removed_at.is_none());
        Ok(RevokedDevice { user: record.user, device, groups: member_of.map(|entry| entry.group).collect() })
    }

    /// Holds the places in groups of devices that their user has lost, for another one of his.
    ///
    /// # Errors
    /// A store failure.
    pub async fn hold_places_of(&self, devices: &[DeviceId], until: TimestampMs) -> Result<(), Error> {
        Ok(held::hold(&*self.inner.store, devices, until).await?)
    }

    /// Leaves an audit entry. The change it tells of is durable already, so a failure is the operator's to
    /// know, not the caller's.
    pub(super) async fn audit(&self, at: TimestampMs, actor: &str, action: &str, object: &str) {
        let entry =
            AuditEntry { at, actor: actor.to_owned(), action: action.to_owned(), object: object.to_owned() };
        if let Err(error) = self.inner.store.record(entry).await {
            tracing::error!(action, %error, "an audit entry could not be written");
        }
    }
}
