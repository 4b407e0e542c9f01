//! Key packages: used once, except the last resort.

use bytes::Bytes;
use cercle_proto::id::{DeviceId, TimestampMs, UserId};

use super::{ReadError, WriteError};

/// A key package to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageRecord {
    /// SHA-256 of the bytes, so that the same package is stored once.
    pub hash: [u8; 32],
    /// The MLS message.
    pub body: Bytes,
    /// Not handed out after this time.
    pub expires_at: TimestampMs,
}

/// A key package that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedPackage {
    /// The device's user.
    pub user: UserId,
    /// Its device.
    pub device: DeviceId,
    /// The MLS message.
    pub body: Bytes,
    /// It is the last resort and was not used up.
    pub last_resort: bool,
}

/// Why a publication was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It would exceed the stock; nothing was stored.
    #[error("the device has {left} key packages, at most {limit} are kept")]
    Full {
        /// What it has.
        left: usize,
        /// The limit that was given.
        limit: usize,
    },
    /// A newer generation is on record: the caller is an old copy.
    #[error("key packages of a newer generation are on record")]
    OlderGeneration,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// The stock of key packages of each device.
#[async_trait::async_trait]
pub trait KeyPackages: Send + Sync {
    /// Adds packages of one generation; a higher generation drops all of the lower ones, last resort
    /// included. Packages already stored (same hash) count once; one that was handed out is not stored again
    /// as long as the record of it is kept, so that a repeated publication brings nothing back. Returns how
    /// many one-time packages are left.
    ///
    /// # Errors
    /// When the stock would exceed `limit`, the generation is older than that on record, or the store fails.
    async fn publish(
        &self,
        device: DeviceId,
        generation: u64,
        packages: Vec<KeyPackageRecord>,
        last_resort: Option<KeyPackageRecord>,
        limit: usize,
    ) -> Result<usize, PublishError>;

    /// Takes one package for each device that has one, one-time (lowest hash first; expired ones on the way
    /// are deleted) before last resort, none twice; devices
    /// without any (or only expired ones) are left out. A repeated `claim_id` by the same claimer gives the
    /// same answer and takes nothing.
    ///
    /// # Errors
    /// As any write.
    async fn claim(
        &self,
        claimer: DeviceId,
        claim_id: [u8; 16],
        devices: Vec<(UserId, DeviceId)>,
        now: TimestampMs,
    ) -> Result<Vec<ClaimedPackage>, WriteError>;

    /// One-time packages left, those included that have expired and were not met yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn left(&self, device: DeviceId) -> Result<usize, ReadError>;
}
