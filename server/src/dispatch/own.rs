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
            OwnCall::GetVault { known_version } => {
                Reply::Own(OwnReply::Vault(self.vaults.get(&by.user, known_version).await?))
            }
            OwnCall::GetVaultChunk(chunk) => {
                Reply::Own(OwnReply::VaultChunk(self.vaults.chunk(&by.user, chunk).await?))
            }
            OwnCall::PutVaultChunk { chunk, content } => {
                self.vaults.put_chunk(&by.user, chunk, content).await?;
                Reply::Done
            }
            OwnCall::PutVault(change) => {
                let new_code = change.recovery.is_some();
                self.vaults.put(&by.user, change).await?;
                if new_code {
                    self.auth.recovery_changed(by, now).await;
                }
                Reply::Done
            }
            OwnCall::CloseLane(lane) => {
                self.lanes.close(by, lane, now);
                Reply::Done
            }
        })
    }
}
