//! Cases about inboxes and welcomes.

use std::sync::Arc;

use super::sample::{bytes, commit, device, group, joined, make_group};
use crate::store::{CommitRecord, InboxBody, Store, WelcomeRecord};

async fn add_with_welcome(store: &Arc<dyn Store>, members: &[u64]) {
    let recipients = members.iter().map(|number| device(*number)).collect();
    let add = CommitRecord {
        joined: members.iter().map(|number| joined(*number)).collect(),
        welcome: Some(WelcomeRecord { body: bytes("welcome"), recipients }),
        ..commit(1, 1, 5, 0)
    };
    store.commit(add).await.unwrap();
}

fn welcome(body: &str) -> InboxBody {
    InboxBody::Welcome { group: group(1), epoch: 1, joined_at: 1, body: bytes(body) }
}

fn report(seq: u64) -> InboxBody {
    InboxBody::InvalidCommitReported { group: group(1), seq, reporter: device(9) }
}

pub(super) async fn a_welcome_is_shared_and_goes_with_its_last_pointer(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    add_with_welcome(&store, &[2, 3, 2]).await;
    for number in [2, 3] {
        let items = store.inbox(device(number), 0, 9).await.unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].number, &items[0].body), (1, &welcome("welcome")));
    }
    store.acknowledge_inbox(device(2), 1).await.unwrap();
    store.acknowledge_inbox(device(2), 1).await.unwrap();
    assert_eq!(store.inbox(device(2), 0, 9).await, Ok(vec![]));
    assert_eq!(store.inbox(device(3), 0, 9).await.unwrap()[0].body, welcome("welcome"));
    store.acknowledge_inbox(device(3), 1).await.unwrap();
    assert_eq!(store.inbox(device(3), 0, 9).await, Ok(vec![]));
}

pub(super) async fn numbers_of_an_inbox_are_never_used_twice(store: Arc<dyn Store>) {
    for seq in 1..=3 {
        store.notify(vec![device(1)], report(seq)).await.unwrap();
    }
    store.acknowledge_inbox(device(1), 2).await.unwrap();
    store.acknowledge_inbox(device(1), u64::MAX).await.unwrap();
    store.notify(vec![device(1)], report(4)).await.unwrap();
    let items = store.inbox(device(1), 0, 9).await.unwrap();
    assert_eq!(items.iter().map(|item| (item.number, &item.body)).collect::<Vec<_>>(), [(4, &report(4))]);
}

pub(super) async fn a_notice_reaches_every_device_it_is_for(store: Arc<dyn Store>) {
    store.notify(vec![device(1), device(2)], report(1)).await.unwrap();
    store.notify(vec![device(1)], report(2)).await.unwrap();
    store.notify(vec![device(1)], welcome("not this way")).await.unwrap();
    let numbers = async |number, after, limit| {
        let items = store.inbox(device(number), after, limit).await.unwrap();
        items.into_iter().map(|item| item.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(1, 0, 9).await, [1, 2]);
    assert_eq!(numbers(1, 0, 1).await, [1]);
    assert_eq!(numbers(1, 1, 9).await, [2]);
    assert_eq!(numbers(1, u64::MAX, 9).await, []);
    assert_eq!(numbers(2, 0, 9).await, [1]);
}
