//! The recovery code, and what comes back with it (docs/protocol.md, section "Recovery").
//!
//! [`Client::new_recovery_code`] makes a code; from then on this device keeps the user's vault on the hub up
//! to date by itself ([`Client::back_up`] does so at once). [`Client::recover`] enrols a device of a user who
//! has nothing but his code: it joins every group of the user and takes the vault.
//!
//! - [`code`]: the code and what derives from it. The rules are in `sync/vault`; here the hub is asked.

pub mod code;
pub(crate) mod keeper;

use std::collections::BTreeSet;

use cercle_proto::{
    ErrorCode,
    id::{ChunkId, UserId},
    recovery::RecoveryAddress,
    v1,
};
use zeroize::Zeroizing;

use crate::{
    client::{Client, ClientError, operations::unexpected},
    core::{Command, Identity, Outcome, VaultCommand},
    error::Error,
    message::archive::VaultManifest,
    sync::vault::{Keeper, Plan, chunks_of, open_manifest, seal_header, seal_manifest},
};
use code::{Cost, RecoveryCode, RecoveryKeys};

/// Tries of a change of the vault: another device of the user may write at the same time.
const TRIES_MAX: usize = 8;

/// What a user writes down.
#[derive(Debug, Clone)]
pub struct RecoverySheet {
    /// The code: secret, shown once.
    pub code: RecoveryCode,
    /// Where to come back to, and as whom: not secret.
    pub address: RecoveryAddress,
}

impl RecoverySheet {
    /// Address and code in one line, to be copied and pasted. As secret as the code.
    #[must_use]
    pub fn to_line(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{} {}", self.address.to_text(), self.code.to_text().as_str()))
    }
}

/// A vault's manifest, sealed, so that it is not fetched for every message.
#[derive(Debug, Default)]
pub(crate) struct KnownVault {
    version: u64,
    manifest: bytes::Bytes,
}

/// Whether there is a way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryState {
    /// The user has a recovery code.
    pub code: bool,
    /// This device keeps the backup up to date.
    pub kept_here: bool,
}

impl Client {
    /// Makes a recovery code. A former one is of no use from then on; what was backed up stays.
    ///
    /// # Errors
    /// [`Error::RecoveryElsewhere`] when the user has a code that another device keeps, unless `anew`: then the
    /// backup begins again with what this device has. Needs a connection.
    pub async fn new_recovery_code(&self, anew: bool) -> Result<RecoverySheet, ClientError> {
        let identity = self.identity().await?.ok_or(Error::NotEnrolled)?;
        let code = RecoveryCode::generate();
        let keys = self.derive(&code, &identity.user, identity.root_fingerprint).await?;
        let fresh: Zeroizing<[u8; 32]> = Zeroizing::new(random());
        for _ in 0..TRIES_MAX {
            let vault = self.vault(0).await?;
            if vault.public_key == keys.public_key().as_slice() {
                // The hub has it; the answer was lost.
                break;
            }
            let keeper = self.query(|core| core.vault_keeper()).await??;
            let known = known_manifest(keeper.as_ref(), &vault);
            let mut manifest = match known {
                Some(manifest) => manifest,
                None if vault.version == 0 || anew => VaultManifest::default(),
                None => return Err(Error::RecoveryElsewhere.into()),
            };
            manifest.keys.insert(0, fresh.to_vec());
            let version = vault.version + 1;
            let put = v1::PutVault {
                version,
                public_key: keys.public_key().to_vec().into(),
                header: seal_header(&keys, &fresh).into(),
                manifest: seal_manifest(&fresh, version, &manifest).into(),
                chunks: names(&chunks_of(&manifest)),
            };
            match self.of_vault(VaultCommand::Put(put)).await {
                Ok(_) => break,
                Err(ClientError::Core(Error::Refused { code: ErrorCode::VaultConflict, .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let manifest = self.vault(0).await?;
        let opened = open_manifest(&fresh, manifest.version, &manifest.manifest);
        let opened =
            opened.ok_or(Error::Invalid("other devices write the backup all the time; try again"))?;
        let keys = opened.keys.iter().filter_map(|key| key.as_slice().try_into().ok()).collect();
        self.of_vault(VaultCommand::Keep(keys)).await?;
        let Identity { address, user, root_fingerprint, web_certificate, .. } = identity;
        let address = RecoveryAddress { address, user, root_fingerprint, web_certificate };
        Ok(RecoverySheet { code, address })
    }

    /// Whether there is a recovery code, and whether this device keeps the backup. Needs a connection.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn recovery_state(&self) -> Result<RecoveryState, ClientError> {
        let vault = self.vault(u64::MAX).await?;
        let kept_here = self.query(|core| core.vault_keeper()).await??.is_some();
        Ok(RecoveryState { code: vault.version > 0, kept_here })
    }

    /// Brings the backup up to date. It goes by itself while the client is connected; this is for who wants
    /// to be certain. Nothing happens if this device keeps none.
    ///
    /// # Errors
    /// When there is no connection or the hub refuses.
    pub async fn back_up(&self) -> Result<(), ClientError> {
        let mut tries = 0;
        let mut lacking = BTreeSet::new();
        let mut known = self.known_vault().lock().await;
        loop {
            let Some(keeper) = self.query(|core| core.vault_keeper()).await?? else { return Ok(()) };
            let mut vault = self.vault(known.version).await?;
            if vault.version == known.version {
                vault.manifest = known.manifest.clone();
            } else {
                *known = KnownVault { version: vault.version, manifest: vault.manifest.clone() };
            }
            // Another device has changed the code, and tells this one with what.
            let Some(mut manifest) = known_manifest(Some(&keeper), &vault) else { return Ok(()) };
            let named = chunks_of(&manifest);
            forget(&mut manifest, &lacking);
            let mended =
                (!lacking.is_empty()).then(|| Plan { manifest: manifest.clone(), ..Plan::default() });
            let plan = self.query(move |core| core.plan_vault(&manifest)).await??;
            let Some(plan) = plan.or(mended) else { return Ok(()) };
            let more = plan.more;
            match self.put_plan(&keeper, vault.version + 1, plan).await {
                Ok(written) => {
                    *known = written;
                    (tries, lacking) = (0, BTreeSet::new());
                    if !more {
                        return Ok(());
                    }
                }
                Err(ClientError::Core(Error::Refused { code: ErrorCode::VaultConflict, .. }))
                    if tries < TRIES_MAX =>
                {
                    tries += 1;
                }
                // A hub that was restored from a copy, or that lost files: what this device has is put there anew.
                Err(ClientError::Core(Error::Refused { code: ErrorCode::VaultChunkUnknown, .. }))
                    if tries < TRIES_MAX =>
                {
                    tries += 1;
                    lacking = self.lacking(named).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those of these chunks that the hub does not have.
    async fn lacking(&self, named: Vec<ChunkId>) -> Result<BTreeSet<ChunkId>, ClientError> {
        let mut lacking = BTreeSet::new();
        for chunk in named {
            let get = VaultCommand::GetChunk(v1::GetVaultChunk { chunk: chunk.to_bytes() });
            match self.of_vault(get).await {
                Ok(_) => {}
                Err(ClientError::Core(Error::Refused { code: ErrorCode::VaultChunkUnknown, .. })) => {
                    lacking.insert(chunk);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(lacking)
    }

    /// Enrols this device for a user who has his recovery code: a new certificate under the old user. It
    /// joins every group of the user and takes the backup by itself ([`Client::returned`]). Retries while the
    /// hub cannot be reached, so bound it; it can be called again after an interruption.
    ///
    /// # Errors
    /// When the device is enrolled as somebody else, the code is not the right one
    /// ([`ErrorCode::RecoveryRefused`]), or too many were tried ([`ErrorCode::RateLimited`]).
    pub async fn recover(
        &self,
        address: &RecoveryAddress,
        code: &RecoveryCode,
    ) -> Result<Identity, ClientError> {
        if let Some(identity) = self.identity().await? {
            let same = identity.user == address.user && identity.root_fingerprint == address.root_fingerprint;
            if !same {
                return Err(Error::AlreadyEnrolled.into());
            }
            // It was interrupted after the hub had let this device in.
            self.connect().await?;
            return Ok(identity);
        }
        let keys = self.derive(code, &address.user, address.root_fingerprint).await?;
        let address = address.clone();
        self.enrol_with(move |core| core.begin_recovery(&address, keys)).await
    }

    /// Waits until everything has come back that is in the backup. Without a limit: bound it.
    ///
    /// # Errors
    /// As [`Client::groups_joined`].
    pub async fn returned(&self) -> Result<(), ClientError> {
        let mut events = self.events();
        while self.query(|core| core.is_returning()).await?? {
            tokio::select! {
                biased;
                notice = events.next() => notice.map(drop).ok_or(ClientError::Closed)?,
                stopped = self.stopped() => return Err(stopped),
            }
        }
        Ok(())
    }

    async fn put_plan(&self, keeper: &Keeper, version: u64, plan: Plan) -> Result<KnownVault, ClientError> {
        let Some(key) = keeper.keys.first() else { return Ok(KnownVault::default()) };
        for (chunk, content) in plan.chunks {
            let put = v1::PutVaultChunk { chunk: chunk.to_bytes(), content: content.into() };
            self.of_vault(VaultCommand::PutChunk(put)).await?;
        }
        let manifest: bytes::Bytes = seal_manifest(key, version, &plan.manifest).into();
        let put = v1::PutVault {
            version,
            manifest: manifest.clone(),
            chunks: names(&chunks_of(&plan.manifest)),
            ..v1::PutVault::default()
        };
        self.of_vault(VaultCommand::Put(put)).await?;
        Ok(KnownVault { version, manifest })
    }

    /// Takes the next part of the backup; false when there is none to take at the moment.
    pub(crate) async fn take_back(&self) -> Result<bool, ClientError> {
        if !self.query(|core| core.is_returning()).await?? {
            return Ok(false);
        }
        if self.query(|core| core.awaits_vault()).await?? {
            let vault = self.vault(0).await?;
            self.of_vault(VaultCommand::Open(vault)).await?;
        }
        let Outcome::NextChunk(next) = self.of_vault(VaultCommand::Next).await? else {
            return Err(unexpected());
        };
        let Some((group, chunk)) = next else { return Ok(false) };
        let get = VaultCommand::GetChunk(v1::GetVaultChunk { chunk: chunk.to_bytes() });
        let content = match self.of_vault(get).await {
            Ok(Outcome::VaultChunk(content)) => Some(content),
            Ok(_) => return Err(unexpected()),
            Err(ClientError::Core(Error::Refused { code: ErrorCode::VaultChunkUnknown, .. })) => {
                // Perhaps another device of the user has made the chunk anew.
                let vault = self.vault(0).await?;
                if vault.version != self.query(|core| core.returning_version()).await?? {
                    self.of_vault(VaultCommand::Open(vault)).await?;
                    return Ok(true);
                }
                None
            }
            Err(error) => return Err(error),
        };
        self.of_vault(VaultCommand::Take { group, chunk, content }).await?;
        Ok(true)
    }

    async fn of_vault(&self, command: VaultCommand) -> Result<Outcome, ClientError> {
        self.command(Command::Vault(Box::new(command))).await
    }

    async fn vault(&self, known_version: u64) -> Result<v1::Vault, ClientError> {
        let get = VaultCommand::Get(v1::GetVault { known_version });
        match self.of_vault(get).await? {
            Outcome::Vault(vault) => Ok(*vault),
            _ => Err(unexpected()),
        }
    }

    async fn derive(
        &self,
        code: &RecoveryCode,
        user: &UserId,
        root_fingerprint: [u8; 32],
    ) -> Result<RecoveryKeys, ClientError> {
        let cost = self.query(|core| core.recovery_cost()).await?;
        derived(code.clone(), user.clone(), root_fingerprint, cost).await
    }
}

/// Argon2id on a thread of its own, whatever the runtime.
async fn derived(
    code: RecoveryCode,
    user: UserId,
    root_fingerprint: [u8; 32],
    cost: Cost,
) -> Result<RecoveryKeys, ClientError> {
    let (done, keys) = tokio::sync::oneshot::channel();
    let work = move || {
        // Nobody waits any more if this fails.
        let _ = done.send(code.keys(&user, &root_fingerprint, cost));
    };
    let started = std::thread::Builder::new().name("cercle-recovery".to_owned()).spawn(work);
    started.map_err(|_| Error::Invalid("the system gave no thread"))?;
    keys.await.map_err(|_| ClientError::Closed)
}

/// The manifest, if this device has the key that it is sealed with.
fn known_manifest(keeper: Option<&Keeper>, vault: &v1::Vault) -> Option<VaultManifest> {
    let mut keys = keeper?.keys.iter();
    keys.find_map(|key| open_manifest(key, vault.version, &vault.manifest))
}

/// Takes chunks that are not there out of a manifest.
fn forget(manifest: &mut VaultManifest, lacking: &BTreeSet<ChunkId>) {
    for group in &mut manifest.groups {
        let is_there = |chunk: ChunkId| !lacking.contains(&chunk);
        group.chunks.retain(|entry| ChunkId::try_from(entry.chunk.as_slice()).is_ok_and(is_there));
    }
}

fn names(chunks: &[ChunkId]) -> Vec<bytes::Bytes> {
    chunks.iter().map(|chunk| chunk.to_bytes()).collect()
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has randomness once it has booted");
    bytes
}
