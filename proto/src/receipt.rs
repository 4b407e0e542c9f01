//! Receipts of first-wins registers: what the hub signs, and how anybody under the same root checks it.
//!
//! A device that claimed a register shows the receipt to the members of several groups; each of them comes
//! to the same verdict, because it depends on the receipt and the pinned root alone.

use crate::{
    certificate::{CertificateError, Root, Validity},
    id::{DeviceId, IdError, RegisterId, TimestampMs, UserId},
    signing, v1,
};

/// Who had a register first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The register.
    pub register: RegisterId,
    /// User of the device.
    pub user: UserId,
    /// Device that was first.
    pub device: DeviceId,
    /// When the hub stored it.
    pub at_ms: TimestampMs,
}

/// Why a receipt is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// A field is missing or malformed.
    #[error("the receipt is malformed: {0}")]
    Malformed(#[from] IdError),
    /// The certificate is not that of a hub under the root, valid when the receipt was made.
    #[error("the receipt's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The signature is not the hub's.
    #[error("the receipt's signature does not verify")]
    Signature,
}

impl Receipt {
    /// The signed bytes: label, register (16), time (8, big endian), device (16), user (the rest).
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        [
            b"cercle claim v1\0".as_slice(),
            self.register.as_bytes(),
            &self.at_ms.to_be_bytes(),
            self.device.as_bytes(),
            self.user.as_str().as_bytes(),
        ]
        .concat()
    }

    /// Reads a receipt and verifies it under the root.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(receipt: &v1::ClaimReceipt, root: &Root) -> Result<Self, ReceiptError> {
        let read = Self {
            register: RegisterId::try_from(&receipt.register)?,
            user: UserId::parse(&receipt.user)?,
            device: DeviceId::try_from(&receipt.device)?,
            at_ms: receipt.at_ms,
        };
        let hub = root.verify_hub(&receipt.hub_certificate, Validity::At(read.at_ms))?;
        if signing::verify(&hub.public_key, &read.to_be_signed(), &receipt.signature) {
            Ok(read)
        } else {
            Err(ReceiptError::Signature)
        }
    }
}
