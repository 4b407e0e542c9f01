//! Authentication service (RFC 9750 section 4): who is who, and which key is whose.
//!
//! Called by the dispatch of a session, and by the operator's socket. It issues the device certificates that
//! are MLS credentials, opens sessions by a signature over a nonce, and ends devices. It keeps no secret of a
//! device: invitations are stored as hashes, device keys as public keys.
//!
//! - [`authority`]: makes and loads the CPTS root and what is issued under it; no file is read here.
//! - `enrolment`: invitation + key → device with certificate; renewal.
//! - `recovery`: a recovery code + key → device with certificate.
//! - `session`: proof over a nonce → [`Identity`].
//! - `invitation`: who may invite whom. `device`: listing and revocation.

use std::{fmt, sync::Arc};

use cercle_proto::{
    id::{DeviceId, GroupId, TimestampMs, UserId},
    v1::{MemberClass, Role},
};
use cercle_storage::store::Store;

use crate::{delivery::rate::RateLimit, limits, vault};

pub mod authority;
mod device;
mod enrolment;
mod error;
mod invitation;
mod readmission;
mod recovery;
mod session;

pub use authority::Issuer;
pub use error::Error;
pub use recovery::Returning;

/// What the operator may tune.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a device certificate is valid, ms.
    pub certificate_valid_ms: u64,
    /// How long an invitation can be redeemed if the inviter does not say, ms.
    pub invitation_valid_ms: u64,
    /// Devices that one user may have that are not revoked.
    pub devices_per_user_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate_valid_ms: limits::CERTIFICATE_VALID_MS,
            invitation_valid_ms: limits::INVITATION_VALID_MS,
            devices_per_user_max: limits::DEVICES_PER_USER_MAX,
        }
    }
}

/// Who an open session belongs to.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Hub roles of the user.
    pub roles: Vec<Role>,
    /// The certificate on record has expired: only a renewal is answered.
    pub certificate_expired: bool,
}

impl Identity {
    /// Whether the user has a role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// A device certificate and who it names.
#[derive(Clone)]
pub struct IssuedCertificate {
    /// The user.
    pub user: UserId,
    /// Device certificate, DER.
    pub certificate: Vec<u8>,
    /// CPTS root certificate, DER.
    pub root: Vec<u8>,
    /// End of validity.
    pub expires_at: TimestampMs,
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// An opened session.
#[derive(Clone)]
pub struct Authenticated {
    /// Who it belongs to.
    pub identity: Identity,
    /// The certificate on record, DER.
    pub certificate: Vec<u8>,
    /// One-time key packages left for the device.
    pub key_packages_left: usize,
    /// Certificate of the hub as MLS external sender, DER.
    pub hub_certificate: Vec<u8>,
    /// Incarnation of the store.
    pub incarnation: [u8; 16],
    /// Those before it, oldest first.
    pub past_incarnations: Vec<[u8; 16]>,
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Who asks for an invitation, a list or a revocation.
#[derive(Debug, Clone, Copy)]
pub enum Inviter<'a> {
    /// The operator, over the local socket: everything is allowed.
    Operator,
    /// A user, over his session.
    User(&'a Identity),
}

/// What an invitation shall be.
#[derive(Clone)]
pub struct InvitationRequest {
    /// User id without the domain; `None`: the caller himself.
    pub user: Option<String>,
    /// Shown to everybody; ignored for an existing user.
    pub display_name: String,
    /// Profession code of the nomenclature TRE_G15, or empty; ignored for an existing user.
    pub profession: String,
    /// Class of a new user; `Unspecified` counts as professional.
    pub class: MemberClass,
    /// Hub roles of a new user; none counts as member.
    pub roles: Vec<Role>,
    /// How long it can be redeemed, ms; `None`: the default.
    pub valid_for_ms: Option<u64>,
    /// Every device of the user is lost: they end now, and the one that is enrolled takes their place.
    pub lost_devices: bool,
}

impl fmt::Debug for InvitationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvitationRequest").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// A new invitation. Its secret exists only here and in the link that is made of it.
#[derive(Clone)]
pub struct CreatedInvitation {
    /// Who it enrols.
    pub user: UserId,
    /// One-time secret.
    pub secret: [u8; 32],
    /// Not redeemed after this time.
    pub expires_at: TimestampMs,
}

impl fmt::Debug for CreatedInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedInvitation").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A device that was revoked. The caller ends its session and calls
/// [`crate::delivery::Delivery::propose_removals`].
#[derive(Debug, Clone)]
pub struct RevokedDevice {
    /// Its user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Groups that still have it as a member.
    pub groups: Vec<GroupId>,
}

/// The authentication service. Cheap to clone.
#[derive(Clone)]
pub struct AuthenticationService {
    inner: Arc<Inner>,
}

impl fmt::Debug for AuthenticationService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationService").finish_non_exhaustive()
    }
}

struct Inner {
    store: Arc<dyn Store>,
    issuer: Issuer,
    settings: Settings,
    invitations: RateLimit<UserId>,
    recoveries: RateLimit<UserId>,
}

impl AuthenticationService {
    /// Builds the service over a store and the keys it issues with.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, issuer: Issuer, settings: Settings) -> Self {
        let invitations = RateLimit::new(limits::INVITATION_RATE);
        let recoveries = RateLimit::new(vault::limits::RECOVERY_RATE);
        Self { inner: Arc::new(Inner { store, issuer, settings, invitations, recoveries }) }
    }

    /// The right side of every user id issued here.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.inner.issuer.domain()
    }

    /// CPTS root certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.inner.issuer.root_der()
    }
}
