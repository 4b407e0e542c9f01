//! Frames become requests: the only place where a device's protobuf is read. A [`Request`] holds validated
//! ids; a field that does not fit is refused here, by name.

pub mod alert;
mod own;

use alert::AlertCall;
use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{BlobId, DeviceId, GroupId, MessageId, RegisterId, Seq, UserId},
    v1::{self, client_frame::Body},
};

use super::{directory, joining};
pub use super::{directory::DirectoryCall, joining::JoinCall};
use crate::{
    attachments::CreateBlob,
    auth::InvitationRequest,
    delivery::{Application, ClaimRequest, CommitRequest, CreateGroupRequest, WelcomeOutcome},
    error::Refusal,
    limits,
};
pub use own::{OwnCall, Recover};

/// A frame from a device.
#[derive(Debug)]
pub struct Received {
    /// Number that the answer carries; 0: no answer wanted.
    pub number: u64,
    /// What it asks, or why that cannot be said.
    pub request: Result<Request, Refusal>,
}

/// What a device asks.
#[derive(Debug)]
pub enum Request {
    /// First frame: which versions the client speaks.
    Hello {
        /// Lowest.
        version_min: u32,
        /// Highest.
        version_max: u32,
    },
    /// Redeems an invitation.
    Enrol(Box<Enrol>),
    /// Comes back with a recovery code.
    Recover(Box<Recover>),
    /// Proves possession of the device key.
    Authenticate {
        /// The device.
        device: DeviceId,
        /// Signature over the nonce.
        proof: Bytes,
        /// What a restored hub had given it; else empty.
        certificate: Bytes,
    },
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// Reads groups, or no longer.
    Subscribe(Subscribe),
    /// Everything that a service answers.
    Call(Call),
}

/// A new device key and the invitation that it redeems.
pub struct Enrol {
    /// Secret of the invitation.
    pub secret: [u8; 32],
    /// New device id.
    pub device: DeviceId,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Signature of the key over nonce and the rest.
    pub proof: Bytes,
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrol").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Which groups to read, from where.
#[derive(Debug)]
pub struct Subscribe {
    /// Number of the wave, not 0.
    pub wave: u64,
    /// Groups and the entries after which reading starts.
    pub groups: Vec<(GroupId, Seq)>,
    /// Inbox items after this number are wanted.
    pub inbox_after: u64,
    /// Groups to read no longer.
    pub remove: Vec<GroupId>,
}

/// A request that a service answers.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum Call {
    RenewCertificate,
    CreateInvitation(InvitationRequest),
    RevokeDevice(DeviceId),
    ListDevices(Option<UserId>),
    ListGroups,
    Acknowledge { groups: Vec<(GroupId, Seq)>, inbox: u64 },
    WelcomeAck { group: GroupId, outcome: WelcomeOutcome },
    GetGroupInfo(GroupId),
    GetDeliveryStatus(GroupId),
    CreateGroup(CreateGroupRequest),
    Commit(CommitRequest),
    SendApplication { group: GroupId, application: Application },
    SendProposal { group: GroupId, message_id: MessageId, mls: Bytes },
    ReportInvalidCommit { group: GroupId, seq: Seq },
    RequestReAdd(GroupId),
    PublishKeyPackages { generation: u64, packages: Vec<Bytes>, last_resort: Option<Bytes> },
    ClaimKeyPackages(ClaimRequest),
    Ephemeral { group: GroupId, mls: Bytes },
    ClaimOnce(RegisterId),
    CreateBlob(CreateBlob),
    OpenBlob(BlobId),
    ReleaseBlob(BlobId),
    Directory(DirectoryCall),
    Join(JoinCall),
    Alert(AlertCall),
    Own(OwnCall),
}

impl Call {
    /// Name for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RenewCertificate => "renew_certificate",
            Self::CreateInvitation(_) => "create_invitation",
            Self::RevokeDevice(_) => "revoke_device",
            Self::ListDevices(_) => "list_devices",
            Self::ListGroups => "list_groups",
            Self::Acknowledge { .. } => "acknowledge",
            Self::WelcomeAck { .. } => "welcome_ack",
            Self::GetGroupInfo(_) => "get_group_info",
            Self::GetDeliveryStatus(_) => "get_delivery_status",
            Self::CreateGroup(_) => "create_group",
            Self::Commit(_) => "commit",
            Self::SendApplication { .. } => "send_application",
            Self::SendProposal { .. } => "send_proposal",
            Self::ReportInvalidCommit { .. } => "report_invalid_commit",
            Self::RequestReAdd(_) => "request_re_add",
            Self::PublishKeyPackages { .. } => "publish_key_packages",
            Self::ClaimKeyPackages(_) => "claim_key_packages",
            Self::Ephemeral { .. } => "ephemeral",
            Self::ClaimOnce(_) => "claim_once",
            Self::CreateBlob(_) => "create_blob",
            Self::OpenBlob(_) => "open_blob",
            Self::ReleaseBlob(_) => "release_blob",
            Self::Directory(call) => call.kind(),
            Self::Join(call) => call.kind(),
            Self::Alert(call) => call.kind(),
            Self::Own(call) => call.kind(),
        }
    }

    /// The group that the call writes to, and whether it may overtake nothing and be overtaken by nothing
    /// there. Application messages of one device may be on their way together, because the store keeps the
    /// order in which they were handed over.
    #[must_use]
    pub fn writes_to(&self) -> Option<(GroupId, Pipelining)> {
        match self {
            Self::SendApplication { group, .. } => Some((*group, Pipelining::Together)),
            Self::SendProposal { group, .. } => Some((*group, Pipelining::Alone)),
            Self::CreateGroup(request) => Some((request.group, Pipelining::Alone)),
            Self::Commit(request) => Some((request.group, Pipelining::Alone)),
            _ => None,
        }
    }
}

/// How writes of one device to one group may be on their way at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipelining {
    /// With others of its kind.
    Together,
    /// Only by itself.
    Alone,
}

impl Received {
    /// Whether it only says how far the device has read.
    #[must_use]
    pub const fn is_acknowledgement(&self) -> bool {
        matches!(self.request, Ok(Request::Call(Call::Acknowledge { .. })))
    }
}

/// Reads a frame.
#[must_use]
pub fn read(frame: v1::ClientFrame) -> Received {
    let request = frame.body.ok_or_else(|| Refusal::of(ErrorCode::UnknownRequest)).and_then(body);
    Received { number: frame.request, request }
}

fn body(body: Body) -> Result<Request, Refusal> {
    Ok(match body {
        Body::Hello(v1::Hello { version_min, version_max, .. }) => {
            Request::Hello { version_min, version_max }
        }
        Body::Enrol(enrol) => Request::Enrol(Box::new(Enrol {
            secret: array(&enrol.invitation, "invitation must be 32 bytes")?,
            device: DeviceId::try_from(&enrol.device)?,
            public_key: array(&enrol.public_key, "public_key must be 32 bytes")?,
            proof: enrol.proof,
        })),
        Body::Recover(recover) => Request::Recover(Box::new(own::recover(recover)?)),
        Body::Authenticate(v1::Authenticate { device, proof, certificate }) => {
            Request::Authenticate { device: DeviceId::try_from(&device)?, proof, certificate }
        }
        Body::Ping(_) => Request::Ping,
        Body::Pong(_) => Request::Pong,
        Body::Subscribe(subscribe) => Request::Subscribe(self::subscribe(subscribe)?),
        other => Request::Call(call(other)?),
    })
}

fn call(body: Body) -> Result<Call, Refusal> {
    Ok(match body {
        Body::RenewCertificate(_) => Call::RenewCertificate,
        Body::CreateInvitation(request) => Call::CreateInvitation(invitation(request)?),
        Body::RevokeDevice(v1::RevokeDevice { device }) => Call::RevokeDevice(DeviceId::try_from(&device)?),
        Body::ListDevices(v1::ListDevices { user }) => {
            Call::ListDevices(if user.is_empty() { None } else { Some(UserId::parse(&user)?) })
        }
        Body::ListGroups(_) => Call::ListGroups,
        Body::Ack(v1::Ack { groups, inbox }) => Call::Acknowledge { groups: cursors(groups)?, inbox },
        Body::WelcomeAck(ack) => {
            Call::WelcomeAck { group: GroupId::try_from(&ack.group)?, outcome: outcome(ack.outcome())? }
        }
        Body::GetGroupInfo(v1::GetGroupInfo { group }) => Call::GetGroupInfo(GroupId::try_from(&group)?),
        Body::GetDeliveryStatus(v1::GetDeliveryStatus { group }) => {
            Call::GetDeliveryStatus(GroupId::try_from(&group)?)
        }
        Body::CreateGroup(request) => Call::CreateGroup(create_group(request)?),
        Body::CommitBundle(bundle) => Call::Commit(commit(bundle)?),
        Body::SendApplication(send) => {
            let (group, application) = application(send)?;
            Call::SendApplication { group, application }
        }
        Body::SendProposal(send) => {
            let (group, message_id, mls) = message(&send.group, &send.message_id, send.mls)?;
            Call::SendProposal { group, message_id, mls }
        }
        Body::ReportInvalidCommit(v1::ReportInvalidCommit { group, seq }) => {
            Call::ReportInvalidCommit { group: GroupId::try_from(&group)?, seq }
        }
        Body::RequestReAdd(v1::RequestReAdd { group }) => Call::RequestReAdd(GroupId::try_from(&group)?),
        Body::PublishKeyPackages(publish) => Call::PublishKeyPackages {
            generation: publish.generation,
            packages: publish.key_packages,
            last_resort: Some(publish.last_resort).filter(|package| !package.is_empty()),
        },
        Body::ClaimKeyPackages(claim) => Call::ClaimKeyPackages(self::claim(claim)?),
        Body::Ephemeral(v1::Ephemeral { group, mls, .. }) => {
            Call::Ephemeral { group: GroupId::try_from(&group)?, mls }
        }
        Body::ClaimOnce(v1::ClaimOnce { register }) => Call::ClaimOnce(RegisterId::try_from(&register)?),
        Body::CreateBlob(create) => Call::CreateBlob(create_blob(&create)?),
        Body::OpenBlob(v1::OpenBlob { blob }) => Call::OpenBlob(BlobId::try_from(&blob)?),
        Body::ReleaseBlob(v1::ReleaseBlob { blob }) => Call::ReleaseBlob(BlobId::try_from(&blob)?),
        Body::DirectorySearch(search) => Call::Directory(directory::search(search)?),
        Body::DirectoryGet(get) => Call::Directory(DirectoryCall::Get(get.key)),
        Body::UpdateCard(update) => Call::Directory(directory::update(update)?),
        Body::SetGroupRule(set) => Call::Directory(directory::set_rule(set)?),
        Body::GetGroupRules(get) => Call::Directory(directory::get_rules(&get)?),
        body @ (Body::PublishGroup(_)
        | Body::FindGroups(_)
        | Body::AskToJoin(_)
        | Body::GetJoinRequests(_)
        | Body::DeclineJoin(_)) => Call::Join(joining::call(body)?),
        body @ (Body::RegisterPush(_)
        | Body::OpenAlert(_)
        | Body::AlertAck(_)
        | Body::WatchAlert(_)
        | Body::CloseAlert(_)
        | Body::GetReachability(_)) => Call::Alert(alert::call(body)?),
        other => Call::Own(own::call(other)?),
    })
}

fn create_blob(create: &v1::CreateBlob) -> Result<CreateBlob, Refusal> {
    Ok(CreateBlob {
        blob: BlobId::try_from(&create.blob)?,
        group: GroupId::try_from(&create.group)?,
        size: create.size,
    })
}

fn create_group(request: v1::CreateGroup) -> Result<CreateGroupRequest, Refusal> {
    Ok(CreateGroupRequest {
        group: GroupId::try_from(&request.group)?,
        message_id: MessageId::try_from(&request.message_id)?,
        group_info: request.group_info,
        ratchet_tree: request.ratchet_tree,
    })
}

fn subscribe(subscribe: v1::Subscribe) -> Result<Subscribe, Refusal> {
    if subscribe.wave == 0 {
        return Err(Refusal::new(ErrorCode::InvalidField, "wave must not be 0"));
    }
    let remove = subscribe.remove.iter().map(GroupId::try_from).collect::<Result<_, _>>()?;
    Ok(Subscribe {
        wave: subscribe.wave,
        groups: cursors(subscribe.groups)?,
        inbox_after: subscribe.inbox_after,
        remove,
    })
}

fn cursors(cursors: Vec<v1::Cursor>) -> Result<Vec<(GroupId, Seq)>, Refusal> {
    if cursors.len() > limits::GROUPS_PER_SESSION_MAX {
        return Err(Refusal::new(ErrorCode::TooMany, "too many cursors in one frame"));
    }
    cursors.into_iter().map(|cursor| Ok((GroupId::try_from(&cursor.group)?, cursor.seq))).collect()
}

fn commit(bundle: v1::CommitBundle) -> Result<CommitRequest, Refusal> {
    let group = GroupId::try_from(&bundle.group)?;
    let application = match bundle.application {
        None => None,
        Some(first) => {
            let (of, first) = application(first)?;
            if of != group {
                let message = "the application message of a commit must be for the same group";
                return Err(Refusal::new(ErrorCode::InvalidField, message));
            }
            Some(first)
        }
    };
    Ok(CommitRequest {
        group,
        message_id: MessageId::try_from(&bundle.message_id)?,
        commit: bundle.commit,
        welcome: Some(bundle.welcome).filter(|welcome| !welcome.is_empty()),
        group_info: bundle.group_info,
        application,
    })
}

fn application(send: v1::SendApplication) -> Result<(GroupId, Application), Refusal> {
    if send.blobs.len() > limits::BLOBS_PER_MESSAGE_MAX {
        return Err(Refusal::new(ErrorCode::TooMany, "too many blobs in one message"));
    }
    let blobs = send.blobs.iter().map(BlobId::try_from).collect::<Result<_, _>>()?;
    let (group, message_id, mls) = message(&send.group, &send.message_id, send.mls)?;
    Ok((group, Application { message_id, mls, blobs }))
}

fn message(group: &Bytes, message_id: &Bytes, mls: Bytes) -> Result<(GroupId, MessageId, Bytes), Refusal> {
    Ok((GroupId::try_from(group)?, MessageId::try_from(message_id)?, mls))
}

fn claim(claim: v1::ClaimKeyPackages) -> Result<ClaimRequest, Refusal> {
    let optional = |bytes: &Bytes| (!bytes.is_empty()).then(|| bytes.clone());
    Ok(ClaimRequest {
        claim_id: array(&claim.claim_id, "claim_id must be 16 bytes")?,
        users: claim.users.iter().map(|user| UserId::parse(user)).collect::<Result<_, _>>()?,
        group: optional(&claim.group).map(|group| GroupId::try_from(&group)).transpose()?,
        device: optional(&claim.device).map(|device| DeviceId::try_from(&device)).transpose()?,
    })
}

fn invitation(request: v1::CreateInvitation) -> Result<InvitationRequest, Refusal> {
    let unknown_role = |_| Refusal::new(ErrorCode::InvalidField, "a role is not known to this hub");
    let roles = request.roles.iter().map(|role| v1::Role::try_from(*role).map_err(unknown_role));
    Ok(InvitationRequest {
        roles: roles.collect::<Result<_, _>>()?,
        class: v1::MemberClass::try_from(request.class)
            .map_err(|_| Refusal::new(ErrorCode::InvalidField, "class is not known to this hub"))?,
        user: Some(request.user).filter(|user| !user.is_empty()),
        display_name: request.display_name,
        profession: request.profession,
        valid_for_ms: Some(request.valid_for_ms).filter(|ms| *ms != 0),
        lost_devices: request.lost_devices,
    })
}

fn outcome(outcome: v1::welcome_ack::Outcome) -> Result<WelcomeOutcome, Refusal> {
    match outcome {
        v1::welcome_ack::Outcome::Joined => Ok(WelcomeOutcome::Joined),
        v1::welcome_ack::Outcome::NoMatchingKeyPackage => Ok(WelcomeOutcome::NoMatchingKeyPackage),
        v1::welcome_ack::Outcome::Invalid => Ok(WelcomeOutcome::Invalid),
        v1::welcome_ack::Outcome::Unspecified => {
            Err(Refusal::new(ErrorCode::InvalidField, "outcome is missing"))
        }
    }
}

fn array<const N: usize>(bytes: &Bytes, wrong: &'static str) -> Result<[u8; N], Refusal> {
    bytes.as_ref().try_into().map_err(|_| Refusal::new(ErrorCode::InvalidField, wrong))
}

#[cfg(test)]
mod tests {
    use cercle_proto::frame;

    use super::*;

    fn refusal(body: Body) -> ErrorCode {
        read(frame::client(1, body)).request.unwrap_err().code
    }

    #[test]
    fn ids_of_the_wrong_length_are_refused() {
        let short = Bytes::from_static(&[1; 15]);
        assert_eq!(
            refusal(Body::GetGroupInfo(v1::GetGroupInfo { group: short.clone() })),
            ErrorCode::InvalidField
        );
        let enrol = v1::Enrol { invitation: short, ..v1::Enrol::default() };
        assert_eq!(refusal(Body::Enrol(enrol)), ErrorCode::InvalidField);
    }

    #[test]
    fn a_wave_has_a_number_and_few_enough_groups() {
        assert_eq!(refusal(Body::Subscribe(v1::Subscribe::default())), ErrorCode::InvalidField);
        let cursor = v1::Cursor { group: Bytes::from_static(&[1; 16]), seq: 0 };
        let groups = vec![cursor; limits::GROUPS_PER_SESSION_MAX + 1];
        let subscribe = v1::Subscribe { wave: 1, groups, ..v1::Subscribe::default() };
        assert_eq!(refusal(Body::Subscribe(subscribe)), ErrorCode::TooMany);
    }

    #[test]
    fn the_first_message_of_an_epoch_is_for_the_group_of_its_commit() {
        let application = v1::SendApplication {
            group: Bytes::from_static(&[2; 16]),
            message_id: Bytes::from_static(&[3; 16]),
            ..v1::SendApplication::default()
        };
        let bundle = v1::CommitBundle {
            group: Bytes::from_static(&[1; 16]),
            message_id: Bytes::from_static(&[4; 16]),
            application: Some(application),
            ..v1::CommitBundle::default()
        };
        assert_eq!(refusal(Body::CommitBundle(bundle)), ErrorCode::InvalidField);
    }

    #[test]
    fn a_frame_without_a_body_is_an_unknown_request() {
        let received = read(v1::ClientFrame { request: 7, body: None });
        assert_eq!((received.number, received.request.unwrap_err().code), (7, ErrorCode::UnknownRequest));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, field in 2_u8..39) {
            // A body of each kind with random content, so that the decoder is passed.
            let length = u8::try_from(bytes.len().min(100)).unwrap();
            let mut framed = Vec::new();
            prost::encoding::encode_key(field.into(), prost::encoding::WireType::LengthDelimited, &mut framed);
            framed.push(length);
            framed.extend(&bytes[..length.into()]);
            if let Ok(frame) = frame::decode_client(framed.into()) {
                let _ = read(frame);
            }
        }
    }
}
