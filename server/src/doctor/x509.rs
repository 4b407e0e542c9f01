//! Reads the few fields of a certificate that [`super`] judges.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::KeyUsage;
use x509_parser::prelude::{FromDer, X509Certificate};

/// When a certificate is valid.
pub(super) struct Period {
    pub(super) not_before_ms: u64,
    pub(super) not_after_ms: u64,
}

/// The validity of a certificate, if it is one.
pub(super) fn period(certificate: &CertificateDer<'_>) -> Option<Period> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let milliseconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let validity = parsed.validity();
    Some(Period {
        not_before_ms: milliseconds(validity.not_before.timestamp()),
        not_after_ms: milliseconds(validity.not_after.timestamp()),
    })
}

/// Whether a certificate is for this host name or address.
pub(super) fn names(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(name) = rustls_pki_types::ServerName::try_from(host) else { return false };
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

/// Whether the certificate was issued under this root, whenever that was.
pub(super) fn issued_by(certificate: &CertificateDer<'_>, root: &CertificateDer<'_>) -> bool {
    let Some(Period { not_before_ms, .. }) = period(certificate) else { return false };
    let at = UnixTime::since_unix_epoch(Duration::from_millis(not_before_ms));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let (Ok(leaf), Ok(anchor)) =
        (webpki::EndEntityCert::try_from(certificate), webpki::anchor_from_trusted_cert(root))
    else {
        return false;
    };
    leaf.verify_for_usage(algorithms, &[anchor], &[], at, KeyUsage::server_auth(), None, None).is_ok()
}
