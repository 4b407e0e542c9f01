//! The driver against a TLS listener on loopback that behaves as each test wants.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cercle_proto::{
    frame,
    signing::sha256,
    v1::{self, client_frame, server_frame},
};
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

use super::{
    driver::{self, Channels, Failure, Incoming, Link, Outgoing, Surroundings, Target, Wish},
    state::{Retry, Status},
    trust::TlsTrust,
};

/// Longer than anything here takes; shorter than a person waits for a test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A root and a listener with a certificate under it.
struct FakeHub {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    fingerprint: [u8; 32],
}

/// What the listener shows after its own certificate.
enum Shows {
    Root,
    NothingElse,
}

impl FakeHub {
    async fn start(host: &str, shows: Shows) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_der = root.self_signed(&root_key).unwrap().der().clone();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([host.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap();
        let chain: Vec<CertificateDer<'static>> = match shows {
            Shows::Root => vec![leaf.der().clone(), root_der.clone()],
            Shows::NothingElse => vec![leaf.der().clone()],
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: Arc::new(config).into(), fingerprint: sha256(&root_der) }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    async fn accept_tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = self.listener.accept().await?;
        self.acceptor.accept(tcp).await
    }

    async fn accept(&self) -> WebSocketStream<TlsStream<TcpStream>> {
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let subprotocol = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().path(), frame::WEBSOCKET_PATH);
            let offered = request.headers()["sec-websocket-protocol"].clone();
            assert_eq!(offered, frame::SUBPROTOCOL);
            response.headers_mut().insert("sec-websocket-protocol", offered);
            Ok(response)
        };
        Box::pin(accept_hdr_async(self.accept_tls().await.unwrap(), subprotocol)).await.unwrap()
    }
}

/// A driver with the test at the other end of its channels.
struct Device {
    wishes: mpsc::Sender<Wish>,
    core: mpsc::Receiver<Incoming>,
    link: watch::Receiver<Link>,
}

impl Device {
    async fn connect(address: &str, fingerprint: [u8; 32]) -> Self {
        let (wishes, wish_queue) = mpsc::channel(4);
        let (core_sender, core) = mpsc::channel(64);
        let (link_sender, link) = watch::channel(Link { status: Status::Idle, failure: None });
        let channels = Channels { wishes: wish_queue, core: core_sender, link: link_sender };
        let surroundings = Surroundings { now_ms: crate::client::now_ms, random: || 0 };
        tokio::spawn(driver::run(channels, surroundings));
        let target = Target { address: address.to_owned(), trust: TlsTrust::Root(fingerprint) };
        wishes.send(Wish::Connect(target)).await.unwrap();
        Self { wishes, core, link }
    }

    async fn next(&mut self) -> Incoming {
        timeout(PATIENCE, self.core.recv()).await.unwrap().unwrap()
    }

    async fn connected(&mut self) -> mpsc::Sender<Outgoing> {
        match self.next().await {
            Incoming::Connected(outgoing) => outgoing,
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&mut self) -> Failure {
        let failed = self.link.wait_for(|link| link.failure.is_some());
        timeout(PATIENCE, failed).await.unwrap().unwrap().failure.unwrap()
    }
}

fn ping(request: u64) -> v1::ClientFrame {
    frame::client(request, client_frame::Body::Ping(v1::Ping {}))
}

fn pong() -> Message {
    Message::Binary(frame::encode(&frame::server(0, server_frame::Body::Pong(v1::Pong {}))))
}

#[tokio::test]
async fn frames_travel_both_ways_under_the_pinned_root() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let mut socket = hub.accept().await;
    let outgoing = device.connected().await;
    outgoing.send(Outgoing::Frame(Box::new(ping(7)))).await.unwrap();
    let received = socket.next().await.unwrap().unwrap().into_data();
    assert_eq!(frame::decode_client(received).unwrap(), ping(7));
    socket.send(pong()).await.unwrap();
    assert!(matches!(device.next().await, Incoming::Frame(_)));
    assert_eq!(device.link.borrow().status, Status::Connected);
}

#[tokio::test]
async fn another_root_a_chain_without_root_and_another_host_are_not_trusted() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let bare = FakeHub::start("127.0.0.1", Shows::NothingElse).await;
    let elsewhere = FakeHub::start("hub.cpts.example", Shows::Root).await;
    for (hub, pinned) in [(&hub, [0; 32]), (&bare, bare.fingerprint), (&elsewhere, elsewhere.fingerprint)] {
        let mut device = Device::connect(&hub.address(), pinned).await;
        assert!(hub.accept_tls().await.is_err(), "the device must end the handshake");
        assert_eq!(device.failure().await, Failure::Untrusted);
        assert!(matches!(device.link.borrow().status, Status::Waiting { .. } | Status::Connecting));
    }
}

#[tokio::test]
async fn something_else_behind_the_right_certificate_is_named() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let mut tls = hub.accept_tls().await.unwrap();
    tls.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert_eq!(device.failure().await, Failure::NotAHub);
}

#[tokio::test]
async fn a_dead_address_is_unreachable_and_tried_again() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let mut device = Device::connect(&address, [0; 32]).await;
    assert_eq!(device.failure().await, Failure::Unreachable);
    let twice = |link: &Link| matches!(link.status, Status::Waiting { failures, .. } if failures >= 2);
    timeout(PATIENCE, device.link.wait_for(twice)).await.unwrap().unwrap();
}

#[tokio::test]
async fn garbage_text_and_oversize_end_the_connection_which_is_made_anew() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let garbage = Bytes::from_static(&[0xff; 40]);
    let oversize = Bytes::from(vec![0; frame::FRAME_BYTES_MAX + 1]);
    for bad in [Message::Binary(garbage), Message::text("hello"), Message::Binary(oversize)] {
        let mut socket = hub.accept().await;
        let outgoing = device.connected().await;
        // The device may close before it has read all of it.
        let _ = socket.send(bad).await;
        assert!(matches!(device.next().await, Incoming::Disconnected));
        drop(outgoing);
    }
    hub.accept().await;
    device.connected().await;
}

#[tokio::test]
async fn what_the_core_reads_last_decides_even_if_the_hub_closed_first() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let mut socket = hub.accept().await;
    let outgoing = device.connected().await;
    socket.send(pong()).await.unwrap();
    socket.close(None).await.unwrap();
    assert!(matches!(device.next().await, Incoming::Frame(_)));
    assert!(matches!(device.next().await, Incoming::Disconnected));
    outgoing.send(Outgoing::HangUp(Retry::Never)).await.unwrap();
    drop(outgoing);
    let stopped = device.link.wait_for(|link| link.status == Status::Stopped);
    timeout(PATIENCE, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_sent_before_hanging_up_arrives() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let mut socket = hub.accept().await;
    let outgoing = device.connected().await;
    for request in 1..=50 {
        outgoing.send(Outgoing::Frame(Box::new(ping(request)))).await.unwrap();
    }
    outgoing.send(Outgoing::HangUp(Retry::Never)).await.unwrap();
    let mut received = 0;
    while let Some(Ok(Message::Binary(_))) = socket.next().await {
        received += 1;
    }
    assert_eq!(received, 50);
    assert!(matches!(device.next().await, Incoming::Disconnected));
}

#[tokio::test]
async fn an_unwanted_connection_is_closed_and_stays_closed() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let mut device = Device::connect(&hub.address(), hub.fingerprint).await;
    let mut socket = hub.accept().await;
    device.connected().await;
    device.wishes.send(Wish::Disconnect).await.unwrap();
    assert!(matches!(device.next().await, Incoming::Disconnected));
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | None));
    let idle = device.link.wait_for(|link| link.status == Status::Idle);
    timeout(PATIENCE, idle).await.unwrap().unwrap();
}

/// A greeting of a server that chose TLS 1.2.
fn older_greeting() -> Vec<u8> {
    let body = [&[3, 3][..], &[9; 32], &[0, 0xc0, 0x2f, 0, 0, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    [vec![22, 3, 3, 0, length + 4, 2, 0, 0, length], body].concat()
}

#[tokio::test]
async fn who_answers_with_an_older_tls_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut device = Device::connect(&listener.local_addr().unwrap().to_string(), [0; 32]).await;
    let (mut tcp, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut greeting = vec![0; 4_096];
    assert!(timeout(PATIENCE, tcp.read(&mut greeting)).await.unwrap().unwrap() > 0);
    tcp.write_all(&older_greeting()).await.unwrap();
    let mut said = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut said)).await.expect("the device closes");
    assert!(said.iter().all(|byte| *byte != 23) && said.first().is_none_or(|kind| *kind == 21), "{said:?}");
    assert_eq!(device.failure().await, Failure::Unreachable);
}

#[tokio::test]
async fn a_byte_that_is_changed_on_the_way_ends_the_connection() {
    let hub = FakeHub::start("127.0.0.1", Shows::Root).await;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = between.local_addr().unwrap().to_string();
    let mut device = Device::connect(&address, hub.fingerprint).await;
    let (device_side, _) = timeout(PATIENCE, between.accept()).await.unwrap().unwrap();
    let hub_side = TcpStream::connect(hub.address()).await.unwrap();
    let (from_device, mut to_device) = device_side.into_split();
    let (mut from_hub, to_hub) = hub_side.into_split();
    tokio::spawn(async move {
        let (mut from_device, mut to_hub) = (from_device, to_hub);
        // It ends with the connection, however that ends.
        let _ = tokio::io::copy(&mut from_device, &mut to_hub).await;
    });
    let (change, mut changes) = watch::channel(false);
    tokio::spawn(async move {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from_hub.read(&mut bytes).await {
            if *changes.borrow_and_update() {
                bytes[count - 1] ^= 1;
            }
            if to_device.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    let mut socket = hub.accept().await;
    let _outgoing = device.connected().await;
    change.send(true).unwrap();
    socket.send(Message::Binary(Bytes::from_static(&[0; 40]))).await.unwrap();
    assert!(matches!(device.next().await, Incoming::Disconnected), "nothing of it was taken");
}
