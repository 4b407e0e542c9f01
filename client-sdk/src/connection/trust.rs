//! Which hub certificate is believed (docs/protocol.md section 3).
//!
//! An invitation names the SHA-256 of the CPTS root and nothing else, so the verifier picks the root out of
//! the chain that the hub shows, by that fingerprint, and then lets rustls check the chain to it, the host
//! name and the signature. When the invitation says `web`, the public web roots are used instead. Used by
//! [`super::ws`].

use std::{fmt, sync::Arc};

use cercle_proto::signing::sha256;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::limits::TLS_CHAIN_CERTIFICATES_MAX;

/// What a TLS certificate of the hub must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsTrust {
    /// The root certificate with this SHA-256, and no other.
    Root([u8; 32]),
    /// A root of the public web.
    Web,
}

/// The TLS settings of a device: TLS 1.3 only, no client certificate, ring.
///
/// # Errors
/// When rustls refuses the combination, which would be a fault of this build.
pub fn client_config(trust: TlsTrust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
    let mut config = match trust {
        TlsTrust::Root(fingerprint) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedRoot::new(fingerprint, provider))),
        TlsTrust::Web => {
            builder.with_root_certificates(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
        }
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Believes one root, known by its fingerprint.
struct PinnedRoot {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedRoot {
    fn new(fingerprint: [u8; 32], provider: Arc<CryptoProvider>) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self { fingerprint, provider, algorithms }
    }

    fn untrusted() -> rustls::Error {
        CertificateError::UnknownIssuer.into()
    }
}

impl fmt::Debug for PinnedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedRoot").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if intermediates.len() >= TLS_CHAIN_CERTIFICATES_MAX {
            return Err(Self::untrusted());
        }
        let root = intermediates.iter().position(|certificate| sha256(certificate) == self.fingerprint);
        let (between, root) = intermediates.split_at(root.ok_or_else(Self::untrusted)?);
        let mut roots = RootCertStore::empty();
        roots.add(root[0].clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, between, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is never negotiated".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
