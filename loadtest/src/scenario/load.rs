//! An open-loop message load in one group: what `group-chat` measures and `commit-churn` runs beside it.
//!
//! Every message has a moment at which it is due, fixed before the run; a sender that is late sends at once.
//! All latencies count from the due moment, so a stall is charged to every message that it delayed.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use cercle_proto::id::{GroupId, MessageId, Seq};
use cercle_sdk::client::{Client, now_ms};
use tokio::task::JoinSet;

use crate::{
    arguments,
    clock::Clock,
    fleet::{Member, until},
    hearing::Hearing,
    latency::Latency,
    limits::ARRIVAL_PATIENCE,
    probe::Probe,
    progress::Progress,
    report::Report,
    verdict::{Tally, compare, stored_probes},
};

/// A load under way, and everybody who hears it.
pub(super) struct Load<'a> {
    group: GroupId,
    members: &'a [Member],
    ears: Vec<Hearing>,
    run: u64,
    senders: JoinSet<anyhow::Result<Vec<Sent>>>,
}

/// A message that is in an outbox.
struct Sent {
    sender: usize,
    id: MessageId,
    due_us: u64,
}

/// The plan of one sender.
struct Schedule {
    sender: usize,
    senders: u32,
    load: Arc<arguments::Load>,
    run: u64,
    began_us: u64,
}

impl<'a> Load<'a> {
    /// Starts to send; the first members are the senders. All members must be in the group.
    pub(super) fn start(
        load: &arguments::Load,
        group: GroupId,
        members: &'a [Member],
        clock: Clock,
        progress: &Progress,
    ) -> Self {
        let run = now_ms();
        let ears = members.iter().map(|member| Hearing::start(&member.client, run, clock)).collect();
        let load = Arc::new(load.clone());
        let mut senders = JoinSet::new();
        for (sender, member) in members.iter().enumerate().take(load.senders as usize) {
            let senders_count = load.senders.min(u32::try_from(members.len()).unwrap_or(u32::MAX));
            let (load, began_us) = (Arc::clone(&load), clock.now_us());
            let schedule = Schedule { sender, senders: senders_count, load, run, began_us };
            senders.spawn(schedule.send(member.client.clone(), group, clock, progress.clone()));
        }
        Self { group, members, ears, run, senders }
    }

    /// Waits until all is sent and has arrived, then counts and reports. Returns the number of deliveries.
    ///
    /// # Errors
    /// When a sender or a store fails; what merely does not arrive is counted.
    pub(super) async fn finish(mut self, report: &mut Report) -> anyhow::Result<u64> {
        let mut sent = Vec::new();
        while let Some(done) = self.senders.join_next().await {
            sent.extend(done.context("a sender ended early")??);
        }
        let receivers = self.members.len().saturating_sub(1);
        let everything = u64::try_from(sent.len() * receivers)?;
        let arrived = until("arriving", ARRIVAL_PATIENCE, async || {
            let received: u64 = self.ears.iter().map(|ear| ear.look(|heard| heard.received)).sum();
            Ok(received >= everything && sent.iter().all(|message| self.accepted(message).is_some()))
        });
        if arrived.await.is_err() {
            report.fault("not everything arrived in time".to_owned());
        }
        let tally = self.count(&sent).await?;
        report.count(&tally);
        let (mut accepting, mut delivering) = (Latency::default(), Latency::default());
        for message in &sent {
            if let Some((_, at_us)) = self.accepted(message) {
                accepting.record(at_us.saturating_sub(message.due_us));
            }
        }
        self.ears.iter().for_each(|ear| ear.look(|heard| delivering.add(&heard.delivery)));
        report.latency("due to accepted (durable)", &accepting);
        report.latency("due to delivered (decrypted)", &delivering);
        Ok(tally.delivered)
    }

    fn accepted(&self, message: &Sent) -> Option<(Seq, u64)> {
        self.ears[message.sender].look(|heard| heard.accepted.get(&message.id).copied())
    }

    async fn count(&self, sent: &[Sent]) -> anyhow::Result<Tally> {
        let accepted: HashMap<MessageId, Seq> =
            sent.iter().filter_map(|message| Some((message.id, self.accepted(message)?.0))).collect();
        let mut tally = Tally {
            sent: u64::try_from(sent.len())?,
            accepted: u64::try_from(accepted.len())?,
            ..Tally::default()
        };
        tally.lost = tally.sent - tally.accepted;
        for (member, ear) in self.members.iter().zip(&self.ears) {
            tally.add(&compare(&accepted, &stored_probes(&member.client, self.group, self.run).await?));
            ear.look(|heard| {
                tally.out_of_order += heard.disordered;
                tally.undecryptable += heard.skipped;
            });
        }
        Ok(tally)
    }
}

impl Schedule {
    /// Message `n` of the load is due at `n / rate` and belongs to sender `n` modulo their count.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times and counts of a run")]
    async fn send(
        self,
        client: Client,
        group: GroupId,
        clock: Clock,
        progress: Progress,
    ) -> anyhow::Result<Vec<Sent>> {
        let count = (self.load.rate * self.load.seconds).round().max(1.0) as u32;
        let first = u32::try_from(self.sender)?;
        let mut sent = Vec::new();
        for number in (first..count).step_by(self.senders as usize) {
            let due_us = self.began_us + (f64::from(number) / self.load.rate * 1e6) as u64;
            if !progress.until(clock, due_us).await {
                break;
            }
            progress.show(|| format!("sending: {number} of {count} messages"));
            let text = Probe { run: self.run, number, due_us }.to_text(self.load.bytes);
            let id = client.send(group, &text).await.context("sending")?;
            sent.push(Sent { sender: self.sender, id, due_us });
        }
        Ok(sent)
    }
}
