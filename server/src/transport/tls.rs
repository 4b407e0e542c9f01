//! TLS 1.3 with one provider (ring), and a certificate that can be exchanged while the hub runs.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{what} {path} cannot be read: {cause}")]
    File {
        /// Which file.
        what: &'static str,
        /// Where it should be.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// The file holds no certificate.
    #[error("{0} holds no certificate")]
    Empty(String),
    /// Certificate and key do not fit, or are of an unknown kind.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Reads a certificate chain and its key (PEM), and checks that they belong together.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let file = |what, path: &Path, cause: rustls_pki_types::pem::Error| TlsError::File {
        what,
        path: path.display().to_string(),
        cause: cause.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|cause| file("the certificate", certificate, cause))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.display().to_string()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| file("the key", key, cause))?;
    Ok(CertifiedKey::from_der(chain, private, &default_provider())?)
}

/// The certificate that the hub shows, exchangeable.
#[derive(Debug)]
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Shows this one.
    #[must_use]
    pub fn new(certified: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(certified)))
    }

    /// Shows another one to connections made from now on.
    pub fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }

    /// What is shown now.
    #[must_use]
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// The configuration of the port: TLS 1.3 only, HTTP/2 and HTTP/1.1 offered.
///
/// # Errors
/// When the provider does not support TLS 1.3.
pub fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // Devices do not resume; but what the hub sends here acknowledges their last bytes at once.
    config.send_tls13_tickets = 1;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
