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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, SanType};
    use ring::signature::Ed25519KeyPair;
    use time::{Duration, OffsetDateTime};

    use super::*;
    use crate::{
        certificate::{device_uri, hub_uri},
        id::to_hex,
    };

    const DAY_MS: u64 = 86_400_000;

    /// A root, and who holds a certificate of it from day 10 to day 20.
    struct Signer {
        root: Root,
        certificate: Bytes,
        key: Ed25519KeyPair,
    }

    fn signer(uri: &str) -> Signer {
        let root_key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.not_before = OffsetDateTime::UNIX_EPOCH;
        root.not_after = OffsetDateTime::UNIX_EPOCH + Duration::days(100);
        let root_der = root.self_signed(&root_key).unwrap();

        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "Exemple");
        leaf.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "professional");
        leaf.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.not_before = OffsetDateTime::UNIX_EPOCH + Duration::days(10);
        leaf.not_after = OffsetDateTime::UNIX_EPOCH + Duration::days(20);
        let certificate = leaf.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap();
        Signer {
            root: Root::from_der(root_der.der()).unwrap(),
            certificate: Bytes::copy_from_slice(certificate.der()),
            key: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der()).unwrap(),
        }
    }

    fn receipt(at_ms: TimestampMs) -> Receipt {
        Receipt {
            register: RegisterId::new([6; 16]),
            user: UserId::parse("a@cpts.example").unwrap(),
            device: DeviceId::new([2; 16]),
            at_ms,
        }
    }

    fn signed(by: &Signer, receipt: &Receipt) -> v1::ClaimReceipt {
        v1::ClaimReceipt {
            register: receipt.register.to_bytes(),
            user: receipt.user.as_str().to_owned(),
            device: receipt.device.to_bytes(),
            at_ms: receipt.at_ms,
            hub_certificate: by.certificate.clone(),
            signature: Bytes::copy_from_slice(by.key.sign(&receipt.to_be_signed()).as_ref()),
        }
    }

    #[test]
    fn the_signed_bytes_are_those_of_the_protocol() {
        let label = to_hex(b"cercle claim v1\0");
        let (register, device, user) = ("06".repeat(16), "02".repeat(16), to_hex(b"a@cpts.example"));
        let expected = format!("{label}{register}0000000000000102{device}{user}");
        assert_eq!(to_hex(&receipt(0x102).to_be_signed()), expected);
    }

    #[test]
    fn a_receipt_of_the_hub_is_believed_under_its_root() {
        let hub = signer(&hub_uri("cpts.example"));
        let first = receipt(15 * DAY_MS);
        assert_eq!(Receipt::verify(&signed(&hub, &first), &hub.root), Ok(first));
    }

    #[test]
    fn a_receipt_that_was_changed_is_refused() {
        let hub = signer(&hub_uri("cpts.example"));
        let genuine = signed(&hub, &receipt(15 * DAY_MS));
        let other = Bytes::copy_from_slice(&[9; 16]);
        for changed in [
            v1::ClaimReceipt { register: other.clone(), ..genuine.clone() },
            v1::ClaimReceipt { device: other.clone(), ..genuine.clone() },
            v1::ClaimReceipt { user: "b@cpts.example".into(), ..genuine.clone() },
            v1::ClaimReceipt { at_ms: 15 * DAY_MS + 1, ..genuine.clone() },
            v1::ClaimReceipt { signature: Bytes::copy_from_slice(&[4; 64]), ..genuine.clone() },
            v1::ClaimReceipt { signature: Bytes::new(), ..genuine.clone() },
        ] {
            assert_eq!(Receipt::verify(&changed, &hub.root), Err(ReceiptError::Signature));
        }
        let short = v1::ClaimReceipt { register: other.slice(1..), ..genuine };
        assert!(matches!(Receipt::verify(&short, &hub.root), Err(ReceiptError::Malformed(_))));
    }

    #[test]
    fn only_a_hub_under_the_root_makes_receipts_and_only_while_its_certificate_is_valid() {
        let hub = signer(&hub_uri("cpts.example"));
        let first = receipt(15 * DAY_MS);
        let refused = |receipt: &v1::ClaimReceipt, root: &Root| {
            matches!(Receipt::verify(receipt, root), Err(ReceiptError::Certificate(_)))
        };
        let elsewhere = signer(&hub_uri("cpts.example"));
        assert!(refused(&signed(&elsewhere, &first), &hub.root));
        let user = UserId::parse("a@cpts.example").unwrap();
        let device = signer(&device_uri(&user, DeviceId::new([2; 16])));
        assert!(refused(&signed(&device, &first), &device.root));
        assert!(refused(&signed(&hub, &receipt(25 * DAY_MS)), &hub.root));
    }
}
