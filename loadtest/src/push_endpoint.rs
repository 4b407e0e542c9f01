//! A push service on loopback (RFC 8030, HTTP/2): takes everything and notes what it was asked, so that wake-ups
//! can be counted. It shows the TLS certificate of the hub under test, which the hub is told to trust.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;

/// A wake-up that the hub sent.
#[derive(Debug, Clone)]
pub(crate) struct WakeUp {
    /// Device, as the path of its address names it.
    pub(crate) device: usize,
    /// The hub asks to be let through at once: an alert.
    pub(crate) urgent: bool,
    /// What replaces what on the device (`Topic`).
    pub(crate) collapse: String,
    /// When it came.
    pub(crate) us: u64,
}

/// A running endpoint; ends with its owner.
pub(crate) struct PushEndpoint {
    address: SocketAddr,
    received: Received,
    _serving: JoinSet<()>,
}

type Received = Arc<Mutex<Vec<WakeUp>>>;

impl PushEndpoint {
    /// What the hub's file about push services must say so that it reaches the endpoint. The hub's folder need
    /// not be there yet.
    pub(crate) fn settings(data: &Path) -> String {
        let root = data.join("root.pem");
        format!("contact = \"mailto:charge@example\"\nallow_private = true\nroots = \"{}\"\n", root.display())
    }

    /// Listens, with the certificate in a hub's folder.
    ///
    /// # Errors
    /// When the certificate cannot be read or no port opened.
    pub(crate) async fn start(data: &Path, clock: Clock) -> anyhow::Result<Self> {
        let acceptor = acceptor(data)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, received) = (listener.local_addr()?, Received::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, acceptor, Arc::clone(&received), clock));
        Ok(Self { address, received, _serving: serving })
    }

    /// Where a device of this number is woken.
    pub(crate) fn address_of(&self, device: usize) -> String {
        format!("https://{}/{device}", self.address)
    }

    /// Everything that came up to now.
    pub(crate) fn received(&self) -> Vec<WakeUp> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, received: Received, clock: Clock) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, received) = (acceptor.clone(), Arc::clone(&received));
        connections.spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let answer = service_fn(move |request| take(request, Arc::clone(&received), clock));
            // The hub ends connections as it likes.
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), answer).await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    received: Received,
    clock: Clock,
) -> Result<Response<Empty<&'static [u8]>>, Infallible> {
    let (parts, body) = request.into_parts();
    let us = clock.now_us();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let device = parts.uri.path().trim_start_matches('/').parse().ok();
    let whole = body.collect().await.is_ok();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if let (Some(device), true) = (device, whole) {
        let wake_up =
            WakeUp { device, urgent: header("urgency") == "high", collapse: header("topic").to_owned(), us };
        received.lock().unwrap_or_else(PoisonError::into_inner).push(wake_up);
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

fn acceptor(data: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(data.join("tls.pem"))?.collect();
    let key = PrivateKeyDer::from_pem_file(data.join("tls.key")).context("the TLS key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
