//! What all devices of a field count together.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::{Load, Outcome, Pace, Stream};
use crate::{latency::Latency, raw::payload::Payload, verdict::Tally};

/// Counters of a load.
pub(super) struct Counters {
    streams: Vec<Counter>,
    last_us: AtomicU64,
    delivered: AtomicU64,
    accepting: Mutex<Latency>,
    delivering: Mutex<Latency>,
    slow: Mutex<Latency>,
}

/// Counters of one stream.
struct Counter {
    listeners: u32,
    accepted: AtomicU64,
    delivered: AtomicU64,
    /// Messages that every listener has; only counted where the pace asks for it.
    complete: AtomicU64,
    /// How many listeners have each message on its way, by its number modulo the length.
    ring: Vec<AtomicU32>,
    moved: Notify,
}

impl Counters {
    pub(super) fn new(streams: &[Stream], load: &Load) -> Self {
        let length = match load.pace {
            Pace::Delivered { window } => window as usize + 1,
            Pace::Fixed { .. } | Pace::Poisson { .. } | Pace::Accepted { .. } => 0,
        };
        let counter = |stream: &Stream| Counter {
            listeners: u32::try_from(stream.listeners).expect("fewer devices than that"),
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            ring: (0..length).map(|_| AtomicU32::new(0)).collect(),
            moved: Notify::new(),
        };
        Self {
            streams: streams.iter().map(counter).collect(),
            last_us: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            accepting: Mutex::default(),
            delivering: Mutex::default(),
            slow: Mutex::default(),
        }
    }

    /// Own messages that the system has accepted.
    pub(super) fn accept(&self, payloads: &[Payload], now_us: u64) {
        if payloads.is_empty() {
            return;
        }
        let mut accepting = lock(&self.accepting);
        for payload in payloads {
            accepting.record(now_us.saturating_sub(payload.due_us));
            let Some(counter) = self.streams.get(payload.stream as usize) else { continue };
            counter.accepted.fetch_add(1, Ordering::AcqRel);
            counter.moved.notify_one();
        }
        self.last_us.fetch_max(now_us, Ordering::AcqRel);
    }

    /// Messages that a listener has, each for the first time.
    pub(super) fn deliver(&self, payloads: &[Payload], now_us: u64, slowly: bool) {
        if payloads.is_empty() {
            return;
        }
        let mut latency = lock(if slowly { &self.slow } else { &self.delivering });
        for payload in payloads {
            latency.record(now_us.saturating_sub(payload.due_us));
            let Some(counter) = self.streams.get(payload.stream as usize) else { continue };
            counter.deliver(payload.number);
        }
        self.delivered.fetch_add(payloads.len() as u64, Ordering::AcqRel);
        self.last_us.fetch_max(now_us, Ordering::AcqRel);
    }

    /// Waits until so many messages of a stream have reached every listener.
    pub(super) async fn complete(&self, stream: usize, count: u64) {
        let counter = &self.streams[stream];
        while counter.complete.load(Ordering::Acquire) < count {
            counter.moved.notified().await;
        }
    }

    /// Waits until so many messages of a stream are accepted.
    pub(super) async fn accepted(&self, stream: usize, count: u64) {
        let counter = &self.streams[stream];
        while counter.accepted.load(Ordering::Acquire) < count {
            counter.moved.notified().await;
        }
    }

    /// Deliveries up to now.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    /// Whether everything that was sent is accepted and heard.
    pub(super) fn have_all(&self, sent: &[u32]) -> bool {
        self.streams.iter().zip(sent).all(|(counter, sent)| {
            let expected = u64::from(*sent) * u64::from(counter.listeners);
            counter.accepted.load(Ordering::Acquire) >= u64::from(*sent)
                && counter.delivered.load(Ordering::Acquire) >= expected
        })
    }

    /// What was counted, without what only the listeners know.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    pub(super) fn outcome(&self, sent: &[u32], began_us: u64) -> Outcome {
        let mut tally = Tally::default();
        for (counter, sent) in self.streams.iter().zip(sent) {
            let accepted = counter.accepted.load(Ordering::Acquire);
            let delivered = counter.delivered.load(Ordering::Acquire);
            let expected = u64::from(*sent) * u64::from(counter.listeners);
            tally.add(&Tally {
                sent: u64::from(*sent),
                accepted,
                expected,
                delivered,
                lost: expected.saturating_sub(delivered) + u64::from(*sent).saturating_sub(accepted),
                ..Tally::default()
            });
        }
        let seconds = self.last_us.load(Ordering::Acquire).saturating_sub(began_us) as f64 / 1e6;
        let taken = |latency: &Mutex<Latency>| lock(latency).clone();
        Outcome {
            tally,
            accepting: taken(&self.accepting),
            delivering: taken(&self.delivering),
            slow: taken(&self.slow),
            seconds,
            returned: 0,
        }
    }
}

impl Counter {
    fn deliver(&self, number: u32) {
        self.delivered.fetch_add(1, Ordering::AcqRel);
        if self.ring.is_empty() {
            return;
        }
        let place = &self.ring[number as usize % self.ring.len()];
        if place.fetch_add(1, Ordering::AcqRel) + 1 == self.listeners {
            place.store(0, Ordering::Release);
            self.complete.fetch_max(u64::from(number), Ordering::AcqRel);
            self.moved.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
