//! From a recovery code and a key to a device with a certificate: the way back of a user who has no device left.
//!
//! The code itself never comes here: the device signs with a key that derives from it, and the hub knows the
//! public one. Whether there is such a user, or a code of his, is not told.

use cercle_proto::{
    certificate::Admission,
    id::{DeviceId, TimestampMs, UserId},
    signing::{recover_message, sha256, verify},
};
use cercle_storage::store::InvitationRecord;
use ring::rand::{SecureRandom, SystemRandom};

use super::{AuthenticationService, Error, Identity, IssuedCertificate, authority::AuthorityError};
use crate::vault::limits;

/// A device that comes back, with its proofs.
#[derive(Clone, Copy)]
pub struct Returning<'a> {
    /// The user.
    pub user: &'a UserId,
    /// New device id.
    pub device: DeviceId,
    /// Its Ed25519 public key.
    pub public_key: &'a [u8; 32],
    /// Signature of that key.
    pub proof: &'a [u8],
    /// Signature of the key that derives from the recovery code.
    pub recovery_proof: &'a [u8],
}

impl std::fmt::Debug for Returning<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returning").field("device", &self.device).finish_non_exhaustive()
    }
}

impl AuthenticationService {
    /// Enrols a device for a user by his recovery code. `recovery_key` is what is known of the code.
    /// Repeated with the same device and key, it answers with the certificate on record.
    ///
    /// # Errors
    /// [`Error::RecoveryRefused`], [`Error::ProofInvalid`], [`Error::RateLimited`], and as
    /// [`AuthenticationService::enrol`].
    pub async fn recover(
        &self,
        nonce: &[u8; 32],
        returning: Returning<'_>,
        recovery_key: Option<[u8; 32]>,
        now: TimestampMs,
    ) -> Result<IssuedCertificate, Error> {
        let Returning { user, device, public_key, proof, recovery_proof } = returning;
        let limited = self.inner.recoveries.check(user.clone(), now);
        limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })?;
        let message = recover_message(nonce, device, public_key, user);
        if !verify(public_key, &message, proof) {
            return Err(Error::ProofInvalid);
        }
        let key = recovery_key.ok_or(Error::RecoveryRefused)?;
        if !verify(&key, &message, recovery_proof) {
            self.audit(now, user.as_str(), "recovery.refused", &device.to_hex()).await;
            return Err(Error::RecoveryRefused);
        }
        // From here on it is an enrolment by an invitation that the proof stands for.
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| AuthorityError::Randomness)?;
        let invitation = InvitationRecord {
            secret_hash: sha256(&secret),
            user: user.clone(),
            new_user: None,
            expires_at: now + limits::RECOVERY_INVITATION_MS,
            created_at: now,
            used_by: None,
            by_user: true,
        };
        self.inner.store.put_invitation(invitation).await?;
        self.audit(now, user.as_str(), "recovery.proved", &device.to_hex()).await;
        self.redeem(&secret, device, public_key, Some(Admission::RecoveryCode), now).await
    }

    /// A user has a new recovery code: leaves an audit entry.
    pub async fn recovery_changed(&self, by: &Identity, now: TimestampMs) {
        self.audit(now, by.user.as_str(), "recovery.code_changed", &by.device.to_hex()).await;
    }
}
