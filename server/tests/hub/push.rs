//! Wake-ups, as push services and devices see them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{GroupId, from_hex},
    v1::{self, client_frame::Body, register_push::Address, server_frame},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::{
    push_service::{PushService, Pushed, Subscription},
    support::{Device, Hub, Peer},
};

/// A hub that reaches a push service on loopback; `more` is appended to the operator's file.
pub(crate) async fn hub_and_service(
    alpn: &[&str],
    more: impl FnOnce(&PushService) -> String,
) -> (Hub, PushService) {
    let directory = tempfile::tempdir().unwrap().keep();
    let service = PushService::start(&directory, alpn).await;
    let settings = service.settings(&more(&service));
    let hub = Hub::with(|config| std::fs::write(&config.push, settings).unwrap()).await;
    (hub, service)
}

pub(crate) async fn register(peer: &mut Peer, address: Option<Address>, test: bool) -> v1::PushKey {
    peer.send(70, Body::RegisterPush(v1::RegisterPush { address, test })).await;
    match peer.answer(70).await {
        server_frame::Body::PushKey(key) => key,
        body => panic!("not registered: {body:?}"),
    }
}

/// Two devices in a group: the first stays, the second has registered and gone.
async fn one_awake_one_asleep(hub: &Hub, address: Address) -> (Peer, GroupId, Device) {
    let awake = hub.enrol("awake", 1).await;
    let asleep = hub.enrol("asleep", 2).await;
    let group = hub.group(9, &[("awake", &awake), ("asleep", &asleep)]).await;
    let mut peer = hub.session(&asleep).await;
    assert!(register(&mut peer, Some(address), false).await.reachable);
    drop(peer);
    hub.wait_until_gone(&asleep).await;
    (hub.session(&awake).await, group, asleep)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_up_holds_a_random_id_and_nothing_else_and_follows_the_rfcs() {
    let (hub, service) = hub_and_service(&["h2", "http/1.1"], |_| String::new()).await;
    let subscription = Subscription::new(3);
    let address = subscription.address(format!("{}/send/abc", service.origin()));
    let (mut peer, group, asleep) = one_awake_one_asleep(&hub, Address::Web(address)).await;
    peer.post(group, 1, 40).await;
    let first = service.received(1).await.remove(0);
    assert_eq!(first.path, "/send/abc");
    assert_eq!(first.header("content-encoding"), "aes128gcm");
    assert_eq!(first.header("urgency"), "normal");
    assert!(first.header("ttl").parse::<u32>().unwrap() > 0);
    assert_eq!(first.header("topic").len(), 22);
    let id = subscription.decrypt(&first.body);
    assert_eq!(id.len(), 16, "a random id and nothing else");
    let known = [group.as_bytes().as_slice(), asleep.id.as_bytes()];
    assert!(known.iter().all(|known| id != *known), "no id of anything");

    let key = register(&mut hub.session(&asleep).await, None, true).await.public_key;
    let vapid = first.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, public) = vapid.split_once(", k=").unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(public).unwrap(), key);
    let claims = Pushed::claims(token, &key);
    assert_eq!(claims["aud"], service.origin());
    assert_eq!(claims["sub"], "mailto:ops@cpts.example");
    let test = service.received(2).await.remove(1);
    let again = subscription.decrypt(&test.body);
    assert!(again.len() == 16 && again != id, "each wake-up has its own id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_wakes_once_and_the_next_news_after_a_visit_wakes_again() {
    let (hub, service) = hub_and_service(&["http/1.1"], |_| String::new()).await;
    let unified = v1::WebPushAddress { endpoint: format!("{}/up", service.origin()), ..Default::default() };
    let (mut peer, group, asleep) = one_awake_one_asleep(&hub, Address::Unified(unified)).await;
    for id in 40..60 {
        peer.post(group, 1, id).await;
    }
    service.received(1).await;
    drop(hub.session(&asleep).await);
    hub.wait_until_gone(&asleep).await;
    peer.post(group, 1, 60).await;
    let received = service.received(2).await;
    assert_eq!(received.len(), 2, "one for the burst, one after the visit");
    assert!(received.iter().all(|request| request.body.len() == 16), "without keys, the id as it is");
    assert_eq!(received[0].header("topic"), received[1].header("topic"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_asks_for_patience_gets_it_and_one_that_knows_nobody_is_forgotten() {
    let (hub, service) = hub_and_service(&["h2"], |_| String::new()).await;
    let unified = v1::WebPushAddress { endpoint: format!("{}/up", service.origin()), ..Default::default() };
    let (mut peer, group, asleep) = one_awake_one_asleep(&hub, Address::Unified(unified)).await;
    service.answer_next(429, &[("retry-after", "1")], "");
    service.answer_next(503, &[("retry-after", "0")], "");
    service.answer_next(410, &[], "");
    let before = tokio::time::Instant::now();
    peer.post(group, 1, 40).await;
    let received = service.received(3).await;
    assert!(before.elapsed() >= std::time::Duration::from_secs(1), "as long as it asked for");
    assert_eq!(received[0].body, received[2].body, "a repeated wake-up is the same one");
    // Until the hub has taken note of the last answer.
    let mut session = hub.session(&asleep).await;
    while register_asks(&mut session).await {}
}

/// Whether the device is registered, asked by trying: only a forgotten address is refused.
async fn register_asks(peer: &mut Peer) -> bool {
    peer.send(71, Body::RegisterPush(v1::RegisterPush { address: None, test: true })).await;
    match peer.answer(71).await {
        server_frame::Body::PushKey(_) => true,
        server_frame::Body::Error(error) => {
            assert_eq!(error.code, ErrorCode::PushAddressRefused.number());
            false
        }
        body => panic!("no answer: {body:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apple_gets_what_it_demands() {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ring::rand::SystemRandom::new())
            .unwrap();
    let (hub, service) = hub_and_service(&["h2"], |service| {
        let path = service.root.with_file_name("apple.p8");
        private(&path, &pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8.as_ref())));
        let (path, origin) = (path.display(), service.origin());
        format!(
            "[apns]\nkey_file = \"{path}\"\nkey_id = \"KEY1234567\"\nteam_id = \"TEAM\"\ntopic = \"fr.example.app\"\nendpoint = \"{origin}\"\n"
        )
    })
    .await;
    let device = hub.enrol("apple", 1).await;
    let mut peer = hub.session(&device).await;
    service.answer_next(200, &[], "");
    let token = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
    assert!(register(&mut peer, Some(Address::Apns(token.into())), true).await.reachable);
    let request = service.received(1).await.remove(0);
    assert!(request.http2, "Apple speaks HTTP/2 only");
    assert_eq!(request.path, format!("/3/device/{token}"));
    assert_eq!(request.header("apns-topic"), "fr.example.app");
    assert_eq!((request.header("apns-push-type"), request.header("apns-priority")), ("alert", "10"));
    assert!(request.header("apns-collapse-id").len() <= 64);
    assert!(request.header("apns-expiration").parse::<u64>().unwrap() > 1_700_000_000);
    let key = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        pkcs8.as_ref(),
        &ring::rand::SystemRandom::new(),
    )
    .unwrap();
    let jwt = request.header("authorization").strip_prefix("bearer ").unwrap().to_owned();
    assert_eq!(Pushed::claims(&jwt, key.public_key().as_ref())["iss"], "TEAM");
    let payload = String::from_utf8(request.body.to_vec()).unwrap();
    let (before, id) = payload.split_once("\"w\":\"").unwrap();
    assert_eq!(before, r#"{"aps":{"alert":{"loc-key":"NEWS"},"mutable-content":1},"#);
    assert_eq!(from_hex(id.strip_suffix("\"}").unwrap()).unwrap().len(), 16);

    service.answer_next(410, &[], r#"{"reason":"Unregistered"}"#);
    assert!(!register(&mut peer, None, true).await.reachable);
    let second = service.received(2).await.remove(1);
    assert_eq!(second.header("authorization"), request.header("authorization"), "the token is used again");
    assert!(!register_asks(&mut peer).await, "the device token is forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firebase_gets_an_assertion_then_the_wake_up() {
    let key = include_str!("fixtures/service_account_key.pem");
    let (hub, service) = hub_and_service(&["h2", "http/1.1"], |service| {
        let path = service.root.with_file_name("firebase.json");
        let account = serde_json::json!({
            "type": "service_account", "project_id": "cpts-test", "client_email": "hub@cpts-test.example",
            "private_key": key, "token_uri": format!("{}/token", service.origin()),
        });
        private(&path, &account.to_string());
        format!("[fcm]\nservice_account = \"{}\"\nendpoint = \"{}\"\n", path.display(), service.origin())
    })
    .await;
    let device = hub.enrol("android", 1).await;
    let mut peer = hub.session(&device).await;
    service.answer_next(200, &[], r#"{"access_token":"ya29.test","expires_in":3599}"#);
    service.answer_next(200, &[], r#"{"name":"projects/cpts-test/messages/1"}"#);
    assert!(register(&mut peer, Some(Address::Fcm("dev:ice-Token_1".into())), true).await.reachable);
    let received = service.received(2).await;
    assert_eq!(received[0].path, "/token");
    let form = String::from_utf8(received[0].body.to_vec()).unwrap();
    assert!(form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="));
    assert_eq!(received[1].path, "/v1/projects/cpts-test/messages:send");
    assert_eq!(received[1].header("authorization"), "Bearer ya29.test");
    let message: serde_json::Value = serde_json::from_slice(&received[1].body).unwrap();
    assert_eq!(message["message"]["token"], "dev:ice-Token_1");
    assert_eq!(message["message"]["android"]["priority"], "HIGH");
    let data = message["message"]["data"].as_object().unwrap();
    assert_eq!(data.len(), 1, "nothing but the id");
    assert_eq!(from_hex(data["w"].as_str().unwrap()).unwrap().len(), 16);

    service.answer_next(404, &[], r#"{"error":{"details":[{"errorCode":"UNREGISTERED"}]}}"#);
    assert!(!register(&mut peer, None, true).await.reachable);
    assert!(!register_asks(&mut peer).await, "the registration is forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_no_service_has_or_that_lead_inside_are_refused() {
    let hub = Hub::start().await;
    let device = hub.enrol("claire", 1).await;
    let mut peer = hub.session(&device).await;
    let refused = [
        (Address::Apns("00ff".into()), ErrorCode::PushAddressRefused),
        (Address::Fcm("token".into()), ErrorCode::PushAddressRefused),
        (Address::Apns("../x".into()), ErrorCode::InvalidField),
        (Address::Web(v1::WebPushAddress::default()), ErrorCode::InvalidField),
    ];
    for (address, code) in refused {
        let request = v1::RegisterPush { address: Some(address), test: false };
        peer.send(72, Body::RegisterPush(request)).await;
        assert_eq!(peer.refusal(72).await, code);
    }
    // Nobody listens there; were it connected to, the answer would come after tries, not at once.
    let inside = v1::WebPushAddress { endpoint: "https://localhost:1/x".into(), ..Default::default() };
    assert!(!register(&mut peer, Some(Address::Unified(inside)), true).await.reachable);
}

fn private(path: &std::path::Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, Bytes::copy_from_slice(content.as_bytes())).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
