//! Everything an app can observe.
//!
//! Events are hints about what has changed in the store, where the change is already durable; an app
//! that missed some reads the store ([`Core::groups`](crate::core::Core::groups),
//! [`Core::messages`](crate::core::Core::messages)). Events of one group come in the order of its log.

use cercle_proto::{
    certificate::Admission,
    id::{BlobId, DeviceId, GroupId, MessageId, Seq, TimestampMs, UserId},
};

use crate::message::{Body, RequestId};
use crate::thread::requests::{Owner, State};

/// Something happened. `Debug` shows no content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The session with the hub is open; groups are being read.
    Connected,
    /// Every group has been read to the head that it had when the connection began, and the hub has
    /// the key packages with which others add this device to more.
    CaughtUp,
    /// The session with the hub has ended.
    Disconnected,
    /// The device has its certificate: it is enrolled as this user.
    Enrolled {
        /// Whom the certificate names.
        user: UserId,
    },
    /// A message of another device (or of this one, sent before its store was restored) is stored.
    MessageReceived(Message),
    /// Somebody is writing in a group, or has stopped. Show it for
    /// [`TYPING_SHOWN_MS`](crate::limits::TYPING_SHOWN_MS) unless it is said again.
    Typing {
        /// The group.
        group: GroupId,
        /// Who.
        user: UserId,
        /// With this device.
        device: DeviceId,
        /// Name to show.
        display_name: String,
        /// He has stopped.
        stopped: bool,
    },
    /// A message of this device is in the group's log, at this place.
    MessageAccepted {
        /// Its group.
        group: GroupId,
        /// Its id, as given when it was queued.
        message: MessageId,
        /// Its place in the log.
        seq: Seq,
        /// When the hub accepted it.
        at_ms: TimestampMs,
    },
    /// A message was taken out of the outbox because it can never be sent.
    MessageRefused {
        /// Its group.
        group: GroupId,
        /// Its id, as given when it was queued.
        message: MessageId,
        /// Why.
        reason: RefusedReason,
    },
    /// This device is in a group that it was not in before.
    GroupJoined {
        /// The group.
        group: GroupId,
    },
    /// Another device of this user has read a group further, or has begun to write in it.
    OwnStateChanged {
        /// The group.
        group: GroupId,
    },
    /// This device is in every group in which another device of its user is.
    GroupsJoined,
    /// A device of this user is out of the group of his own devices, which shows nothing else of itself.
    OwnDeviceOut {
        /// The device.
        device: DeviceId,
    },
    /// This device keeps the user's backup from now on, or with another recovery code.
    RecoveryChanged,
    /// Everything that is in the user's backup has come back to this device.
    Returned {
        /// How many messages were added.
        messages: u64,
    },
    /// The title or policy of a group has changed.
    GroupChanged {
        /// The group.
        group: GroupId,
    },
    /// This device is no longer in a group: nothing more is read or sent; what was received stays.
    GroupLeft {
        /// The group.
        group: GroupId,
        /// Who did it; `None`: this device asked for it itself, or the hub has forgotten the group.
        by: Option<Actor>,
    },
    /// A device joined or left a group.
    MembershipChanged(MembershipChange),
    /// Entries of a group could not be read and never will be: one event for all of them.
    Gap {
        /// The group.
        group: GroupId,
        /// How many entries.
        skipped: u64,
        /// Why.
        reason: GapReason,
    },
    /// A group that could not be read is healthy again; a gap, if any, was said before.
    Recovered {
        /// The group.
        group: GroupId,
    },
    /// A group cannot be read; the device is joining it again.
    Recovering {
        /// The group.
        group: GroupId,
        /// Why.
        reason: GapReason,
    },
    /// This store is older than what the hub knows of the device: it was restored from a copy. Every
    /// group concerned is joined again before anything is sent to it.
    RollbackDetected,
    /// A user has a device in a group that he did not have there, or has one less.
    DeviceChange {
        /// The group.
        group: GroupId,
        /// The user, who has at least one device in the group before and after.
        user: UserId,
        /// The device.
        device: DeviceId,
        /// It was added; else removed.
        added: bool,
        /// Who vouched for it when it was enrolled.
        admission: Admission,
    },
    /// A member of a group reports that it cannot process a commit.
    InvalidCommitReported {
        /// The group.
        group: GroupId,
        /// The commit's place in the log.
        seq: Seq,
        /// The device that reports.
        reporter: DeviceId,
    },
    /// Earlier messages that a member handed over are stored at their places; the group is to be shown
    /// again from its beginning.
    HistoryImported {
        /// The group.
        group: GroupId,
        /// How many messages were added.
        messages: u64,
        /// Who handed them over.
        exported_by: UserId,
    },
    /// A part of a history is to be put on the hub or fetched from it: work for the shell.
    HistoryWaits {
        /// The group.
        group: GroupId,
    },
    /// A history that was handed over is not to be trusted; nothing of it was kept.
    HistoryRefused {
        /// The group.
        group: GroupId,
        /// What is wrong with it.
        error: crate::history::HistoryError,
    },
    /// Two of this device's circles are about the same patient.
    CircleDuplicate {
        /// The circle that became known.
        group: GroupId,
        /// The one that was there before.
        other: GroupId,
    },
    /// This device's clock and the hub's differ by more than
    /// [`CLOCK_SKEW_MS_MAX`](crate::limits::CLOCK_SKEW_MS_MAX): certificates may seem to be invalid.
    ClockSkew {
        /// Hub's clock minus own clock, milliseconds.
        hub_ahead_ms: i64,
    },
    /// A request was asked or has taken a step that counts; where it stands.
    RequestChanged {
        /// In this group.
        group: GroupId,
        /// The request.
        request: RequestId,
        /// Where it stands there.
        state: State,
    },
    /// This device's claim of a request was not the first, or came too late.
    RequestLost {
        /// The request.
        request: RequestId,
        /// Who has it; `None` if it was taken back, has ended, or the hub cannot decide claims.
        owner: Option<Owner>,
    },
    /// The identity of a request's patient was handed over.
    RequestHandedOver {
        /// In this group.
        group: GroupId,
        /// The request.
        request: RequestId,
    },
    /// Bytes of a document were sent or received. Comes every now and then while a transfer goes on.
    TransferProgress {
        /// The transfer: the id of the bytes on the hub.
        transfer: BlobId,
        /// Bytes of content so far.
        done: u64,
        /// Bytes of content in all.
        total: u64,
    },
    /// A document is on the hub, and the message that names it is in the outbox.
    TransferFinished {
        /// The transfer.
        transfer: BlobId,
        /// The group of the message.
        group: GroupId,
        /// The message.
        message: MessageId,
    },
    /// Nothing comes of an upload; its file of ciphertext is deleted.
    TransferFailed {
        /// The transfer.
        transfer: BlobId,
        /// Why.
        reason: TransferFailure,
    },
    /// How far an alert is that this session watches.
    AlertStatus(Box<crate::core::AlertTally>),
    /// Somebody wants to join groups that this device administers: invite or decline. Said again after every
    /// connection until it is answered.
    WantToJoin(Box<crate::joining::WantToJoin>),
    /// A request of this user to join a group was declined.
    JoinDeclined(Box<crate::joining::Declined>),
    /// The device certificate was renewed and is valid until then.
    CertificateRenewed {
        /// End of validity.
        expires_at_ms: TimestampMs,
    },
}

impl Event {
    /// The group that it is shown in; `None` for work of the shell and for what is in no single group.
    pub(crate) const fn shown_in(&self) -> Option<GroupId> {
        match self {
            Self::MessageReceived(message) => Some(message.group),
            Self::MembershipChanged(change) => Some(change.group),
            Self::Typing { group, .. }
            | Self::MessageRefused { group, .. }
            | Self::GroupJoined { group }
            | Self::GroupChanged { group }
            | Self::GroupLeft { group, .. }
            | Self::Gap { group, .. }
            | Self::Recovered { group }
            | Self::Recovering { group, .. }
            | Self::DeviceChange { group, .. }
            | Self::InvalidCommitReported { group, .. } => Some(*group),
            _ => None,
        }
    }
}

/// Who did something in a group.
#[derive(Clone, PartialEq, Eq)]
pub enum Actor {
    /// A member.
    Member {
        /// The user.
        user: UserId,
        /// With this device.
        device: DeviceId,
        /// Name to show.
        display_name: String,
    },
    /// The hub, which removes revoked devices.
    Hub,
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member { device, .. } => write!(f, "Member({device:?})"),
            Self::Hub => f.write_str("Hub"),
        }
    }
}

/// A device of a member came to a group or went, as the thread of the group shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceEntry {
    /// The commit's place in the log.
    pub seq: Seq,
    /// When it came into the log.
    pub at_ms: TimestampMs,
    /// The member, who had other devices in the group.
    pub user: UserId,
    /// Name to show.
    pub display_name: String,
    /// The device.
    pub device: DeviceId,
    /// It came; else it went.
    pub added: bool,
    /// Who vouched for it when it was enrolled. [`Admission::Invited`]: neither another device of the user nor his
    /// recovery code; whoever is in the group should ask him.
    pub admission: Admission,
}

impl std::fmt::Debug for DeviceEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("DeviceEntry");
        out.field("seq", &self.seq).field("device", &self.device).field("added", &self.added);
        out.field("admission", &self.admission).finish_non_exhaustive()
    }
}

/// A device joined or left a group.
#[derive(Clone, PartialEq, Eq)]
pub struct MembershipChange {
    /// The group.
    pub group: GroupId,
    /// The commit's place in the log.
    pub seq: Seq,
    /// Joined; else left.
    pub joined: bool,
    /// The user who joined or left.
    pub user: UserId,
    /// With this device.
    pub device: DeviceId,
    /// Name to show.
    pub display_name: String,
    /// Who did it. The same device as above: it left, or joined again, by itself.
    pub by: Actor,
}

impl std::fmt::Debug for MembershipChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("MembershipChange");
        out.field("group", &self.group).field("seq", &self.seq).field("joined", &self.joined);
        out.field("device", &self.device).field("by", &self.by).finish_non_exhaustive()
    }
}

/// A message of a group, as it is stored. `Debug` shows ids only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its group.
    pub group: GroupId,
    /// Its place in the log.
    pub seq: Seq,
    /// Chosen by the sender.
    pub id: MessageId,
    /// User who sent it, as his certificate says.
    pub sender: UserId,
    /// Device that sent it.
    pub device: DeviceId,
    /// Name of the sender, as his certificate says.
    pub display_name: String,
    /// This device sent it.
    pub own: bool,
    /// The sender's certificate had expired when the message was read.
    pub expired_certificate: bool,
    /// The sender administered the group when it came into the log.
    pub by_administrator: bool,
    /// When the hub accepted it.
    pub at_ms: TimestampMs,
    /// The sender's clock when it was written.
    pub sent_at_ms: TimestampMs,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The member who handed it over, if this device was not in the group when it was sent: that it was sent
    /// so is his word.
    pub exported_by: Option<UserId>,
    /// What it says.
    pub body: Body,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Message");
        out.field("group", &self.group).field("seq", &self.seq).field("id", &self.id);
        out.field("device", &self.device).field("own", &self.own).finish_non_exhaustive()
    }
}

/// Why entries are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum GapReason {
    /// Single messages did not decrypt: their keys are gone, or they were damaged.
    Undecryptable,
    /// The hub no longer keeps them.
    Expired,
    /// The store was restored from an older copy.
    Rollback,
    /// A commit did not verify, broke the policy, or could not be processed.
    InvalidCommit,
    /// This device and others had different states of the same epoch.
    Fork,
    /// The welcome was lost or did not open.
    WelcomeLost,
    /// This device was not in the group before; another device of the same user is.
    NewDevice,
    /// The hub was restored from an older copy.
    HubRestored,
}

/// Why nothing comes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferFailure {
    /// This device is no longer in the group.
    NotMember,
    /// The hub does not take it: too large, over quota, or another refusal for good.
    Refused(cercle_proto::ErrorCode),
    /// The file of ciphertext in the profile is gone or cannot be read: attach the document again.
    FileLost,
    /// The app cancelled it.
    Cancelled,
}

/// Why a queued message can never be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedReason {
    /// This device is no longer in the group.
    NotMember,
    /// The group's policy does not let this user post, or the message names a patient and somebody else was put
    /// into the direct thread meanwhile.
    Denied,
    /// The hub takes no message of this kind or size.
    Refused(cercle_proto::ErrorCode),
}
