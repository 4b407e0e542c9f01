//! Answers become frames: the only place where the hub's protobuf is written, apart from the shared entries
//! of [`crate::fanout`] and refusals.

mod alert;
mod own;

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    frame::{self, FRAME_BYTES_MAX},
    id::GroupId,
    signing::NONCE_BYTES,
    v1::{self, server_frame::Body},
};
use cercle_storage::store::{DeviceRecord, Fork, InboxBody, InboxRecord};

use crate::{
    alert::{Reachable, Report, Status},
    attachments::IssuedTicket,
    auth::{Authenticated, CreatedInvitation, IssuedCertificate},
    delivery::{Accepted, ClaimReply, Delivered, GroupInfoReply, Membership},
    directory::{Hit, Page},
    error::Refusal,
    fanout::{MembershipKind, Relayed},
    joining::{Listed, Request},
    membership::Due,
    register::Claimed,
};

pub use own::OwnReply;

/// What a service answered.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the frame of the same name, whose .proto is the reference")]
pub enum Reply {
    Certificate(IssuedCertificate),
    Authenticated(Box<Authenticated>),
    Invitation { created: CreatedInvitation, link: String },
    Devices(Vec<DeviceRecord>),
    Groups(Vec<(Membership, Vec<Fork>)>),
    GroupInfo(GroupInfoReply),
    DeliveryStatus { group: GroupId, devices: Vec<Delivered> },
    Accepted(Accepted),
    KeyPackagesPublished { left: usize },
    KeyPackages(ClaimReply),
    RegisterClaimed(Claimed),
    Own(OwnReply),
    BlobTicket(IssuedTicket),
    DirectoryPage(Box<Page>),
    DirectoryEntry(Box<Hit>),
    GroupRules(Vec<Due>),
    ListedGroups(Vec<Listed>),
    JoinRequests(Vec<Request>),
    PushKey { public_key: Vec<u8>, reachable: bool },
    AlertStatus(Status),
    AlertReport(Report),
    Reachability { users: Vec<Reachable>, more: bool },
    Done,
    Pong,
}

/// The frame that answers a request.
#[must_use]
pub fn frame(request: u64, verdict: Result<Reply, Refusal>) -> Bytes {
    let reply = match verdict {
        Ok(reply) => reply,
        Err(refusal) => return refusal.frame(request),
    };
    let bytes = frame::encode(&frame::server(request, body(reply)));
    if bytes.len() > FRAME_BYTES_MAX {
        return Refusal::new(ErrorCode::TooMany, "the answer does not fit into a frame").frame(request);
    }
    bytes
}

/// First answer of the hub.
#[must_use]
pub fn hello_ok(
    request: u64,
    nonce: &[u8; NONCE_BYTES],
    now_ms: u64,
    domain: &str,
    ping_interval_ms: u32,
) -> Bytes {
    let hello = v1::HelloOk {
        version: frame::VERSION,
        nonce: Bytes::copy_from_slice(nonce),
        now_ms,
        domain: domain.to_owned(),
        ping_interval_ms,
        frame_bytes_max: narrow(FRAME_BYTES_MAX),
    };
    frame::encode(&frame::server(request, Body::HelloOk(hello)))
}

/// A ping.
#[must_use]
pub fn ping() -> Bytes {
    frame::encode(&frame::server(0, Body::Ping(v1::Ping {})))
}

/// History of a wave is complete.
#[must_use]
pub fn catchup_complete(wave: u64, refused: &[(GroupId, ErrorCode, u64)]) -> Bytes {
    let refused = refused.iter().map(|(group, code, floor)| v1::GroupRefused {
        group: group.to_bytes(),
        code: code.number(),
        floor: *floor,
    });
    let complete = v1::CatchupComplete { wave, refused: refused.collect() };
    frame::encode(&frame::server(0, Body::CatchupComplete(complete)))
}

/// An item of the device's inbox.
#[must_use]
pub fn inbox_item(record: InboxRecord) -> Bytes {
    let item = match record.body {
        InboxBody::Welcome { group, epoch, joined_at, body } => v1::inbox_item::Item::Welcome(v1::Welcome {
            group: group.to_bytes(),
            epoch,
            joined_at,
            welcome: body,
        }),
        InboxBody::InvalidCommitReported { group, seq, reporter } => {
            v1::inbox_item::Item::InvalidCommitReported(v1::InvalidCommitReported {
                group: group.to_bytes(),
                seq,
                reporter: reporter.to_bytes(),
            })
        }
    };
    let item = v1::InboxItem { number: record.number, item: Some(item) };
    frame::encode(&frame::server(0, Body::InboxItem(item)))
}

/// The stock of key packages is low.
#[must_use]
pub fn key_packages_low(left: usize) -> Bytes {
    let low = v1::KeyPackagesLow { left: narrow(left) };
    frame::encode(&frame::server(0, Body::KeyPackagesLow(low)))
}

/// Something that is passed on and not stored.
#[must_use]
pub fn relayed(what: &Relayed) -> Bytes {
    let body = match what {
        Relayed::Membership { group, hint } => Body::MembershipEvent(v1::MembershipEvent {
            group: group.to_bytes(),
            user: hint.user.as_str().to_owned(),
            device: hint.device.to_bytes(),
            kind: match hint.kind {
                MembershipKind::NeedsReAdd => v1::membership_event::Kind::NeedsReAdd,
                MembershipKind::Revoked => v1::membership_event::Kind::Revoked,
            }
            .into(),
        }),
        Relayed::MembershipDue(due) => Body::MembershipDue(super::directory::due(due)),
        Relayed::Ephemeral { group, sender, mls } => Body::Ephemeral(v1::Ephemeral {
            group: group.to_bytes(),
            sender: sender.to_bytes(),
            mls: mls.clone(),
        }),
        Relayed::JoinRequests(requests) => Body::JoinRequests(super::joining::requests(requests)),
        Relayed::JoinDeclined(declined) => Body::JoinDeclined(super::joining::declined(declined)),
        Relayed::AlertStatus(status) => Body::AlertStatus(alert::status(status)),
    };
    frame::encode(&frame::server(0, body))
}

fn body(reply: Reply) -> Body {
    match reply {
        Reply::Certificate(issued) => Body::CertificateIssued(v1::CertificateIssued {
            user: issued.user.as_str().to_owned(),
            certificate: issued.certificate.into(),
            root: issued.root.into(),
        }),
        Reply::Authenticated(session) => Body::Authenticated(v1::Authenticated {
            user: session.identity.user.as_str().to_owned(),
            certificate: session.certificate.into(),
            key_packages_left: narrow(session.key_packages_left),
            hub_certificate: session.hub_certificate.into(),
            incarnation: Bytes::copy_from_slice(&session.incarnation),
            roles: session.identity.roles.iter().map(|role| *role as u32).collect(),
            past_incarnations: session.past_incarnations.iter().map(|past| past.to_vec().into()).collect(),
        }),
        Reply::Invitation { created, link } => Body::InvitationCreated(v1::InvitationCreated {
            user: created.user.as_str().to_owned(),
            secret: Bytes::copy_from_slice(&created.secret),
            expires_at_ms: created.expires_at,
            link,
        }),
        Reply::Devices(devices) => {
            Body::Devices(v1::Devices { devices: devices.into_iter().map(device).collect() })
        }
        Reply::Groups(groups) => {
            Body::Groups(v1::Groups { groups: groups.into_iter().map(group_state).collect() })
        }
        Reply::GroupInfo(info) => Body::GroupInfo(v1::GroupInfo {
            group: info.group.to_bytes(),
            epoch: info.epoch,
            head: info.head,
            group_info: info.group_info,
            ratchet_tree: info.ratchet_tree,
        }),
        Reply::DeliveryStatus { group, devices } => Body::DeliveryStatus(v1::DeliveryStatus {
            group: group.to_bytes(),
            devices: devices.into_iter().map(device_cursor).collect(),
        }),
        Reply::Accepted(accepted) => Body::Accepted(v1::Accepted {
            group: accepted.group.to_bytes(),
            message_id: accepted.message_id.to_bytes(),
            seq: accepted.seq,
            epoch: accepted.epoch,
            at_ms: accepted.at,
            repeated: accepted.repeated,
        }),
        Reply::KeyPackagesPublished { left } => {
            Body::KeyPackagesPublished(v1::KeyPackagesPublished { left: narrow(left) })
        }
        Reply::KeyPackages(claimed) => Body::KeyPackages(key_packages(claimed)),
        Reply::Own(reply) => own::body(reply),
        Reply::RegisterClaimed(claimed) => Body::RegisterClaimed(register_claimed(claimed)),
        Reply::BlobTicket(ticket) => Body::BlobTicket(blob_ticket(&ticket)),
        Reply::DirectoryPage(page) => Body::DirectoryPage(super::directory::page(*page)),
        Reply::DirectoryEntry(hit) => Body::DirectoryEntry(super::directory::hit(*hit)),
        Reply::GroupRules(groups) => Body::GroupRules(super::directory::rules(&groups)),
        Reply::ListedGroups(groups) => Body::ListedGroups(super::joining::listed(groups)),
        Reply::JoinRequests(requests) => Body::JoinRequests(super::joining::requests(&requests)),
        Reply::PushKey { public_key, reachable } => {
            Body::PushKey(v1::PushKey { public_key: public_key.into(), reachable })
        }
        Reply::AlertStatus(status) => Body::AlertStatus(alert::status(&status)),
        Reply::AlertReport(report) => Body::AlertReport(alert::report(report)),
        Reply::Reachability { users, more } => Body::Reachability(alert::reachability(users, more)),
        Reply::Done => Body::Done(v1::Done {}),
        Reply::Pong => Body::Pong(v1::Pong {}),
    }
}

fn blob_ticket(ticket: &IssuedTicket) -> v1::BlobTicket {
    v1::BlobTicket {
        blob: ticket.blob.to_bytes(),
        ticket: Bytes::copy_from_slice(ticket.secret.as_bytes()),
        expires_at_ms: ticket.expires_at,
        size: ticket.size,
        stored: ticket.stored,
    }
}

fn device(record: DeviceRecord) -> v1::Device {
    v1::Device {
        device: record.device.to_bytes(),
        enrolled_at_ms: record.enrolled_at,
        expires_at_ms: record.expires_at,
        last_seen_at_ms: record.last_seen_at,
        revoked: record.revoked_at.is_some(),
    }
}

fn group_state((membership, forks): (Membership, Vec<Fork>)) -> v1::GroupState {
    v1::GroupState {
        group: membership.group.to_bytes(),
        epoch: membership.epoch,
        head: membership.head,
        floor: membership.floor,
        acked: membership.entry.acked,
        joined_at: membership.entry.joined_at,
        removed_at: membership.entry.removed_at.unwrap_or(0),
        needs_re_add: membership.needs_re_add.iter().map(|device| device.to_bytes()).collect(),
        forks: forks.into_iter().map(fork).collect(),
    }
}

fn fork(fork: Fork) -> v1::Fork {
    v1::Fork { incarnation: fork.incarnation.to_vec().into(), head: fork.head, epoch: fork.epoch }
}

fn device_cursor(delivered: Delivered) -> v1::DeviceCursor {
    v1::DeviceCursor {
        user: delivered.user.as_str().to_owned(),
        device: delivered.device.to_bytes(),
        acked: delivered.acked,
    }
}

fn key_packages(claimed: ClaimReply) -> v1::KeyPackages {
    let package = |package: cercle_storage::store::ClaimedPackage| v1::ClaimedKeyPackage {
        user: package.user.as_str().to_owned(),
        device: package.device.to_bytes(),
        key_package: package.body,
        last_resort: package.last_resort,
    };
    v1::KeyPackages {
        key_packages: claimed.packages.into_iter().map(package).collect(),
        missing: claimed.missing.iter().map(|user| user.as_str().to_owned()).collect(),
    }
}

fn register_claimed(claimed: Claimed) -> v1::RegisterClaimed {
    let Claimed { won, receipt, hub_certificate, signature } = claimed;
    let receipt = v1::ClaimReceipt {
        register: receipt.register.to_bytes(),
        user: receipt.user.as_str().to_owned(),
        device: receipt.device.to_bytes(),
        at_ms: receipt.at_ms,
        hub_certificate,
        signature,
    };
    v1::RegisterClaimed { won, receipt: Some(receipt) }
}

/// A count as the wire has it; no bounded count of the hub comes near the end.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
