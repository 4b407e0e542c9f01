//! Reports: the recipients of an alert, and who could be reached before there is one.

use std::collections::BTreeSet;

use cercle_proto::id::{DeviceId, GroupId, TimestampMs, UserId};
use cercle_storage::store::{Effect, UserRecord};

use super::{
    Alerts, Error, Status, alert_note, decode,
    live::Live,
    recipient_note,
    record::{AlertId, RecipientRecord},
    require_publisher,
};
use crate::{auth::Identity, limits};

/// How far an alert is, and a page of its recipients.
#[derive(Debug)]
pub struct Report {
    /// How far it is.
    pub status: Status,
    /// In order of user id.
    pub recipients: Vec<Recipient>,
    /// There are more.
    pub more: bool,
}

/// One recipient of a report. `Debug` shows no name.
pub struct Recipient {
    /// Who.
    pub user: UserRecord,
    /// What is known of him.
    pub known: RecipientRecord,
    /// Codes of the communes in which he works; filled in by who knows the directory.
    pub communes: Vec<String>,
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipient").field("known", &self.known).finish_non_exhaustive()
    }
}

/// How a user could be reached. `Debug` shows no name.
pub struct Reachable {
    /// Who.
    pub user: UserRecord,
    /// Devices that are not revoked.
    pub devices: usize,
    /// Of those, how many can be woken.
    pub devices_with_push: usize,
    /// One of them has a session.
    pub connected: bool,
    /// Day-precise; 0: never.
    pub last_seen_at: TimestampMs,
}

impl std::fmt::Debug for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reachable").field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl Alerts {
    /// How far an alert is, with recipients after a user; `live`: the session hears of changes.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn watch(
        &self,
        by: &Identity,
        id: AlertId,
        live: bool,
        after: Option<UserId>,
        now: TimestampMs,
    ) -> Result<Report, Error> {
        self.require_owner(by, id).await?;
        if let (true, Some(alert)) = (live, self.live(id))
            && !alert.watch(by.device, limits::ALERT_WATCHERS_MAX)
        {
            return Err(Error::TooMany("too many sessions watch this alert"));
        }
        let page = self.recipients_page(id, after).await?;
        let more = page.len() == limits::ALERT_PAGE;
        let mut recipients = Vec::with_capacity(page.len());
        for (user, known) in page {
            recipients.push(Recipient { user: self.user(user).await?, known, communes: Vec::new() });
        }
        // Last, so that it is not older than what the session heard meanwhile.
        let status = self.status(id, now).await?.ok_or(Error::Unknown)?;
        Ok(Report { status, recipients, more })
    }

    /// Who of a group, or of all users, could be reached, or only those of them who are meant; in order of user
    /// id, after a user. The flag: there are more.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn reachability(
        &self,
        by: &Identity,
        group: Option<GroupId>,
        meant: Option<BTreeSet<UserId>>,
        after: Option<UserId>,
    ) -> Result<(Vec<Reachable>, bool), Error> {
        require_publisher(by)?;
        let users = match (group, meant) {
            (None, None) => return self.reachability_of_all(after).await,
            (None, Some(meant)) => meant,
            (Some(group), meant) => {
                let mut users = self.users_of(by.device, group).await?;
                users.retain(|user| meant.as_ref().is_none_or(|meant| meant.contains(user)));
                users
            }
        };
        self.reachability_of(users, after).await
    }

    /// The same for the operator, of all users.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reachability_of_all(&self, after: Option<UserId>) -> Result<(Vec<Reachable>, bool), Error> {
        let users = self.0.store.users(after, limits::ALERT_PAGE).await?;
        let more = users.len() == limits::ALERT_PAGE;
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            found.push(self.reachable(user).await?);
        }
        Ok((found, more))
    }

    /// Users of a group that the device is in.
    async fn users_of(&self, device: DeviceId, group: GroupId) -> Result<BTreeSet<UserId>, Error> {
        let own = self.0.store.roster_entry(group, device).await?;
        if own.is_none_or(|row| row.removed_at.is_some()) {
            return Err(Error::NotMember);
        }
        let roster = self.0.store.roster(group).await?.into_iter().filter(|row| row.removed_at.is_none());
        Ok(roster.map(|row| row.user).collect())
    }

    async fn reachability_of(
        &self,
        users: BTreeSet<UserId>,
        after: Option<UserId>,
    ) -> Result<(Vec<Reachable>, bool), Error> {
        let mut users: Vec<UserId> =
            users.into_iter().filter(|user| after.as_ref().is_none_or(|after| user > after)).collect();
        let more = users.len() > limits::ALERT_PAGE;
        users.truncate(limits::ALERT_PAGE);
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            let user = self.user(user).await?;
            found.push(self.reachable(user).await?);
        }
        Ok((found, more))
    }

    async fn reachable(&self, user: UserRecord) -> Result<Reachable, Error> {
        let devices = self.0.store.devices_of(&user.user).await?;
        let devices: Vec<_> = devices.into_iter().filter(|device| device.revoked_at.is_none()).collect();
        Ok(Reachable {
            devices: devices.len(),
            devices_with_push: devices.iter().filter(|row| self.0.push.is_registered(row.device)).count(),
            connected: devices.iter().any(|row| self.0.fanout.has_session(row.device)),
            last_seen_at: devices.iter().map(|row| row.last_seen_at).max().unwrap_or(0),
            user,
        })
    }

    /// How far an alert is, also one that is over; `None` if there is none.
    pub(super) async fn status(&self, id: AlertId, now: TimestampMs) -> Result<Option<Status>, Error> {
        if let Some(live) = self.live(id) {
            return Ok(Some(live.status(now)));
        }
        let Some(value) = self.0.store.note(alert_note(id)).await? else { return Ok(None) };
        let over = Live::new(id, decode(&value)?, self.recipients(id).await?);
        Ok(Some(over.status(now)))
    }

    /// Deletes alerts whose reports are old.
    ///
    /// # Errors
    /// As any write.
    pub(crate) async fn forget_old(&self, now: TimestampMs) -> Result<(), Error> {
        for (id, record) in self.all().await? {
            let end = record.closed_at.unwrap_or(record.expires_at);
            if now < end.saturating_add(limits::ALERT_KEPT_MS) {
                continue;
            }
            let users: Vec<UserId> = self.recipients(id).await?.into_keys().collect();
            for part in users.chunks(limits::ALERT_RECIPIENTS_PER_WRITE) {
                let effects: Vec<_> =
                    part.iter().map(|user| Effect::Erase(recipient_note(id, user))).collect();
                self.0.store.change(Vec::new(), Box::new(|_| effects)).await?;
            }
            let erase = Effect::Erase(alert_note(id));
            self.0.store.change(Vec::new(), Box::new(|_| vec![erase])).await?;
        }
        Ok(())
    }

    /// The record of a user; of one who is gone, his id.
    async fn user(&self, user: UserId) -> Result<UserRecord, Error> {
        let gone = || UserRecord {
            user: user.clone(),
            display_name: String::new(),
            profession: String::new(),
            class: 0,
            roles: Vec::new(),
            created_at: 0,
        };
        Ok(self.0.store.user(&user).await?.unwrap_or_else(gone))
    }
}
