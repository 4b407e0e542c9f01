//! Cases about timers and the audit log.

use std::sync::Arc;

use super::sample::bytes;
use crate::store::{AuditEntry, Store, Timer, TimerEffect, TimerEffects};

fn timer(number: u8, due: u64) -> Timer {
    Timer { id: [number; 16], due, payload: bytes(&format!("timer {number}")) }
}

fn audit_entry(action: &str) -> AuditEntry {
    AuditEntry { at: 1_000, actor: "hub".into(), action: action.into(), object: "object".into() }
}

fn nothing() -> Arc<TimerEffects> {
    Arc::new(|_| vec![])
}

pub(super) async fn timers_fire_once_in_order_of_their_time(store: Arc<dyn Store>) {
    for (number, due) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
        store.arm(timer(number, due)).await.unwrap();
    }
    assert_eq!(store.next_due().await, Ok(Some(100)));
    assert_eq!(store.fire_due(99, 9, nothing()).await, Ok(vec![]));
    assert_eq!(store.fire_due(300, 2, nothing()).await, Ok(vec![timer(2, 100), timer(3, 200)]));
    assert_eq!(store.fire_due(300, 2, nothing()).await, Ok(vec![timer(1, 300)]));
    assert_eq!(store.fire_due(300, 2, nothing()).await, Ok(vec![]));
    assert_eq!(store.next_due().await, Ok(Some(400)));
    assert_eq!(store.fire_due(u64::MAX, 2, nothing()).await, Ok(vec![timer(4, 400)]));
    assert_eq!(store.next_due().await, Ok(None));
}

pub(super) async fn a_timer_is_replaced_or_disarmed(store: Arc<dyn Store>) {
    store.arm(timer(1, 100)).await.unwrap();
    store.arm(timer(1, 500)).await.unwrap();
    store.arm(timer(2, 200)).await.unwrap();
    store.disarm([2; 16]).await.unwrap();
    store.disarm([3; 16]).await.unwrap();
    assert_eq!(store.fire_due(400, 9, nothing()).await, Ok(vec![]));
    assert_eq!(store.fire_due(500, 9, nothing()).await, Ok(vec![timer(1, 500)]));
}

pub(super) async fn effects_are_stored_with_the_firing(store: Arc<dyn Store>) {
    store.arm(timer(1, 100)).await.unwrap();
    store.arm(timer(2, 200)).await.unwrap();
    let effects: Arc<TimerEffects> = Arc::new(|fired| {
        vec![
            TimerEffect::Audit(audit_entry("fired")),
            TimerEffect::Arm(Timer { due: fired.due + 1_000, ..fired.clone() }),
            TimerEffect::Arm(timer(2, 900)),
        ]
    });
    assert_eq!(store.fire_due(300, 9, effects).await, Ok(vec![timer(1, 100)]));
    assert_eq!(store.audit(0, 9).await.unwrap().len(), 1);
    assert_eq!(store.fire_due(2_000, 9, nothing()).await, Ok(vec![timer(2, 900), timer(1, 1_100)]));
}

pub(super) async fn the_audit_log_is_a_chain(store: Arc<dyn Store>) {
    assert_eq!(store.audit(0, 9).await, Ok(vec![]));
    for (number, action) in [(1, "one"), (2, "two"), (3, "three")] {
        assert_eq!(store.record(audit_entry(action)).await, Ok(number));
    }
    let all = store.audit(0, 9).await.unwrap();
    assert_eq!(all.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(all[1].entry, audit_entry("two"));
    assert!(all[0].hash != all[1].hash && all[1].hash != all[2].hash);
    assert_eq!(store.audit(1, 1).await, Ok(vec![all[1].clone()]));
    assert_eq!(store.audit(3, 9).await, Ok(vec![]));
}
