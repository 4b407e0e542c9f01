//! First-wins registers through the port.

use cercle_proto::{
    ErrorCode,
    certificate::Root,
    id::RegisterId,
    receipt::Receipt,
    v1::{self, client_frame, server_frame},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::support::{Device, Hub, Peer};

async fn claim(peer: &mut Peer, register: u8) -> Result<v1::RegisterClaimed, ErrorCode> {
    let claim = v1::ClaimOnce { register: RegisterId::new([register; 16]).to_bytes() };
    peer.send(88, client_frame::Body::ClaimOnce(claim)).await;
    match peer.answer(88).await {
        server_frame::Body::RegisterClaimed(claimed) => Ok(claimed),
        server_frame::Body::Error(error) => Err(ErrorCode::from_number(error.code).unwrap()),
        body => panic!("no claim: {body:?}"),
    }
}

/// A session by WebSocket or by gRPC.
async fn session(hub: &Hub, device: &Device, by_grpc: bool) -> Peer {
    let mut peer = if by_grpc { hub.grpc().await } else { hub.websocket().await };
    peer.authenticate(device).await;
    peer
}

fn root(hub: &Hub) -> Root {
    Root::from_der(&CertificateDer::from_pem_file(hub.data.join("root.pem")).unwrap()).unwrap()
}

/// All claim at once; returns the answers in order of the peers.
async fn race(peers: Vec<Peer>, register: u8) -> Vec<v1::RegisterClaimed> {
    let racers: Vec<_> = peers
        .into_iter()
        .map(|mut peer| tokio::spawn(async move { claim(&mut peer, register).await.unwrap() }))
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_devices_race_and_one_wins_for_ever() {
    let hub = Hub::start().await;
    let mut devices = Vec::new();
    for number in 0..100 {
        devices.push(hub.enrol(&format!("user-{number}"), number).await);
    }
    let mut peers = Vec::new();
    for (number, device) in devices.iter().enumerate() {
        peers.push(session(&hub, device, number % 10 == 0).await);
    }
    let answers = race(peers, 7).await;
    let receipt = answers[0].receipt.clone().unwrap();
    assert!(answers.iter().all(|answer| answer.receipt.as_ref() == Some(&receipt)));
    let winners: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.won).collect();
    assert_eq!(winners.len(), 1);
    let winner = winners[0].0;
    let verified = Receipt::verify(&receipt, &root(&hub)).unwrap();
    assert_eq!(verified.device, devices[winner].id);
    assert_eq!(verified.user.as_str(), format!("user-{winner}@cpts.example"));

    let hub = hub.restart().await;
    let late = (winner + 1) % devices.len();
    for (number, won) in [(late, false), (winner, true)] {
        let again = claim(&mut hub.session(&devices[number]).await, 7).await.unwrap();
        assert_eq!((again.won, again.receipt.as_ref()), (won, Some(&receipt)));
    }
    let other = claim(&mut hub.session(&devices[late]).await, 8).await.unwrap();
    assert!(other.won, "another register is decided for itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_claims_everything_is_slowed_down() {
    let hub = Hub::start().await;
    let anne = hub.enrol("anne", 1).await;
    let mut peer = hub.session(&anne).await;
    for register in 0..60 {
        assert!(claim(&mut peer, register).await.unwrap().won);
    }
    assert_eq!(claim(&mut peer, 60).await, Err(ErrorCode::RateLimited));
}
