//! The model's first-wins registers.

use cercle_proto::id::RegisterId;

use super::Model;
use crate::store::{Claim, Registers, WriteError};

#[async_trait::async_trait]
impl Registers for Model {
    async fn claim_once(&self, register: RegisterId, claim: Claim) -> Result<Claim, WriteError> {
        Ok(self.state().registers.entry(register).or_insert(claim).clone())
    }
}
