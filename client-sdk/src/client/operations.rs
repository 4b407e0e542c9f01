//! What an app does with groups, messages, devices: one method per operation, no logic.
//!
//! Group commands are durable before they are carried out: cancelling the wait does not cancel them (see
//! [`Command`] for when each of them finishes).

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq, UserId};
use tokio::sync::oneshot;

use super::{Client, ClientError, actor::Request};
use crate::core::{
    Command, DeviceCursor, DeviceState, GroupSummary, Identity, Member, Message, NewInvitation, Outcome,
    PolicyTemplate, QueuedMessage,
};
use crate::message::{Body, Draft, GroupProfile};

/// Who was invited and who could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Devices that were added.
    pub devices: Vec<DeviceId>,
    /// Users without a device that can be added.
    pub missing: Vec<UserId>,
}

/// An invitation to hand over.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationLink {
    /// Whom it is for.
    pub user: UserId,
    /// The link; shown once.
    pub link: String,
    /// Until when, ms since the Unix epoch.
    pub expires_at_ms: u64,
}

impl std::fmt::Debug for InvitationLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationLink")
    }
}

impl Client {
    /// Makes a group of one.
    ///
    /// # Errors
    /// When the device is not enrolled or the hub refuses.
    pub async fn create_group(
        &self,
        profile: impl Into<GroupProfile>,
        policy: PolicyTemplate,
    ) -> Result<GroupId, ClientError> {
        match self.command(Command::CreateGroup { profile: profile.into(), policy }).await? {
            Outcome::GroupCreated(group) => Ok(group),
            _ => Err(unexpected()),
        }
    }

    /// Adds every device of the users that the hub has a key package for.
    ///
    /// # Errors
    /// When the policy forbids it, nobody can be added, or a key package is not trusted.
    pub async fn invite(&self, group: GroupId, users: Vec<UserId>) -> Result<Invited, ClientError> {
        match self.command(Command::Invite { group, users }).await? {
            Outcome::Invited { devices, missing } => Ok(Invited { devices, missing }),
            _ => Err(unexpected()),
        }
    }

    /// Removes every device of the users.
    ///
    /// # Errors
    /// When the policy forbids it or they are not in the group.
    pub async fn remove(&self, group: GroupId, users: Vec<UserId>) -> Result<(), ClientError> {
        self.done(Command::Remove { group, users }).await
    }

    /// Asks the others to remove this device.
    ///
    /// # Errors
    /// When the device is not in the group.
    pub async fn leave(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::Leave { group }).await
    }

    /// Puts a message into the durable outbox and returns its id. It is sent exactly once, in order, by
    /// this process or the next that opens the profile; [`Event::MessageAccepted`](crate::event::Event)
    /// tells when the hub has it.
    ///
    /// # Errors
    /// When the device is not in the group or the outbox is full.
    pub async fn send(&self, group: GroupId, text: &str) -> Result<MessageId, ClientError> {
        self.post(group, Body::text(text).into()).await
    }

    /// As [`Client::send`], for any kind of content.
    ///
    /// # Errors
    /// As [`Client::send`], or when the content breaks a rule of its kind: the error names the field.
    pub async fn post(&self, group: GroupId, draft: Draft) -> Result<MessageId, ClientError> {
        match self.command(Command::Send { group, draft }).await? {
            Outcome::Queued(message) => Ok(message),
            _ => Err(unexpected()),
        }
    }

    /// Renews this device's keys in the group (RFC 9420 section 16.6).
    ///
    /// # Errors
    /// When the device is not in the group.
    pub async fn update_keys(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::UpdateKeys { group }).await
    }

    /// Names the group's administrators, all of them.
    ///
    /// # Errors
    /// When the policy forbids it.
    pub async fn set_administrators(&self, group: GroupId, users: Vec<UserId>) -> Result<(), ClientError> {
        self.done(Command::SetAdministrators { group, users }).await
    }

    /// Asks how far each device of the group has stored the log.
    ///
    /// # Errors
    /// When there is no connection or the device is not in the group.
    pub async fn delivery_status(&self, group: GroupId) -> Result<Vec<DeviceCursor>, ClientError> {
        match self.command(Command::DeliveryStatus { group }).await? {
            Outcome::DeliveryStatus(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }

    /// Makes an invitation for a new user or a further device.
    ///
    /// # Errors
    /// When there is no connection or the user may not invite.
    pub async fn create_invitation(&self, invitation: NewInvitation) -> Result<InvitationLink, ClientError> {
        match self.command(Command::CreateInvitation(invitation)).await? {
            Outcome::InvitationCreated { user, link, expires_at_ms } => {
                Ok(InvitationLink { user, link, expires_at_ms })
            }
            _ => Err(unexpected()),
        }
    }

    /// Lists the devices of a user; `None`: of this device's user.
    ///
    /// # Errors
    /// When there is no connection or the user may not see them.
    pub async fn list_devices(&self, user: Option<UserId>) -> Result<Vec<DeviceState>, ClientError> {
        match self.command(Command::ListDevices { user }).await? {
            Outcome::Devices(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }

    /// Ends a device for ever.
    ///
    /// # Errors
    /// When there is no connection or the user may not.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), ClientError> {
        self.done(Command::RevokeDevice { device }).await
    }

    /// Renews the device certificate ahead of its time.
    ///
    /// # Errors
    /// When there is no connection or the hub refuses.
    pub async fn renew_certificate(&self) -> Result<(), ClientError> {
        self.done(Command::RenewCertificate).await
    }

    /// Who this device is; `None` before enrolment.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn identity(&self) -> Result<Option<Identity>, ClientError> {
        self.query(|core| core.identity()).await
    }

    /// The groups of this device.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, ClientError> {
        Ok(self.query(|core| core.groups()).await??)
    }

    /// The devices in a group, with the people behind them.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn members(&self, group: GroupId) -> Result<Vec<Member>, ClientError> {
        Ok(self.query(move |core| core.members(group)).await??)
    }

    /// At most `limit` messages of a group after a place in its log, in order.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn messages(
        &self,
        group: GroupId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Message>, ClientError> {
        Ok(self.query(move |core| core.messages(group, after, limit)).await??)
    }

    /// Messages that are not in the log yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn outbox(&self) -> Result<Vec<QueuedMessage>, ClientError> {
        Ok(self.query(|core| core.outbox()).await??)
    }

    async fn done(&self, command: Command) -> Result<(), ClientError> {
        self.command(command).await.map(drop)
    }

    pub(super) async fn command(&self, command: Command) -> Result<Outcome, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Command(command, reply)).await?;
        answer.await.map_err(|_| ClientError::Closed)?
    }
}

/// The core answered a command with another's outcome: a fault of this program, reported, not a panic.
pub(super) fn unexpected() -> ClientError {
    crate::error::Error::Invalid("the core answered with the outcome of another command").into()
}
