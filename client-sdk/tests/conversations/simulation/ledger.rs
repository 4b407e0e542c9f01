//! What the hub has said in the course of a simulation, whoever heard it: none of it may ever change.

use std::collections::BTreeMap;

use bytes::Bytes;
use cercle_proto::{
    frame,
    v1::{EntryKind, server_frame::Body},
};

/// An entry of a group's log as the hub showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    kind: i32,
    epoch: u64,
    message_id: Bytes,
    sender: Bytes,
}

type Place = (Bytes, u64);

/// See the head of this file.
#[derive(Default)]
pub(super) struct Ledger {
    entries: BTreeMap<Place, Shown>,
    /// Content, which the sender itself does not get.
    contents: BTreeMap<Place, Bytes>,
    /// Place of each message that was acknowledged.
    acknowledged: BTreeMap<Bytes, Place>,
    /// Place of the commit that ended each epoch.
    commits: BTreeMap<(Bytes, u64), u64>,
    pub(super) frames: u64,
}

impl Ledger {
    /// Notes what a frame of the hub says, and checks it against all that was said before.
    pub(super) fn hear(&mut self, bytes: &Bytes) {
        self.frames += 1;
        match frame::decode_server(bytes.clone()).unwrap().body.unwrap() {
            Body::Accepted(accepted) if accepted.seq > 0 => {
                let place = (accepted.group, accepted.seq);
                let known = self.acknowledged.entry(accepted.message_id).or_insert_with(|| place.clone());
                assert_eq!(*known, place, "a message was acknowledged at two places");
            }
            Body::Entries(entries) => {
                for entry in entries.entries {
                    let place = (entries.group.clone(), entry.seq);
                    if !entry.mls.is_empty() {
                        let known = self.contents.entry(place.clone()).or_insert_with(|| entry.mls.clone());
                        assert_eq!(*known, entry.mls, "an entry has two contents");
                    }
                    let shown = Shown {
                        kind: entry.kind,
                        epoch: entry.epoch,
                        message_id: entry.message_id,
                        sender: entry.sender,
                    };
                    self.show(place, shown);
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, place: Place, shown: Shown) {
        if shown.kind == i32::from(EntryKind::Commit) {
            let epoch = (place.0.clone(), shown.epoch);
            let seq = *self.commits.entry(epoch).or_insert(place.1);
            assert_eq!(seq, place.1, "two commits ended epoch {}", shown.epoch);
        }
        let known = self.entries.entry(place.clone()).or_insert_with(|| shown.clone());
        assert_eq!(*known, shown, "entry {} was shown in two ways", place.1);
        if let Some(acknowledged) = self.acknowledged.get(&shown.message_id) {
            assert_eq!(*acknowledged, place, "a message is at another place than was acknowledged");
        }
    }

    /// Everything that was acknowledged was shown to somebody in the end, where it was acknowledged.
    pub(super) fn check(&self) {
        for (message, place) in &self.acknowledged {
            let shown = self.entries.get(place);
            assert!(
                shown.is_some_and(|shown| shown.message_id == *message),
                "entry {} was acknowledged and is gone",
                place.1
            );
        }
    }

    /// The epoch that a message was encrypted in, by its place.
    pub(super) fn epoch_of(&self, group: &Bytes, seq: u64) -> Option<u64> {
        self.entries.get(&(group.clone(), seq)).map(|entry| entry.epoch)
    }

    /// Commits so far.
    pub(super) fn commits(&self) -> usize {
        self.commits.len()
    }
}
