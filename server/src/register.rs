//! First-wins registers: "who was first" over groups whose logs have no common order.
//!
//! Called by the dispatch. The first claim is stored for ever, and everybody gets the same receipt of it,
//! signed with the key by which groups know the hub (docs/protocol.md, section 8). The hub sees a random
//! number and a device.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use cercle_proto::{
    id::{RegisterId, TimestampMs, UserId},
    receipt::Receipt,
};
use cercle_storage::store::{Claim, Store, WriteError};

use crate::{
    auth::Identity,
    delivery::{HubSender, rate::RateLimit},
    limits,
};

/// Why a claim was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user claims too often.
    #[error("too many claims; wait {retry_after_ms} ms")]
    RateLimited {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// The store did not take it, or perhaps did: the source tells.
    #[error("the store did not take it")]
    Write(#[from] WriteError),
}

/// Who has a register, as the hub vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The device that asks has it.
    pub won: bool,
    /// Who was first.
    pub receipt: Receipt,
    /// The hub's certificate as external sender, DER.
    pub hub_certificate: Bytes,
    /// Its signature over the receipt.
    pub signature: Bytes,
}

/// The registers of this hub. Cheap to clone.
#[derive(Clone)]
pub struct RegisterService {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    hub: HubSender,
    claims: RateLimit<UserId>,
}

impl fmt::Debug for RegisterService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterService").finish_non_exhaustive()
    }
}

impl RegisterService {
    /// Over a store, vouched for by the hub's voice in groups.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, hub: HubSender) -> Self {
        Self { inner: Arc::new(Inner { store, hub, claims: RateLimit::new(limits::REGISTER_RATE) }) }
    }

    /// Claims a register for a device. The same claim gives the same receipt, however often and by whomever it
    /// is made.
    ///
    /// # Errors
    /// [`Error::RateLimited`], or a failure of the store.
    pub async fn claim_once(
        &self,
        by: &Identity,
        register: RegisterId,
        now: TimestampMs,
    ) -> Result<Claimed, Error> {
        let limited = self.inner.claims.check(by.user.clone(), now);
        limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })?;
        let claim = Claim { user: by.user.clone(), device: by.device, at: now };
        let first = self.inner.store.claim_once(register, claim).await?;
        let won = first.device == by.device;
        let receipt = Receipt { register, user: first.user, device: first.device, at_ms: first.at };
        let signature = self.inner.hub.vouch(&receipt.to_be_signed());
        Ok(Claimed { won, receipt, hub_certificate: self.inner.hub.certificate(), signature })
    }
}
