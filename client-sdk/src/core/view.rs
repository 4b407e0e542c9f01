//! What an app can look up: this device, its groups, their members.

use cercle_proto::{
    id::{DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId},
    policy::Policy,
    v1,
};

use crate::message::{Body, GroupProfile};

/// Who this device is.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Name that others see.
    pub display_name: String,
    /// Profession code, or empty.
    pub profession: String,
    /// Class of member.
    pub class: v1::MemberClass,
    /// `host:port` of the hub.
    pub address: String,
    /// SHA-256 of the CPTS root certificate.
    pub root_fingerprint: [u8; 32],
    /// The hub's TLS certificate is one of the public web.
    pub web_certificate: bool,
    /// End of validity of the device certificate.
    pub certificate_expires_at_ms: TimestampMs,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("device", &self.device).finish_non_exhaustive()
    }
}

/// What the TLS connection must check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// `host:port` of the hub.
    pub address: String,
    /// SHA-256 of the CPTS root certificate.
    pub root_fingerprint: [u8; 32],
    /// The root certificate (DER), known after enrolment.
    pub root: Option<Vec<u8>>,
    /// The hub's TLS certificate is one of the public web.
    pub web_certificate: bool,
}

/// A group, in one line.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupSummary {
    /// The group.
    pub group: GroupId,
    /// Title, topic, what it is for; without title until a member has said it.
    pub profile: GroupProfile,
    /// Whether it can be used.
    pub state: GroupState,
    /// MLS epoch.
    pub epoch: Epoch,
    /// Newest entry that is stored.
    pub cursor: Seq,
    /// Who may do what.
    pub policy: Option<Policy>,
    /// Users with a device in it.
    pub users: usize,
    /// Devices in it.
    pub devices: usize,
    /// Epoch authenticator (RFC 9420 section 8.7): equal on all members of the same epoch.
    pub epoch_authenticator: Vec<u8>,
}

impl std::fmt::Debug for GroupSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("GroupSummary");
        out.field("group", &self.group).field("state", &self.state).field("epoch", &self.epoch);
        out.field("cursor", &self.cursor).field("devices", &self.devices).finish_non_exhaustive()
    }
}

/// Whether a group can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GroupState {
    /// Made here, not yet registered on the hub.
    Creating,
    /// In use.
    Active,
    /// This device is joining it again; what is sent waits.
    Recovering,
    /// This device has asked to leave.
    Leaving,
    /// This device is no longer in it; what was received can still be read.
    Closed,
}

/// A device in a group.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Its user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Name, as its certificate says.
    pub display_name: String,
    /// Profession code, or empty.
    pub profession: String,
    /// Class of member.
    pub class: v1::MemberClass,
    /// The user administers the group.
    pub administrator: bool,
    /// End of validity of its certificate; an app shows when this is in the past.
    pub certificate_expires_at_ms: TimestampMs,
    /// It is this device.
    pub own: bool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("device", &self.device).finish_non_exhaustive()
    }
}

/// A message that is not in the log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub id: MessageId,
    /// When it was queued.
    pub queued_at_ms: TimestampMs,
    /// What it says.
    pub body: Body,
}
