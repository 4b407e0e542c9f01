//! A tap on the line between devices and hub: what goes by on the wire, and the same without TLS.
//!
//! It has the hub's own key, so that it hears everything that the hub is told, and devices do not notice.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::ServerName, version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The tap; gone when dropped.
pub(crate) struct Tap {
    /// `host:port` where devices connect instead of the hub.
    pub(crate) address: String,
    wire: Heard,
    inside: Heard,
    runtime: Option<Runtime>,
}

/// What went by, both ways.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn take_up(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn so_far(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Tap {
    /// In front of a hub whose data lie in this folder.
    pub(crate) fn before(hub: String, data: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let (wire, inside) = (Heard::default(), Heard::default());
        let (acceptor, connector) = keys(data);
        let (outer, inner) = runtime.block_on(async {
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let address = outer.local_addr().unwrap().to_string();
        let second = inner.local_addr().unwrap().to_string();
        let heard = wire.clone();
        runtime.spawn(async move {
            while let Ok((device, _)) = outer.accept().await {
                let (second, heard) = (second.clone(), heard.clone());
                tokio::spawn(
                    async move { both_ways(device, TcpStream::connect(second).await?, heard).await },
                );
            }
        });
        let heard = inside.clone();
        runtime.spawn(async move {
            while let Ok((device, _)) = inner.accept().await {
                let (hub, heard) = (hub.clone(), heard.clone());
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    let device = acceptor.accept(device).await?;
                    let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
                    let hub = connector.connect(name, TcpStream::connect(hub).await?).await?;
                    both_ways(device, hub, heard).await
                });
            }
        });
        Self { address, wire, inside, runtime: Some(runtime) }
    }

    /// Bytes as a capture of the network has them.
    pub(crate) fn on_the_wire(&self) -> Vec<u8> {
        self.wire.so_far()
    }

    /// The same without TLS: what devices told the hub, and the hub them.
    pub(crate) fn inside_tls(&self) -> Vec<u8> {
        self.inside.so_far()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Trust in the root of a hub whose data lie in this folder.
pub(crate) fn connector(data: &Path) -> TlsConnector {
    keys(data).1
}

/// The hub's certificate and key, and trust in its root.
fn keys(data: &Path) -> (TlsAcceptor, TlsConnector) {
    let provider = Arc::new(ring::default_provider());
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(data.join("tls.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(data.join("tls.key")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data.join("root.pem")).unwrap()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// Carries bytes until one side has no more.
async fn both_ways(
    one: impl AsyncRead + AsyncWrite,
    other: impl AsyncRead + AsyncWrite,
    heard: Heard,
) -> io::Result<()> {
    let ((one_in, one_out), (other_in, other_out)) = (tokio::io::split(one), tokio::io::split(other));
    tokio::select! {
        ended = carry(one_in, other_out, &heard) => ended,
        ended = carry(other_in, one_out, &heard) => ended,
    }
}

async fn carry(from: impl AsyncRead, to: impl AsyncWrite, heard: &Heard) -> io::Result<()> {
    let (mut from, mut to) = (std::pin::pin!(from), std::pin::pin!(to));
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        heard.take_up(&buffer[..count]);
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}
