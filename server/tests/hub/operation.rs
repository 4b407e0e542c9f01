//! What an operator relies on: health, metrics, drain, certificate reload.

use std::sync::Arc;

use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};
use cercle_storage::{
    Embedded,
    engine::{Fault, FaultyEngine, MemoryEngine},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Hub, PATIENCE, application, new_installation};

async fn get(hub: &Hub, path: &str) -> String {
    let mut tls = hub.tls(b"http/1.1").await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    tls.read_to_string(&mut response).await.unwrap();
    response
}

async fn metrics(hub: &Hub) -> String {
    let mut tcp = TcpStream::connect(hub.running.metrics_address().unwrap()).await.unwrap();
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nHost: hub\r\n\r\n").await.unwrap();
    let mut response = String::new();
    tcp.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_over_https() {
    let hub = Hub::start().await;
    assert!(get(&hub, "/health/live").await.starts_with("HTTP/1.1 200"));
    assert!(get(&hub, "/health/ready").await.starts_with("HTTP/1.1 200"));
    assert!(get(&hub, "/").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_requests_and_hold_no_id() {
    let hub = Hub::start().await;
    let (anne, bruno) = (hub.enrol("anne", 0xa1).await, hub.enrol("bruno", 0xb2).await);
    let group = hub.group(0xc3, &[("anne", &anne), ("bruno", &bruno)]).await;
    let mut peer = hub.session(&anne).await;
    peer.subscribe(1, &[(group, 1)]).await;
    peer.post(group, 1, 5).await;
    peer.send(6, Body::SendApplication(application(group, 9, 6, 10))).await;
    assert_eq!(peer.refusal(6).await, ErrorCode::EpochStale);
    let text = metrics(&hub).await;
    assert!(text.contains("cercle_requests_total{kind=\"send_application\",code=\"0\"} 1"), "{text}");
    assert!(text.contains("cercle_requests_total{kind=\"send_application\",code=\"304\"} 1"), "{text}");
    assert!(text.contains("cercle_appended_entries_total 1"), "{text}");
    assert!(text.contains("cercle_sessions{transport=\"websocket\"} 1"), "{text}");
    for secret in ["anne", "a1a1", "c3c3", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_tells_devices_to_come_back_and_finishes_their_writes() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    let bruno = hub.enrol("bruno", 2).await;
    let group = hub.group(9, &[("anne", &device), ("bruno", &bruno)]).await;
    let mut websocket = hub.session(&device).await;
    let mut grpc = hub.grpc().await;
    grpc.authenticate(&bruno).await;
    websocket.send(3, Body::SendApplication(application(group, 1, 3, 10))).await;
    assert!(matches!(websocket.answer(3).await, server_frame::Body::Accepted(_)));
    let Hub { running, store, directory: _directory, .. } = hub;
    let address = running.address();
    let drained = tokio::spawn(running.shutdown());
    assert_eq!(websocket.last_words().await, Some(ErrorCode::ShuttingDown));
    assert_eq!(grpc.last_words().await, Some(ErrorCode::ShuttingDown));
    drop((websocket, grpc));
    assert!(drained.await.unwrap(), "everything ends in time");
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert_eq!(store.group(group).await.unwrap().unwrap().head, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_after_a_reload_and_a_bad_one_is_not() {
    let hub = Hub::start().await;
    let shown = |hub: &Hub| {
        let pem = hub.data.join("tls.pem");
        CertificateDer::pem_file_iter(pem).unwrap().next().unwrap().unwrap()
    };
    let before = hub.tls(b"").await.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(before, shown(&hub));

    std::fs::write(hub.data.join("tls.pem"), "no certificate").unwrap();
    assert!(hub.running.reload_certificate().is_err());
    let kept = hub.tls(b"").await.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(kept, before, "the old one stays in use");

    let root = pem::parse(std::fs::read(hub.data.join("root.pem")).unwrap()).unwrap();
    let key = pem::parse(std::fs::read(hub.data.join("root.key")).unwrap()).unwrap();
    let root = cercle_server::auth::authority::KeyedCertificate {
        certificate: root.into_contents(),
        key: key.into_contents().into(),
    };
    let names = ["127.0.0.1".to_owned()];
    let now = cercle_server::clock::Clock::system().now();
    let fresh = cercle_server::auth::authority::make_server(&root, "cpts.example", &names, now).unwrap();
    std::fs::write(hub.data.join("tls.pem"), fresh.certificate_pem()).unwrap();
    std::fs::write(hub.data.join("tls.key"), fresh.key_pem().as_bytes()).unwrap();
    hub.running.reload_certificate().unwrap();
    let after = hub.tls(b"").await.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(after.as_ref(), fresh.certificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_does_not_start_with_less_durability_than_asked() {
    let directory = tempfile::tempdir().unwrap();
    let config = new_installation(&directory.path().join("hub")).await;
    let memory = cercle_storage::open_memory();
    let refused = cercle_server::server::Server::new(config).with_store(memory).start().await;
    assert!(refused.unwrap_err().to_string().contains("power loss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_refuses_writes_and_ends_the_hub() {
    let engine = FaultyEngine::new(MemoryEngine::default(), 30, Fault::LostUnknown);
    let hub = Hub::over(Arc::new(Embedded::start(Arc::new(engine)).unwrap()), |_| {}).await;
    let device = hub.enrol("anne", 1).await;
    let group = hub.group(9, &[("anne", &device)]).await;
    let mut peer = hub.session(&device).await;
    let mut refused = None;
    for id in 10..60 {
        peer.send(id, Body::SendApplication(application(group, 1, id, 10))).await;
        if let server_frame::Body::Error(error) = peer.answer(id).await {
            refused = ErrorCode::from_number(error.code);
            break;
        }
    }
    assert_eq!(refused, Some(ErrorCode::OutcomeUnknown), "the write may or may not be on disk");
    tokio::time::timeout(PATIENCE, hub.running.store_failed()).await.unwrap();
    assert!(get(&hub, "/health/ready").await.starts_with("HTTP/1.1 503"));
    peer.send(70, Body::SendApplication(application(group, 1, 70, 10))).await;
    assert_eq!(peer.refusal(70).await, ErrorCode::Unavailable, "certainly not stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_of_an_unknown_method_is_refused() {
    let hub = Hub::start().await;
    let mut peer = hub.grpc().await;
    peer.greet().await;
    peer.send(3, Body::Ping(v1::Ping {})).await;
    assert_eq!(peer.answer(3).await, server_frame::Body::Pong(v1::Pong {}));
    assert!(get(&hub, "/cercle.hub.v1.Hub/Other").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_starts_again_in_the_same_process_and_knows_its_devices() {
    let directory = tempfile::tempdir().unwrap();
    let config = new_installation(&directory.path().join("hub")).await;
    let first = cercle_server::server::start(config.clone()).await.unwrap();
    let second = cercle_server::server::start(config.clone()).await;
    assert!(second.unwrap_err().to_string().contains("in use"), "one hub a directory");
    assert!(first.shutdown().await);
    let again = cercle_server::server::start(config).await.unwrap();
    assert!(again.shutdown().await);
}
