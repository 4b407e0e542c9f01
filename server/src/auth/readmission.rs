//! A hub that was restored from a copy takes back the devices that it had enrolled since: they hold what it
//! issued, and nobody else could have.

use bytes::Bytes;
use cercle_proto::{
    certificate::{Validity, read_device},
    id::{DeviceId, TimestampMs},
    signing::{session_message, verify},
    v1::Role,
};
use cercle_storage::store::{DeviceRecord, Restore, UserRecord};

use super::{AuthenticationService, Error};
use crate::limits;

impl AuthenticationService {
    /// Puts a device on file again that shows a certificate of this hub, issued after the copy was made and
    /// before it was restored. Does nothing for a device that is on file. Hub roles of a user whom the copy
    /// does not know are forgotten with it: he is a member.
    ///
    /// # Errors
    /// [`Error::DeviceUnknown`] when the certificate does not prove that, [`Error::ProofInvalid`], or a store
    /// failure.
    pub async fn readmit(
        &self,
        nonce: &[u8; 32],
        device: DeviceId,
        proof: &[u8],
        certificate: &[u8],
        now: TimestampMs,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        if store.device(device).await?.is_some() {
            return Ok(());
        }
        let named = read_device(certificate).map_err(|_| Error::DeviceUnknown)?;
        // One that has ended since is good enough: the device renews it next.
        let chain = [certificate.to_vec()];
        let verified = self.inner.issuer.root().verify(&chain, &named.public_key, Validity::Ignore);
        let issued_at = named.not_before_ms + limits::CERTIFICATE_BACKDATE_MS;
        let forgotten = |restore: &Restore| {
            let since = restore.copy_at.saturating_sub(limits::READMISSION_SLACK_MS);
            (since..=restore.restored_at).contains(&issued_at)
        };
        if verified.is_err() || named.device != device || !self.restores().iter().any(forgotten) {
            return Err(Error::DeviceUnknown);
        }
        if !verify(&named.public_key, &session_message(nonce, device), proof) {
            return Err(Error::ProofInvalid);
        }
        let user = UserRecord {
            user: named.user.clone(),
            display_name: named.display_name,
            profession: named.profession,
            class: named.class as u32,
            roles: vec![Role::Member as u32],
            created_at: now,
        };
        let record = DeviceRecord {
            device,
            user: named.user.clone(),
            public_key: named.public_key,
            certificate: Bytes::copy_from_slice(certificate),
            expires_at: named.not_after_ms,
            enrolled_at: issued_at,
            last_seen_at: 0,
            revoked_at: None,
        };
        store.readmit(record, user).await?;
        self.audit(now, named.user.as_str(), "device.readmitted", &device.to_hex()).await;
        Ok(())
    }

    /// The restores that this hub went through.
    pub(super) fn restores(&self) -> &[Restore] {
        self.inner.store.copies().map_or(&[], |copies| copies.restores())
    }
}
