//! From the first byte to an open session, over both transports.

use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};

use crate::support::{Device, Hub};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_enrols_and_opens_a_session_over_each_transport() {
    let hub = Hub::start().await;
    for (id, (name, mut peer)) in (1..).zip(hub.both().await) {
        let device = Device::new(id);
        let secret = hub.invite(name).await;
        let nonce = peer.greet().await;
        peer.send(2, Body::Enrol(device.enrolment(&nonce, &secret))).await;
        let server_frame::Body::CertificateIssued(issued) = peer.answer(2).await else { panic!("{name}") };
        assert_eq!(issued.user, format!("{name}@cpts.example"));
        peer.send(3, Body::Authenticate(device.proof(&nonce))).await;
        let server_frame::Body::Authenticated(session) = peer.answer(3).await else { panic!("{name}") };
        assert_eq!(session.certificate, issued.certificate);
        peer.send(4, Body::ListGroups(v1::ListGroups {})).await;
        assert_eq!(peer.answer(4).await, server_frame::Body::Groups(v1::Groups::default()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_proof_ends_the_connection() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    for (name, mut peer) in hub.both().await {
        peer.greet().await;
        peer.send(2, Body::Authenticate(device.proof(&[0; 32]))).await;
        assert_eq!(peer.refusal(2).await, ErrorCode::ProofInvalid, "{name}");
        assert!(peer.next().await.is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_differ_between_connections() {
    let hub = Hub::start().await;
    let [(_, mut one), (_, mut two)] = hub.both().await;
    assert_ne!(one.greet().await, two.greet().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_invitation_enrols_nobody_else() {
    let hub = Hub::start().await;
    let secret = hub.invite("anne").await;
    let mut peer = hub.websocket().await;
    let nonce = peer.greet().await;
    peer.send(2, Body::Enrol(Device::new(1).enrolment(&nonce, &secret))).await;
    peer.answer(2).await;
    peer.send(3, Body::Enrol(Device::new(2).enrolment(&nonce, &secret))).await;
    assert_eq!(peer.refusal(3).await, ErrorCode::InvitationUsed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_session_of_a_device_replaces_the_older() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    let mut older = hub.session(&device).await;
    let mut newer = hub.grpc().await;
    newer.authenticate(&device).await;
    assert_eq!(older.last_words().await, Some(ErrorCode::SessionReplaced));
    newer.send(3, Body::Ping(v1::Ping {})).await;
    assert_eq!(newer.answer(3).await, server_frame::Body::Pong(v1::Pong {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_is_disconnected_and_stays_out() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    let mut session = hub.session(&device).await;
    let mut own = hub.grpc().await;
    let secret = hub.invite("anne").await;
    let other = Device::new(2);
    let nonce = own.greet().await;
    own.send(2, Body::Enrol(other.enrolment(&nonce, &secret))).await;
    own.answer(2).await;
    own.send(3, Body::Authenticate(other.proof(&nonce))).await;
    own.answer(3).await;
    own.send(4, Body::RevokeDevice(v1::RevokeDevice { device: device.id.to_bytes() })).await;
    assert_eq!(own.answer(4).await, server_frame::Body::Done(v1::Done {}));
    assert_eq!(session.last_words().await, Some(ErrorCode::DeviceRevoked));

    let mut again = hub.websocket().await;
    let nonce = again.greet().await;
    again.send(2, Body::Authenticate(device.proof(&nonce))).await;
    assert_eq!(again.refusal(2).await, ErrorCode::DeviceRevoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_before_authentication_are_refused() {
    let hub = Hub::start().await;
    for (name, mut peer) in hub.both().await {
        peer.greet().await;
        peer.send(2, Body::ListGroups(v1::ListGroups {})).await;
        assert_eq!(peer.refusal(2).await, ErrorCode::NotAuthenticated, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_field_is_named_and_the_session_goes_on() {
    let hub = Hub::start().await;
    let device = hub.enrol("anne", 1).await;
    let mut peer = hub.session(&device).await;
    peer.send(3, Body::GetGroupInfo(v1::GetGroupInfo { group: Bytes::from_static(b"short") })).await;
    let server_frame::Body::Error(error) = peer.answer(3).await else { panic!("not refused") };
    assert_eq!(error.code, ErrorCode::InvalidField.number());
    assert!(error.message.contains("group id"), "{}", error.message);
    peer.send_bytes(Bytes::from_static(&[0x08, 0x04])).await;
    assert_eq!(peer.refusal(4).await, ErrorCode::UnknownRequest);
    peer.send(5, Body::Ping(v1::Ping {})).await;
    assert_eq!(peer.answer(5).await, server_frame::Body::Pong(v1::Pong {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_is_pinged_and_a_mute_one_ended() {
    let hub = Hub::with(|config| {
        config.ping_interval_ms = 100;
        config.write_timeout_ms = 100;
    })
    .await;
    let device = hub.enrol("anne", 1).await;
    let mut mute = hub.session(&device).await;
    let frame = mute.next().await.unwrap();
    assert_eq!(frame.body, Some(server_frame::Body::Ping(v1::Ping {})));
    assert_eq!(mute.last_words().await, None, "it ends without a reason");
}
