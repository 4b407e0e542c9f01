//! Device certificates: who a device belongs to, and the MLS credential that carries them.
//!
//! A device certificate is an X.509 v3 certificate, issued by the hub's authentication service under the
//! CPTS root, over the device's Ed25519 key, which is also its MLS signature key. It says:
//!
//! - subject alternative name URI `cercle://<domain>/u/<local>/d/<device hex>`: user id and device id;
//! - subject CN: display name; title: profession code (TRE_G15) or absent; OU: member class.
//!
//! The hub's own certificate as MLS external sender has the URI `cercle://<domain>/hub`.
//!
//! openmls checks nothing of a credential, so hub and SDK call [`Root::verify`] for every key package,
//! welcome and staged commit. Path building and signatures are webpki's; this module adds the rule that
//! the certified key is the MLS signature key, and reads the identity.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;

use crate::{
    id::{DeviceId, TimestampMs, UserId, check_domain},
    mls_message::{read_varint, write_varint},
    signing::sha256,
    v1::MemberClass,
};

/// Longest chain that is looked at: leaf, intermediate, and room for a cross-signed one.
const CHAIN_CERTIFICATES_MAX: usize = 4;

/// Whether the validity period counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// The certificate must be valid at this time: for a new leaf.
    At(TimestampMs),
    /// An expired certificate is accepted: for a leaf that is already in a group, which must not become
    /// unjoinable because one member is on holiday.
    Ignore,
}

/// Who a verified certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A device of a user.
    Device(DeviceIdentity),
    /// The hub of this domain, as MLS external sender.
    Hub(String),
}

/// The identity that a device certificate binds to a key.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Its user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Name to show.
    pub display_name: String,
    /// Profession code of the nomenclature TRE_G15; empty if none.
    pub profession: String,
    /// Professional, verified other, relative.
    pub class: MemberClass,
    /// Who vouched for the device when it was enrolled, as the hub says.
    pub admission: Admission,
    /// Start of validity.
    pub not_before_ms: TimestampMs,
    /// End of validity.
    pub not_after_ms: TimestampMs,
    /// The certified Ed25519 key.
    pub public_key: [u8; 32],
}

/// Who vouched for a device when it was enrolled. The hub writes it into every certificate of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Admission {
    /// The certificate is from before this was written, or says something newer.
    #[default]
    Unknown,
    /// An invitation by somebody else: the operator or a coordinator.
    Invited,
    /// Another device of the same user.
    OwnDevice,
    /// The user's recovery code.
    RecoveryCode,
}

impl Admission {
    /// As certificates have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Invited => "invited",
            Self::OwnDevice => "own_device",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let known = [Self::Invited, Self::OwnDevice, Self::RecoveryCode];
        known.into_iter().find(|one| one.name() == name).unwrap_or_default()
    }
}

/// The hub's identity as MLS external sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubIdentity {
    /// The right side of every user id that it issues.
    pub domain: String,
    /// The certified Ed25519 key, with which it signs proposals.
    pub public_key: [u8; 32],
}

impl std::fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceIdentity").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Why a certificate or credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not DER, not X.509, or not shaped like ours.
    #[error("the certificate is not one of a Cercle hub: {0}")]
    Malformed(&'static str),
    /// Not issued under the pinned root.
    #[error("the certificate was not issued under the pinned root")]
    UnknownIssuer,
    /// Outside its validity period.
    #[error("the certificate is not valid at this time")]
    NotValidNow,
    /// Certified key and MLS signature key differ.
    #[error("the certificate is for another key")]
    OtherKey,
}

/// A CPTS root certificate, pinned at enrolment (client) or made by `init` (hub).
#[derive(Debug, Clone)]
pub struct Root {
    der: Vec<u8>,
    anchor: TrustAnchor<'static>,
}

impl Root {
    /// Takes a root certificate (DER).
    ///
    /// # Errors
    /// When it is not an X.509 certificate that can be a trust anchor.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|_| CertificateError::Malformed("the root cannot be read"))?
            .to_owned();
        Ok(Self { der: der.to_vec(), anchor })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate: what an invitation carries.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Verifies a chain (leaf first, DER) and reads whom it names.
    ///
    /// # Errors
    /// When the chain does not lead to this root, the leaf is not one of ours, is for another key than
    /// `signature_key`, or (with [`Validity::At`]) not valid at that time.
    pub fn verify(
        &self,
        chain: &[Vec<u8>],
        signature_key: &[u8],
        validity: Validity,
    ) -> Result<Subject, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::Malformed("the chain is empty"))?;
        let identity = read_leaf(leaf)?;
        if identity.public_key != signature_key {
            return Err(CertificateError::OtherKey);
        }
        let at_ms = match validity {
            Validity::At(now_ms) => now_ms,
            Validity::Ignore => identity.not_after_ms,
        };
        self.verify_path(chain, at_ms)?;
        identity.subject()
    }

    /// Like [`Root::verify`], for an MLS X.509 credential; only a device is accepted.
    ///
    /// # Errors
    /// As [`Root::verify`], or when the credential is not a list of certificates or names the hub.
    pub fn verify_device(
        &self,
        credential: &[u8],
        signature_key: &[u8],
        validity: Validity,
    ) -> Result<DeviceIdentity, CertificateError> {
        match self.verify(&decode_credential(credential)?, signature_key, validity)? {
            Subject::Device(identity) => Ok(identity),
            Subject::Hub(_) => Err(CertificateError::Malformed("the hub is no member")),
        }
    }

    /// Verifies the hub's certificate as MLS external sender (DER) and reads its key.
    ///
    /// # Errors
    /// As [`Root::verify`], or when the certificate names a device.
    pub fn verify_hub(
        &self,
        certificate: &[u8],
        validity: Validity,
    ) -> Result<HubIdentity, CertificateError> {
        let public_key = read_leaf(certificate)?.public_key;
        match self.verify(&[certificate.to_vec()], &public_key, validity)? {
            Subject::Hub(domain) => Ok(HubIdentity { domain, public_key }),
            Subject::Device(_) => Err(CertificateError::Malformed("it names a device, not the hub")),
        }
    }

    fn verify_path(&self, chain: &[Vec<u8>], at_ms: TimestampMs) -> Result<(), CertificateError> {
        let ders: Vec<CertificateDer<'_>> =
            chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let leaf = webpki::EndEntityCert::try_from(&ders[0])
            .map_err(|_| CertificateError::Malformed("the leaf cannot be read"))?;
        let time = UnixTime::since_unix_epoch(Duration::from_millis(at_ms));
        let algorithms = [webpki::ring::ED25519, webpki::ring::ECDSA_P256_SHA256];
        let anchors = std::slice::from_ref(&self.anchor);
        leaf.verify_for_usage(&algorithms, anchors, &ders[1..], time, AnyUsage, None, None)
            .map(|_| ())
            .map_err(|error| match error {
                webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
                    CertificateError::NotValidNow
                }
                _ => CertificateError::UnknownIssuer,
            })
    }
}

/// Device certificates carry no extended key usage.
struct AnyUsage;

impl webpki::ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// Reads the identity of a device certificate without verifying it: for a certificate that this program
/// has verified before, or to show what an unverified one claims.
///
/// # Errors
/// When it is not shaped like a device certificate.
pub fn read_device(der: &[u8]) -> Result<DeviceIdentity, CertificateError> {
    match read_leaf(der)?.subject()? {
        Subject::Device(identity) => Ok(identity),
        Subject::Hub(_) => Err(CertificateError::Malformed("it names the hub, not a device")),
    }
}

/// What the leaf says, before anything is believed.
struct Leaf {
    uri: String,
    display_name: String,
    profession: String,
    class: MemberClass,
    admission: Admission,
    not_before_ms: TimestampMs,
    not_after_ms: TimestampMs,
    public_key: [u8; 32],
}

fn read_leaf(der: &[u8]) -> Result<Leaf, CertificateError> {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let malformed = CertificateError::Malformed;
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| malformed("it is not X.509"))?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow the certificate"));
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.ok_or(CertificateError::Malformed("it has no alternative name"))?;
    let uri = match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => (*uri).to_owned(),
        _ => return Err(malformed("its alternative name is not one URI")),
    };
    let subject = certificate.subject();
    let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        attribute.and_then(|value| value.as_str().ok()).unwrap_or_default().to_owned()
    };
    let class = match text(subject.iter_organizational_unit().next()).as_str() {
        "professional" => MemberClass::Professional,
        "verified_other" => MemberClass::VerifiedOther,
        "relative" => MemberClass::Relative,
        _ => MemberClass::Unspecified,
    };
    let title = x509_parser::oid_registry::asn1_rs::oid!(2.5.4.12);
    let description = x509_parser::oid_registry::asn1_rs::oid!(2.5.4.13);
    let milliseconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0) * 1000;
    let public_key = certificate.public_key().subject_public_key.data.as_ref().try_into();
    Ok(Leaf {
        uri,
        display_name: text(subject.iter_common_name().next()),
        profession: text(subject.iter_by_oid(&title).next()),
        class,
        admission: Admission::from_name(&text(subject.iter_by_oid(&description).next())),
        not_before_ms: milliseconds(certificate.validity().not_before.timestamp()),
        not_after_ms: milliseconds(certificate.validity().not_after.timestamp()),
        public_key: public_key.map_err(|_| malformed("its key is not Ed25519"))?,
    })
}

impl Leaf {
    fn subject(self) -> Result<Subject, CertificateError> {
        let malformed =
            |_| CertificateError::Malformed("its URI is not cercle://<domain>/u/<user>/d/<device>");
        let wrong = CertificateError::Malformed("its URI is not cercle://<domain>/u/<user>/d/<device>");
        let path = self.uri.strip_prefix("cercle://").ok_or_else(|| wrong.clone())?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            [domain, "hub"] => {
                check_domain(domain).map_err(malformed)?;
                Ok(Subject::Hub((*domain).to_owned()))
            }
            [domain, "u", local, "d", device] => {
                if self.class == MemberClass::Unspecified {
                    return Err(CertificateError::Malformed("it names no member class"));
                }
                Ok(Subject::Device(DeviceIdentity {
                    user: UserId::new(local, domain).map_err(malformed)?,
                    device: DeviceId::from_hex(device).map_err(malformed)?,
                    display_name: self.display_name,
                    profession: self.profession,
                    class: self.class,
                    admission: self.admission,
                    not_before_ms: self.not_before_ms,
                    not_after_ms: self.not_after_ms,
                    public_key: self.public_key,
                }))
            }
            _ => Err(wrong),
        }
    }
}

/// The URI of a device certificate.
#[must_use]
pub fn device_uri(user: &UserId, device: DeviceId) -> String {
    format!("cercle://{}/u/{}/d/{}", user.domain(), user.local(), device.to_hex())
}

/// The URI of the hub's certificate as external sender.
#[must_use]
pub fn hub_uri(domain: &str) -> String {
    format!("cercle://{domain}/hub")
}

/// The name of a member class in a certificate (subject OU).
#[must_use]
pub const fn class_name(class: MemberClass) -> &'static str {
    match class {
        MemberClass::Professional => "professional",
        MemberClass::VerifiedOther => "verified_other",
        MemberClass::Relative | MemberClass::Unspecified => "relative",
    }
}

/// The content of an MLS X.509 credential (RFC 9420 section 5.3): `Certificate certificates<V>` without
/// its outer length, which openmls writes itself.
#[must_use]
pub fn encode_credential(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for certificate in chain {
        write_varint(&mut out, certificate.len());
        out.extend_from_slice(certificate);
    }
    out
}

/// Reads the content of an MLS X.509 credential into DER certificates, leaf first.
///
/// # Errors
/// When it is empty, damaged or longer than a chain of ours can be.
pub fn decode_credential(mut content: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let mut chain = Vec::new();
    while !content.is_empty() {
        let damaged = CertificateError::Malformed("the credential is not a list of certificates");
        let (length, rest) = read_varint(content).ok_or_else(|| damaged.clone())?;
        let (certificate, rest) = rest.split_at_checked(length).ok_or(damaged)?;
        if chain.len() == CHAIN_CERTIFICATES_MAX {
            return Err(CertificateError::Malformed("the credential has too many certificates"));
        }
        chain.push(certificate.to_vec());
        content = rest;
    }
    if chain.is_empty() {
        return Err(CertificateError::Malformed("the credential is empty"));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests;
