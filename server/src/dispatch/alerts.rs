//! Requests about push and alerts, carried out.

use std::collections::BTreeSet;

use cercle_proto::id::{GroupId, Seq, TimestampMs, UserId};

use super::{
    Dispatch,
    reply::Reply,
    request::alert::{AlertCall, RegisterPush, Target},
};
use crate::{alert::Audience, auth::Identity, error::Refusal, limits, push::RegisterError};

impl Dispatch {
    /// Carries out a request about push or alerts.
    pub(super) async fn about_alerts(
        &self,
        by: &Identity,
        call: AlertCall,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        let alerts = &self.alerts;
        Ok(match call {
            AlertCall::RegisterPush(request) => self.register_push(by, request).await?,
            AlertCall::Open { mut request, target } => {
                if let Some(meant) = self.meant(target, now).await? {
                    request.audience = Audience::Only(meant);
                }
                Reply::AlertStatus(alerts.open(by, *request, now).await?)
            }
            AlertCall::Confirm(alert) => Reply::AlertStatus(alerts.confirm(by, alert, now).await?),
            AlertCall::Ack { alert, acknowledged } => {
                alerts.acknowledge(by, alert, acknowledged, now).await?;
                Reply::Done
            }
            AlertCall::Watch { alert, live, after } => {
                let mut report = alerts.watch(by, alert, live, after, now).await?;
                let users = report.recipients.iter().map(|recipient| recipient.user.user.clone()).collect();
                let communes = self.directory.communes_of(users, now).await?;
                for (recipient, communes) in report.recipients.iter_mut().zip(communes) {
                    recipient.communes = communes;
                }
                Reply::AlertReport(report)
            }
            AlertCall::Close(alert) => Reply::AlertStatus(alerts.close(by, alert, now).await?),
            AlertCall::GetReachability { group, target, after } => {
                let meant = self.meant(target, now).await?;
                let (users, more) = alerts.reachability(by, group, meant, after).await?;
                Reply::Reachability { users, more }
            }
        })
    }

    /// Users that a target means; `None`: everybody.
    async fn meant(
        &self,
        target: Option<Target>,
        now: TimestampMs,
    ) -> Result<Option<BTreeSet<UserId>>, Refusal> {
        let Some(Target { who, on_duty }) = target else { return Ok(None) };
        Ok(Some(self.directory.meant(who, on_duty, now).await?))
    }

    /// Registers or tries a push address.
    async fn register_push(&self, by: &Identity, request: RegisterPush) -> Result<Reply, RegisterError> {
        let push = &self.push;
        match request.address {
            Some(address) => push.register(by.device, address).await?,
            None if request.test => {}
            None => push.forget(by.device).await?,
        }
        let reachable =
            if request.test { push.test(by.device).await? } else { push.is_registered(by.device) };
        Ok(Reply::PushKey { public_key: push.public_key().to_vec(), reachable })
    }

    /// Notes how far a device has read, if nobody has to wait or to be told. False: the acknowledgement must be
    /// carried out as a request.
    #[must_use]
    pub fn note_cursors(&self, by: &Identity, groups: &[(GroupId, Seq)]) -> bool {
        // In this order: an alert that begins after the question finds the cursor noted.
        let noted = groups.len() <= limits::ACK_GROUPS_MAX
            && self.delivery.cursors().note(by.device, groups)
            && !self.alerts.concern(groups);
        if noted {
            self.metrics.acknowledged();
        }
        noted
    }

    /// Stores how far a device has read, then tells the alerts. What fails there is seen again by the next
    /// step of the alert.
    pub(super) async fn acknowledge(
        &self,
        by: &Identity,
        groups: Vec<(GroupId, Seq)>,
        inbox: u64,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        self.delivery.acknowledge(by, &groups, inbox).await?;
        self.alerts.cursors_moved(&by.user, &groups, now).await?;
        Ok(Reply::Done)
    }
}
