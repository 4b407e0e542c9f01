//! The model's groups.

use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq};

use super::{Group, Model, State};
use crate::store::{
    AppendError, Appended, CommitRecord, CreateGroup, Delivered, Entry, GroupRecord, Groups, InboxBody,
    Joined, Kind, Membership, ReadError, RosterEntry, WriteError,
};

#[async_trait::async_trait]
impl Groups for Model {
    async fn create_group(&self, new: CreateGroup) -> Result<Appended, AppendError> {
        let mut state = self.state();
        if let Some(verdict) = state.verdict(Some(new.creator.device), new.message_id) {
            return Ok(verdict);
        }
        if state.groups.contains_key(&new.group) {
            return Err(AppendError::GroupExists);
        }
        let record = GroupRecord {
            epoch: 0,
            head: 0,
            floor: 0,
            last_commit: 0,
            group_info: new.group_info,
            group_state: new.group_state,
            posting_restricted: new.posting_restricted,
        };
        let roster = [(new.creator.device, joined(&new.creator, 0))].into();
        state.groups.insert(new.group, Group { record, open_since: 0, entries: [].into(), roster });
        let appended = Appended { seq: 0, epoch: 0, at: new.at, repeated: false };
        state.verdicts.insert((Some(new.creator.device), new.message_id), appended);
        Ok(appended)
    }

    async fn commit(&self, commit: CommitRecord) -> Result<Appended, AppendError> {
        let mut state = self.state();
        if let Some(verdict) = state.verdict(Some(commit.sender), commit.message_id) {
            return Ok(verdict);
        }
        let application = state.wanted_application(&commit);
        let blobs = state.check_blobs(commit.group, &commit.application_blobs);
        let group = state.groups.get_mut(&commit.group).ok_or(AppendError::GroupUnknown)?;
        group.check_commit(&commit, application.is_some())?;
        if application.is_some() {
            blobs?;
        }
        let appended = group.end_epoch(&commit);
        state.verdicts.insert((Some(commit.sender), commit.message_id), appended);
        if let Some(application) = application {
            let id = application.message_id;
            let group = state.groups.get_mut(&commit.group).ok_or(AppendError::GroupUnknown)?;
            let appended = group.push(application);
            state.verdicts.insert((Some(commit.sender), id), appended);
            state.refer(&commit.application_blobs, commit.at);
        }
        if let Some(welcome) = &commit.welcome {
            let pointer = InboxBody::Welcome {
                group: commit.group,
                epoch: appended.epoch,
                joined_at: appended.seq,
                body: welcome.body.clone(),
            };
            state.deliver_welcome(pointer, &welcome.recipients, commit.at);
        }
        Ok(appended)
    }

    async fn verdict(&self, sender: DeviceId, message_id: MessageId) -> Result<Option<Appended>, ReadError> {
        Ok(self.state().verdict(Some(sender), message_id))
    }

    async fn group(&self, group: GroupId) -> Result<Option<GroupRecord>, ReadError> {
        Ok(self.state().groups.get(&group).map(|group| group.record.clone()))
    }

    async fn roster(&self, group: GroupId) -> Result<Vec<RosterEntry>, ReadError> {
        let state = self.state();
        Ok(state.groups.get(&group).into_iter().flat_map(|group| group.roster.values().cloned()).collect())
    }

    async fn roster_entry(&self, group: GroupId, device: DeviceId) -> Result<Option<RosterEntry>, ReadError> {
        Ok(self.state().groups.get(&group).and_then(|group| group.roster.get(&device)).cloned())
    }

    async fn memberships(&self, device: DeviceId) -> Result<Vec<Membership>, ReadError> {
        let membership = |(id, group): (&GroupId, &Group)| {
            let waiting = group.members().filter(|row| row.needs_re_add).map(|row| row.device);
            Some(Membership {
                group: *id,
                epoch: group.record.epoch,
                head: group.record.head,
                floor: group.record.floor,
                entry: group.roster.get(&device)?.clone(),
                needs_re_add: waiting.collect(),
            })
        };
        Ok(self.state().groups.iter().filter_map(membership).collect())
    }

    async fn delivered(&self, group: GroupId) -> Result<Vec<Delivered>, ReadError> {
        let delivered =
            |row: &RosterEntry| Delivered { user: row.user.clone(), device: row.device, acked: row.acked };
        let state = self.state();
        Ok(state.groups.get(&group).into_iter().flat_map(|group| group.members().map(delivered)).collect())
    }

    async fn set_needs_re_add(
        &self,
        group: GroupId,
        device: DeviceId,
        needs: bool,
    ) -> Result<(), WriteError> {
        let mut state = self.state();
        if let Some(row) = state.groups.get_mut(&group).and_then(|group| group.member_mut(device)) {
            row.needs_re_add = needs;
        }
        Ok(())
    }

    async fn forget_removed(&self, group: GroupId, device: DeviceId) -> Result<(), WriteError> {
        if let Some(group) = self.state().groups.get_mut(&group) {
            group.roster.retain(|id, row| *id != device || row.removed_at.is_none());
        }
        Ok(())
    }
}

fn joined(joined: &Joined, seq: Seq) -> RosterEntry {
    RosterEntry {
        device: joined.device,
        user: joined.user.clone(),
        leaf: joined.leaf,
        joined_at: seq,
        removed_at: None,
        acked: seq,
        may_post: joined.may_post,
        needs_re_add: false,
    }
}

impl State {
    /// The application entry of a commit, unless its id is known already (the commit's own id included).
    fn wanted_application(&self, commit: &CommitRecord) -> Option<Entry> {
        let (message_id, body) = commit.application.clone()?;
        let known = self.verdict(Some(commit.sender), message_id).is_some();
        (!known && message_id != commit.message_id).then_some(Entry {
            seq: 0,
            kind: Kind::Application,
            epoch: commit.epoch + 1,
            sender: Some(commit.sender),
            message_id,
            at: commit.at,
            body,
        })
    }
}

impl Group {
    fn check_commit(&self, commit: &CommitRecord, with_application: bool) -> Result<(), AppendError> {
        if !commit.external && self.member(commit.sender).is_none() {
            return Err(AppendError::NotMember);
        }
        self.check_epoch(commit.epoch, 0)?;
        if with_application {
            let (member, may_post) = self.standing_after(commit);
            if !member {
                return Err(AppendError::NotMember);
            }
            if commit.posting_restricted && !may_post {
                return Err(AppendError::PostDenied);
            }
        }
        Ok(())
    }

    /// Whether the sender is a member after its commit, and may post.
    fn standing_after(&self, commit: &CommitRecord) -> (bool, bool) {
        let stays = self.member(commit.sender).filter(|_| !commit.removed.contains(&commit.sender));
        let joins = commit.joined.iter().rfind(|joined| joined.device == commit.sender);
        let changed = commit.may_post.iter().rfind(|(device, _)| *device == commit.sender);
        let may_post = joins.map(|joined| joined.may_post).or_else(|| stays.map(|row| row.may_post));
        (may_post.is_some(), changed.map(|(_, may_post)| *may_post).or(may_post).unwrap_or(false))
    }

    fn end_epoch(&mut self, commit: &CommitRecord) -> Appended {
        self.record.epoch += 1;
        if commit.external {
            self.open_since = self.record.epoch;
        }
        self.record.group_info = commit.group_info.clone();
        self.record.group_state = commit.group_state.clone();
        self.record.posting_restricted = commit.posting_restricted;
        let appended = self.push(Entry {
            seq: 0,
            kind: Kind::Commit,
            epoch: commit.epoch,
            sender: Some(commit.sender),
            message_id: commit.message_id,
            at: commit.at,
            body: commit.body.clone(),
        });
        self.record.last_commit = appended.seq;
        for device in &commit.removed {
            if let Some(row) = self.member_mut(*device) {
                row.removed_at = Some(appended.seq);
                row.needs_re_add = false;
            }
        }
        for new in &commit.joined {
            self.roster.insert(new.device, joined(new, appended.seq));
        }
        for (device, may_post) in &commit.may_post {
            if let Some(row) = self.member_mut(*device) {
                row.may_post = *may_post;
            }
        }
        appended
    }
}
