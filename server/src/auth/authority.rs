//! The CPTS root and what is issued under it: the hub's certificates and the device certificates.
//!
//! Called by `init` (which writes the results to files), by [`super::AuthenticationService`] and by the
//! delivery service (the hub as MLS external sender). No file is read or written here; keys are Ed25519
//! (RFC 8410) and leave as zeroizing PKCS#8 bytes.

use std::{fmt, net::IpAddr};

use cercle_proto::{
    certificate::{Admission, Root, Validity, class_name, device_uri, hub_uri},
    id::{DeviceId, TimestampMs, UserId},
    v1::MemberClass,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use ring::rand::{SecureRandom, SystemRandom};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::limits;

/// A certificate could not be made or loaded.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key or certificate is not one of ours, or the two do not belong together.
    #[error("{0}")]
    Unusable(&'static str),
    /// The certificate library refused.
    #[error("the certificate cannot be built")]
    Build(#[from] rcgen::Error),
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Randomness,
}

/// A certificate with its private key.
pub struct KeyedCertificate {
    /// Certificate, DER.
    pub certificate: Vec<u8>,
    /// Private key, PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCertificate").finish_non_exhaustive()
    }
}

impl KeyedCertificate {
    /// The certificate as PEM text.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.certificate.as_slice()))
    }

    /// The private key as PEM text.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode(&pem::Pem::new("PRIVATE KEY", self.key.as_slice())))
    }
}

/// Makes the root of a CPTS, for the domain of its hub.
///
/// # Errors
/// When the domain cannot be written into a certificate or there is no randomness.
pub fn make_root(domain: &str, now: TimestampMs) -> Result<KeyedCertificate, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let params = root_params(domain, Some(now))?;
    let certificate = params.self_signed(&key)?.der().to_vec();
    Ok(KeyedCertificate { certificate, key: Zeroizing::new(key.serialize_der()) })
}

/// Makes the certificate of the hub as MLS external sender (RFC 9420 section 12.1.8.1). Groups name it for
/// as long as they live, so it is valid as long as the root.
///
/// # Errors
/// When the root cannot issue.
pub fn make_hub_sender(
    root: &KeyedCertificate,
    domain: &str,
    now: TimestampMs,
) -> Result<KeyedCertificate, AuthorityError> {
    let mut params = leaf_params(&format!("Hub {domain}"), now, limits::ROOT_VALID_MS)?;
    params.subject_alt_names = vec![SanType::URI(hub_uri(domain).try_into()?)];
    issue_with_new_key(root, domain, &params)
}

/// Makes the TLS certificate of the hub for host names and addresses.
///
/// # Errors
/// When a name cannot be written into a certificate or the root cannot issue.
pub fn make_server(
    root: &KeyedCertificate,
    domain: &str,
    names: &[String],
    now: TimestampMs,
) -> Result<KeyedCertificate, AuthorityError> {
    let mut params = leaf_params(domain, now, limits::SERVER_CERTIFICATE_VALID_MS)?;
    params.subject_alt_names = names.iter().map(|name| host_name(name)).collect::<Result<_, _>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue_with_new_key(root, domain, &params)
}

/// The CPTS root at work: issues device certificates.
pub struct Issuer {
    domain: String,
    root: Root,
    hub_certificate: Vec<u8>,
    issuer: rcgen::Issuer<'static, KeyPair>,
    random: SystemRandom,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// What a device certificate shall say.
pub(super) struct DeviceSubject<'a> {
    pub(super) user: &'a UserId,
    pub(super) device: DeviceId,
    pub(super) display_name: &'a str,
    pub(super) profession: &'a str,
    pub(super) class: MemberClass,
    pub(super) admission: Admission,
    pub(super) public_key: [u8; 32],
}

impl Issuer {
    /// Loads the root with its key and the hub's certificate as external sender, and checks that the three
    /// belong together and to the domain, by issuing a certificate and verifying it.
    ///
    /// # Errors
    /// [`AuthorityError::Unusable`] says what does not fit.
    pub fn load(
        root: &KeyedCertificate,
        hub_certificate: Vec<u8>,
        domain: &str,
        now: TimestampMs,
    ) -> Result<Self, AuthorityError> {
        let unusable = AuthorityError::Unusable;
        let trusted =
            Root::from_der(&root.certificate).map_err(|_| unusable("the root certificate cannot be read"))?;
        let loaded = Self {
            domain: domain.to_owned(),
            root: trusted,
            hub_certificate,
            issuer: root_issuer(root, domain)?,
            random: SystemRandom::new(),
        };
        let user = UserId::new("probe", domain).map_err(|_| unusable("the domain is not valid"))?;
        let subject = DeviceSubject {
            user: &user,
            device: DeviceId::new([0; 16]),
            display_name: "probe",
            profession: "",
            class: MemberClass::Professional,
            admission: Admission::Unknown,
            public_key: [0; 32],
        };
        let probe = loaded.issue(&subject, now, 1000)?.0;
        loaded.root.verify(&[probe], &subject.public_key, Validity::At(now)).map_err(|_| {
            unusable("the root certificate does not fit its key, the domain or the present time")
        })?;
        Ok(loaded)
    }

    /// The right side of every user id issued here.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The root certificate as a trust anchor.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Root certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// Certificate of the hub as MLS external sender, DER.
    #[must_use]
    pub fn hub_certificate(&self) -> &[u8] {
        &self.hub_certificate
    }

    /// Issues a device certificate; returns it (DER) with the end of its validity.
    ///
    /// # Errors
    /// When a text cannot be written into a certificate or there is no randomness.
    pub(super) fn issue(
        &self,
        subject: &DeviceSubject<'_>,
        now: TimestampMs,
        valid_ms: u64,
    ) -> Result<(Vec<u8>, TimestampMs), AuthorityError> {
        let mut params = leaf_params(subject.display_name, now, valid_ms)?;
        params.distinguished_name.push(DnType::OrganizationalUnitName, class_name(subject.class));
        if !subject.profession.is_empty() {
            params.distinguished_name.push(DnType::from_oid(OID_TITLE), subject.profession);
        }
        params.distinguished_name.push(DnType::from_oid(OID_DESCRIPTION), subject.admission.name());
        params.subject_alt_names = vec![SanType::URI(device_uri(subject.user, subject.device).try_into()?)];
        params.serial_number = Some(serial_number(&self.random)?);
        let certificate = params.signed_by(&RawKey(subject.public_key), &self.issuer)?.der().to_vec();
        // X.509 counts seconds.
        Ok((certificate, (now + valid_ms) / 1000 * 1000))
    }
}

const OID_TITLE: &[u64] = &[2, 5, 4, 12];
const OID_DESCRIPTION: &[u64] = &[2, 5, 4, 13];

/// The name of a root is derived from its domain, so that certificate and key are enough to issue again.
fn root_params(domain: &str, now: Option<TimestampMs>) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("CPTS {domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if let Some(now) = now {
        set_validity(&mut params, now, limits::ROOT_VALID_MS)?;
        params.serial_number = Some(serial_number(&SystemRandom::new())?);
    }
    Ok(params)
}

fn root_issuer(
    root: &KeyedCertificate,
    domain: &str,
) -> Result<rcgen::Issuer<'static, KeyPair>, AuthorityError> {
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(root.key.as_slice());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519)
        .map_err(|_| AuthorityError::Unusable("the key of the root is not an Ed25519 key in PKCS#8"))?;
    Ok(rcgen::Issuer::new(root_params(domain, None)?, key))
}

fn issue_with_new_key(
    root: &KeyedCertificate,
    domain: &str,
    params: &CertificateParams,
) -> Result<KeyedCertificate, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let certificate = params.signed_by(&key, &root_issuer(root, domain)?)?.der().to_vec();
    Ok(KeyedCertificate { certificate, key: Zeroizing::new(key.serialize_der()) })
}

fn leaf_params(name: &str, now: TimestampMs, valid_ms: u64) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial_number(&SystemRandom::new())?);
    set_validity(&mut params, now, valid_ms)?;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// Validity starts a little in the past, for devices whose clock is behind.
fn set_validity(
    params: &mut CertificateParams,
    now: TimestampMs,
    valid_ms: u64,
) -> Result<(), AuthorityError> {
    let date = |ms: u64| {
        let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| AuthorityError::Unusable("a time is beyond the calendar of certificates"))
    };
    params.not_before = date(now)?.saturating_sub(Duration::milliseconds(
        i64::try_from(limits::CERTIFICATE_BACKDATE_MS).unwrap_or(i64::MAX),
    ));
    params.not_after = date(now.saturating_add(valid_ms))?;
    Ok(())
}

/// 16 random bytes, positive: a renewal over the same key gets another serial number.
fn serial_number(random: &SystemRandom) -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes).map_err(|_| AuthorityError::Randomness)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn host_name(name: &str) -> Result<SanType, AuthorityError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

/// An Ed25519 public key that somebody else holds the private key of.
struct RawKey([u8; 32]);

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
