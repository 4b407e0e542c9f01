//! What the benchmarks share: groups with one member, and messages of 1 KiB to them.

use std::time::Instant;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};
use cercle_storage::store::{Append, CreateGroup, Joined, Kind, Store};

/// Bytes of a message.
pub(crate) const BODY_BYTES: usize = 1_024;

/// Now, to measure with.
#[expect(clippy::disallowed_methods, reason = "measures")]
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Numbers scattered over the key space, as ids are.
#[must_use]
pub(crate) fn id(number: u64) -> [u8; 16] {
    let mut id = [0x42; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

/// The same mixed body everywhere.
#[must_use]
pub(crate) fn body() -> Bytes {
    (0..BODY_BYTES).map(|place| (place * 31 % 251).to_le_bytes()[0]).collect()
}

/// The nth message of all, to one group after the other. Its id grows with time, as those of clients do.
#[must_use]
pub(crate) fn message(number: u64, groups: u64, body: Bytes) -> Append {
    let random = number.to_be_bytes().repeat(2)[..10].try_into().unwrap_or_default();
    Append {
        group: GroupId::new(id(number % groups)),
        sender: Some(DeviceId::new(id(0))),
        message_id: MessageId::from_time(number / 10, &random),
        kind: Kind::Application,
        epoch: 0,
        epochs_behind_max: 0,
        at: number / 10,
        body,
        group_state: None,
        blobs: Vec::new(),
    }
}

/// Makes the groups.
///
/// # Errors
/// When the store fails.
pub(crate) async fn make_groups(store: &dyn Store, groups: u64) -> anyhow::Result<()> {
    let user = UserId::new("bench", "cpts.example")?;
    for number in 0..groups {
        let creator = Joined { device: DeviceId::new(id(0)), user: user.clone(), leaf: 0, may_post: true };
        let new = CreateGroup {
            group: GroupId::new(id(number)),
            message_id: MessageId::new(id(number)),
            creator,
            group_info: body(),
            group_state: body(),
            posting_restricted: false,
            at: 0,
        };
        store.create_group(new).await?;
    }
    Ok(())
}
