//! Look-ups, straight from the store.

use std::collections::btree_map::Entry;

use cercle_proto::id::{DeviceId, GroupId, Seq};

use super::{Core, GroupAlert, GroupState, GroupSummary, Member, PendingUpload, QueuedMessage};
use crate::{
    error::Error,
    event::{DeviceEntry, Message},
    limits,
    message::{AlertId, Content},
    mls::{MlsGroup, group, identity::Myself, provider::Provider},
    store::{groups::GroupRow, messages::MessageRow, outbox::OutboxRow},
    sync::{Cx, Lane, device_changes, entries::read_message, outbox::queued_body, transfers},
    thread::Thread,
};

impl Core {
    /// Every group of this device, also those it has left.
    ///
    /// # Errors
    /// When the store fails.
    pub fn groups(&mut self) -> Result<Vec<GroupSummary>, Error> {
        let shown = self.memory.groups.iter().filter(|(_, lane)| {
            // What this device has not joined yet, and the group of own devices, are nothing to show.
            !lane.row.record.personal && !lane.is_new_here()
        });
        let rows: Vec<(GroupId, GroupRow)> = shown.map(|(group, lane)| (*group, lane.row.clone())).collect();
        rows.into_iter().map(|(group, row)| self.summary(group, row)).collect()
    }

    /// The devices of a group.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], [`Error::NotMember`] if this device has left it, or the store fails.
    pub fn members(&mut self, group: GroupId) -> Result<Vec<Member>, Error> {
        let state = self.memory.groups.get(&group).map(Lane::state).ok_or(Error::UnknownGroup(group))?;
        if state == GroupState::Closed {
            return Err(Error::NotMember(group));
        }
        self.look(group, members)?.unwrap_or(Ok(Vec::new()))
    }

    /// Messages of a group after a place in its log, in order, at most `limit` (and at most
    /// [`MESSAGES_PER_QUERY_MAX`](limits::MESSAGES_PER_QUERY_MAX)).
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], or the store fails.
    pub fn messages(&self, group: GroupId, after: Seq, limit: usize) -> Result<Vec<Message>, Error> {
        if !self.memory.groups.contains_key(&group) {
            return Err(Error::UnknownGroup(group));
        }
        let tx = self.store.begin()?;
        let rows = tx.messages(group, after, limit.min(limits::MESSAGES_PER_QUERY_MAX))?;
        let read = |row: MessageRow| {
            let content = Content::decode_stored(&row.record.envelope);
            Ok(read_message(group, &row, content)?)
        };
        rows.into_iter().map(read).collect()
    }

    /// Changes of members' devices in a group, in the order of its log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn device_entries(&self, group: GroupId) -> Result<Vec<DeviceEntry>, Error> {
        Ok(device_changes::entries(&self.store.begin()?, group)?)
    }

    /// Whether a device is in a group that this device can read.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn is_anywhere(&mut self, device: DeviceId) -> Result<bool, Error> {
        let open = |lane: &Lane| lane.state() != GroupState::Closed;
        let groups: Vec<GroupId> =
            self.memory.groups.iter().filter(|(_, lane)| open(lane)).map(|(group, _)| *group).collect();
        for group in groups {
            if self.members(group)?.iter().any(|member| member.device == device) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What this user has begun to write in a group, on whichever device; empty: nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub fn draft(&self, group: GroupId) -> Result<String, Error> {
        Ok(Cx::draft(&self.store.begin()?, group)?)
    }

    /// What the messages of a group add up to.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`], or the store fails.
    pub fn whole_thread(&mut self, group: GroupId) -> Result<&Thread, Error> {
        if !self.memory.groups.contains_key(&group) {
            return Err(Error::UnknownGroup(group));
        }
        let tx = self.store.begin()?;
        Ok(self.memory.thread(&tx, group)?)
    }

    /// Messages that are not in the log yet, in the order they were written.
    ///
    /// # Errors
    /// When the store fails.
    pub fn outbox(&self) -> Result<Vec<QueuedMessage>, Error> {
        let rows = self.store.begin()?.outbox()?;
        let read = |row: OutboxRow| QueuedMessage {
            group: row.group,
            id: row.id,
            queued_at_ms: row.queued_at_ms,
            body: queued_body(&row.content),
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// The alerts of all groups as they stand, one that went to several groups once; in order of time.
    ///
    /// # Errors
    /// When the store fails.
    pub fn alerts(&mut self) -> Result<Vec<GroupAlert>, Error> {
        let groups = self.memory.shown_groups();
        let mut alerts = std::collections::BTreeMap::<AlertId, GroupAlert>::new();
        let tx = self.store.begin()?;
        for group in groups {
            for state in self.memory.thread(&tx, group)?.crisis().all() {
                match alerts.entry(state.alert.alert) {
                    Entry::Vacant(free) => {
                        free.insert(GroupAlert { groups: vec![group], state: state.clone() });
                    }
                    Entry::Occupied(known) => known.into_mut().merge(group, state),
                }
            }
        }
        let mut alerts: Vec<_> = alerts.into_values().collect();
        alerts.sort_by_key(|alert| (alert.state.at_ms, alert.state.seq));
        Ok(alerts)
    }

    /// Uploads whose message is not in the outbox yet.
    ///
    /// # Errors
    /// When the store fails.
    pub fn uploads(&self) -> Result<Vec<PendingUpload>, Error> {
        Ok(transfers::pending(&self.store.begin()?)?)
    }

    fn summary(&mut self, group: GroupId, row: GroupRow) -> Result<GroupSummary, Error> {
        let mut summary = GroupSummary {
            group,
            profile: row.record.profile,
            state: row.record.state,
            epoch: row.record.epoch,
            cursor: row.cursor,
            policy: None,
            users: 0,
            devices: 0,
            epoch_authenticator: Vec::new(),
        };
        if summary.state == GroupState::Closed {
            return Ok(summary);
        }
        let seen = self.look(group, |loaded, me| {
            let members = group::members(loaded, me).unwrap_or_default();
            let users = group::users(members.iter().map(|(_, identity)| identity)).len();
            let policy = group::policy(loaded).ok();
            (users, members.len(), policy, loaded.epoch_authenticator().as_slice().to_vec())
        })?;
        if let Some((users, devices, policy, authenticator)) = seen {
            summary.users = users;
            summary.devices = devices;
            summary.policy = policy;
            summary.epoch_authenticator = authenticator;
        }
        Ok(summary)
    }

    /// Looks at a group's MLS state; `None` if there is none.
    fn look<T>(
        &mut self,
        id: GroupId,
        read: impl FnOnce(&MlsGroup, &Myself) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(me) = self.memory.me.clone() else { return Ok(None) };
        let tx = self.store.begin()?;
        let provider = Provider::new(&self.memory.crypto, &tx);
        let Ok(loaded) = self.memory.cache.take(&provider, id) else { return Ok(None) };
        let seen = read(&loaded, &me);
        self.memory.cache.keep(id, loaded);
        Ok(Some(seen))
    }
}

fn members(loaded: &MlsGroup, me: &Myself) -> Result<Vec<Member>, Error> {
    let damaged = |error: crate::mls::MlsError| Error::Mls(error.to_string());
    let policy = group::policy(loaded).map_err(damaged)?;
    let members = group::members(loaded, me).map_err(damaged)?;
    let member = |identity: cercle_proto::certificate::DeviceIdentity| Member {
        administrator: policy.is_administrator(&identity.user),
        own: identity.device == me.identity.device,
        certificate_expires_at_ms: identity.not_after_ms,
        user: identity.user,
        device: identity.device,
        display_name: identity.display_name,
        profession: identity.profession,
        class: identity.class,
    };
    Ok(members.into_iter().map(|(_, identity)| member(identity)).collect())
}
