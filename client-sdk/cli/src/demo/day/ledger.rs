//! What the devices have heard: counted, never kept.

use std::collections::HashMap;

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    client::{Notice, now_ms},
    event::Event,
    message::{Body, RequestId},
    thread::requests::Owner,
};

/// Counts over all devices.
#[derive(Default)]
pub(super) struct Ledger {
    /// How many devices have decrypted each message of others.
    heard: HashMap<(GroupId, MessageId), usize>,
    /// Who was told that somebody else has a request, by place, and whom he was told.
    lost: HashMap<(usize, RequestId), Option<Owner>>,
    first_text_at_ms: u64,
    gaps: usize,
}

impl Ledger {
    /// Takes what the member at this place has heard.
    pub(super) fn note(&mut self, place: usize, notice: Notice) {
        let Notice::Event(event) = notice else { return };
        match event {
            Event::MessageReceived(message) => {
                if self.first_text_at_ms == 0 && matches!(message.body, Body::Text(_)) {
                    self.first_text_at_ms = now_ms();
                }
                *self.heard.entry((message.group, message.id)).or_default() += 1;
            }
            Event::RequestLost { request, owner } => {
                self.lost.insert((place, request), owner);
            }
            Event::Gap { .. } => self.gaps += 1,
            _ => {}
        }
    }

    /// How many devices have decrypted a message.
    pub(super) fn readers(&self, group: GroupId, message: MessageId) -> usize {
        self.heard.get(&(group, message)).copied().unwrap_or(0)
    }

    /// Whether every message was decrypted by as many devices as its group has, but for the sender's.
    pub(super) fn is_complete(&self, devices: &HashMap<GroupId, usize>) -> bool {
        let read_by_all = |((group, _), readers): (&(GroupId, MessageId), &usize)| {
            devices.get(group).is_some_and(|devices| *readers + 1 == *devices)
        };
        self.heard.iter().all(read_by_all)
    }

    /// Whom the member at this place was told to have a request that he wanted.
    pub(super) fn told(&self, place: usize, request: RequestId) -> Option<&Owner> {
        self.lost.get(&(place, request))?.as_ref()
    }

    /// When the first text was decrypted, ms since the Unix epoch; 0 while there is none.
    pub(super) fn first_text_at_ms(&self) -> u64 {
        self.first_text_at_ms
    }

    /// Messages of every kind that were decrypted somewhere.
    pub(super) fn messages(&self) -> usize {
        self.heard.len()
    }

    /// Decryptions, over all devices.
    pub(super) fn received(&self) -> usize {
        self.heard.values().sum()
    }

    /// Gaps that a device reported.
    pub(super) fn gaps(&self) -> usize {
        self.gaps
    }
}
