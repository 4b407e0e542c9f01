//! What an app can ask for, and what comes of it.

use cercle_proto::{
    id::{BlobId, ChunkId, DeviceId, GroupId, MessageId, Seq, TimestampMs, UserId},
    v1,
};

use super::{AlertCommand, DevicesCommand, NewCircle, Ticket, VaultCommand};
use crate::{
    directory::{Entry, MembershipDue, Page, Question},
    message::{
        CircleMember, Document, Draft, GroupProfile, Patient, Request, RequestId,
        request::{Situation, Widening},
        transition::Action,
    },
};

/// What an app can ask for.
///
/// Commands that change a group are durable as soon as they are taken: they go on after a crash, and wait
/// for a connection if there is none. They finish when their commit is in the group's log, or can never
/// be; after a restart they go on, but nobody is told of their end except by events. `Send` finishes as soon as the message is durably in the outbox; [`Event::MessageAccepted`](crate::event::Event::MessageAccepted) tells
/// when it is in the log. The others need a connection and fail with [`Error::Offline`](crate::error::Error::Offline) without one.
#[derive(Clone)]
#[non_exhaustive]
pub enum Command {
    /// Makes a group of one; invite others next.
    CreateGroup {
        /// Title, topic, what it is for: seen by members only.
        profile: GroupProfile,
        /// Who may do what.
        policy: PolicyTemplate,
    },
    /// Notes that this user has read a group up to a place; the others are told where the thread asks for it.
    MarkRead {
        /// The group.
        group: GroupId,
        /// Everything up to this place.
        up_to: Seq,
    },
    /// Notes what this user has begun to write in a group, for all of his devices; empty: nothing any more.
    SetDraft {
        /// The group.
        group: GroupId,
        /// What.
        text: String,
    },
    /// Tells who is connected that this user writes, or has stopped: dropped when that is not possible.
    Typing {
        /// The group.
        group: GroupId,
        /// He has stopped.
        stopped: bool,
    },
    /// Asks something of the members of one or several groups. Durable when it finishes.
    Ask(Box<Ask>),
    /// Takes a step in the life of a request. Durable when it finishes: in the outbox, or, for a claim of a
    /// request to several groups, noted until the hub has decided
    /// ([`Event::RequestChanged`](crate::event::Event::RequestChanged) or
    /// [`Event::RequestLost`](crate::event::Event::RequestLost) tells how).
    Act(Box<Act>),
    /// Finds or makes the thread with one other person, and invites him. Finishes at once: what is sent to
    /// it waits for him.
    DirectWith {
        /// The other person.
        user: UserId,
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
    /// [`Event::GroupLeft`](crate::event::Event::GroupLeft) tells when another member has carried it out.
    Leave {
        /// The group.
        group: GroupId,
    },
    /// Queues a message.
    Send {
        /// The group.
        group: GroupId,
        /// What it says.
        draft: Draft,
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
    /// Makes a patient circle; finishes as [`Command::CreateGroup`].
    OpenCircle(Box<NewCircle>),
    /// Adds a person with all devices to a patient circle; finishes as [`Command::Invite`].
    AddToCircle {
        /// The circle.
        group: GroupId,
        /// Who, as what, why and for how long.
        entry: Box<CircleMember>,
    },
    /// Ends a person's period in a patient circle and removes every device of the person.
    EndMembership {
        /// The circle.
        group: GroupId,
        /// The person.
        user: UserId,
        /// Why; may be empty.
        note: String,
    },
    /// A part of a history is on the hub ([`Core::history_uploads`](super::Core::history_uploads)).
    HistoryUploaded {
        /// Which part.
        key: [u8; 16],
        /// Where it lies; `None`: the hub never takes it.
        document: Option<Box<Document>>,
    },
    /// A part of a history was fetched ([`Core::history_fetches`](super::Core::history_fetches)).
    HistoryFetched {
        /// The group.
        group: GroupId,
        /// The message that names it.
        message: MessageId,
        /// What was fetched; `None`: nobody can fetch it any more.
        sealed: Option<Vec<u8>>,
    },
    /// Renews the device certificate now instead of when two thirds of its life are over.
    RenewCertificate,
    /// Notes, durably, that bytes are to be uploaded and what is said once they are on the hub.
    BeginUpload {
        /// The bytes: also the id of the transfer.
        blob: BlobId,
        /// The group that the message is for.
        group: GroupId,
        /// Bytes of ciphertext.
        sealed_bytes: u64,
        /// The message.
        draft: Draft,
    },
    /// Puts the message of an upload into the outbox: its bytes are on the hub.
    FinishUpload {
        /// The transfer.
        blob: BlobId,
    },
    /// Forgets an upload and lets the hub forget its bytes.
    AbandonUpload {
        /// The transfer.
        blob: BlobId,
    },
    /// Asks for a ticket to upload.
    CreateBlob {
        /// The bytes: a random id.
        blob: BlobId,
        /// A group that this device is in.
        group: GroupId,
        /// Bytes of ciphertext.
        sealed_bytes: u64,
    },
    /// Asks for a ticket to download.
    OpenBlob {
        /// The bytes.
        blob: BlobId,
    },
    /// Keeps the user's backup; for [`crate::recovery`].
    Vault(Box<VaultCommand>),
    /// Links devices; for [`crate::linking`].
    Devices(DevicesCommand),
    /// Asks the directory something.
    Directory(Box<Question>),
    /// Asks the hub about alerts and wake-ups.
    Alert(Box<AlertCommand>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CreateGroup { .. } => "CreateGroup",
            Self::MarkRead { .. } => "MarkRead",
            Self::Typing { .. } => "Typing",
            Self::SetDraft { .. } => "SetDraft",
            Self::Ask(_) => "Ask",
            Self::Act(_) => "Act",
            Self::DirectWith { .. } => "DirectWith",
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
            Self::OpenCircle(_) => "OpenCircle",
            Self::AddToCircle { .. } => "AddToCircle",
            Self::EndMembership { .. } => "EndMembership",
            Self::HistoryUploaded { .. } => "HistoryUploaded",
            Self::HistoryFetched { .. } => "HistoryFetched",
            Self::RenewCertificate => "RenewCertificate",
            Self::BeginUpload { .. } => "BeginUpload",
            Self::FinishUpload { .. } => "FinishUpload",
            Self::AbandonUpload { .. } => "AbandonUpload",
            Self::CreateBlob { .. } => "CreateBlob",
            Self::OpenBlob { .. } => "OpenBlob",
            Self::Devices(_) => "Devices",
            Self::Vault(_) => "Vault",
            Self::Directory(_) => "Directory",
            Self::Alert(_) => "Alert",
        })
    }
}

/// Something to be asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// What. Its id and audience are chosen when it is posted.
    pub request: Request,
    /// Of whom: one group, or several, of which the first member to take it on has it for all.
    pub groups: Vec<GroupId>,
    /// Who is asked next, and when, if nobody has it by then.
    pub widening: Vec<Widening>,
    /// Whom it is about. In a thread of two people or a patient circle the request says it; else it stays on
    /// this device, which tells the owner alone once there is one.
    pub patient: Option<Patient>,
}

/// A step to be taken.
#[derive(Clone, PartialEq, Eq)]
pub struct Act {
    /// With which request.
    pub request: RequestId,
    /// What.
    pub action: Action,
    /// In which situation.
    pub situation: Situation,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Act").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Which policy a new group starts with ([`Policy`](cercle_proto::policy::Policy)).
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
    /// Every device of the user is lost: they end at once, and the one that enrols takes their place in his groups.
    pub lost_devices: bool,
}

impl std::fmt::Debug for NewInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewInvitation")
    }
}

/// What came of a command.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The group is registered.
    GroupCreated(GroupId),
    /// The thread of two people.
    DirectThread(GroupId),
    /// The request is on its way, under this id.
    Asked(RequestId),
    /// The claim is noted; the hub decides.
    Claiming,
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
    /// The vault on the hub.
    Vault(Box<v1::Vault>),
    /// A chunk of it.
    VaultChunk(bytes::Bytes),
    /// The chunk to take next.
    NextChunk(Option<(GroupId, ChunkId)>),
    /// The lane is open until then.
    LaneOpened {
        /// Until then.
        expires_at_ms: TimestampMs,
    },
    /// A ticket for bytes on the hub.
    Ticket(Ticket),
    /// Found entries of the directory.
    DirectoryPage(Box<Page>),
    /// An entry of the directory.
    DirectoryEntry(Box<Entry>),
    /// Rules of groups, and what is due by them.
    GroupRules(Vec<MembershipDue>),
    /// Groups that can be asked for.
    ListedGroups(Vec<v1::ListedGroup>),
    /// Who wants to join.
    JoinRequests(Vec<v1::JoinRequest>),
    /// How far an alert is.
    AlertStatus(v1::AlertStatus),
    /// A page of the recipients of an alert.
    AlertReport {
        /// How far it is.
        status: v1::AlertStatus,
        /// In order of user id.
        recipients: Vec<v1::AlertRecipient>,
        /// There are more.
        more: bool,
    },
    /// A page of users and how they could be reached.
    Reachability {
        /// In order of user id.
        users: Vec<v1::ReachableUser>,
        /// There are more.
        more: bool,
    },
    /// Whether this device can be woken, and the key to subscribe with.
    Push(v1::PushKey),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GroupCreated(group) => write!(f, "GroupCreated({group:?})"),
            Self::Asked(request) => write!(f, "Asked({request:?})"),
            Self::Claiming => f.write_str("Claiming"),
            Self::DirectThread(group) => write!(f, "DirectThread({group:?})"),
            Self::Invited { devices, missing } => {
                write!(f, "Invited {{ devices: {devices:?}, missing: {} }}", missing.len())
            }
            Self::Done => f.write_str("Done"),
            Self::Queued(message) => write!(f, "Queued({message:?})"),
            Self::DeliveryStatus(_) => f.write_str("DeliveryStatus"),
            Self::InvitationCreated { .. } => f.write_str("InvitationCreated"),
            Self::Devices(_) => f.write_str("Devices"),
            Self::LaneOpened { .. } => f.write_str("LaneOpened"),
            Self::Vault(_) => f.write_str("Vault"),
            Self::VaultChunk(_) => f.write_str("VaultChunk"),
            Self::NextChunk(_) => f.write_str("NextChunk"),
            Self::Ticket(ticket) => write!(f, "{ticket:?}"),
            Self::DirectoryPage(_) => f.write_str("DirectoryPage"),
            Self::GroupRules(_) => f.write_str("GroupRules"),
            Self::ListedGroups(_) => f.write_str("ListedGroups"),
            Self::JoinRequests(_) => f.write_str("JoinRequests"),
            Self::DirectoryEntry(_) => f.write_str("DirectoryEntry"),
            Self::AlertStatus(_) => f.write_str("AlertStatus"),
            Self::AlertReport { .. } => f.write_str("AlertReport"),
            Self::Reachability { .. } => f.write_str("Reachability"),
            Self::Push(_) => f.write_str("Push"),
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
