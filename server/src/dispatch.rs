//! One match: request to service call to reply. Called by every session for every request of an open session,
//! whatever transport it came by.
//!
//! - [`request`]: frames become requests of validated ids here, and nowhere else.
//! - `own`: requests about a user's own further devices.
//! - `alerts`: requests about push and alerts.
//! - [`reply`]: answers become frames here, and nowhere else.
//! - [`directory`], [`joining`]: both, for the requests of the directory and of groups that can be asked for.

mod alerts;
pub mod directory;
pub mod joining;
mod own;
pub mod reply;
pub mod request;

use std::{sync::Arc, time::Duration};

use cercle_proto::{
    ErrorCode,
    id::{DeviceId, GroupId, TimestampMs, UserId},
};

use crate::{
    alert::Alerts,
    attachments::Attachments,
    auth::{AuthenticationService, CreatedInvitation, Identity, InvitationRequest, Inviter},
    clock::Clock,
    delivery::{Accepted, Application, Delivery},
    directory::Directory,
    error::Refusal,
    fanout::Fanout,
    joining::Joining,
    lane::Lanes,
    membership::GroupRules,
    push::Push,
    register::RegisterService,
    telemetry::Metrics,
    vault::Vaults,
};
use reply::Reply;
use request::Call;

/// The services behind the requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Authentication service.
    pub auth: AuthenticationService,
    /// Delivery service.
    pub delivery: Delivery,
    /// Wakes devices without a session.
    pub push: Push,
    /// Alerts until they are acknowledged.
    pub alerts: Alerts,
    /// First-wins registers.
    pub registers: RegisterService,
    /// Where two devices of one user meet.
    pub lanes: Lanes,
    /// What users come back with.
    pub vaults: Vaults,
    /// Ciphertext of documents.
    pub attachments: Attachments,
    /// The directory.
    pub directory: Directory,
    /// Sessions to wake or end.
    pub fanout: Fanout,
    /// Where links of invitations lead.
    pub link: Arc<LinkTarget>,
    /// The time of each request.
    pub clock: Clock,
    /// Counts requests.
    pub metrics: Arc<Metrics>,
}

/// What an invitation link says beside its secret.
#[derive(Debug, Clone)]
pub struct LinkTarget {
    /// `host:port` as devices reach it.
    pub address: String,
    /// SHA-256 of the CPTS root.
    pub root_fingerprint: [u8; 32],
    /// The TLS certificate is one of the public web.
    pub web_certificate: bool,
}

impl LinkTarget {
    /// The link for a secret.
    #[must_use]
    pub fn link(&self, secret: [u8; 32]) -> String {
        let Self { address, root_fingerprint, web_certificate } = self.clone();
        cercle_proto::invitation::Invitation { address, secret, root_fingerprint, web_certificate }.to_link()
    }
}

/// An invitation was made.
#[derive(Debug)]
pub struct Invited {
    /// The invitation.
    pub created: CreatedInvitation,
    /// Its link.
    pub link: String,
    /// Devices that ended with it.
    pub ended: Vec<DeviceId>,
}

impl Dispatch {
    /// Carries out one request of an open session.
    ///
    /// # Errors
    /// As the service says, mapped to a code.
    pub async fn call(&self, by: &Identity, call: Call) -> Result<Reply, Refusal> {
        let kind = call.kind();
        let started = tokio::time::Instant::now();
        let verdict = self.carry_out(by, call).await;
        let code = verdict.as_ref().err().map(|refusal| refusal.code);
        self.observe(kind, code, started.elapsed());
        verdict
    }

    fn observe(&self, kind: &'static str, code: Option<ErrorCode>, took: Duration) {
        self.metrics.request(kind, code, took);
        if let Some(code) = code {
            tracing::debug!(kind, code = code.number(), "request refused");
        }
    }

    async fn carry_out(&self, by: &Identity, call: Call) -> Result<Reply, Refusal> {
        let now = self.clock.now();
        match call {
            Call::SendApplication { group, application } => self.send(by, group, application, now).await,
            // In a place of its own, or every message would bring the room that the largest of these needs.
            other => Box::pin(self.carry_out_other(by, other, now)).await,
        }
    }

    async fn carry_out_other(&self, by: &Identity, call: Call, now: TimestampMs) -> Result<Reply, Refusal> {
        let delivery = &self.delivery;
        let done = |()| Reply::Done;
        Ok(match call {
            Call::RenewCertificate => Reply::Certificate(self.auth.renew_certificate(by, now).await?),
            Call::CreateInvitation(request) => {
                let Invited { created, link, .. } = self.invite(Inviter::User(by), request).await?;
                Reply::Invitation { created, link }
            }
            Call::RevokeDevice(device) => {
                self.revoke(Inviter::User(by), device).await?;
                Reply::Done
            }
            Call::ListDevices(user) => Reply::Devices(self.auth.devices(Inviter::User(by), user).await?),
            Call::ListGroups => Reply::Groups(delivery.list_groups_and_forks(by).await?),
            Call::Acknowledge { groups, inbox } => self.acknowledge(by, groups, inbox, now).await?,
            Call::WelcomeAck { group, outcome } => {
                delivery.welcome_ack(by, group, outcome, now).await.map(done)?
            }
            Call::GetGroupInfo(group) => Reply::GroupInfo(delivery.group_info(by, group, now).await?),
            Call::GetDeliveryStatus(group) => {
                Reply::DeliveryStatus { group, devices: delivery.delivery_status(by, group).await? }
            }
            Call::CreateGroup(request) => Reply::Accepted(delivery.create_group(by, request, now).await?),
            Call::Commit(request) => self.with_news(delivery.commit(by, request, now).await?),
            Call::SendApplication { group, application } => self.send(by, group, application, now).await?,
            Call::SendProposal { group, message_id, mls } => {
                Reply::Accepted(delivery.send_proposal(by, group, message_id, mls, now).await?)
            }
            Call::ReportInvalidCommit { group, seq } => {
                delivery.report_invalid_commit(by, group, seq, now).await.map(done)?
            }
            Call::RequestReAdd(group) => delivery.request_re_add(by, group, now).await.map(done)?,
            Call::PublishKeyPackages { generation, packages, last_resort } => {
                let left = delivery.publish_key_packages(by, generation, packages, last_resort, now).await?;
                Reply::KeyPackagesPublished { left }
            }
            Call::ClaimKeyPackages(request) => {
                Reply::KeyPackages(delivery.claim_key_packages(by, request, now).await?)
            }
            Call::Ephemeral { group, mls } => delivery.ephemeral(by, group, mls).await.map(done)?,
            Call::ClaimOnce(register) => {
                Reply::RegisterClaimed(self.registers.claim_once(by, register, now).await?)
            }
            Call::CreateBlob(request) => {
                Reply::BlobTicket(self.attachments.create_blob(by, request, now).await?)
            }
            Call::OpenBlob(blob) => Reply::BlobTicket(self.attachments.open_blob(by, blob, now).await?),
            Call::ReleaseBlob(blob) => self.attachments.release_blob(by, blob).await.map(done)?,
            Call::Own(call) => self.about_own(by, call, now).await?,
            Call::Directory(call) => self.about_directory(by, call, now).await?,
            Call::Join(call) => self.about_joining(by, call, now).await?,
            Call::Alert(call) => self.about_alerts(by, call, now).await?,
        })
    }

    async fn send(
        &self,
        by: &Identity,
        group: GroupId,
        application: Application,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        Ok(self.with_news(self.delivery.send_application(by, group, application, now).await?))
    }

    /// Makes an invitation, and ends the devices that it calls lost. Also called by the operator's socket.
    ///
    /// # Errors
    /// As the services say; repeating it makes another invitation and ends what is left to end.
    pub async fn invite(&self, by: Inviter<'_>, request: InvitationRequest) -> Result<Invited, Refusal> {
        let now = self.clock.now();
        let lost = request.lost_devices;
        let created = self.auth.create_invitation(by, request, now).await?;
        let link = self.link.link(created.secret);
        let mut ended = Vec::new();
        if lost {
            let devices = self.auth.devices(by, Some(created.user.clone())).await?;
            let all: Vec<DeviceId> = devices.iter().map(|device| device.device).collect();
            self.auth.hold_places_of(&all, created.expires_at).await?;
            for device in devices.into_iter().filter(|device| device.revoked_at.is_none()) {
                self.revoke(by, device.device).await?;
                ended.push(device.device);
            }
        }
        Ok(Invited { created, link, ended })
    }

    /// Groups that follow the directory.
    #[must_use]
    pub fn group_rules(&self) -> GroupRules<'_> {
        let Self { directory, delivery, fanout, .. } = self;
        GroupRules { directory, delivery, fanout }
    }

    /// Groups that can be asked for.
    #[must_use]
    pub fn joining(&self) -> Joining<'_> {
        let Self { directory, delivery, fanout, .. } = self;
        Joining { directory, delivery, fanout }
    }

    /// Something was written that devices without a session are woken for.
    fn with_news(&self, accepted: Accepted) -> Reply {
        self.push.news(accepted.group);
        Reply::Accepted(accepted)
    }

    /// Revokes a device: its record, its session, its place in every group; returns whose it was. Also called by
    /// the operator's socket.
    ///
    /// # Errors
    /// As the services say; the device is revoked even if proposing its removal failed, which housekeeping
    /// then repeats.
    pub async fn revoke(&self, by: Inviter<'_>, device: DeviceId) -> Result<UserId, Refusal> {
        let now = self.clock.now();
        let revoked = self.auth.revoke_device(by, device, now).await?;
        self.fanout.end_session(device, ErrorCode::DeviceRevoked);
        self.attachments.end_tickets(device);
        self.push.forget(device).await.map_err(crate::push::RegisterError::from)?;
        self.delivery.propose_removals(device, now).await?;
        Ok(revoked.user)
    }
}
