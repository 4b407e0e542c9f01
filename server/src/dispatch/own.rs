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
            OwnCall::ListSiblingGroups => {
                // The device is in none of them yet: it has nothing that a restored hub could have forgotten.
                let groups = self.delivery.list_sibling_groups(by).await?;
                Reply::Groups(groups.into_iter().map(|group| (group, Vec::new())).collect())
            }
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
