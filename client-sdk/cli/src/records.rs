//! What `--json` prints: one object a line, with `type` first. docs/cli.md is the reference; fields are
//! added, never renamed or removed.

use std::borrow::Cow;

use cercle_proto::{
    id::{MessageId, UserId},
    v1::MemberClass,
};
use cercle_sdk::{
    core::{GroupState, GroupSummary, Identity, Member, Message},
    event::{GapReason, MembershipChange},
    message::{Body, Language},
};
pub(crate) use directory::{EntryRecord, FacetRecord, RuleRecord};
use serde::Serialize;

mod alert;
mod devices;

pub(crate) use alert::{
    AlertCount, AlertCountRecord, AlertRecipientRecord, AlertRecord, AlertStatusRecord, ReachableRecord,
    phase as alert_phase,
};
mod directory;
mod join;
mod requests;

pub(crate) use devices::{DeviceChangeRecord, DeviceRecord};
pub(crate) use join::{JoinRequestRecord, ListedGroupRecord, RequestDeclinedRecord};

pub(crate) use requests::{CSV_TITLES, RequestRecord, StepRecord, csv};
pub(crate) mod circle;
pub(crate) mod demo;
pub(crate) mod talk;

/// One line of output.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Record<'a> {
    Identity(IdentityRecord<'a>),
    Group(GroupRecord<'a>),
    Member(MemberRecord<'a>),
    Invited {
        group: String,
        devices: Vec<String>,
        missing: Vec<&'a str>,
    },
    Removed {
        group: String,
        users: Vec<&'a str>,
    },
    Left {
        group: String,
    },
    KeysUpdated {
        group: String,
    },
    Accepted {
        group: String,
        id: String,
        seq: u64,
        at_ms: u64,
    },
    Kept {
        group: Option<String>,
        id: Option<String>,
        waiting: usize,
    },
    Attached {
        group: String,
        transfer: String,
    },
    Progress {
        transfer: String,
        done: u64,
        total: u64,
    },
    Fetched(FetchedRecord<'a>),
    Transfer(TransferRecord<'a>),
    Cancelled {
        transfer: String,
    },
    Message(MessageRecord<'a>),
    Membership(MembershipRecord<'a>),
    Joined {
        group: String,
        title: &'a str,
    },
    Closed {
        group: String,
        title: &'a str,
    },
    Gap {
        group: String,
        skipped: u64,
        reason: &'static str,
    },
    Recovering {
        group: String,
        reason: &'static str,
    },
    Recovered {
        group: String,
    },
    Alert(AlertRecord<'a>),
    AlertStatus(AlertStatusRecord<'a>),
    AlertRecipient(AlertRecipientRecord<'a>),
    AlertCount(AlertCountRecord<'a>),
    Reachable(ReachableRecord<'a>),
    AlertAcknowledged {
        alert: String,
    },
    Push {
        reachable: bool,
        public_key: String,
    },
    RestoredCopy {},
    Missed {
        events: u64,
    },
    CaughtUp {},
    Offline {},
    Status(StatusRecord<'a>),
    Delivery {
        group: String,
        user: &'a str,
        device: String,
        acked: u64,
        waiting: u64,
    },
    Device(DeviceRecord<'a>),
    Thread(talk::ThreadRecord<'a>),
    ThreadMessage(talk::ThreadMessageRecord<'a>),
    Read {
        group: String,
        up_to: u64,
        messages: u64,
        mentions: u64,
    },
    ThreadDraft {
        group: String,
        text: &'a str,
    },
    ReadPlace {
        group: String,
        user: &'a str,
        up_to: u64,
        at_ms: u64,
    },
    Typing {
        group: String,
        user: &'a str,
        device: String,
        display_name: &'a str,
        stopped: bool,
    },
    Hit(talk::HitRecord<'a>),
    Revoked {
        device: String,
    },
    DeviceChange(DeviceChangeRecord<'a>),
    RecoveryCode {
        code: &'a str,
        address: &'a str,
        line: &'a str,
    },
    RecoveryState {
        code: bool,
        kept_here: bool,
    },
    LinkCode {
        code: &'a str,
        expires_at_ms: u64,
    },
    LinkMet {
        device: String,
    },
    LinkNumber {
        number: &'a str,
    },
    Linked {
        device: String,
    },
    Unlinked {
        device: String,
    },
    Invitation {
        user: &'a str,
        link: &'a str,
        expires_at_ms: u64,
    },
    Request(RequestRecord<'a>),
    Step(StepRecord<'a>),
    DirectoryEntry(Box<EntryRecord<'a>>),
    DirectoryPage {
        total: u32,
        professions: Vec<FacetRecord<'a>>,
        communes: Vec<FacetRecord<'a>>,
        imported_at_ms: u64,
    },
    Rule(RuleRecord<'a>),
    ListedGroup(ListedGroupRecord<'a>),
    GroupListed {
        group: String,
        listed: bool,
    },
    AskedToJoin {
        group: String,
        withdrawn: bool,
    },
    JoinRequest(JoinRequestRecord<'a>),
    JoinDeclined {
        group: String,
        user: &'a str,
        reason: &'a str,
    },
    RequestDeclined(RequestDeclinedRecord<'a>),
    Demo(Box<demo::DemoRecord>),
    DemoReady {
        invitation: &'a str,
        address: &'a str,
    },
    Kind {
        kind: &'a str,
    },
    Template {
        kind: &'a str,
        content: serde_json::Value,
    },
    Fhir {
        resource: serde_json::Value,
    },
    Calendar {
        group: String,
        /// The file, as RFC 5545 has it.
        content: &'a str,
    },
    Draft {
        kind: &'a str,
        content: &'a serde_json::Value,
        documents: Vec<serde_json::Value>,
        problems: &'a [cercle_sdk::fhir::Problem],
    },
    Imported {
        group: String,
        request: String,
    },
    State {
        group: &'a str,
        kind: &'a str,
        state: serde_json::Value,
    },
    Circle(circle::CircleRecord<'a>),
    CircleMember(circle::CircleMemberRecord<'a>),
    Timeline(circle::TimelineRecord<'a>),
    Refusal(circle::RefusalLine<'a>),
    Exported(circle::ExportedRecord),
    ExportVerified(circle::VerifiedRecord<'a>),
    ExportFault {
        fault: &'static str,
        path: Option<&'a str>,
    },
    Error(ErrorRecord<'a>),
}

#[derive(Debug, Serialize)]
pub(crate) struct IdentityRecord<'a> {
    user: &'a str,
    device: String,
    display_name: &'a str,
    profession: &'a str,
    class: &'static str,
    hub: &'a str,
    root_fingerprint: String,
    certificate_expires_at_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct GroupRecord<'a> {
    group: String,
    title: &'a str,
    state: &'static str,
    epoch: u64,
    /// Equal on all members of the same epoch (RFC 9420 section 8.7).
    epoch_authenticator: String,
    cursor: u64,
    users: usize,
    devices: usize,
    administrators: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MemberRecord<'a> {
    group: String,
    user: &'a str,
    device: String,
    display_name: &'a str,
    profession: &'a str,
    class: &'static str,
    administrator: bool,
    own: bool,
    certificate_expires_at_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct MessageRecord<'a> {
    group: String,
    title: &'a str,
    seq: u64,
    id: String,
    sender: &'a str,
    device: String,
    display_name: &'a str,
    own: bool,
    expired_certificate: bool,
    at_ms: u64,
    sent_at_ms: u64,
    /// Message that this one answers.
    in_reply_to: Option<String>,
    /// Who handed it over, if it was sent before this device was a member.
    exported_by: Option<&'a str>,
    kind: &'static str,
    /// The content as a person reads it.
    text: String,
    /// The content, field by field; `kind` once more.
    content: &'a Body,
}

/// A document that was fetched.
#[derive(Debug, Serialize)]
pub(crate) struct FetchedRecord<'a> {
    pub(crate) transfer: String,
    pub(crate) path: Cow<'a, str>,
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    /// Bytes.
    pub(crate) size: u64,
}

/// An upload whose message is not in the outbox yet.
#[derive(Debug, Serialize)]
pub(crate) struct TransferRecord<'a> {
    pub(crate) transfer: String,
    pub(crate) group: String,
    pub(crate) name: &'a str,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) begun_at_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct MembershipRecord<'a> {
    group: String,
    seq: u64,
    joined: bool,
    user: &'a str,
    device: String,
    display_name: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusRecord<'a> {
    pub(crate) user: &'a str,
    pub(crate) device: String,
    pub(crate) hub: &'a str,
    pub(crate) online: bool,
    pub(crate) groups: usize,
    /// Messages that are not in a log yet.
    pub(crate) waiting: usize,
    pub(crate) certificate_expires_at_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorRecord<'a> {
    pub(crate) code: u8,
    pub(crate) name: &'static str,
    pub(crate) message: &'a str,
    pub(crate) mend: Option<&'a str>,
}

impl<'a> IdentityRecord<'a> {
    pub(crate) fn new(identity: &'a Identity) -> Self {
        Self {
            user: identity.user.as_str(),
            device: identity.device.to_hex(),
            display_name: &identity.display_name,
            profession: &identity.profession,
            class: class_name(identity.class),
            hub: &identity.address,
            root_fingerprint: cercle_proto::id::to_hex(&identity.root_fingerprint),
            certificate_expires_at_ms: identity.certificate_expires_at_ms,
        }
    }
}

impl<'a> GroupRecord<'a> {
    pub(crate) fn new(group: &'a GroupSummary) -> Self {
        let administrators = group.policy.as_ref().map(|policy| policy.administrators()).unwrap_or_default();
        Self {
            group: group.group.to_hex(),
            title: &group.profile.title,
            state: state_name(group.state),
            epoch: group.epoch,
            epoch_authenticator: cercle_proto::id::to_hex(&group.epoch_authenticator),
            cursor: group.cursor,
            users: group.users,
            devices: group.devices,
            administrators: administrators.iter().map(|user| user.as_str()).collect(),
        }
    }
}

impl<'a> MemberRecord<'a> {
    pub(crate) fn new(group: &GroupSummary, member: &'a Member) -> Self {
        Self {
            group: group.group.to_hex(),
            user: member.user.as_str(),
            device: member.device.to_hex(),
            display_name: &member.display_name,
            profession: &member.profession,
            class: class_name(member.class),
            administrator: member.administrator,
            own: member.own,
            certificate_expires_at_ms: member.certificate_expires_at_ms,
        }
    }
}

impl<'a> MessageRecord<'a> {
    pub(crate) fn new(title: &'a str, message: &'a Message, language: Language) -> Self {
        Self {
            group: message.group.to_hex(),
            title,
            seq: message.seq,
            id: message.id.to_hex(),
            sender: message.sender.as_str(),
            device: message.device.to_hex(),
            display_name: &message.display_name,
            own: message.own,
            expired_certificate: message.expired_certificate,
            at_ms: message.at_ms,
            sent_at_ms: message.sent_at_ms,
            in_reply_to: message.in_reply_to.map(MessageId::to_hex),
            exported_by: message.exported_by.as_ref().map(UserId::as_str),
            kind: message.body.name(),
            text: message.body.render(language),
            content: &message.body,
        }
    }
}

impl<'a> MembershipRecord<'a> {
    pub(crate) fn new(change: &'a MembershipChange) -> Self {
        Self {
            group: change.group.to_hex(),
            seq: change.seq,
            joined: change.joined,
            user: change.user.as_str(),
            device: change.device.to_hex(),
            display_name: &change.display_name,
        }
    }
}

/// The name of a class of member.
pub(crate) fn class_name(class: MemberClass) -> &'static str {
    cercle_proto::certificate::class_name(class)
}

/// The name of a group's state.
pub(crate) fn state_name(state: GroupState) -> &'static str {
    match state {
        GroupState::Creating => "creating",
        GroupState::Active => "active",
        GroupState::Recovering => "recovering",
        GroupState::Leaving => "leaving",
        GroupState::Closed => "closed",
    }
}

/// The name of the reason for a gap.
pub(crate) fn gap_reason_name(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Undecryptable => "undecryptable",
        GapReason::Expired => "expired",
        GapReason::Rollback => "rollback",
        GapReason::InvalidCommit => "invalid_commit",
        GapReason::Fork => "fork",
        GapReason::WelcomeLost => "welcome_lost",
        GapReason::HubRestored => "hub_restored",
        _ => "other",
    }
}
