//! Key packages (RFC 9420 section 10): verified when they come, given out once.

use std::collections::HashSet;

use bytes::Bytes;
use cercle_proto::{
    certificate::Root,
    id::{DeviceId, TimestampMs, UserId},
    signing::sha256,
};
use cercle_storage::store::{ClaimedPackage, KeyPackageRecord, PublishError};
use openmls::{
    framing::{MlsMessageBodyIn, MlsMessageIn},
    versions::ProtocolVersion,
};
use openmls_rust_crypto::RustCrypto;
use tls_codec::Deserialize;

use super::{ClaimReply, ClaimRequest, Delivery, Error, profile};
use crate::{auth::Identity, limits};

impl Delivery {
    /// Stores key packages of the caller's device and returns how many one-time packages it has. Each is
    /// verified: signatures, lifetime, certificate, owner, capabilities.
    ///
    /// # Errors
    /// [`Error::KeyPackageInvalid`] for the first that fails, [`Error::KeyPackagesFull`], [`Error::TooMany`],
    /// [`Error::TooLarge`], or a store failure. Nothing was stored then.
    pub async fn publish_key_packages(
        &self,
        identity: &Identity,
        generation: u64,
        packages: Vec<Bytes>,
        last_resort: Option<Bytes>,
        now: TimestampMs,
    ) -> Result<usize, Error> {
        if packages.len() > limits::KEY_PACKAGES_PER_PUBLICATION_MAX {
            return Err(Error::TooMany("key packages in one publication"));
        }
        if packages.iter().chain(&last_resort).any(|package| package.len() > limits::KEY_PACKAGE_BYTES_MAX) {
            return Err(Error::TooLarge("a key package"));
        }
        let record = self.inner.store.device(identity.device).await?.ok_or(Error::DeviceRevoked)?;
        if record.revoked_at.is_some() {
            return Err(Error::DeviceRevoked);
        }
        let (rules, owner) = (self.inner.rules.clone(), identity.clone());
        let verified = self.inner.groups.compute(move || {
            let check = |package: &Bytes, last_resort: bool| {
                let verification =
                    Verification { crypto: &rules.crypto, root: &rules.root, owner: &owner, now };
                verification.check(package, &record.public_key, last_resort).map_err(Error::KeyPackageInvalid)
            };
            let one_time: Result<Vec<_>, _> = packages.iter().map(|package| check(package, false)).collect();
            let last_resort = last_resort.as_ref().map(|package| check(package, true)).transpose()?;
            Ok((one_time?, last_resort))
        });
        let (one_time, last_resort) = verified.await?;
        let limit = limits::KEY_PACKAGES_MAX;
        Ok(self.inner.store.publish(identity.device, generation, one_time, last_resort, limit).await?)
    }

    /// Takes one key package of every device of the users. A repeated claim id gives the same answer.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::TooMany`] users, [`Error::GroupUnknown`] or [`Error::NotMember`] for
    /// a group that is not the caller's, or a store failure.
    pub async fn claim_key_packages(
        &self,
        identity: &Identity,
        request: ClaimRequest,
        now: TimestampMs,
    ) -> Result<ClaimReply, Error> {
        if request.users.len() > limits::CLAIM_USERS_MAX {
            return Err(Error::TooMany("users in one claim"));
        }
        self.limit_claims(identity, &request.users, now)?;
        let wanted = self.wanted_devices(identity, &request).await?;
        let devices = wanted.devices;
        let packages = self.inner.store.claim(identity.device, request.claim_id, devices, now).await?;
        self.warn_low(&packages).await?;
        let mut missing = request.users;
        missing.retain(|user| {
            !wanted.complete.contains(user) && !packages.iter().any(|package| package.user == *user)
        });
        Ok(ClaimReply { packages, missing })
    }

    fn limit_claims(&self, identity: &Identity, users: &[UserId], now: TimestampMs) -> Result<(), Error> {
        let limited = |retry_after_ms| Error::RateLimited { retry_after_ms };
        self.inner.claims.check(identity.user.clone(), now).map_err(limited)?;
        for user in users.iter().filter(|user| **user != identity.user) {
            self.inner.claim_pairs.check((identity.user.clone(), user.clone()), now).map_err(limited)?;
        }
        Ok(())
    }

    async fn wanted_devices(&self, identity: &Identity, request: &ClaimRequest) -> Result<Wanted, Error> {
        let mut members = HashSet::new();
        if let Some(group) = request.group {
            self.member(group, identity.device).await?;
            members.extend(self.members(group).await?.into_iter().map(|entry| entry.device));
        }
        let mut wanted = Wanted::default();
        let mut seen = HashSet::new();
        for user in request.users.iter().filter(|user| seen.insert((*user).clone())) {
            let mut devices = self.inner.store.devices_of(user).await?;
            devices.retain(|record| record.revoked_at.is_none() && record.device != identity.device);
            let known = !devices.is_empty();
            devices.retain(|record| match request.device {
                Some(only) => record.device == only,
                None => !members.contains(&record.device),
            });
            if known && devices.is_empty() && request.device.is_none() {
                wanted.complete.insert(user.clone());
            }
            wanted.devices.extend(devices.into_iter().map(|record| (user.clone(), record.device)));
        }
        Ok(wanted)
    }

    /// Tells devices whose stock became low, so that the last resort stays the exception.
    async fn warn_low(&self, packages: &[ClaimedPackage]) -> Result<(), Error> {
        for package in packages {
            let left = self.inner.store.left(package.device).await?;
            if left < limits::KEY_PACKAGES_LOW {
                self.inner.fanout.key_packages_low(package.device, left);
            }
        }
        Ok(())
    }
}

/// Whom a claim takes from.
#[derive(Default)]
struct Wanted {
    devices: Vec<(UserId, DeviceId)>,
    /// Users all of whose devices are in the group already.
    complete: HashSet<UserId>,
}

struct Verification<'a> {
    crypto: &'a RustCrypto,
    root: &'a Root,
    owner: &'a Identity,
    now: TimestampMs,
}

impl Verification<'_> {
    fn check(
        &self,
        package: &Bytes,
        device_key: &[u8; 32],
        last_resort: bool,
    ) -> Result<KeyPackageRecord, &'static str> {
        let parsed = MlsMessageIn::tls_deserialize_exact(package).map_err(|_| "it is not an MLSMessage")?;
        let MlsMessageBodyIn::KeyPackage(parsed) = parsed.extract() else {
            return Err("the MLSMessage holds no KeyPackage");
        };
        let verified = parsed
            .validate(self.crypto, ProtocolVersion::Mls10)
            .map_err(|_| "its signature, lifetime or extensions do not verify")?;
        if verified.ciphersuite() != profile::CIPHERSUITE {
            return Err("its ciphersuite is not that of the profile");
        }
        if verified.last_resort() != last_resort {
            return Err("the last resort, and only it, is marked as such");
        }
        let certificate = profile::check_new_leaf(verified.leaf_node(), self.root, self.now)?;
        if certificate.device != self.owner.device || certificate.user != self.owner.user {
            return Err("it is of another device");
        }
        if certificate.public_key != *device_key {
            return Err("it is for another key than the device is enrolled with");
        }
        let (from, until) = (verified.life_time().not_before(), verified.life_time().not_after());
        if from > self.now / 1000 || until.saturating_mul(1000) <= self.now {
            return Err("it is not valid now");
        }
        if until > certificate.not_after_ms / 1000 {
            return Err("it expires after its certificate");
        }
        let hash = sha256(package);
        Ok(KeyPackageRecord { hash, body: package.clone(), expires_at: until * 1000 })
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Full { left, limit } => Self::KeyPackagesFull { left, limit },
            PublishError::OlderGeneration => {
                Self::KeyPackageInvalid("a newer generation is on record: this store is an old copy")
            }
            PublishError::Store(error) => error.into(),
        }
    }
}
