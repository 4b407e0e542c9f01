//! One device as a state machine: (input, now) to actions.
//!
//! The shell owns a [`Core`] on one thread, feeds it what the network and the app say, and carries out the
//! [`Action`]s it returns, in order. Everything durable is written before the actions are returned.

use cercle_proto::{
    ErrorCode,
    id::{DeviceId, Epoch, GroupId, MessageId, Seq, TimestampMs, UserId},
    invitation::Invitation,
    policy::Policy,
    v1,
};

pub use crate::{event::Message, store::StoreKey};
use crate::{
    error::{Error, OpenError},
    event::Event,
    message::Body,
};

/// One device: its identity, groups, messages, and its conversation with the hub.
#[derive(Debug)]
pub struct Core {}

/// Behaviour that an app rarely changes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Renew own keys in a group some time after many members were added at once, so that commits become
    /// small again. Tests that count commits switch it off.
    pub lazy_updates: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lazy_updates: true }
    }
}

/// Something for the core to handle.
#[derive(Debug)]
pub enum Input {
    /// A connection to the hub is up; nothing was sent on it yet.
    Connected,
    /// The connection is gone (also after [`Action::Disconnect`]).
    Disconnected,
    /// A frame came from the hub.
    Frame(v1::ServerFrame),
    /// The app wants something; the answer is [`Action::Finished`] with the same id.
    Command {
        /// Chosen by the caller, unique while the command runs.
        id: u64,
        /// What it wants.
        command: Command,
    },
    /// Time has passed: call at the time of [`Core::next_wake`] or later.
    Tick,
}

/// Something for the shell to do.
#[derive(Debug)]
pub enum Action {
    /// Send this frame on the connection.
    Send(v1::ClientFrame),
    /// Tell the app.
    Emit(Event),
    /// A command has ended.
    Finished {
        /// The command's id.
        id: u64,
        /// How it ended.
        result: Result<Outcome, Error>,
    },
    /// Close the connection, then give [`Input::Disconnected`].
    Disconnect {
        /// Why.
        reason: DisconnectReason,
        /// Connect again, with the usual delay; else stop until the user acts.
        retry: bool,
    },
}

/// Why the core wants the connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// No frame came for twice the ping interval.
    Silent,
    /// The hub broke the protocol; the text says how.
    Fault(&'static str),
    /// The hub ends the session.
    Refused {
        /// Its code: [`ErrorCode::SessionReplaced`], [`ErrorCode::DeviceRevoked`],
        /// [`ErrorCode::InvitationUsed`] and so on; `None` for a code that this version does not know.
        code: Option<ErrorCode>,
        /// Wait at least this long before connecting again.
        retry_after_ms: u32,
    },
    /// What the hub presented at enrolment is not trusted.
    Untrusted,
    /// The local store failed: everything in memory was dropped and is read again.
    StoreFailed,
    /// There is nothing to do: the device has neither identity nor invitation.
    NotEnrolled,
}

/// What an app can ask for.
///
/// Commands that change a group are durable as soon as they are taken: they go on after a crash, and wait
/// for a connection if there is none. They finish when their commit is in the group's log, or can never
/// be. `Send` finishes as soon as the message is durably in the outbox; [`Event::MessageAccepted`] tells
/// when it is in the log. The others need a connection and fail with [`Error::Offline`] without one.
#[derive(Clone)]
#[non_exhaustive]
pub enum Command {
    /// Makes a group of one; invite others next.
    CreateGroup {
        /// Title, seen by members only.
        title: String,
        /// Who may do what.
        policy: PolicyTemplate,
    },
    /// Adds every device of the users that the hub has a key package for.
    Invite {
        /// The group.
        group: GroupId,
        /// Users to add.
        users: Vec<UserId>,
    },
    /// Removes every device of the users.
    Remove {
        /// The group.
        group: GroupId,
        /// Users to remove.
        users: Vec<UserId>,
    },
    /// Asks the others to remove this device. Finishes when the request is in the log;
    /// [`Event::GroupLeft`] tells when another member has carried it out.
    Leave {
        /// The group.
        group: GroupId,
    },
    /// Queues a message.
    Send {
        /// The group.
        group: GroupId,
        /// What it says.
        text: String,
    },
    /// Renews this device's keys in the group (post-compromise security, RFC 9420 section 16.6).
    UpdateKeys {
        /// The group.
        group: GroupId,
    },
    /// Names the group's administrators.
    SetAdministrators {
        /// The group.
        group: GroupId,
        /// All of them; at least one must be a member.
        users: Vec<UserId>,
    },
    /// Asks how far each device of the group has stored the log.
    DeliveryStatus {
        /// The group.
        group: GroupId,
    },
    /// Makes an invitation for a new user or a further device.
    CreateInvitation(NewInvitation),
    /// Lists the devices of a user.
    ListDevices {
        /// `None`: own devices.
        user: Option<UserId>,
    },
    /// Ends a device for ever.
    RevokeDevice {
        /// The device.
        device: DeviceId,
    },
    /// Renews the device certificate now instead of when two thirds of its life are over.
    RenewCertificate,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CreateGroup { .. } => "CreateGroup",
            Self::Invite { .. } => "Invite",
            Self::Remove { .. } => "Remove",
            Self::Leave { .. } => "Leave",
            Self::Send { .. } => "Send",
            Self::UpdateKeys { .. } => "UpdateKeys",
            Self::SetAdministrators { .. } => "SetAdministrators",
            Self::DeliveryStatus { .. } => "DeliveryStatus",
            Self::CreateInvitation(_) => "CreateInvitation",
            Self::ListDevices { .. } => "ListDevices",
            Self::RevokeDevice { .. } => "RevokeDevice",
            Self::RenewCertificate => "RenewCertificate",
        })
    }
}

/// Which policy a new group starts with ([`Policy`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyTemplate {
    /// Every member adds and posts; the creator administers.
    #[default]
    Conversation,
    /// Only administrators add, remove and post.
    Announcements,
}

/// Whom an invitation is for.
#[derive(Clone, Default)]
pub struct NewInvitation {
    /// User id without the domain; empty: a further device of the caller.
    pub user: String,
    /// Name to show; ignored for an existing user.
    pub display_name: String,
    /// Profession code of the nomenclature TRE_G15, or empty.
    pub profession: String,
    /// Class of member.
    pub class: v1::MemberClass,
    /// Roles on the hub.
    pub roles: Vec<v1::Role>,
    /// How long it can be redeemed; 0: the hub's default.
    pub valid_for_ms: u64,
}

impl std::fmt::Debug for NewInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewInvitation")
    }
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The group is registered.
    GroupCreated(GroupId),
    /// Every reachable device of the users was added.
    Invited {
        /// Devices that were added; none if all were members already.
        devices: Vec<DeviceId>,
        /// Users without a device that can be added.
        missing: Vec<UserId>,
    },
    /// It is done and in the group's log.
    Done,
    /// The message is in the outbox under this id.
    Queued(MessageId),
    /// How far each device is.
    DeliveryStatus(Vec<DeviceCursor>),
    /// Hand this link over: it is shown once.
    InvitationCreated {
        /// Whom it is for.
        user: UserId,
        /// The link.
        link: String,
        /// Until then.
        expires_at_ms: TimestampMs,
    },
    /// The devices of a user.
    Devices(Vec<DeviceState>),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GroupCreated(group) => write!(f, "GroupCreated({group:?})"),
            Self::Invited { devices, missing } => {
                write!(f, "Invited {{ devices: {devices:?}, missing: {} }}", missing.len())
            }
            Self::Done => f.write_str("Done"),
            Self::Queued(message) => write!(f, "Queued({message:?})"),
            Self::DeliveryStatus(_) => f.write_str("DeliveryStatus"),
            Self::InvitationCreated { .. } => f.write_str("InvitationCreated"),
            Self::Devices(_) => f.write_str("Devices"),
        }
    }
}

/// How far a device of a group has stored the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCursor {
    /// Its user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Everything up to and including this entry is safely on the device.
    pub acked: Seq,
}

/// A device as the hub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    /// The device.
    pub device: DeviceId,
    /// When it was enrolled.
    pub enrolled_at_ms: TimestampMs,
    /// End of its certificate's validity.
    pub expires_at_ms: TimestampMs,
    /// Day-precise; 0: never.
    pub last_seen_at_ms: TimestampMs,
    /// It was ended.
    pub revoked: bool,
}

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
    /// Its title; empty until a member has said it.
    pub title: String,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
