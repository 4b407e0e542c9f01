//! Cases about first-wins registers.

use std::sync::Arc;

use cercle_proto::id::RegisterId;

use super::sample::{device, expire, user};
use crate::store::{Claim, Store};

fn claim(number: u64, at: u64) -> Claim {
    Claim { user: user(number), device: device(number), at }
}

pub(super) async fn the_first_claim_of_a_register_stays(store: Arc<dyn Store>) {
    let (one, other) = (RegisterId::new([1; 16]), RegisterId::new([2; 16]));
    assert_eq!(store.claim_once(one, claim(1, 100)).await, Ok(claim(1, 100)));
    assert_eq!(store.claim_once(one, claim(2, 50)).await, Ok(claim(1, 100)));
    assert_eq!(store.claim_once(one, claim(1, 200)).await, Ok(claim(1, 100)));
    assert_eq!(store.claim_once(other, claim(2, 50)).await, Ok(claim(2, 50)));
    expire(&store, u64::MAX, u64::MAX).await;
    assert_eq!(store.claim_once(one, claim(3, 300)).await, Ok(claim(1, 100)));
}

pub(super) async fn one_of_sixteen_racing_claims_wins(store: Arc<dyn Store>) {
    let register = RegisterId::new([1; 16]);
    let racers = (1..=16).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.claim_once(register, claim(number, number)).await.unwrap() })
    });
    let mut answers = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        answers.push(racer.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(store.claim_once(register, claim(99, 1)).await.as_ref(), Ok(&answers[0]));
}
