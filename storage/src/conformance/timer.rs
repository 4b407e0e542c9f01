//! Cases about timers and the audit log.

use std::sync::Arc;

use super::sample::bytes;
use crate::store::{
    AuditCut, AuditEntry, AuditPruned, AuditRecord, Effect, NoteKey, NoteKind, Store, Timer, TimerEffects,
};

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
            Effect::Audit(audit_entry("fired")),
            Effect::Arm(Timer { due: fired.due + 1_000, ..fired.clone() }),
            Effect::Arm(timer(2, 900)),
        ]
    });
    assert_eq!(store.fire_due(300, 9, effects).await, Ok(vec![timer(1, 100)]));
    assert_eq!(store.audit(0, 9).await.unwrap().len(), 1);
    assert_eq!(store.fire_due(2_000, 9, nothing()).await, Ok(vec![timer(2, 900), timer(1, 1_100)]));
}

fn note(key: &[u8]) -> NoteKey {
    NoteKey::new(NoteKind::Alert, key)
}

/// Puts a note unless there is one.
async fn put_first(store: &dyn Store, key: &[u8], value: &'static str) {
    let at = note(key);
    let decide = move |found: &[Option<bytes::Bytes>]| match found {
        [None] => vec![Effect::Put(at, bytes(value))],
        _ => vec![],
    };
    store.change(vec![note(key)], Box::new(decide)).await.unwrap();
}

pub(super) async fn a_change_of_notes_sees_what_it_replaces(store: Arc<dyn Store>) {
    put_first(&*store, &[1, 2], "first").await;
    put_first(&*store, &[1, 2], "second").await;
    assert_eq!(store.note(note(&[1, 2])).await, Ok(Some(bytes("first"))));
    let erase = Effect::Erase(note(&[1, 2]));
    store.change(vec![], Box::new(move |_| vec![erase, Effect::Arm(timer(1, 5))])).await.unwrap();
    assert_eq!(store.note(note(&[1, 2])).await, Ok(None));
    assert_eq!(store.next_due().await, Ok(Some(5)));
    store.change(vec![], Box::new(|_| vec![Effect::Disarm([1; 16])])).await.unwrap();
    assert_eq!(store.next_due().await, Ok(None));
}

pub(super) async fn notes_are_listed_by_kind_and_prefix_page_by_page(store: Arc<dyn Store>) {
    for key in [[1, 1], [1, 2], [1, 255], [2, 1]] {
        put_first(&*store, &key, "note").await;
    }
    let list = |after, limit| store.notes(NoteKind::Alert, vec![1], after, limit);
    let keys = |page: Vec<(Vec<u8>, _)>| page.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(list(None, 2).await.unwrap()), [vec![1, 1], vec![1, 2]]);
    assert_eq!(keys(list(Some(vec![1, 2]), 9).await.unwrap()), [vec![1, 255]]);
    assert_eq!(store.notes(NoteKind::PushAddress, vec![], None, 9).await, Ok(vec![]));
}

pub(super) async fn a_timer_leaves_a_note_with_its_firing(store: Arc<dyn Store>) {
    store.arm(timer(1, 100)).await.unwrap();
    let effects: Arc<TimerEffects> = Arc::new(|fired| vec![Effect::Put(note(&fired.id), bytes("due"))]);
    assert_eq!(store.fire_due(100, 9, effects).await.unwrap().len(), 1);
    assert_eq!(store.note(note(&[1; 16])).await, Ok(Some(bytes("due"))));
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

pub(super) async fn a_pruned_audit_log_is_a_chain_still(store: Arc<dyn Store>) {
    let actions = [
        "alert.opened",
        "device.enrolled",
        "backup.created",
        "alert.closed",
        "device.revoked",
        "alert.opened",
    ];
    for (at, action) in (1..).zip(actions) {
        store.record(AuditEntry { at, ..audit_entry(action) }).await.unwrap();
    }
    let whole = store.audit(0, 9).await.unwrap();
    let keep_all = AuditCut { operations_before: 0, security_before: 0 };
    assert_eq!(store.prune_audit(keep_all).await, Ok(AuditPruned::default()));
    // Operations are over; of security, nothing: the first record begins the chain, two are emptied in place.
    let operations = AuditCut { operations_before: 6, security_before: 0 };
    let pruned = store.prune_audit(operations).await.unwrap();
    assert_eq!((pruned.removed, pruned.emptied), (0, 3));
    assert_eq!(store.prune_audit(operations).await, Ok(AuditPruned::default()), "once is enough");
    let left = store.audit(0, 9).await.unwrap();
    assert_eq!(
        left.iter().map(AuditRecord::is_emptied).collect::<Vec<_>>(),
        [true, false, true, true, false, false]
    );
    assert!(left.iter().zip(&whole).all(|(left, whole)| left.hash == whole.hash));
    assert_eq!(left[2].entry.object, "");
    // The oldest of security is over too: the beginning goes, up to one that begins the chain.
    let more = AuditCut { operations_before: 6, security_before: 3 };
    let pruned = store.prune_audit(more).await.unwrap();
    assert_eq!(pruned.removed, 3);
    let left = store.audit(0, 9).await.unwrap();
    assert_eq!(left.iter().map(|record| record.number).collect::<Vec<_>>(), [4, 5, 6]);
    assert!(left[0].is_emptied() && left[1] == whole[4]);
    assert_eq!(store.audit(2, 9).await, Ok(left.clone()), "who read up to a record that is gone goes on");
    // Everything is over: the newest stays, and the next one follows it.
    let all = AuditCut { operations_before: 99, security_before: 99 };
    store.prune_audit(all).await.unwrap();
    assert_eq!(store.record(audit_entry("device.enrolled")).await, Ok(7));
    let left = store.audit(0, 9).await.unwrap();
    assert_eq!(left.iter().map(|record| record.number).collect::<Vec<_>>(), [5, 6, 7]);
    assert!(left[2].follows(Some(&left[1])) && !left[1].is_emptied());
}
