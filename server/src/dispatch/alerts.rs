//! Requests about push and alerts, carried out.

use cercle_proto::id::TimestampMs;

use super::{Dispatch, reply::Reply, request::alert::RegisterPush};
use crate::{auth::Identity, error::Refusal, push::RegisterError};

impl Dispatch {
    /// Registers or tries a push address.
    pub(super) async fn register_push(
        &self,
        by: &Identity,
        request: RegisterPush,
    ) -> Result<Reply, RegisterError> {
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

    /// What a moved cursor means for alerts. The cursor is stored already; what fails here is seen again by
    /// the next step of the alert.
    pub(super) async fn cursors_moved(
        &self,
        by: &Identity,
        cursors: &[(cercle_proto::id::GroupId, u64)],
        now: TimestampMs,
    ) -> Result<(), Refusal> {
        Ok(self.alerts.cursors_moved(&by.user, cursors, now).await?)
    }
}
