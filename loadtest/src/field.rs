//! Joined devices, and one load that they all take part in.
//!
//! A stream is one sender in one group. Its messages are numbered from 1, so that every listener sees what is
//! missing, doubled or out of order. Latency counts from the moment at which a message was due.

mod counter;
mod ear;
mod pace;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    clock::Clock,
    latency::Latency,
    limits::{ARRIVAL_PATIENCE, COMMANDS_MAX, LOOK_EVERY, RAW_ENROLLING_MAX},
    progress::Progress,
    raw::payload::Payload,
    system::{From, Link, System},
    verdict::Tally,
};
use counter::Counters;
use ear::Ear;

pub(crate) use ear::Reading;
pub(crate) use pace::Pace;

/// One sender in one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    /// The group, by its number in the plan.
    pub(crate) group: usize,
    /// The device that sends.
    pub(crate) sender: usize,
    /// Joined devices that are to hear it.
    pub(crate) listeners: usize,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// When messages are due.
    pub(crate) pace: Pace,
    /// How long, seconds.
    pub(crate) seconds: f64,
    /// At most so many messages of one stream.
    pub(crate) messages_max: u32,
    /// Bytes of a message.
    pub(crate) bytes: usize,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// From due to accepted.
    pub(crate) accepting: Latency,
    /// From due to heard.
    pub(crate) delivering: Latency,
    /// Of the devices that read slowly.
    pub(crate) slow: Latency,
    /// From the first due message to the last delivery or acceptance, seconds.
    pub(crate) seconds: f64,
    /// Connections that were opened again.
    pub(crate) returned: u64,
}

/// A message that a device is to send.
#[derive(Debug, Clone, Copy)]
struct Command {
    group: usize,
    payload: Payload,
}

/// Connected devices.
pub(crate) struct Field {
    system: Arc<System>,
    links: HashMap<usize, Link>,
    reading: HashMap<usize, Reading>,
}

impl Field {
    /// Joins these devices.
    ///
    /// # Errors
    /// When one cannot join.
    pub(crate) async fn join(
        system: &Arc<System>,
        devices: impl IntoIterator<Item = usize>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let devices: Vec<_> = devices.into_iter().collect();
        let count = devices.len();
        let joining = devices.into_iter().enumerate().map(|(done, device)| async move {
            progress.step("connecting", done, count);
            let link = system.join_insistently(device, From::Head).await.context("joining")?;
            anyhow::Ok((device, link))
        });
        let links = stream::iter(joining).buffer_unordered(RAW_ENROLLING_MAX).try_collect().await?;
        Ok(Self { system: Arc::clone(system), links, reading: HashMap::new() })
    }

    /// Lets a device read otherwise than at once.
    pub(crate) fn read(&mut self, device: usize, reading: Reading) {
        self.reading.insert(device, reading);
    }

    /// Plays the load and waits until everything has arrived.
    ///
    /// # Errors
    /// When a system refuses a message or closes a connection; what merely does not arrive is counted.
    pub(crate) async fn play(
        self,
        streams: &[Stream],
        load: &Load,
        clock: Clock,
        progress: &Progress,
    ) -> anyhow::Result<Outcome> {
        let counters = Arc::new(Counters::new(streams, load));
        let (over, is_over) = watch::channel(false);
        let (mut senders, mut ears) = (HashMap::new(), JoinSet::new());
        let sending: HashSet<usize> = streams.iter().map(|stream| stream.sender).collect();
        let began_us = clock.now_us();
        for (device, link) in self.links {
            let (sender, commands) = mpsc::channel(if sending.contains(&device) { COMMANDS_MAX } else { 1 });
            if sending.contains(&device) {
                senders.insert(device, sender);
            }
            let ear = Ear {
                device,
                bytes: load.bytes,
                reading: self.reading.get(&device).copied().unwrap_or_default(),
                began_us,
                clock,
                system: Arc::clone(&self.system),
                counters: Arc::clone(&counters),
                over: is_over.clone(),
            };
            ears.spawn(ear.listen(link, commands));
        }
        let pacing = pace::send(streams, load, senders, Arc::clone(&counters), clock, progress);
        let sent = watched(pacing, &mut ears).await?;
        let arrived = arrive(&counters, &sent, progress);
        watched(arrived, &mut ears).await?;
        over.send_replace(true);
        let mut outcome = counters.outcome(&sent, began_us);
        while let Some(ear) = ears.join_next().await {
            let heard = ear.context("a listener ended early")??;
            outcome.tally.duplicated += heard.duplicated;
            outcome.tally.out_of_order += heard.out_of_order;
            outcome.returned += heard.returned;
        }
        Ok(outcome)
    }
}

/// Waits for a part of the load, unless a device ends before.
async fn watched<T>(
    part: impl Future<Output = anyhow::Result<T>>,
    ears: &mut JoinSet<anyhow::Result<ear::Verdict>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = part => done,
        Some(ended) = ears.join_next() => {
            ended.context("a device ended early")??;
            bail!("a device ended before the load was over")
        }
    }
}

/// Waits until everything that was sent is accepted and heard; what is not then is lost.
async fn arrive(counters: &Counters, sent: &[u32], progress: &Progress) -> anyhow::Result<()> {
    let waiting = async {
        while !counters.have_all(sent) {
            progress.show(|| format!("waiting for deliveries: {}", counters.delivered()));
            // Arrivals carry their own times; this only decides when to stop looking.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // What is missing after so long shows in the count.
    let _ = tokio::time::timeout(ARRIVAL_PATIENCE + Duration::from_secs(1), waiting).await;
    Ok(())
}
