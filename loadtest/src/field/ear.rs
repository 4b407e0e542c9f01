//! One device of a field: sends what it is told, hears what the others send.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, bail};
use tokio::sync::{mpsc, watch};

use super::{Command, counter::Counters};
use crate::{
    clock::Clock,
    raw::payload::Payload,
    system::{From, Heard, Link, System},
};

/// How a device reads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Reading {
    /// At once.
    #[default]
    Live,
    /// Not at all for some time after the load began, then at once; it comes back from its cursor if the
    /// system has given it up meanwhile.
    Paused {
        /// How long, µs.
        until_us: u64,
    },
    /// At once, but drops its connection every so often and comes back from its cursor.
    Returning {
        /// How often, µs.
        every_us: u64,
    },
}

/// What a device needs to take part.
pub(super) struct Ear {
    pub(super) device: usize,
    pub(super) bytes: usize,
    pub(super) reading: Reading,
    pub(super) began_us: u64,
    pub(super) clock: Clock,
    pub(super) system: Arc<System>,
    pub(super) counters: Arc<Counters>,
    pub(super) over: watch::Receiver<bool>,
}

/// What a device says in the end.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    pub(super) returned: u64,
}

/// What a device has heard of each stream.
#[derive(Default)]
struct Memory {
    newest: HashMap<u32, u32>,
    verdict: Verdict,
}

impl Ear {
    /// Takes part until the load is over.
    pub(super) async fn listen(
        mut self,
        mut link: Link,
        mut commands: mpsc::Receiver<Command>,
    ) -> anyhow::Result<Verdict> {
        let (mut memory, mut heard) = (Memory::default(), Heard::default());
        if let Reading::Paused { until_us } = self.reading {
            self.clock.until(self.began_us + until_us).await;
        }
        let mut returns_us = match self.reading {
            Reading::Returning { every_us } => self.clock.now_us() + every_us,
            Reading::Live | Reading::Paused { .. } => u64::MAX,
        };
        loop {
            let open = tokio::select! {
                biased;
                _ = self.over.wait_for(|over| *over) => return Ok(memory.verdict),
                Some(command) = commands.recv() => {
                    link.post(command.group, command.payload, self.bytes, &mut heard)?;
                    while let Ok(command) = commands.try_recv() {
                        link.post(command.group, command.payload, self.bytes, &mut heard)?;
                    }
                    true
                }
                open = link.hear(&mut heard) => open?,
                () = wait_until(self.clock, returns_us) => false,
            };
            self.count(&mut memory, &mut heard);
            if open {
                continue;
            }
            match self.reading {
                Reading::Live => bail!("{} closed a device's connection", self.system.kind().name()),
                Reading::Paused { .. } => {}
                Reading::Returning { every_us } => returns_us = self.clock.now_us() + every_us,
            }
            link = self.come_back(link).await?;
            memory.verdict.returned += 1;
        }
    }

    /// Connects again where the device has read to, and sends again what it has no answer to.
    async fn come_back(&self, former: Link) -> anyhow::Result<Link> {
        let cursors = former.cursors().cloned().unwrap_or_default();
        let coming = self.system.join_insistently(self.device, From::Cursors(&cursors));
        let mut link = coming.await.context("coming back")?;
        link.resume(&former)?;
        Ok(link)
    }

    fn count(&self, memory: &mut Memory, heard: &mut Heard) {
        let now_us = self.clock.now_us();
        memory.verdict.out_of_order += std::mem::take(&mut heard.misnumbered);
        heard.payloads.retain(|payload| memory.take(*payload));
        let slowly = matches!(self.reading, Reading::Paused { .. });
        self.counters.deliver(&heard.payloads, now_us, slowly);
        self.counters.accept(&heard.accepted, now_us);
        heard.payloads.clear();
        heard.accepted.clear();
    }
}

async fn wait_until(clock: Clock, due_us: u64) {
    if due_us == u64::MAX {
        std::future::pending::<()>().await;
    }
    clock.until(due_us).await;
}

impl Memory {
    /// Whether this message is new here.
    fn take(&mut self, payload: Payload) -> bool {
        let newest = self.newest.entry(payload.stream).or_default();
        if payload.number <= *newest {
            self.verdict.duplicated += 1;
            return false;
        }
        self.verdict.out_of_order += u64::from(payload.number != *newest + 1);
        *newest = payload.number;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(numbers: &[u32]) -> Verdict {
        let mut memory = Memory::default();
        for number in numbers {
            memory.take(Payload { due_us: 0, stream: 1, number: *number });
        }
        memory.verdict
    }

    #[test]
    fn messages_in_their_order_are_clean() {
        let verdict = heard(&[1, 2, 3]);
        assert_eq!((verdict.duplicated, verdict.out_of_order), (0, 0));
    }

    #[test]
    fn a_repeated_and_a_skipped_message_are_told_apart() {
        let doubled = heard(&[1, 2, 2, 3]);
        assert_eq!((doubled.duplicated, doubled.out_of_order), (1, 0));
        let skipped = heard(&[1, 3]);
        assert_eq!((skipped.duplicated, skipped.out_of_order), (0, 1));
    }
}
