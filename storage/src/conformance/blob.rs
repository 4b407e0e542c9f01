//! Cases about what is known of blobs.

use std::sync::Arc;

use cercle_proto::id::BlobId;

use super::sample::{application, bytes, commit, device, group, make_group, message, user};
use crate::store::{
    AnnounceError, AnnouncedBlob, Append, AppendError, BlobRecord, BlobUsage, CommitRecord, NewBlob, Store,
};

const PLENTY: BlobUsage = BlobUsage { blobs: u64::MAX, bytes: u64::MAX };

fn id(number: u8) -> BlobId {
    BlobId::new([number; 16])
}

/// Blob `number` of 100 bytes in group 1 by user 1.
fn new_blob(number: u8) -> NewBlob {
    NewBlob { blob: id(number), group: group(1), uploader: user(1), size: 100, at: 1_000 }
}

fn announced(number: u8) -> BlobRecord {
    BlobRecord {
        blob: id(number),
        group: group(1),
        uploader: user(1),
        size: 100,
        created_at: 1_000,
        completed_at: None,
        referenced_at: None,
    }
}

async fn make_complete(store: &Arc<dyn Store>, number: u8) {
    store.announce_blob(new_blob(number), PLENTY).await.unwrap();
    store.complete_blob(id(number), 2_000).await.unwrap();
}

pub(super) async fn a_blob_is_announced_once_and_completed_once(store: Arc<dyn Store>) {
    let first = store.announce_blob(new_blob(1), PLENTY).await;
    assert_eq!(first, Ok(AnnouncedBlob { record: announced(1), repeated: false }));
    store.complete_blob(id(1), 2_000).await.unwrap();
    store.complete_blob(id(1), 3_000).await.unwrap();
    store.complete_blob(id(2), 3_000).await.unwrap();
    let record = BlobRecord { completed_at: Some(2_000), ..announced(1) };
    let again = store.announce_blob(NewBlob { at: 9_000, ..new_blob(1) }, PLENTY).await;
    assert_eq!(again, Ok(AnnouncedBlob { record: record.clone(), repeated: true }));
    for other in [
        NewBlob { group: group(2), ..new_blob(1) },
        NewBlob { uploader: user(2), ..new_blob(1) },
        NewBlob { size: 101, ..new_blob(1) },
    ] {
        assert_eq!(store.announce_blob(other, PLENTY).await, Err(AnnounceError::Exists));
    }
    assert_eq!(store.blob(id(1)).await, Ok(Some(record)));
    assert_eq!(store.blob(id(2)).await, Ok(None));
}

pub(super) async fn the_blobs_of_a_user_take_no_more_than_they_may(store: Arc<dyn Store>) {
    let max = BlobUsage { blobs: 3, bytes: 250 };
    store.announce_blob(new_blob(1), max).await.unwrap();
    store.announce_blob(new_blob(2), max).await.unwrap();
    assert_eq!(store.announce_blob(new_blob(3), max).await, Err(AnnounceError::QuotaExceeded));
    store.announce_blob(new_blob(2), max).await.unwrap();
    store.announce_blob(NewBlob { uploader: user(2), ..new_blob(3) }, max).await.unwrap();
    store.announce_blob(NewBlob { size: 1, ..new_blob(4) }, max).await.unwrap();
    let one_more = NewBlob { size: 1, ..new_blob(5) };
    assert_eq!(store.announce_blob(one_more.clone(), max).await, Err(AnnounceError::QuotaExceeded));
    assert_eq!(store.blob_usage(&user(1)).await, Ok(BlobUsage { blobs: 3, bytes: 201 }));
    assert_eq!(store.remove_blob(announced(1)).await, Ok(true));
    store.announce_blob(one_more, max).await.unwrap();
    assert_eq!(store.blob_usage(&user(1)).await, Ok(BlobUsage { blobs: 3, bytes: 102 }));
    assert_eq!(store.blob_usage(&user(2)).await, Ok(BlobUsage { blobs: 1, bytes: 100 }));
    assert_eq!(store.blob_usage(&user(3)).await, Ok(BlobUsage::default()));
}

pub(super) async fn a_message_refers_to_complete_blobs_of_its_group_only(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    make_group(&store, 2, 1).await;
    make_complete(&store, 1).await;
    store.announce_blob(new_blob(2), PLENTY).await.unwrap();
    let with = |number, id, blobs: &[u8]| Append {
        blobs: blobs.iter().copied().map(self::id).collect(),
        ..application(number, 1, id)
    };
    let refused = [
        (with(1, 1, &[1, 2]), AppendError::BlobIncomplete),
        (with(1, 1, &[1, 3]), AppendError::BlobUnknown),
        (with(2, 1, &[1]), AppendError::BlobUnknown),
    ];
    for (item, why) in refused {
        assert_eq!(store.append(vec![item]).await.remove(0), Err(why));
    }
    assert_eq!(store.blob(id(1)).await.unwrap().unwrap().referenced_at, None);
    assert_eq!(store.group(group(1)).await.unwrap().unwrap().head, 0);

    store.append(vec![with(1, 1, &[1])]).await.remove(0).unwrap();
    assert_eq!(store.blob(id(1)).await.unwrap().unwrap().referenced_at, Some(10_001));
    let older = Append { at: 5, ..with(1, 2, &[1, 1]) };
    store.append(vec![older]).await.remove(0).unwrap();
    assert_eq!(store.blob(id(1)).await.unwrap().unwrap().referenced_at, Some(10_001));
    // A repeated message is answered whatever became of its blobs.
    let record = store.blob(id(1)).await.unwrap().unwrap();
    store.remove_blob(record).await.unwrap();
    assert!(store.append(vec![with(1, 1, &[1])]).await.remove(0).unwrap().repeated);
}

pub(super) async fn the_message_of_a_commit_refers_to_blobs_too(store: Arc<dyn Store>) {
    make_group(&store, 1, 1).await;
    make_complete(&store, 1).await;
    let with = |number: u8| CommitRecord {
        application: Some((message(2), bytes("first"))),
        application_blobs: vec![id(number)],
        ..commit(1, 1, 1, 0)
    };
    assert_eq!(store.commit(with(2)).await, Err(AppendError::BlobUnknown));
    assert_eq!(store.group(group(1)).await.unwrap().unwrap().epoch, 0);
    store.commit(with(1)).await.unwrap();
    assert_eq!(store.blob(id(1)).await.unwrap().unwrap().referenced_at, Some(10_001));
    assert!(store.verdict(device(1), message(2)).await.unwrap().is_some());
}

pub(super) async fn a_blob_that_changed_meanwhile_is_not_removed(store: Arc<dyn Store>) {
    store.announce_blob(new_blob(1), PLENTY).await.unwrap();
    store.complete_blob(id(1), 2_000).await.unwrap();
    assert_eq!(store.remove_blob(announced(1)).await, Ok(false));
    let seen = store.blob(id(1)).await.unwrap().unwrap();
    assert_eq!(store.remove_blob(seen.clone()).await, Ok(true));
    assert_eq!(store.remove_blob(seen).await, Ok(false));
    assert_eq!(store.blob_usage(&user(1)).await, Ok(BlobUsage::default()));
}

pub(super) async fn blobs_are_listed_page_by_page(store: Arc<dyn Store>) {
    for number in [3, 1, 2, 255] {
        store.announce_blob(new_blob(number), PLENTY).await.unwrap();
    }
    assert_eq!(store.blobs(None, 2).await, Ok(vec![announced(1), announced(2)]));
    assert_eq!(store.blobs(Some(id(2)), 2).await, Ok(vec![announced(3), announced(255)]));
    assert_eq!(store.blobs(Some(id(255)), 2).await, Ok(vec![]));
}
