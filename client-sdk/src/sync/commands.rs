//! What the app asks for: checks arguments, and begins.

use cercle_proto::{
    id::{DeviceId, GroupId, UserId},
    policy::{Policy, PolicyError},
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};

use super::{
    Cx, Lane, Step,
    session::{Pending, Phase},
    staging, transfers,
};
use crate::{
    core::{
        Command, DeviceCursor, DeviceState, DevicesCommand, GroupState, NewInvitation, Outcome,
        PolicyTemplate, VaultCommand,
    },
    error::Error,
    limits,
    message::{self, Draft, GroupProfile, Kind as _, ThreadKind, Typing},
    mls::group,
    store::{
        groups::{GroupRecord, GroupRow},
        intents::{Change, Intent, Staged},
    },
};

/// A command was taken, or refused at once.
pub(super) type Begun = Result<(), Error>;

impl Cx<'_, '_> {
    /// The app wants something.
    pub(crate) fn command(&mut self, id: u64, command: Command) -> Step {
        let begun = match command {
            Command::CreateGroup { profile, policy } => self.plain_group(id, profile, policy)?,
            Command::Send { group, draft } => self.send(id, group, &draft)?,
            Command::MarkRead { group, up_to } => {
                let marked = self.mark_read(group, up_to)?;
                self.done(id, marked)
            }
            Command::SetDraft { group, text } => {
                let set = self.set_draft(group, text)?;
                self.done(id, set)
            }
            Command::Typing { group, stopped } => {
                let told = self.tell_typing(group, Typing { stopped })?;
                self.done(id, told)
            }
            Command::Ask(ask) => self.ask_others(id, *ask)?,
            Command::Act(act) => self.act(id, *act)?,
            Command::DirectWith { user } => self.direct_thread(id, &user)?,
            Command::Invite { group, users } => self.invite(id, group, &users)?,
            Command::Remove { group, users } => {
                self.change_members(id, group, &users, |users| Change::Remove { users })?
            }
            Command::SetAdministrators { group, users } => {
                self.change_members(id, group, &users, |users| Change::Administrators { users })?
            }
            Command::OpenCircle(circle) => self.open_circle(id, *circle)?,
            Command::AddToCircle { group, entry } => self.add_to_circle(id, group, *entry)?,
            Command::EndMembership { group, user, note } => self.end_membership(id, group, &user, note)?,
            Command::HistoryUploaded { key, document } => {
                let taken = self.history_uploaded(key, document.map(|document| *document))?;
                self.done(id, taken)
            }
            Command::HistoryFetched { group, message, sealed } => {
                let taken = self.history_fetched(group, message, sealed.as_deref())?;
                self.done(id, taken)
            }
            Command::Leave { group } => self.leave(id, group)?,
            Command::UpdateKeys { group } => self.change(id, group, Change::Update)?,
            Command::DeliveryStatus { group } => {
                let get = v1::GetDeliveryStatus { group: group.to_bytes() };
                self.ask(id, Request::GetDeliveryStatus(get))
            }
            Command::CreateInvitation(invitation) => {
                self.ask(id, Request::CreateInvitation(new_invitation(invitation)))
            }
            Command::ListDevices { user } => self.ask(id, list_devices(user)),
            Command::RevokeDevice { device } => self.end_device(id, device),
            Command::RenewCertificate => self.renew_now(id),
            Command::Vault(command) => self.vault_command(id, *command)?,
            Command::Devices(command) => self.devices_command(id, command)?,
            Command::BeginUpload { blob, group, sealed_bytes, draft } => {
                self.begin_upload(id, blob, group, sealed_bytes, &draft)?
            }
            Command::FinishUpload { blob } => self.finish_upload(id, blob)?,
            Command::AbandonUpload { blob } => self.abandon_upload(id, blob)?,
            Command::CreateBlob { blob, group, sealed_bytes: size } => {
                let create = v1::CreateBlob { blob: blob.to_bytes(), group: group.to_bytes(), size };
                self.ask(id, Request::CreateBlob(create))
            }
            Command::OpenBlob { blob } => {
                self.ask(id, Request::OpenBlob(v1::OpenBlob { blob: blob.to_bytes() }))
            }
            Command::Directory(question) => self.ask(id, question.frame()),
            Command::Alert(command) => self.ask(id, command.request()),
        };
        if let Err(error) = begun {
            self.finish(id, Err(error));
        }
        Ok(())
    }

    fn end_device(&mut self, id: u64, device: DeviceId) -> Begun {
        self.m.session.ended.insert(device);
        self.ask(id, Request::RevokeDevice(v1::RevokeDevice { device: device.to_bytes() }))
    }

    fn invite(&mut self, id: u64, group: GroupId, users: &[UserId]) -> Step<Begun> {
        if let Err(error) = self.may_invite(group, users)? {
            return Ok(Err(error));
        }
        let claim = self.random();
        self.change_members(id, group, users, |users| Change::Invite { users, claim })
    }

    /// What keeping the backup asks for.
    fn vault_command(&mut self, id: u64, command: VaultCommand) -> Step<Begun> {
        Ok(match command {
            VaultCommand::Get(get) => self.ask(id, Request::GetVault(get)),
            VaultCommand::GetChunk(get) => self.ask(id, Request::GetVaultChunk(get)),
            VaultCommand::PutChunk(put) => self.ask(id, Request::PutVaultChunk(put)),
            VaultCommand::Put(put) => self.ask(id, Request::PutVault(put)),
            VaultCommand::Keep(keys) => {
                self.change_vault_keys(keys)?;
                self.done(id, Ok(()))
            }
            VaultCommand::Open(vault) => {
                let opened = self.open_vault(&vault)?;
                self.done(id, opened)
            }
            VaultCommand::Next => {
                let next = self.next_return()?;
                self.finish(id, Ok(Outcome::NextChunk(next)));
                Ok(())
            }
            VaultCommand::Take { group, chunk, content } => {
                let taken = self.take_chunk(group, chunk, content.as_deref())?;
                self.done(id, taken)
            }
        })
    }

    /// What the linking of devices asks for.
    fn devices_command(&mut self, id: u64, command: DevicesCommand) -> Step<Begun> {
        match command {
            DevicesCommand::OpenLane { lane, token_sha256 } => {
                let open = v1::OpenLane { lane: lane.to_bytes(), token_sha256: token_sha256.to_vec().into() };
                Ok(self.ask(id, Request::OpenLane(open)))
            }
            DevicesCommand::CloseLane { lane } => {
                Ok(self.ask(id, Request::CloseLane(v1::CloseLane { lane: lane.to_bytes() })))
            }
            DevicesCommand::PrepareOwnGroup => self.prepare_own_group(id),
            DevicesCommand::NoteLinked { device, key } => {
                let noted = self.note_linked(device, key)?;
                Ok(self.done(id, noted))
            }
        }
    }

    /// Asks the hub something that needs a connection.
    fn ask(&mut self, id: u64, body: Request) -> Begun {
        if self.m.session.phase != Phase::Ready || self.m.session.pending.len() >= limits::COMMANDS_MAX {
            return Err(Error::Offline);
        }
        self.request(body, Pending::Command { id });
        Ok(())
    }

    fn renew_now(&mut self, id: u64) -> Begun {
        if self.m.session.phase != Phase::Ready || self.m.session.renewing {
            return Err(Error::Offline);
        }
        self.renew(Some(id));
        Ok(())
    }

    /// Something that ends at once.
    fn done(&mut self, id: u64, result: Result<(), Error>) -> Begun {
        result.map(|()| self.finish(id, Ok(Outcome::Done)))
    }

    /// A group that this device takes part in.
    pub(crate) fn usable(&self, group: GroupId) -> Result<&Lane, Error> {
        let lane = self.m.groups.get(&group).ok_or(Error::UnknownGroup(group))?;
        match lane.state() {
            GroupState::Closed | GroupState::Leaving => Err(Error::NotMember(group)),
            _ => Ok(lane),
        }
    }

    fn send(&mut self, id: u64, group: GroupId, draft: &Draft) -> Step<Begun> {
        let content = match self.sendable(group, draft)? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        if self.tx.outbox_length()? >= limits::OUTBOX_MESSAGES_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        let message = self.queue(group, &content)?;
        self.finish(id, Ok(Outcome::Queued(message)));
        Ok(Ok(()))
    }

    /// The envelope of a message that this user may send in this group, now or once its document is uploaded.
    pub(super) fn sendable(&mut self, group: GroupId, draft: &Draft) -> Step<Result<Vec<u8>, Error>> {
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        if let Err(error) = self.may_send(group, draft)? {
            return Ok(Err(error));
        }
        let content = match message::compose(draft, self.now) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.permitted(group, &draft.body)?.map(|()| content))
    }

    pub(super) fn change_members(
        &mut self,
        id: u64,
        group: GroupId,
        users: &[UserId],
        change: impl FnOnce(Vec<String>) -> Change,
    ) -> Step<Begun> {
        if users.is_empty() || users.len() > limits::USERS_PER_COMMAND_MAX {
            return Ok(Err(Error::Invalid("name 1 to 500 users")));
        }
        let mut users: Vec<String> = users.iter().map(|user| user.as_str().to_owned()).collect();
        users.sort();
        users.dedup();
        self.change(id, group, change(users))
    }

    fn change(&mut self, id: u64, group: GroupId, change: Change) -> Step<Begun> {
        if let Err(error) = self.usable(group) {
            return Ok(Err(error));
        }
        if self.tx.intents_of(group)?.len() >= limits::INTENTS_PER_GROUP_MAX {
            return Ok(Err(Error::OutboxFull));
        }
        let intent = self.add_intent(group, change, true)?;
        self.m.waiting.insert(intent, id);
        Ok(Ok(()))
    }

    fn leave(&mut self, id: u64, group: GroupId) -> Step<Begun> {
        if self.is_last_administrator(group)? {
            return Ok(Err(Error::Denied(PolicyError::NoAdministrator)));
        }
        self.change(id, group, Change::Leave)
    }

    /// Makes a group that is no patient circle: that begins with its patient and a basis
    /// ([`Command::OpenCircle`]).
    fn plain_group(&mut self, id: u64, profile: GroupProfile, template: PolicyTemplate) -> Step<Begun> {
        if profile.thread == ThreadKind::PatientCircle {
            return Ok(Err(Error::KindIsFixed));
        }
        self.create_group(id, profile, template)
    }

    pub(super) fn create_group(
        &mut self,
        id: u64,
        profile: GroupProfile,
        template: PolicyTemplate,
    ) -> Step<Begun> {
        match self.make_group(profile, template)? {
            Ok((_, intent)) => {
                self.m.waiting.insert(intent, id);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Makes a group of one, and the intent that registers it: its id, and the intent's number.
    pub(crate) fn make_group(
        &mut self,
        profile: GroupProfile,
        template: PolicyTemplate,
    ) -> Step<Result<(GroupId, u64), Error>> {
        let Some(me) = self.m.me.clone() else { return Ok(Err(Error::NotEnrolled)) };
        let creator = me.identity.user.clone();
        let policy = match template {
            // A library is what its publishers say.
            _ if profile.thread == ThreadKind::Library => Policy::announcements(creator),
            PolicyTemplate::Conversation => Policy::conversation(creator),
            PolicyTemplate::Announcements => Policy::announcements(creator),
        };
        self.make_group_with(profile, &policy)
    }

    /// The same with this policy.
    pub(crate) fn make_group_with(
        &mut self,
        profile: GroupProfile,
        policy: &Policy,
    ) -> Step<Result<(GroupId, u64), Error>> {
        let (Some(identity), Some(me)) = (self.m.identity.clone(), self.m.me.clone()) else {
            return Ok(Err(Error::NotEnrolled));
        };
        let Some(hub) = self.m.standing.hub_certificate.clone() else { return Ok(Err(Error::Offline)) };
        if let Err(error) = profile.check() {
            return Ok(Err(error));
        }
        if self.m.groups.len() >= limits::GROUPS_MAX {
            return Ok(Err(Error::Invalid("this device is in as many groups as it can hold")));
        }
        let id_of_group = GroupId::new(self.random());
        let provider = self.provider();
        self.tx.mark(0)?;
        match group::create(&provider, &identity.keys, &me, id_of_group, policy, &hub) {
            Ok((made, group_info, tree)) => {
                self.tx.keep_since_mark(0)?;
                let mut record = GroupRecord::new(GroupState::Creating, made.epoch().as_u64(), 0);
                record.enter_epoch(made.epoch().as_u64(), group::authenticator(&made));
                record.profile.clone_from(&profile);
                record.profile_awaited = false;
                record.personal = policy.is_personal();
                self.m.cache.keep(id_of_group, made);
                self.m.groups.insert(id_of_group, Lane::new(GroupRow { cursor: 0, record }));
                self.save(id_of_group)?;
                let intent = self.register_group(id_of_group, profile, group_info, tree)?;
                Ok(Ok((id_of_group, intent)))
            }
            Err(error) => {
                self.tx.rollback_to_mark(0)?;
                Ok(Err(staging::app_error(error)))
            }
        }
    }

    pub(crate) fn register_group(
        &mut self,
        group: GroupId,
        profile: GroupProfile,
        group_info: Vec<u8>,
        tree: Vec<u8>,
    ) -> Step<u64> {
        let message = self.message_id();
        let frame = staging::create_frame(group, message, group_info, tree);
        let mut intent = Intent::new(Change::Create { profile }, true);
        intent.staged = Some(Staged { message: *message.as_bytes(), epoch: 0, frame });
        let row = self.tx.add_intent(group, self.now, &intent)?;
        self.touch(group);
        Ok(row)
    }

    fn direct_thread(&mut self, id: u64, user: &UserId) -> Step<Begun> {
        match self.direct_with(user)? {
            Ok(group) => {
                self.finish(id, Ok(Outcome::DirectThread(group)));
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

fn list_devices(user: Option<UserId>) -> Request {
    let user = user.map_or_else(String::new, |user| user.as_str().to_owned());
    Request::ListDevices(v1::ListDevices { user })
}

fn new_invitation(invitation: NewInvitation) -> v1::CreateInvitation {
    v1::CreateInvitation {
        user: invitation.user,
        display_name: invitation.display_name,
        profession: invitation.profession,
        class: invitation.class.into(),
        roles: invitation.roles.into_iter().map(Into::into).collect(),
        valid_for_ms: invitation.valid_for_ms,
        lost_devices: invitation.lost_devices,
    }
}

/// What the hub answered to a command.
pub(crate) fn outcome(answer: Answer) -> Result<Outcome, Error> {
    let damaged = || Error::Invalid("the hub's answer is damaged");
    match answer {
        Answer::Done(_) => Ok(Outcome::Done),
        Answer::Vault(vault) => Ok(Outcome::Vault(Box::new(vault))),
        Answer::VaultChunk(chunk) => Ok(Outcome::VaultChunk(chunk.content)),
        Answer::LaneOpened(lane) => Ok(Outcome::LaneOpened { expires_at_ms: lane.expires_at_ms }),
        Answer::BlobTicket(answer) => transfers::ticket(&answer).map(Outcome::Ticket).ok_or_else(damaged),
        Answer::DirectoryPage(page) => Ok(Outcome::DirectoryPage(Box::new(page))),
        Answer::GroupRules(rules) => Ok(Outcome::GroupRules(rules.groups)),
        Answer::ListedGroups(listed) => Ok(Outcome::ListedGroups(listed.groups)),
        Answer::JoinRequests(waiting) => Ok(Outcome::JoinRequests(waiting.requests)),
        Answer::DirectoryEntry(entry) => Ok(Outcome::DirectoryEntry(Box::new(entry))),
        Answer::AlertStatus(status) => Ok(Outcome::AlertStatus(status)),
        Answer::AlertReport(v1::AlertReport { status, recipients, more }) => {
            Ok(Outcome::AlertReport { status: status.ok_or_else(damaged)?, recipients, more })
        }
        Answer::Reachability(v1::Reachability { users, more }) => Ok(Outcome::Reachability { users, more }),
        Answer::PushKey(key) => Ok(Outcome::Push(key)),
        Answer::InvitationCreated(created) => Ok(Outcome::InvitationCreated {
            user: UserId::parse(&created.user).map_err(|_| damaged())?,
            link: created.link,
            expires_at_ms: created.expires_at_ms,
        }),
        Answer::Devices(list) => {
            let device = |device: v1::Device| {
                Ok(DeviceState {
                    device: DeviceId::try_from(&device.device).map_err(|_| damaged())?,
                    enrolled_at_ms: device.enrolled_at_ms,
                    expires_at_ms: device.expires_at_ms,
                    last_seen_at_ms: device.last_seen_at_ms,
                    revoked: device.revoked,
                })
            };
            list.devices.into_iter().map(device).collect::<Result<_, _>>().map(Outcome::Devices)
        }
        Answer::DeliveryStatus(status) => {
            let cursor = |cursor: v1::DeviceCursor| {
                Ok(DeviceCursor {
                    user: UserId::parse(&cursor.user).map_err(|_| damaged())?,
                    device: DeviceId::try_from(&cursor.device).map_err(|_| damaged())?,
                    acked: cursor.acked,
                })
            };
            status.devices.into_iter().map(cursor).collect::<Result<_, _>>().map(Outcome::DeliveryStatus)
        }
        _ => Err(damaged()),
    }
}
