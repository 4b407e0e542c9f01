//! The real program killed in the middle of an upload: what it had answered for is there.

use std::path::Path;

use bytes::Bytes;
use cercle_proto::{
    id::{GroupId, MessageId, UserId},
    invitation::Invitation,
    v1::{client_frame, server_frame},
};
use cercle_server::{at_rest, config::Config, init::CONFIG_FILE};
use cercle_storage::store::{CreateGroup, Joined};
use http::{Method, StatusCode};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;

use crate::{
    binary::{Hub, init, run, text},
    blobs::{Answer, Pass, content, create, open, request_over},
    support::{Device, Peer, tls_to, websocket_over},
};

async fn peer(hub: &Hub, data: &Path) -> Peer {
    Peer::WebSocket(Box::new(websocket_over(tls_to(hub.address, data, b"").await).await))
}

async fn session(hub: &Hub, data: &Path, device: &Device) -> Peer {
    let mut peer = peer(hub, data).await;
    peer.authenticate(device).await;
    peer
}

async fn patch(hub: &Hub, data: &Path, pass: &Pass, offset: u64, body: &[u8]) -> Answer {
    let request = pass.request(Method::PATCH, &[("upload-offset", offset.to_string())]);
    request_over(tls_to(hub.address, data, b"h2").await, true, request, Bytes::copy_from_slice(body)).await
}

/// Enrols a device and puts it into a group, behind the back of the hub, which is not running meanwhile.
async fn prepare(data: &Path) -> (Device, GroupId) {
    let hub = Hub::serve(data);
    let config = data.to_str().unwrap();
    let invite = ["admin", "--config", config, "--json", "invite", "anne", "--name", "Anne Exemple"];
    let invited: serde_json::Value = serde_json::from_slice(&run(&invite).stdout).unwrap();
    let secret = Invitation::parse(invited["link"].as_str().unwrap()).unwrap().secret;
    let device = Device::new(1);
    let mut peer = peer(&hub, data).await;
    let nonce = peer.greet().await;
    peer.send(1, client_frame::Body::Enrol(device.enrolment(&nonce, &secret))).await;
    assert!(matches!(peer.answer(1).await, server_frame::Body::CertificateIssued(_)));
    hub.signal(Signal::SIGTERM);
    let (good, log) = hub.end();
    assert!(good, "{log}");

    let group = GroupId::new([9; 16]);
    let create = CreateGroup {
        group,
        message_id: MessageId::new([9; 16]),
        creator: Joined {
            device: device.id,
            user: UserId::new("anne", "cpts.example").unwrap(),
            leaf: 0,
            may_post: true,
        },
        group_info: Bytes::new(),
        group_state: Bytes::new(),
        posting_restricted: false,
        at: 1,
    };
    let config = Config::load(&data.join(CONFIG_FILE), []).unwrap();
    let store = at_rest::open_store(&config).await.unwrap();
    store.create_group(create).await.unwrap();
    (device, group)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_for_is_there_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    init(&data);
    let (device, group) = prepare(&data).await;
    let bytes = content(6_000_000);
    let size = bytes.len() as u64;

    let mut stored = 0;
    for round in 1..=3_u64 {
        let hub = Hub::serve(&data);
        let mut anne = session(&hub, &data, &device).await;
        let pass = create(&mut anne, 1, group, size).await.unwrap();
        assert!(pass.stored >= stored, "{} of {stored} bytes are left", pass.stored);
        stored = pass.stored;
        // A piece that is answered for, then one that is under way when the hub is killed.
        let end = stored + 1_000_003;
        let range = usize::try_from(stored).unwrap()..usize::try_from(end).unwrap();
        let answer = patch(&hub, &data, &pass, stored, &bytes[range]).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "round {round}");
        stored = end;
        let mut cut = tls_to(hub.address, &data, b"http/1.1").await;
        let head = pass.head(Method::PATCH, &[("upload-offset", stored), ("content-length", size - stored)]);
        let half = usize::try_from(stored).unwrap()..usize::try_from(stored).unwrap() + 400_000;
        cut.write_all(head.as_bytes()).await.unwrap();
        cut.write_all(&bytes[half]).await.unwrap();
        hub.signal(Signal::SIGKILL);
        assert!(!hub.end().0);
    }

    let hub = Hub::serve(&data);
    let mut anne = session(&hub, &data, &device).await;
    let pass = create(&mut anne, 1, group, size).await.unwrap();
    assert!(pass.stored >= stored);
    let rest = &bytes[usize::try_from(pass.stored).unwrap()..];
    let answer = patch(&hub, &data, &pass, pass.stored, rest).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let pass = open(&mut anne, 1).await.unwrap();
    let stream = tls_to(hub.address, &data, b"h2").await;
    let whole = request_over(stream, true, pass.request(Method::GET, &[]), Bytes::new()).await;
    assert!(whole.body == bytes);
    let doctor = run(&["doctor", "--config", data.to_str().unwrap()]);
    assert!(text(&doctor.stdout).contains("attachments"), "{}", text(&doctor.stdout));
}
