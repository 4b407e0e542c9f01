//! When messages are due.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    sync::mpsc::Sender,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{Command, Load, Stream, counter::Counters};
use crate::{clock::Clock, limits::ARRIVAL_PATIENCE, progress::Progress, raw::payload::Payload};

/// When messages are due.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// At fixed intervals, the streams in turn (open loop): messages per second over all streams.
    Fixed { rate: f64 },
    /// At random intervals as independent people write (open loop): messages per second over all streams.
    Poisson { rate: f64, seed: u64 },
    /// As fast as the slowest listener of a stream takes them: how many messages it may be behind.
    Delivered { window: u32 },
    /// As fast as they are accepted: how many of a stream may be on their way.
    Accepted { window: u32 },
}

/// Sends the load; returns how many messages of each stream that were.
pub(super) async fn send(
    streams: &[Stream],
    load: &Load,
    senders: HashMap<usize, Sender<Command>>,
    counters: Arc<Counters>,
    clock: Clock,
    progress: &Progress,
) -> anyhow::Result<Vec<u32>> {
    match load.pace {
        Pace::Fixed { .. } | Pace::Poisson { .. } => {
            let (streams, load, progress) = (streams.to_vec(), *load, progress.clone());
            // A thread of its own: the runtime's timers are a millisecond coarse.
            spawn_blocking(move || open_loop(&streams, &load, &senders, clock, &progress)).await?
        }
        Pace::Delivered { .. } | Pace::Accepted { .. } => {
            let mut sending = JoinSet::new();
            for (number, stream) in streams.iter().enumerate() {
                let sender = senders.get(&stream.sender).context("a sender is not joined")?.clone();
                let closed = Closed { number, stream: *stream, load: *load, clock };
                sending.spawn(closed.send(sender, Arc::clone(&counters), progress.clone()));
            }
            let mut sent = vec![0; streams.len()];
            while let Some(done) = sending.join_next().await {
                let (number, count) = done.context("a sender ended early")??;
                sent[number] = count;
            }
            Ok(sent)
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
fn open_loop(
    streams: &[Stream],
    load: &Load,
    senders: &HashMap<usize, Sender<Command>>,
    clock: Clock,
    progress: &Progress,
) -> anyhow::Result<Vec<u32>> {
    let mut sent = vec![0; streams.len()];
    let (mut dice, mut due_s, mut turn) = (Dice::of(load.pace), 0.0, 0_u64);
    let began_us = clock.now_us();
    while due_s < load.seconds && !progress.is_stopped() {
        let stream = dice.stream(turn, streams.len());
        turn += 1;
        let due_us = began_us + (due_s * 1e6) as u64;
        due_s += dice.pause_s();
        if sent[stream] >= load.messages_max {
            if sent.iter().all(|sent| *sent >= load.messages_max) {
                break;
            }
            continue;
        }
        let wait_us = due_us.saturating_sub(clock.now_us());
        if wait_us > 0 {
            std::thread::sleep(Duration::from_micros(wait_us));
        }
        sent[stream] += 1;
        let Stream { group, sender, .. } = streams[stream];
        let payload = Payload { due_us, stream: stream as u32, number: sent[stream] };
        let sender = senders.get(&sender).context("a sender is not joined")?;
        sender.blocking_send(Command { group, payload }).ok().context("a sender ended early")?;
        progress.show(|| format!("sending: {turn} messages"));
    }
    Ok(sent)
}

/// A stream that waits for its listeners or for the system.
struct Closed {
    number: usize,
    stream: Stream,
    load: Load,
    clock: Clock,
}

impl Closed {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
    async fn send(
        self,
        sender: Sender<Command>,
        counters: Arc<Counters>,
        progress: Progress,
    ) -> anyhow::Result<(usize, u32)> {
        let ends_us = self.clock.now_us() + (self.load.seconds * 1e6) as u64;
        let mut count = 0;
        while self.clock.now_us() < ends_us && count < self.load.messages_max && !progress.is_stopped() {
            let behind = |window: u32| u64::from((count + 1_u32).saturating_sub(window));
            let room = async {
                match self.load.pace {
                    Pace::Delivered { window } => counters.complete(self.number, behind(window)).await,
                    Pace::Accepted { window } => counters.accepted(self.number, behind(window)).await,
                    Pace::Fixed { .. } | Pace::Poisson { .. } => {}
                }
            };
            // What never arrives is counted as lost.
            if timeout(ARRIVAL_PATIENCE, room).await.is_err() {
                break;
            }
            count += 1;
            let stream = u32::try_from(self.number)?;
            let payload = Payload { due_us: self.clock.now_us(), stream, number: count };
            let command = Command { group: self.stream.group, payload };
            sender.send(command).await.ok().context("a sender ended early")?;
            progress.show(|| format!("sending: {count} messages of one sender"));
        }
        Ok((self.number, count))
    }
}

/// Chooses streams and pauses; the same seed gives the same run.
enum Dice {
    Even { pause_s: f64 },
    Random { pause_s: f64, state: u64 },
}

impl Dice {
    fn of(pace: Pace) -> Self {
        match pace {
            Pace::Fixed { rate } => Self::Even { pause_s: 1.0 / rate },
            Pace::Poisson { rate, seed } => Self::Random { pause_s: 1.0 / rate, state: seed },
            Pace::Delivered { .. } | Pace::Accepted { .. } => Self::Even { pause_s: f64::INFINITY },
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of streams")]
    fn stream(&mut self, turn: u64, streams: usize) -> usize {
        let number = match self {
            Self::Even { .. } => turn,
            Self::Random { state, .. } => next(state),
        };
        (number % streams.max(1) as u64) as usize
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough of a random number")]
    fn pause_s(&mut self) -> f64 {
        match self {
            Self::Even { pause_s } => *pause_s,
            Self::Random { pause_s, state } => {
                let uniform = (next(state) >> 11) as f64 / (1_u64 << 53) as f64;
                -(1.0 - uniform).ln() * *pause_s
            }
        }
    }
}

/// The generator `SplitMix64`: small, and good enough to choose who writes next.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_pauses_have_the_mean_that_was_asked_for() {
        let mut dice = Dice::of(Pace::Poisson { rate: 100.0, seed: 7 });
        let sum: f64 = (0..10_000).map(|_| dice.pause_s()).sum();
        assert!((80.0..120.0).contains(&sum), "{sum}");
    }
}
