//! Alerts and wake-ups: what publishers and recipients do beside writing messages.

use cercle_proto::{
    id::{GroupId, UserId},
    v1::{self, register_push::Address},
};

use super::{Client, ClientError, operations::unexpected};
use crate::{
    core::{AlertCommand, Command, GroupAlert, Outcome},
    message::AlertId,
};

impl Client {
    /// A number for a new alert, from the system's randomness.
    ///
    /// # Panics
    /// When the system gives no randomness.
    #[must_use]
    pub fn new_alert_id() -> AlertId {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system gives randomness");
        AlertId(id)
    }

    /// Opens an alert on the hub, which rings until it is acknowledged. Its messages must be in their groups.
    /// With a target only those members are rung and counted whom the directory knows so: by profession, commune,
    /// structure, skill, tag, or as on duty.
    ///
    /// # Errors
    /// When there is no connection, or the user is no crisis publisher.
    pub async fn open_alert(&self, open: v1::OpenAlert) -> Result<v1::AlertStatus, ClientError> {
        self.alert_status(AlertCommand::Open(open)).await
    }

    /// Confirms an alert that another publisher opened, where the hub asks for two persons.
    ///
    /// # Errors
    /// When there is no connection, or the user opened it himself.
    pub async fn confirm_alert(&self, alert: AlertId) -> Result<v1::AlertStatus, ClientError> {
        let alert = alert.0.to_vec().into();
        let confirm = v1::OpenAlert { alert, confirm: true, ..v1::OpenAlert::default() };
        self.alert_status(AlertCommand::Open(confirm)).await
    }

    /// Ends an alert on the hub: nobody is rung any more.
    ///
    /// # Errors
    /// When there is no connection, or the user is no crisis publisher.
    pub async fn close_alert(&self, alert: AlertId) -> Result<v1::AlertStatus, ClientError> {
        self.alert_status(AlertCommand::Close(alert)).await
    }

    /// Tells the hub that the user has seen an alert, or acknowledges it: who and when, nothing else.
    ///
    /// # Errors
    /// When there is no connection, or the user is no recipient.
    pub async fn acknowledge_alert(&self, alert: AlertId, acknowledged: bool) -> Result<(), ClientError> {
        self.command(Command::Alert(Box::new(AlertCommand::Acknowledge { alert, acknowledged })))
            .await
            .map(drop)
    }

    /// How far an alert is, with all recipients. `live`: every change is an
    /// [`Event::AlertStatus`](crate::event::Event::AlertStatus) until the session ends.
    ///
    /// # Errors
    /// When there is no connection, or the user is no crisis publisher.
    pub async fn alert_report(
        &self,
        alert: AlertId,
        live: bool,
    ) -> Result<(v1::AlertStatus, Vec<v1::AlertRecipient>), ClientError> {
        let mut all: Vec<v1::AlertRecipient> = Vec::new();
        loop {
            let after = all.last().and_then(|last| UserId::parse(&last.user).ok());
            let command = Command::Alert(Box::new(AlertCommand::Watch { alert, live, after }));
            let Outcome::AlertReport { status, recipients, more } = self.command(command).await? else {
                return Err(unexpected());
            };
            let last = !more || recipients.is_empty();
            all.extend(recipients);
            if last {
                return Ok((status, all));
            }
        }
    }

    /// Who of a group, or of all users, could be reached at this moment; with a target only those whom an alert
    /// with that target would ring.
    ///
    /// # Errors
    /// When there is no connection, or the user is no crisis publisher.
    pub async fn reachability(
        &self,
        group: Option<GroupId>,
        target: Option<v1::AlertTarget>,
    ) -> Result<Vec<v1::ReachableUser>, ClientError> {
        let mut users: Vec<v1::ReachableUser> = Vec::new();
        loop {
            let after = users.last().and_then(|last| UserId::parse(&last.user).ok());
            let target = target.clone();
            let command = Command::Alert(Box::new(AlertCommand::Reachability { group, target, after }));
            let Outcome::Reachability { users: page, more } = self.command(command).await? else {
                return Err(unexpected());
            };
            let last = !more || page.is_empty();
            users.extend(page);
            if last {
                return Ok(users);
            }
        }
    }

    /// Says where this device is woken while it has no session; `None` and no test: nowhere. With `test` it
    /// is woken at once, and the answer says whether the push service took it.
    ///
    /// # Errors
    /// When there is no connection, or the hub cannot use the address.
    pub async fn register_push(
        &self,
        address: Option<Address>,
        test: bool,
    ) -> Result<v1::PushKey, ClientError> {
        let register = v1::RegisterPush { address, test };
        match self.command(Command::Alert(Box::new(AlertCommand::RegisterPush(register)))).await? {
            Outcome::Push(key) => Ok(key),
            _ => Err(unexpected()),
        }
    }

    /// The alerts of all groups as they stand, one that went to several groups once; in order of time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn alerts(&self) -> Result<Vec<GroupAlert>, ClientError> {
        Ok(self.query(|core| core.alerts()).await??)
    }

    async fn alert_status(&self, command: AlertCommand) -> Result<v1::AlertStatus, ClientError> {
        match self.command(Command::Alert(Box::new(command))).await? {
            Outcome::AlertStatus(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }
}
