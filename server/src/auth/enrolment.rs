//! From an invitation and a key to a device with a certificate, and from an old certificate to a new one.

use bytes::Bytes;
use cercle_proto::{
    certificate::{Admission, read_device},
    id::{DeviceId, TimestampMs},
    signing::{enrol_message, sha256, verify},
    v1::MemberClass,
};
use cercle_storage::store::{DeviceRecord, EnrolError, Enrolment, InvitationRecord, UserRecord};

use super::{AuthenticationService, Error, Identity, IssuedCertificate, authority::DeviceSubject};
use crate::{held, limits, vault::limits::HELD_AFTER_ENROLMENT_MS};

impl AuthenticationService {
    /// Redeems an invitation: binds a new device key to a user and issues its first certificate. Repeated
    /// with the same invitation, device and key, it answers with the certificate on record.
    ///
    /// # Errors
    /// [`Error::ProofInvalid`], the invitation errors, [`Error::DeviceIdTaken`], [`Error::TooManyDevices`],
    /// [`Error::DeviceRevoked`], or a store failure.
    pub async fn enrol(
        &self,
        nonce: &[u8; 32],
        secret: &[u8; 32],
        device: DeviceId,
        public_key: &[u8; 32],
        proof: &[u8],
        now: TimestampMs,
    ) -> Result<IssuedCertificate, Error> {
        if !verify(public_key, &enrol_message(nonce, secret, device, public_key), proof) {
            return Err(Error::ProofInvalid);
        }
        self.redeem(secret, device, public_key, None, now).await
    }

    /// Redeems an invitation for a device that has proved its key. Without `admission`, the invitation says who
    /// vouches for it.
    pub(super) async fn redeem(
        &self,
        secret: &[u8; 32],
        device: DeviceId,
        public_key: &[u8; 32],
        admission: Option<Admission>,
        now: TimestampMs,
    ) -> Result<IssuedCertificate, Error> {
        let secret_hash = sha256(secret);
        let invitation = self.inner.store.invitation(secret_hash).await?.ok_or(Error::InvitationUnknown)?;
        check_redeemable(&invitation, device, now)?;
        let user = self.invited_user(&invitation).await?;
        let by = if invitation.by_user { Admission::OwnDevice } else { Admission::Invited };
        let admission = admission.unwrap_or(by);
        let (certificate, expires_at) = self.issue(&user, device, *public_key, admission, now)?;
        let record = DeviceRecord {
            device,
            user: user.user,
            public_key: *public_key,
            certificate: Bytes::from(certificate),
            expires_at,
            enrolled_at: now,
            last_seen_at: 0,
            revoked_at: None,
        };
        let issued = record.certificate.clone();
        let enrolment = Enrolment { secret_hash, device: record, now };
        let record = self.inner.store.enrol(enrolment, self.inner.settings.devices_per_user_max).await?;
        if record.revoked_at.is_some() {
            return Err(Error::DeviceRevoked);
        }
        Box::pin(self.hold_places(&record, now)).await?;
        if record.certificate == issued {
            self.audit(now, record.user.as_str(), "device.enrolled", &device.to_hex()).await;
        }
        Ok(self.issued(record))
    }

    /// Somebody who had lost his devices has a new one: it has some time to come into their groups.
    async fn hold_places(&self, enrolled: &DeviceRecord, now: TimestampMs) -> Result<(), Error> {
        let store = &self.inner.store;
        let devices = store.devices_of(&enrolled.user).await?;
        let lost = devices.into_iter().filter(|device| device.revoked_at.is_some());
        let lost: Vec<DeviceId> = lost.map(|device| device.device).collect();
        if !lost.is_empty() {
            held::hold_on(&**store, &lost, now, now + HELD_AFTER_ENROLMENT_MS).await?;
        }
        Ok(())
    }

    /// Issues a fresh certificate over the same device key. Asked again shortly after, it answers with the
    /// certificate on record, so that a lost answer costs nothing.
    ///
    /// # Errors
    /// [`Error::DeviceUnknown`], [`Error::DeviceRevoked`], or a store failure.
    pub async fn renew_certificate(
        &self,
        identity: &Identity,
        now: TimestampMs,
    ) -> Result<IssuedCertificate, Error> {
        let store = &self.inner.store;
        let mut record = store.device(identity.device).await?.ok_or(Error::DeviceUnknown)?;
        if record.revoked_at.is_some() {
            return Err(Error::DeviceRevoked);
        }
        if is_fresh(&record, now) {
            return Ok(self.issued(record));
        }
        let user = store.user(&record.user).await?.ok_or(Error::DeviceUnknown)?;
        let admission = read_device(&record.certificate).map(|on_file| on_file.admission).unwrap_or_default();
        let (certificate, expires_at) =
            self.issue(&user, record.device, record.public_key, admission, now)?;
        record.certificate = Bytes::from(certificate);
        record.expires_at = expires_at;
        store.set_certificate(record.device, record.certificate.clone(), expires_at).await?;
        self.audit(now, record.user.as_str(), "certificate.renewed", &record.device.to_hex()).await;
        Ok(self.issued(record))
    }

    /// The user record that an invitation stands for; that on file wins over that of the invitation.
    async fn invited_user(&self, invitation: &InvitationRecord) -> Result<UserRecord, Error> {
        let on_file = self.inner.store.user(&invitation.user).await?;
        on_file.or_else(|| invitation.new_user.clone()).ok_or(Error::InvitationUnknown)
    }

    fn issue(
        &self,
        user: &UserRecord,
        device: DeviceId,
        public_key: [u8; 32],
        admission: Admission,
        now: TimestampMs,
    ) -> Result<(Vec<u8>, TimestampMs), Error> {
        let class = i32::try_from(user.class).ok().and_then(|class| MemberClass::try_from(class).ok());
        let subject = DeviceSubject {
            user: &user.user,
            device,
            display_name: &user.display_name,
            profession: &user.profession,
            class: class.unwrap_or(MemberClass::Relative),
            admission,
            public_key,
        };
        Ok(self.inner.issuer.issue(&subject, now, self.inner.settings.certificate_valid_ms)?)
    }

    fn issued(&self, record: DeviceRecord) -> IssuedCertificate {
        IssuedCertificate {
            user: record.user,
            certificate: record.certificate.to_vec(),
            root: self.root_der().to_vec(),
            expires_at: record.expires_at,
        }
    }
}

/// Early answers for the common refusals; the store decides again, atomically.
fn check_redeemable(invitation: &InvitationRecord, device: DeviceId, now: TimestampMs) -> Result<(), Error> {
    match invitation.used_by {
        Some(user) if user == device => Ok(()),
        Some(_) => Err(Error::InvitationUsed),
        None if invitation.expires_at <= now => Err(Error::InvitationExpired),
        None => Ok(()),
    }
}

fn is_fresh(record: &DeviceRecord, now: TimestampMs) -> bool {
    let issued_at = read_device(&record.certificate)
        .map_or(0, |certificate| certificate.not_before_ms + limits::CERTIFICATE_BACKDATE_MS);
    now < issued_at + limits::CERTIFICATE_RENEWAL_MIN_AGE_MS && record.expires_at > now
}

impl From<EnrolError> for Error {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Unknown => Self::InvitationUnknown,
            EnrolError::Expired => Self::InvitationExpired,
            EnrolError::Used => Self::InvitationUsed,
            EnrolError::DeviceIdTaken => Self::DeviceIdTaken,
            EnrolError::TooManyDevices(devices) => Self::TooManyDevices(devices),
            EnrolError::Store(error) => error.into(),
        }
    }
}
