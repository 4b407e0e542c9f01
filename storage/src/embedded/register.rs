//! First-wins registers.

use cercle_proto::id::RegisterId;

use super::Embedded;
use crate::store::{Claim, Registers, WriteError};

#[async_trait::async_trait]
impl Registers for Embedded {
    async fn claim_once(&self, register: RegisterId, claim: Claim) -> Result<Claim, WriteError> {
        let key = register.as_bytes().to_vec();
        self.write(move |tx| {
            if let Some(first) = tx.load::<Claim>(&key)? {
                return Ok(first);
            }
            tx.put(key, &claim);
            Ok(claim)
        })
        .await
    }
}
