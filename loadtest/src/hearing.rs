//! What one client tells about a run: its event stream, written down as it comes.
//!
//! Gives the latencies and tells when everything has arrived; whether it really has is decided by the stores
//! ([`crate::verdict`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use cercle_proto::id::{GroupId, MessageId, Seq};
use cercle_sdk::{
    client::{Client, Events, Notice},
    core::Message,
    event::Event,
};
use tokio::task::JoinHandle;

use crate::{
    clock::Clock,
    latency::Latency,
    probe::Probe,
    verdict::{probe_of, stored_probes},
};

/// Listens to one client until it is dropped.
#[derive(Debug)]
pub(crate) struct Hearing {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Own messages that the hub has accepted: where, and when the client knew.
    pub(crate) accepted: HashMap<MessageId, (Seq, u64)>,
    /// Probes of others.
    pub(crate) received: u64,
    /// From when they were due to when they were stored here.
    pub(crate) delivery: Latency,
    /// Probes told again or after a later one.
    pub(crate) disordered: u64,
    /// Entries in gaps.
    pub(crate) skipped: u64,
    /// Newest entry told, by group.
    last: HashMap<GroupId, Seq>,
}

impl Hearing {
    /// Starts to listen for probes of this run.
    pub(crate) fn start(client: &Client, run: u64, clock: Clock) -> Self {
        let heard = Arc::default();
        let listener = listen(client.clone(), client.events(), run, clock, Arc::clone(&heard));
        Self { heard, task: tokio::spawn(listener) }
    }

    /// Looks at what was heard so far.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Heard) -> T) -> T {
        read(&self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heard {
    fn event(&mut self, event: &Event, run: u64, clock: Clock) {
        match event {
            Event::MessageReceived(message) => {
                if let Some(probe) = probe_of(message).filter(|probe| probe.run == run) {
                    self.probe(message.group, message.seq, probe, clock);
                }
            }
            Event::MessageAccepted { message, seq, .. } => {
                self.accepted.insert(*message, (*seq, clock.now_us()));
            }
            Event::Gap { skipped, .. } => self.skipped += skipped,
            _ => {}
        }
    }

    /// Takes from the store what the events did not tell.
    fn heal(&mut self, stored: &[(Message, Probe)], clock: Clock) {
        for (message, probe) in stored {
            if message.own {
                self.accepted.entry(message.id).or_insert_with(|| (message.seq, clock.now_us()));
            } else if self.last.get(&message.group).is_none_or(|last| *last < message.seq) {
                self.probe(message.group, message.seq, *probe, clock);
            }
        }
    }

    fn probe(&mut self, group: GroupId, seq: Seq, probe: Probe, clock: Clock) {
        let last = self.last.entry(group).or_default();
        if seq <= *last {
            self.disordered += 1;
            return;
        }
        *last = seq;
        self.received += 1;
        self.delivery.record(clock.now_us().saturating_sub(probe.due_us));
    }
}

async fn listen(client: Client, mut events: Events, run: u64, clock: Clock, heard: Arc<Mutex<Heard>>) {
    let lock = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(notice) = events.next().await {
        match notice {
            Notice::Event(event) => lock().event(&event, run, clock),
            // Events that passed unheard are in the store; their latency is counted up to this moment.
            Notice::Missed(_) => {
                let Ok(groups) = client.groups().await else { return };
                for group in groups {
                    let Ok(stored) = stored_probes(&client, group.group, run).await else { return };
                    lock().heal(&stored, clock);
                }
            }
        }
    }
}
