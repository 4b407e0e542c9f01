//! From a signature over the connection's nonce to an open session.

use cercle_proto::{
    id::{DeviceId, TimestampMs},
    signing::{session_message, verify},
    v1::Role,
};
use cercle_storage::store::Opening;

use super::{Authenticated, AuthenticationService, Error, Identity};
use crate::limits;

impl AuthenticationService {
    /// Opens a session for an enrolled device that proves its key. An expired certificate does not keep the
    /// device out: it is how the device gets to renew it.
    ///
    /// # Errors
    /// [`Error::DeviceUnknown`], [`Error::DeviceRevoked`], [`Error::ProofInvalid`], or a store failure.
    pub async fn authenticate(
        &self,
        nonce: &[u8; 32],
        device: DeviceId,
        proof: &[u8],
        now: TimestampMs,
    ) -> Result<Authenticated, Error> {
        let store = &self.inner.store;
        let opening = store.opening(device).await?.ok_or(Error::DeviceUnknown)?;
        let Opening { device: record, user, key_packages_left } = opening;
        // The proof comes before the revocation: only the device itself learns that it was revoked.
        if !verify(&record.public_key, &session_message(nonce, device), proof) {
            return Err(Error::ProofInvalid);
        }
        if record.revoked_at.is_some() {
            return Err(Error::DeviceRevoked);
        }
        let today = now / limits::DAY_MS * limits::DAY_MS;
        if record.last_seen_at < today {
            store.set_last_seen(device, today).await?;
        }
        let roles = user.roles.iter().filter_map(|role| Role::try_from(i32::try_from(*role).ok()?).ok());
        let identity = Identity {
            user: record.user,
            device,
            roles: roles.collect(),
            certificate_expired: record.expires_at <= now,
        };
        Ok(Authenticated {
            identity,
            certificate: record.certificate.to_vec(),
            key_packages_left,
            hub_certificate: self.inner.issuer.hub_certificate().to_vec(),
            incarnation: store.incarnation(),
            past_incarnations: self.restores().iter().map(|restore| restore.before).collect(),
        })
    }
}
