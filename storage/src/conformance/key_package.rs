//! Cases about key packages.

use std::{collections::BTreeSet, sync::Arc};

use super::sample::{bytes, device, user};
use crate::store::{ClaimedPackage, KeyPackageRecord, PublishError, Store};

fn package(number: u8) -> KeyPackageRecord {
    KeyPackageRecord { hash: [number; 32], body: bytes(&format!("package {number}")), expires_at: 5_000 }
}

async fn publish(store: &Arc<dyn Store>, generation: u64, numbers: &[u8]) -> Result<usize, PublishError> {
    let packages = numbers.iter().map(|number| package(*number)).collect();
    store.publish(device(1), generation, packages, None, 20).await
}

async fn claim(store: &Arc<dyn Store>, claimer: u64, id: u8, now: u64) -> Vec<ClaimedPackage> {
    let devices = vec![(user(1), device(1)), (user(2), device(2))];
    store.claim(device(claimer), [id; 16], devices, now).await.unwrap()
}

pub(super) async fn sixteen_claimers_get_sixteen_packages(store: Arc<dyn Store>) {
    publish(&store, 1, &(1..=16).collect::<Vec<_>>()).await.unwrap();
    let race = |claimer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { claim(&store, claimer, 1, 1_000).await })
    };
    let tasks: Vec<_> = (1..=16).map(race).collect();
    let mut bodies = BTreeSet::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!((answer.len(), answer[0].device, answer[0].last_resort), (1, device(1), false));
        bodies.insert(answer[0].body.clone());
    }
    assert_eq!(bodies.len(), 16);
    assert_eq!(store.left(device(1)).await, Ok(0));
    assert_eq!(claim(&store, 17, 1, 1_000).await, []);
}

pub(super) async fn a_repeated_claim_gets_the_same_answer_and_takes_nothing(store: Arc<dyn Store>) {
    publish(&store, 1, &[1, 2, 3]).await.unwrap();
    let first = claim(&store, 8, 1, 1_000).await;
    assert_eq!(claim(&store, 8, 1, 2_000).await, first);
    assert_eq!(store.left(device(1)).await, Ok(2));
    assert_ne!(claim(&store, 8, 2, 1_000).await, first);
    assert_ne!(claim(&store, 9, 1, 1_000).await, first);
    assert_eq!(store.left(device(1)).await, Ok(0));
}

pub(super) async fn the_last_resort_comes_last_and_stays(store: Arc<dyn Store>) {
    store.publish(device(1), 1, vec![package(2)], Some(package(1)), 20).await.unwrap();
    let taken = async |id| {
        let answer = claim(&store, 8, id, 1_000).await;
        (answer[0].body.clone(), answer[0].last_resort)
    };
    assert_eq!(taken(1).await, (bytes("package 2"), false));
    assert_eq!(taken(2).await, (bytes("package 1"), true));
    assert_eq!(taken(3).await, (bytes("package 1"), true));
    publish(&store, 1, &[3]).await.unwrap();
    assert_eq!(taken(4).await, (bytes("package 3"), false));
    assert_eq!(taken(5).await, (bytes("package 1"), true));
}

pub(super) async fn expired_packages_are_not_handed_out(store: Arc<dyn Store>) {
    let old = |number| KeyPackageRecord { expires_at: 999, ..package(number) };
    store.publish(device(1), 1, vec![old(1), package(2), old(3)], Some(old(9)), 20).await.unwrap();
    assert_eq!(claim(&store, 8, 1, 1_000).await[0].body, bytes("package 2"));
    assert_eq!(store.left(device(1)).await, Ok(1));
    assert_eq!(claim(&store, 8, 2, 1_000).await, []);
    assert_eq!(store.left(device(1)).await, Ok(0));
}

pub(super) async fn a_claimed_package_cannot_be_published_again(store: Arc<dyn Store>) {
    assert_eq!(publish(&store, 1, &[1, 2]).await, Ok(2));
    assert_eq!(claim(&store, 8, 1, 1_000).await[0].body, bytes("package 1"));
    assert_eq!(publish(&store, 1, &[1, 2]).await, Ok(1));
    assert_eq!(publish(&store, 2, &[1, 2]).await, Ok(1));
    assert_eq!(claim(&store, 8, 2, 1_000).await[0].body, bytes("package 2"));
    assert_eq!(claim(&store, 8, 3, 1_000).await, []);
}

pub(super) async fn a_newer_generation_replaces_an_older_one(store: Arc<dyn Store>) {
    store.publish(device(1), 1, vec![package(1), package(2)], Some(package(3)), 20).await.unwrap();
    assert_eq!(publish(&store, 2, &[4]).await, Ok(1));
    assert_eq!(publish(&store, 1, &[5]).await, Err(PublishError::OlderGeneration));
    assert_eq!(claim(&store, 8, 1, 1_000).await[0].body, bytes("package 4"));
    assert_eq!(claim(&store, 8, 2, 1_000).await, []);
}

pub(super) async fn a_full_stock_takes_nothing(store: Arc<dyn Store>) {
    let many: Vec<u8> = (1..=20).collect();
    assert_eq!(publish(&store, 1, &many).await, Ok(20));
    assert_eq!(publish(&store, 1, &[19, 20]).await, Ok(20));
    assert_eq!(publish(&store, 1, &[20, 21]).await, Err(PublishError::Full { left: 20, limit: 20 }));
    let too_many: Vec<u8> = (1..=21).collect();
    assert_eq!(publish(&store, 2, &too_many).await, Err(PublishError::Full { left: 20, limit: 20 }));
    assert_eq!(store.left(device(1)).await, Ok(20));
    assert_eq!(publish(&store, 1, &many).await, Ok(20));
}
