//! Asks a running hub over its own port, as a device would, whether it takes writes. Used by
//! `cercle-server health` and by [`crate::doctor`].
//!
//! The certificate that is shown must be exactly the one in the configured file; whether anybody else trusts
//! it is not the question here.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    config::Config,
    limits,
    transport::tls::{self, TlsError},
};

/// What the hub says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// It takes writes.
    pub ready: bool,
    /// In its words.
    pub text: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The certificate to expect cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody answers.
    #[error("nothing answers at {address}: is the hub running (cercle-server serve)?")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// No answer in time.
    #[error("no answer from {0} in time")]
    Timeout(SocketAddr),
}

/// Asks the hub of this configuration, on this machine.
///
/// # Errors
/// As [`HealthError`] says.
pub async fn ask(config: &Config) -> Result<Answer, HealthError> {
    let expected = tls::load(&config.tls_certificate, &config.tls_key)?.cert.swap_remove(0);
    let address = reachable(config.listen);
    let connector = connector(expected)?;
    match timeout(limits::HEALTH_WAIT, get_ready(address, connector)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cause)) => Err(HealthError::Unreachable { address, cause }),
        Err(_) => Err(HealthError::Timeout(address)),
    }
}

/// "All addresses" is reached on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    let localhost: std::net::IpAddr =
        if listen.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() };
    SocketAddr::new(localhost, listen.port())
}

async fn get_ready(address: SocketAddr, connector: TlsConnector) -> std::io::Result<Answer> {
    let tcp = TcpStream::connect(address).await?;
    let mut tls = connector.connect(ServerName::IpAddress(address.ip().into()), tcp).await?;
    tls.write_all(b"GET /health/ready HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").await?;
    let mut response = Vec::new();
    tls.take(limits::HEALTH_BYTES_MAX).read_to_end(&mut response).await?;
    let response = String::from_utf8_lossy(&response);
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    Ok(Answer { ready: head.starts_with("HTTP/1.1 200 "), text: body.trim().to_owned() })
}

fn connector(expected: CertificateDer<'static>) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(Exactly { expected, provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Accepts one certificate.
#[derive(Debug)]
struct Exactly {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("the hub shows another certificate than the file: send it SIGHUP".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
