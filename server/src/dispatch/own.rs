//! Carries out what a device asks about its user's own devices.

use cercle_proto::id::TimestampMs;

use super::{
    Dispatch,
    reply::{OwnReply, Reply},
    request::OwnCall,
};
use crate::{auth::Identity, error::Refusal};

impl Dispatch {
    pub(super) async fn about_own(
        &self,
        by: &Identity,
        call: OwnCall,
        now: TimestampMs,
    ) -> Result<Reply, Refusal> {
        Ok(match call {
            OwnCall::ListSiblingGroups => Reply::Groups(self.delivery.list_sibling_groups(by).await?),
            OwnCall::OpenLane { lane, token_sha256 } => {
                let expires_at = self.lanes.open(by, lane, token_sha256, now)?;
                Reply::Own(OwnReply::LaneOpened { lane, expires_at })
            }
            OwnCall::CloseLane(lane) => {
                self.lanes.close(by, lane, now);
                Reply::Done
            }
        })
    }
}
