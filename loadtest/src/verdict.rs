//! The count: what was sent against what lies in every member's store.
//!
//! Stores, not events, are compared: an event that was missed is a hint that was missed, a message that is
//! not in the store is lost.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use cercle_proto::id::{DeviceId, GroupId, MessageId, Seq};
use cercle_sdk::{client::Client, core::Message, message::Body};
use serde::Serialize;

use crate::{limits::STORE_PAGE, probe::Probe};

/// What became of the messages of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Messages put into outboxes.
    pub(crate) sent: u64,
    /// Of these, acknowledged by the hub as durable.
    pub(crate) accepted: u64,
    /// Accepted messages times members who had to get them, without the senders.
    pub(crate) expected: u64,
    /// Of these, found in the stores.
    pub(crate) delivered: u64,
    /// Sent but never accepted, or accepted but missing in a store.
    pub(crate) lost: u64,
    /// Found or told more than once.
    pub(crate) duplicated: u64,
    /// Not after the one before, in the log or as their sender wrote them.
    pub(crate) out_of_order: u64,
    /// Entries that a client reported as a gap.
    pub(crate) undecryptable: u64,
}

impl Tally {
    /// Nothing was lost, doubled, disordered or unreadable.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.undecryptable == 0
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.undecryptable += other.undecryptable;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, accepted, expected, delivered, lost, duplicated, out_of_order, undecryptable } =
            self;
        write!(f, "sent {sent}, accepted {accepted}, delivered {delivered} of {expected}, lost {lost}, ")?;
        write!(f, "duplicated {duplicated}, out of order {out_of_order}, undecryptable {undecryptable}")
    }
}

/// The probes of one run that lie in one client's store of a group, others' and its own, in the order of the
/// store.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn stored_probes(
    client: &Client,
    group: GroupId,
    run: u64,
) -> anyhow::Result<Vec<(Message, Probe)>> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = client.messages(group, after, STORE_PAGE).await.context("reading a client's store")?;
        let full = page.len() == STORE_PAGE;
        after = page.last().map_or(after, |message| message.seq);
        found.extend(page.into_iter().filter_map(|message| {
            let probe = probe_of(&message).filter(|probe| probe.run == run)?;
            Some((message, probe))
        }));
        if !full {
            return Ok(found);
        }
    }
}

/// The probe in a message, if it is one.
pub(crate) fn probe_of(message: &Message) -> Option<Probe> {
    match &message.body {
        Body::Text(text) => Probe::parse(&text.text),
        _ => None,
    }
}

/// Compares what one client stored of a group with what the hub accepted there.
pub(crate) fn compare(accepted: &HashMap<MessageId, Seq>, stored: &[(Message, Probe)]) -> Tally {
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    let mut last_seq = 0;
    let mut last_number: HashMap<DeviceId, u32> = HashMap::new();
    let mut own = 0;
    for (message, probe) in stored {
        if !seen.insert(message.id) {
            tally.duplicated += 1;
            continue;
        }
        if message.own {
            own += 1;
        } else {
            tally.delivered += 1;
        }
        let before = last_number.insert(message.device, probe.number);
        let misplaced = accepted.get(&message.id).is_some_and(|seq| *seq != message.seq);
        if message.seq <= last_seq || before.is_some_and(|number| number >= probe.number) || misplaced {
            tally.out_of_order += 1;
        }
        last_seq = message.seq;
    }
    let missing = accepted.keys().filter(|id| !seen.contains(id)).count();
    tally.lost = u64::try_from(missing).unwrap_or(u64::MAX);
    tally.expected = u64::try_from(accepted.len()).unwrap_or(u64::MAX).saturating_sub(own);
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use cercle_proto::id::UserId;

    fn message(number: u8, seq: Seq) -> (Message, Probe) {
        let probe = Probe { run: 1, number: number.into(), due_us: 0 };
        let message = Message {
            group: GroupId::new([1; 16]),
            seq,
            id: MessageId::new([number; 16]),
            sender: UserId::new("somebody", "cpts.example").unwrap(),
            device: DeviceId::new([2; 16]),
            display_name: String::new(),
            own: false,
            expired_certificate: false,
            by_administrator: false,
            at_ms: 0,
            sent_at_ms: 0,
            in_reply_to: None,
            exported_by: None,
            body: Body::text(probe.to_text(0)),
        };
        (message, probe)
    }

    fn accepted() -> HashMap<MessageId, Seq> {
        [(1, 10), (2, 12), (3, 13)].map(|(number, seq)| (MessageId::new([number; 16]), seq)).into()
    }

    #[test]
    fn a_store_that_holds_what_was_accepted_is_clean() {
        let tally = compare(&accepted(), &[message(1, 10), message(2, 12), message(3, 13)]);
        assert_eq!(tally, Tally { expected: 3, delivered: 3, ..Tally::default() });
    }

    #[test]
    fn a_missing_message_is_lost() {
        assert_eq!(compare(&accepted(), &[message(1, 10), message(3, 13)]).lost, 1);
    }

    #[test]
    fn a_message_stored_twice_is_duplicated() {
        let stored = [message(1, 10), message(2, 12), message(2, 12), message(3, 13)];
        let tally = compare(&accepted(), &stored);
        assert_eq!((tally.duplicated, tally.lost, tally.out_of_order), (1, 0, 0));
    }

    #[test]
    fn a_message_that_overtook_another_is_out_of_order() {
        let stored = [message(2, 12), message(1, 10), message(3, 13)];
        assert_eq!(compare(&accepted(), &stored).out_of_order, 1);
        let elsewhere = [message(1, 10), message(2, 11), message(3, 13)];
        assert_eq!(compare(&accepted(), &elsewhere).out_of_order, 1);
    }
}
