//! Users, devices and invitations: what the authentication service keeps.

use bytes::Bytes;
use cercle_proto::id::{DeviceId, TimestampMs, UserId};

use super::{ReadError, WriteError};

/// A user of this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Id.
    pub user: UserId,
    /// Name that certificates show.
    pub display_name: String,
    /// Profession code, or empty.
    pub profession: String,
    /// Member class, as on the wire.
    pub class: u32,
    /// Hub roles, as on the wire.
    pub roles: Vec<u32>,
    /// When the record was made.
    pub created_at: TimestampMs,
}

/// What opening a session needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The device.
    pub device: DeviceRecord,
    /// Its user.
    pub user: UserRecord,
    /// One-time key packages that it has left, as [`super::KeyPackages::left`] says.
    pub key_packages_left: usize,
}

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Id.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Newest certificate, DER.
    pub certificate: Bytes,
    /// End of its validity.
    pub expires_at: TimestampMs,
    /// When it was enrolled.
    pub enrolled_at: TimestampMs,
    /// When it was last seen (day-precise); 0: never.
    pub last_seen_at: TimestampMs,
    /// When it was revoked.
    pub revoked_at: Option<TimestampMs>,
}

/// An invitation, stored under the hash of its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRecord {
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The user it enrols. Made with the first enrolment if `new_user` is set.
    pub user: UserId,
    /// Record of a user who does not exist yet.
    pub new_user: Option<UserRecord>,
    /// Not redeemed after this time.
    pub expires_at: TimestampMs,
    /// When it was made.
    pub created_at: TimestampMs,
    /// The device that redeemed it.
    pub used_by: Option<DeviceId>,
    /// The user himself vouches for it, with another device or his recovery code.
    pub by_user: bool,
}

/// An enrolment to carry out.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// SHA-256 of the invitation's secret.
    pub secret_hash: [u8; 32],
    /// The device, complete with its first certificate.
    pub device: DeviceRecord,
    /// When.
    pub now: TimestampMs,
}

/// Why an enrolment was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// No such invitation, or not for this user, or for a user whom nobody has described.
    #[error("no such invitation")]
    Unknown,
    /// It has expired.
    #[error("the invitation has expired")]
    Expired,
    /// Another device used it.
    #[error("the invitation has been used")]
    Used,
    /// The device id is enrolled with another key or user.
    #[error("the device id is taken")]
    DeviceIdTaken,
    /// The user has as many devices as one may have.
    #[error("the user has {0} devices already")]
    TooManyDevices(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// Users, devices and invitations.
#[async_trait::async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a user, or replaces the record.
    ///
    /// # Errors
    /// As any write.
    async fn put_user(&self, user: UserRecord) -> Result<(), WriteError>;

    /// A user, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn user(&self, user: &UserId) -> Result<Option<UserRecord>, ReadError>;

    /// Users in order of id, after one of them, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>, ReadError>;

    /// Stores an invitation.
    ///
    /// # Errors
    /// As any write.
    async fn put_invitation(&self, invitation: InvitationRecord) -> Result<(), WriteError>;

    /// An invitation by the hash of its secret, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn invitation(&self, secret_hash: [u8; 32]) -> Result<Option<InvitationRecord>, ReadError>;

    /// Redeems an invitation: makes the user if he is new, stores the device, marks the invitation, in one
    /// write. Redeemed again by the same device with the same key: the device record on file, unchanged.
    /// A device on file that redeems another invitation gets its new certificate, unless it is revoked.
    /// `devices_max` counts devices that are not revoked, this one included.
    ///
    /// # Errors
    /// As [`EnrolError`] says.
    async fn enrol(&self, enrolment: Enrolment, devices_max: usize) -> Result<DeviceRecord, EnrolError>;

    /// Stores a device without an invitation, and its user if there is no such user: for a restored hub, to
    /// which a device shows what it was given before. A device on file is left as it is. Returns the record
    /// on file.
    ///
    /// # Errors
    /// As any write.
    async fn readmit(&self, device: DeviceRecord, user: UserRecord) -> Result<DeviceRecord, WriteError>;

    /// A device, or `None`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn device(&self, device: DeviceId) -> Result<Option<DeviceRecord>, ReadError>;

    /// What opening a session needs, in one read; `None` if the device or its user is unknown.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn opening(&self, device: DeviceId) -> Result<Option<Opening>, ReadError>;

    /// The devices of a user, revoked ones included.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn devices_of(&self, user: &UserId) -> Result<Vec<DeviceRecord>, ReadError>;

    /// Replaces certificate and expiry of a device. Ignored if it is revoked or unknown.
    ///
    /// # Errors
    /// As any write.
    async fn set_certificate(
        &self,
        device: DeviceId,
        certificate: Bytes,
        expires_at: TimestampMs,
    ) -> Result<(), WriteError>;

    /// Marks a device as seen; never goes back. May be lost in a crash.
    ///
    /// # Errors
    /// As any write.
    async fn set_last_seen(&self, device: DeviceId, at: TimestampMs) -> Result<(), WriteError>;

    /// Revokes a device: marks it and deletes its key packages. Returns false if it is unknown; repeating
    /// keeps the first time.
    ///
    /// # Errors
    /// As any write.
    async fn revoke(&self, device: DeviceId, at: TimestampMs) -> Result<bool, WriteError>;

    /// Devices that are revoked and still in some roster: their removal is not done.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn revoked_members(&self) -> Result<Vec<(DeviceId, cercle_proto::id::GroupId)>, ReadError>;
}
