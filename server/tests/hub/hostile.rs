//! Peers that do what no client of ours does. Each is told once, and nobody else suffers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    frame::{self, FRAME_BYTES_MAX},
    v1::{self, client_frame::Body, server_frame},
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Device, Hub, PATIENCE, Peer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_frame_ends_the_session_with_its_code() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    for (name, mut peer) in hub.both().await {
        peer.authenticate(&device).await;
        peer.send_bytes(Bytes::from(vec![0; FRAME_BYTES_MAX + 1])).await;
        assert_eq!(peer.last_words().await, Some(ErrorCode::FrameTooLarge), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_cut_off_long_before_a_whole_frame() {
    let hub = Hub::start().await;
    for (name, mut peer) in hub.both().await {
        peer.greet().await;
        peer.send_bytes(Bytes::from(vec![0; FRAME_BYTES_MAX / 4])).await;
        assert_eq!(peer.last_words().await, Some(ErrorCode::FrameTooLarge), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_and_random_frames_end_the_session_with_a_code() {
    let hub = Hub::start().await;
    let hello = v1::Hello { version_min: 1, version_max: 1, client: "test".into() };
    let whole = frame::encode(&frame::client(1, Body::Hello(hello)));
    let truncated = whole.slice(..whole.len() - 3);
    let random: Bytes = (0..255_u8).map(|i| i.wrapping_mul(167).wrapping_add(91)).collect();
    for bytes in [truncated, random] {
        for (name, mut peer) in hub.both().await {
            peer.send_bytes(bytes.clone()).await;
            assert_eq!(peer.last_words().await, Some(ErrorCode::MalformedFrame), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_message_ends_the_session() {
    let hub = Hub::start().await;
    let mut socket = hub.raw_websocket().await;
    socket.send(Message::text("hello")).await.unwrap();
    let mut peer = Peer::WebSocket(Box::new(socket));
    assert_eq!(peer.last_words().await, Some(ErrorCode::MalformedFrame));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_subprotocol_is_refused_before_the_upgrade() {
    let hub = Hub::start().await;
    let mut tls = hub.tls(b"http/1.1").await;
    let request = "GET /v1/ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    tls.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_trickles_bytes_is_ended_by_the_authentication_timeout() {
    let hub = Hub::with(|config| config.authentication_timeout_ms = 300).await;
    let mut socket = hub.raw_websocket().await;
    // A masked binary frame of 100 bytes, one byte at a time.
    let mut bytes = vec![0x82, 0x80 | 100, 0, 0, 0, 0];
    bytes.extend([0; 99]);
    let trickle = async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        for byte in bytes {
            interval.tick().await;
            let io = socket.get_mut();
            if io.write_all(&[byte]).await.is_err() || io.flush().await.is_err() {
                break;
            }
        }
    };
    // Ends early when the hub has closed its side.
    let _ = timeout(Duration::from_millis(900), trickle).await;
    let mut peer = Peer::WebSocket(Box::new(socket));
    assert_eq!(peer.last_words().await, Some(ErrorCode::AuthenticationTimeout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_refused() {
    let hub = Hub::start().await;
    // A ClientHello that offers TLS 1.2 only (RFC 5246 section 7.4.1.2), made by hand: our own TLS library
    // is built without it.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]);
    hello.extend([1, 0]);
    let groups_and_signatures = [
        0, 10, 0, 4, 0, 2, 0, 29, // supported_groups: x25519
        0, 13, 0, 6, 0, 4, 8, 7, 4, 3, // signature_algorithms: ed25519, ecdsa_secp256r1_sha256
    ];
    hello.extend(u16::try_from(groups_and_signatures.len()).unwrap().to_be_bytes());
    hello.extend(groups_and_signatures);
    let length = u16::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(hello);
    let mut tcp = TcpStream::connect(hub.running.address()).await.unwrap();
    tcp.write_all(&record).await.unwrap();
    let mut answer = [0; 7];
    timeout(PATIENCE, tcp.read_exact(&mut answer)).await.unwrap().unwrap();
    // A fatal alert, protocol_version (RFC 8446 section 6).
    assert_eq!((answer[0], answer[5], answer[6]), (21, 2, 70));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_limit_are_told_so_and_others_go_on() {
    let hub = Hub::with(|config| config.connections_loopback_max = 3).await;
    let device = hub.enrol("anne", 1).await;
    let mut session = hub.session(&device).await;
    let mut held = Vec::new();
    let refused = loop {
        let mut peer = hub.websocket().await;
        let hello = v1::Hello { version_min: 1, version_max: 1, client: String::new() };
        peer.send(1, Body::Hello(hello)).await;
        match peer.body().await {
            server_frame::Body::HelloOk(_) => held.push(peer),
            server_frame::Body::Error(error) => break error,
            body => panic!("unexpected {body:?}"),
        }
        assert!(held.len() < 3, "the limit holds");
    };
    assert_eq!(refused.code, ErrorCode::TooManyConnections.number());
    assert!(refused.retry_after_ms > 0);
    session.send(5, Body::Ping(v1::Ping {})).await;
    assert_eq!(session.answer(5).await, server_frame::Body::Pong(v1::Pong {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_rate_are_refused_with_a_wait() {
    let hub = Hub::with(|config| {
        config.requests_per_second = 1.try_into().unwrap();
        config.requests_burst = 5.try_into().unwrap();
    })
    .await;
    let device = hub.enrol("anne", 1).await;
    let mut peer = hub.session(&device).await;
    for request in 10..16 {
        peer.send(request, Body::ListGroups(v1::ListGroups {})).await;
    }
    let server_frame::Body::Error(error) = peer.answer(15).await else { panic!("not refused") };
    assert_eq!(error.code, ErrorCode::RateLimited.number());
    assert!((1..=1_000).contains(&error.retry_after_ms), "{}", error.retry_after_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_instead_of_http_close_the_connection() {
    let hub = Hub::start().await;
    for alpn in [b"h2".as_slice(), b"http/1.1", b""] {
        let mut tls = hub.tls(alpn).await;
        tls.write_all(&[0xff; 256]).await.unwrap();
        let mut rest = Vec::new();
        // However it ends, it ends.
        let _ = timeout(PATIENCE, tls.read_to_end(&mut rest)).await.expect("the hub closes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enrolment_with_a_stolen_proof_is_refused() {
    let hub = Hub::start().await;
    let secret = hub.invite("anne").await;
    for (name, mut peer) in hub.both().await {
        peer.greet().await;
        // Signed for another connection's nonce.
        peer.send(2, Body::Enrol(Device::new(4).enrolment(&[1; 32], &secret))).await;
        assert_eq!(peer.last_words().await, Some(ErrorCode::ProofInvalid), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_pings_do_not_keep_an_unauthenticated_peer_alive() {
    let hub = Hub::with(|config| config.authentication_timeout_ms = 300).await;
    let socket = hub.raw_websocket().await;
    let (mut write, mut read) = socket.split();
    let pings = tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        loop {
            interval.tick().await;
            if write.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
        }
    });
    let mut code = None;
    while let Ok(Some(Ok(message))) = timeout(PATIENCE, read.next()).await {
        if let Message::Binary(bytes) = message
            && let Some(server_frame::Body::Error(error)) = frame::decode_server(bytes).unwrap().body
        {
            code = ErrorCode::from_number(error.code);
        }
    }
    pings.abort();
    assert_eq!(code, Some(ErrorCode::AuthenticationTimeout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_root_is_not_trusted_by_devices() {
    let (hub, other) = (Hub::start().await, Hub::start().await);
    let tcp = TcpStream::connect(hub.running.address()).await.unwrap();
    let config = Arc::new(other.client_config(b""));
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    assert!(tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_silent_before_its_first_request_is_closed() {
    let hub = Hub::start().await;
    // hyper's own timers cover none of these: nothing at all, no TLS, and half of the HTTP/2 preface.
    let mut tcp = TcpStream::connect(hub.running.address()).await.unwrap();
    let (mut h1, mut h2, mut none) = tokio::join!(hub.tls(b"http/1.1"), hub.tls(b"h2"), hub.tls(b""));
    let mut half = hub.tls(b"h2").await;
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let closed = async {
        let mut rest: [Vec<u8>; 5] = Default::default();
        let [a, b, c, d, e] = &mut rest;
        // However it ends, with an error or without, it ends.
        let _ = tokio::join!(
            tcp.read_to_end(a),
            h1.read_to_end(b),
            h2.read_to_end(c),
            none.read_to_end(d),
            half.read_to_end(e)
        );
    };
    timeout(PATIENCE, closed).await.expect("all of them are closed");
}

/// A greeting of TLS 1.2, without the extension that offers 1.3, as somebody in between would make of one.
fn older_greeting() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..],      // group: x25519
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 7][..], // signatures: ECDSA and Ed25519
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, 0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    [vec![22, 3, 1, 0, length + 4, 1, 0, 0, length], body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_tls_than_1_3_is_refused() {
    let hub = Hub::start().await;
    let mut tcp = TcpStream::connect(hub.running.address()).await.unwrap();
    tcp.write_all(&older_greeting()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("the hub closes").unwrap();
    // One fatal alert, protocol_version (RFC 8446 section 6), and no greeting of its own.
    assert_eq!(answer[0], 21, "{answer:?}");
    assert_eq!(answer[5..], [2, 70], "{answer:?}");
}
