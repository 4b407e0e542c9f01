//! What an app does with groups, messages, devices: one method per operation, no logic.
//!
//! Group commands are durable before they are carried out: cancelling the wait does not cancel them (see
//! [`Command`] for when each of them finishes).

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq, UserId};
use tokio::sync::oneshot;

use super::{Client, ClientError, actor::Request, now_ms};
use crate::core::{
    Act, Ask, BoardFilter, BoardRow, Command, DeviceCursor, DeviceState, GroupSummary, Identity, Member,
    Message, NewInvitation, Outcome, PolicyTemplate, QueuedMessage,
};
use crate::error::Error;
use crate::event::DeviceEntry;
use crate::message::{Body, Draft, GroupProfile, RequestId};
use crate::search::{Hit, Search};
use crate::thread::{
    Thread,
    requests::Course,
    view::{Range, ThreadView, Unread},
};

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

    /// The thread with one other person: the one that there is, or a new one into which he is invited. It
    /// can be written to at once; [`Client::invite`] tells whether he can be reached.
    ///
    /// # Errors
    /// When it is made and the device was never connected, or the user is oneself.
    pub async fn direct_with(&self, user: UserId) -> Result<GroupId, ClientError> {
        match self.command(Command::DirectWith { user }).await? {
            Outcome::DirectThread(group) => Ok(group),
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
    /// When the device is not in the group, or the group would be left without an administrator: see
    /// [`Client::leave_to`].
    pub async fn leave(&self, group: GroupId) -> Result<(), ClientError> {
        self.done(Command::Leave { group }).await
    }

    /// Names a member as administrator instead of this user, then leaves.
    ///
    /// # Errors
    /// When this user does not administer the group, the successor is not in it, or as [`Client::leave`].
    pub async fn leave_to(&self, group: GroupId, successor: UserId) -> Result<(), ClientError> {
        let own = self.identity().await?.ok_or(Error::NotEnrolled)?.user;
        let members = self.members(group).await?;
        if successor == own || !members.iter().any(|member| member.user == successor) {
            return Err(Error::NotInGroup { users: vec![successor] }.into());
        }
        let administrators = members.into_iter().filter(|member| member.administrator);
        let mut users: Vec<UserId> = administrators.map(|member| member.user).collect();
        users.retain(|user| *user != own);
        users.push(successor);
        self.set_administrators(group, users).await?;
        self.leave(group).await
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

    /// Asks something of the members of one or several groups, durably, and returns the request's id.
    ///
    /// # Errors
    /// When a field is missing or names a patient where it must not, or this device is not in a group.
    pub async fn ask(&self, ask: Ask) -> Result<RequestId, ClientError> {
        match self.command(Command::Ask(Box::new(ask))).await? {
            Outcome::Asked(request) => Ok(request),
            _ => Err(unexpected()),
        }
    }

    /// Whether [`Client::ask`] would take this, once the documents that it is to name are uploaded: what is
    /// missing is said before any of them is.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn check_ask(&self, ask: Ask) -> Result<(), ClientError> {
        Ok(self.query(move |core| core.check_ask(ask, now_ms())).await??)
    }

    /// Takes a step in the life of a request, durably. Whether it counts is told by
    /// [`Event::RequestChanged`](crate::event::Event) or, for a claim that was not the first,
    /// [`Event::RequestLost`](crate::event::Event). Returns the step's message, if it is queued already.
    ///
    /// # Errors
    /// When by what this device knows it cannot count: somebody else has the request, it is closed, it is
    /// for another person to do that ([`Refusal`](crate::thread::requests::Refusal)).
    pub async fn act(&self, act: Act) -> Result<Option<MessageId>, ClientError> {
        match self.command(Command::Act(Box::new(act))).await? {
            Outcome::Queued(message) => Ok(Some(message)),
            Outcome::Claiming | Outcome::Done => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// What was asked and is to be done, over all groups.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn board(&self, filter: BoardFilter) -> Result<Vec<BoardRow>, ClientError> {
        Ok(self.query(move |core| core.board(&filter, now_ms())).await??)
    }

    /// The life of a request in each group where this device knows it, the furthest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn request_history(&self, request: RequestId) -> Result<Vec<Course>, ClientError> {
        Ok(self.query(move |core| core.request(request, now_ms())).await??)
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

    /// Whether this device has something to tell the user's other devices in a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_state_waits(&self) -> Result<bool, ClientError> {
        Ok(self.query(|core| core.own_state_waits()).await??)
    }

    /// Waits until a device that was ended is out of every group of this one, which sees to that itself. Without
    /// a limit: bound it.
    ///
    /// # Errors
    /// As [`Client::groups_joined`].
    pub async fn device_out(&self, device: DeviceId) -> Result<(), ClientError> {
        let mut events = self.events();
        while self.query(move |core| core.is_anywhere(device)).await?? {
            tokio::select! {
                biased;
                notice = events.next() => notice.map(drop).ok_or(ClientError::Closed)?,
                stopped = self.stopped() => return Err(stopped),
            }
        }
        Ok(())
    }

    /// Changes of members' devices in a group, in the order of its log: who came back with a new device, and who
    /// vouched for it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn device_entries(&self, group: GroupId) -> Result<Vec<DeviceEntry>, ClientError> {
        Ok(self.query(move |core| core.device_entries(group)).await??)
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

    /// A part of a thread: messages as they are by now, with reactions, what is pinned and who has read.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn thread(&self, group: GroupId, range: Range) -> Result<ThreadView, ClientError> {
        Ok(self.query(move |core| core.thread(group, range)).await??)
    }

    /// What this user has not read, of every group of this device.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unread(&self) -> Result<Vec<(GroupId, Unread)>, ClientError> {
        Ok(self.query(|core| core.unread()).await??)
    }

    /// Notes that this user has read a group up to a place; the others are told where the thread asks for it.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn mark_read(&self, group: GroupId, up_to: Seq) -> Result<(), ClientError> {
        self.done(Command::MarkRead { group, up_to }).await
    }

    /// Notes what this user has begun to write in a group, for all of his devices; empty: nothing any more.
    ///
    /// # Errors
    /// When the group is unknown, or it is longer than a message may be.
    pub async fn set_draft(&self, group: GroupId, text: &str) -> Result<(), ClientError> {
        self.done(Command::SetDraft { group, text: text.to_owned() }).await
    }

    /// What this user has begun to write in a group, on whichever device; empty: nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn draft(&self, group: GroupId) -> Result<String, ClientError> {
        Ok(self.query(move |core| core.draft(group)).await??)
    }

    /// Tells the connected members of a group that this user writes, or has stopped. May be called at every
    /// key: it is told every few seconds, and dropped when it cannot be told.
    ///
    /// # Errors
    /// When the device is not in the group.
    pub async fn typing(&self, group: GroupId, stopped: bool) -> Result<(), ClientError> {
        self.done(Command::Typing { group, stopped }).await
    }

    /// Says what the group is: title, topic, kind. Only administrators may.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn set_profile(&self, group: GroupId, profile: GroupProfile) -> Result<MessageId, ClientError> {
        self.post(group, Body::GroupProfile(profile).into()).await
    }

    /// Messages that have these words, over everything that this device has, connected or not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn search(&self, search: Search) -> Result<Vec<Hit>, ClientError> {
        Ok(self.query(move |core| core.search(&search)).await??)
    }

    /// Messages whose id begins with these hexadecimal digits, with their group and place; at most two.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages_by_prefix(
        &self,
        digits: String,
    ) -> Result<Vec<(GroupId, Seq, MessageId)>, ClientError> {
        Ok(self.query(move |core| core.messages_by_prefix(&digits)).await??)
    }

    /// Reads what the messages of a group add up to. `read` runs on the client's thread: it should be short.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn with_thread<T: Send + 'static>(
        &self,
        group: GroupId,
        read: impl FnOnce(&Thread) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        Ok(self.query(move |core| core.whole_thread(group).map(read)).await??)
    }

    /// Messages that are not in the log yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn outbox(&self) -> Result<Vec<QueuedMessage>, ClientError> {
        Ok(self.query(|core| core.outbox()).await??)
    }

    pub(crate) async fn done(&self, command: Command) -> Result<(), ClientError> {
        self.command(command).await.map(drop)
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Outcome, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Command(command, reply)).await?;
        answer.await.map_err(|_| ClientError::Closed)?
    }
}

/// The core answered a command with another's outcome: a fault of this program, reported, not a panic.
pub(crate) fn unexpected() -> ClientError {
    Error::Invalid("the core answered with the outcome of another command").into()
}
