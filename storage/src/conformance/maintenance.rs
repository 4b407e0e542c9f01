//! Cases about what is deleted and what is kept.

use std::sync::Arc;

use super::sample::{
    application, bytes, commit, device, entries, expire, group, joined, make_group, message, user,
};
use crate::store::{
    Append, CommitRecord, Expired, InboxBody, InvitationRecord, KeyPackageRecord, ReadFrom, ReadLimit, Store,
    WelcomeRecord,
};

async fn fill(store: &Arc<dyn Store>, number: u64, count: u64) {
    let item = |id| Append { epoch: 1, at: 10_000 * id, ..application(number, 1, number * 1_000 + id) };
    for verdict in store.append((1..=count).map(item).collect()).await {
        verdict.unwrap();
    }
}

pub(super) async fn what_every_member_has_acknowledged_is_deleted(store: Arc<dyn Store>) {
    make_group(&store, 1, 3).await;
    fill(&store, 1, 9).await;
    store.commit(CommitRecord { removed: vec![device(3)], ..commit(1, 1, 77, 1) }).await.unwrap();
    store.acknowledge(device(1), vec![(group(1), 11)]).await.unwrap();
    store.acknowledge(device(2), vec![(group(1), 6)]).await.unwrap();
    assert_eq!(expire(&store, 0, 0).await, Expired { entries: 6, records: 0, more: false });
    assert_eq!(expire(&store, 0, 0).await, Expired::default());
    assert_eq!(entries(&store, 1, 6).await.len(), 5);
    let from = ReadFrom { group: group(1), after: 5, until: u64::MAX };
    let page = store.read(vec![from], ReadLimit { entries: 9, bytes: 9 }).await.unwrap().remove(0);
    assert_eq!((page.entries.len(), page.more, page.floor), (0, false, 6));
    let record = store.group(group(1)).await.unwrap().unwrap();
    assert_eq!((record.floor, record.head, record.last_commit), (6, 11, 11));
    assert_eq!(store.memberships(device(3)).await.unwrap().len(), 1, "it may still read its removal");
    store.acknowledge(device(2), vec![(group(1), 11)]).await.unwrap();
    assert_eq!(expire(&store, 0, 0).await.entries, 5);
    assert_eq!(store.memberships(device(3)).await, Ok(vec![]));
    let next = Append { epoch: 2, ..application(1, 1, 88) };
    assert_eq!(store.append(vec![next]).await.remove(0).unwrap().seq, 12);
}

pub(super) async fn what_is_too_old_is_deleted_whoever_waits_for_it(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    fill(&store, 1, 9).await;
    // The commit was accepted later than the entries after it: nothing behind it goes before it does.
    assert_eq!(expire(&store, 50_000, 0).await.entries, 0);
    store.acknowledge(device(1), vec![(group(1), 1)]).await.unwrap();
    assert_eq!(expire(&store, 50_000, 0).await.entries, 5);
    assert_eq!(entries(&store, 1, 5).await[0].at, 50_000);
    assert_eq!(expire(&store, u64::MAX, 0).await.entries, 5);
    assert_eq!(store.group(group(1)).await.unwrap().unwrap().floor, 10);
}

pub(super) async fn a_small_budget_gets_there_in_several_calls(store: Arc<dyn Store>) {
    for number in 1..=5 {
        make_group(&store, number, 2).await;
        fill(&store, number, 119).await;
        for member in [1, 2] {
            store.acknowledge(device(member), vec![(group(number), 999)]).await.unwrap();
        }
    }
    assert_eq!(expire(&store, 0, 0).await.entries, 600);
    assert_eq!(expire(&store, 0, 0).await, Expired::default());
}

pub(super) async fn records_are_kept_as_long_as_asked(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    let add = CommitRecord {
        joined: vec![joined(2)],
        welcome: Some(WelcomeRecord { body: bytes("welcome"), recipients: vec![device(2)] }),
        at: 20_000,
        ..commit(1, 1, 5, 0)
    };
    store.commit(add).await.unwrap();
    store.append(vec![Append { epoch: 1, at: 30_000, ..application(1, 1, 6) }]).await.remove(0).unwrap();
    let invitation = |secret, expires_at| InvitationRecord {
        secret_hash: [secret; 32],
        user: user(1),
        new_user: None,
        expires_at,
        created_at: 1,
        used_by: None,
        by_user: false,
    };
    store.put_invitation(invitation(1, 20_000)).await.unwrap();
    store.put_invitation(invitation(2, 20_000)).await.unwrap();
    store.put_invitation(invitation(2, 40_000)).await.unwrap();
    let package = KeyPackageRecord { hash: [1; 32], body: bytes("package"), expires_at: u64::MAX };
    store.publish(device(1), 1, vec![package], None, 9).await.unwrap();
    store.claim(device(1), [1; 16], vec![(user(1), device(1))], 20_500).await.unwrap();

    // The group's creation, at 1 000.
    assert_eq!(expire(&store, 0, 20_999).await.records, 1);
    // Commit, welcome, invitation 1, claim and spent package; whole seconds count.
    assert_eq!(expire(&store, 0, 21_000).await.records, 5);
    assert_eq!(store.verdict(device(1), message(5)).await, Ok(None));
    assert!(store.verdict(device(1), message(6)).await.unwrap().is_some());
    assert_eq!(store.invitation([1; 32]).await, Ok(None));
    assert!(store.invitation([2; 32]).await.unwrap().is_some());
    let item = store.inbox(device(2), 0, 9).await.unwrap().remove(0);
    assert!(matches!(item.body, InboxBody::Welcome { body, .. } if body.is_empty()));
    store.acknowledge_inbox(device(2), 1).await.unwrap();
    assert_eq!(expire(&store, 0, u64::MAX).await.records, 2);
    assert_eq!(entries(&store, 1, 0).await.len(), 2, "entries have a rule of their own");
}

pub(super) async fn a_group_without_members_keeps_entries_until_they_are_old(store: Arc<dyn Store>) {
    make_group(&store, 1, 2).await;
    store.commit(CommitRecord { removed: vec![device(1), device(2)], ..commit(1, 1, 5, 1) }).await.unwrap();
    assert_eq!(expire(&store, 0, 0).await.entries, 0);
    assert_eq!(store.memberships(device(2)).await.unwrap().len(), 1);
    assert_eq!(expire(&store, u64::MAX, 0).await.entries, 2);
    assert_eq!(store.roster(group(1)).await, Ok(vec![]));
}
