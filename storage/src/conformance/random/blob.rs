//! Random operations on registers and blobs; messages refer to the same few blobs.

use std::sync::Arc;

use cercle_proto::id::{BlobId, RegisterId};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
};

use super::{
    super::sample::{device, group, user},
    DEVICES, GROUPS, time,
};
use crate::store::{BlobUsage, Claim, NewBlob, Store};

const BLOBS: u8 = 4;
const USERS: u64 = 3;

/// An operation with small numbers in place of ids.
#[derive(Debug, Clone)]
pub(super) enum BlobOp {
    ClaimOnce { register: u8, device: u64, at: u64 },
    Announce { blob: u8, group: u64, user: u64, size: u64, at: u64 },
    Complete { blob: u8, at: u64 },
    Remove { blob: u8 },
}

pub(super) fn operation() -> impl Strategy<Value = BlobOp> {
    prop_oneof![
        2 => (1..4_u8, 1..=DEVICES, time())
            .prop_map(|(register, device, at)| BlobOp::ClaimOnce { register, device, at }),
        4 => (1..=BLOBS, 1..=GROUPS, 1..=USERS, 1..100_u64, time())
            .prop_map(|(blob, group, user, size, at)| BlobOp::Announce { blob, group, user, size, at }),
        4 => (1..=BLOBS, time()).prop_map(|(blob, at)| BlobOp::Complete { blob, at }),
        1 => (1..=BLOBS).prop_map(|blob| BlobOp::Remove { blob }),
    ]
}

/// Blobs that a message refers to: mostly none, so that messages are not mostly refused.
pub(super) fn references() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(vec![]), 1 => vec(1..=BLOBS, 1..3)]
}

pub(super) fn ids(numbers: &[u8]) -> Vec<BlobId> {
    numbers.iter().map(|number| id(*number)).collect()
}

fn id(number: u8) -> BlobId {
    BlobId::new([number; 16])
}

/// Runs an operation and returns its verdict as text.
pub(super) async fn run(store: &Arc<dyn Store>, op: BlobOp) -> String {
    match op {
        BlobOp::ClaimOnce { register, device: number, at } => {
            let claim = Claim { user: user(number), device: device(number), at };
            format!("{:?}", store.claim_once(RegisterId::new([register; 16]), claim).await)
        }
        BlobOp::Announce { blob, group: number, user: owner, size, at } => {
            let new = NewBlob { blob: id(blob), group: group(number), uploader: user(owner), size, at };
            format!("{:?}", store.announce_blob(new, BlobUsage { blobs: 2, bytes: 150 }).await)
        }
        BlobOp::Complete { blob, at } => format!("{:?}", store.complete_blob(id(blob), at).await),
        BlobOp::Remove { blob } => match store.blob(id(blob)).await.unwrap() {
            Some(seen) => format!("{:?}", store.remove_blob(seen).await),
            None => String::new(),
        },
    }
}

/// Everything that the store shows of blobs, as text with whole ids.
pub(super) async fn observe(store: &Arc<dyn Store>) -> Vec<String> {
    let blobs = store.blobs(None, 99).await.unwrap();
    let mut seen: Vec<_> = blobs.iter().map(|blob| format!("{:?} {blob:?}", blob.blob.as_bytes())).collect();
    for number in 1..=USERS {
        seen.push(format!("{:?}", store.blob_usage(&user(number)).await));
    }
    seen
}
