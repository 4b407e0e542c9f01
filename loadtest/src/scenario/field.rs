//! Raw members of some groups on one hub, ours or the reference, and one load that they all take part in.
//!
//! In each group the first member sends, the others listen. Messages are numbered from 1, so that a listener
//! sees what is missing, doubled or out of order.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use cercle_proto::{
    id::{Epoch, GroupId, MessageId, Seq},
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::client::now_ms;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    arguments::FanOut,
    clock::Clock,
    latency::Latency,
    limits::{ARRIVAL_PATIENCE, RAW_ENROLLING_MAX},
    raw::{
        crowd::RawDevice,
        payload::{self, Payload},
        session::Session,
        wire::{Address, Socket},
    },
    verdict::Tally,
};

/// What is sent in every group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Messages per second in one group; `None`: as fast as the slowest listener takes them.
    rate: Option<f64>,
    /// Messages that the slowest listener may be behind, at saturation.
    window: u64,
    /// How long, seconds.
    pub(super) seconds: f64,
    /// Bytes of a message.
    bytes: usize,
}

/// What came of a load.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) latency: Latency,
    /// From the first message to the last delivery, seconds.
    pub(super) seconds: f64,
}

/// Connected members, one list for each group, the sender first.
pub(super) struct Field(Vec<Vec<Link>>);

/// A member's connection.
enum Link {
    Hub { session: Box<Session>, group: GroupId, epoch: Epoch, accepted: u64, refused: Option<u32> },
    Reference(Box<Socket>),
}

/// What the listeners of a group wait for.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// The sender still sends.
    Unknown,
    /// It sent this many.
    Messages(u64),
    /// Whatever is missing is lost.
    Over,
}

/// How far the listeners of one group are.
#[derive(Default)]
struct Progress {
    /// One counter for each listener: how many messages it has.
    received: Vec<AtomicU64>,
    moved: Notify,
}

impl Load {
    pub(super) fn of(options: &FanOut, saturate: bool) -> Self {
        let listeners = f64::from(options.members) * f64::from(options.groups);
        Self {
            rate: (!saturate).then_some(options.rate / listeners),
            window: u64::from(options.window),
            seconds: options.seconds,
            bytes: options.bytes,
        }
    }
}

impl Field {
    /// Opens a session for each device and subscribes it to its group.
    pub(super) async fn of_hub(
        address: &Address,
        devices: &[RawDevice],
        groups: &[GroupId],
        per_group: usize,
    ) -> anyhow::Result<Self> {
        let mut field = Vec::new();
        for (group, devices) in groups.iter().zip(devices.chunks(per_group)) {
            let opening = devices.iter().map(|device| Link::open(address, device, *group));
            field.push(stream::iter(opening).buffered(RAW_ENROLLING_MAX).try_collect().await?);
        }
        Ok(Self(field))
    }

    /// Connects as many members to the reference hub.
    pub(super) async fn of_reference(
        address: &Address,
        groups: u32,
        per_group: usize,
    ) -> anyhow::Result<Self> {
        let mut field = Vec::new();
        for group in 0..groups {
            let opening = (0..per_group).map(|_| async move {
                let mut socket = address.dial().await?;
                socket.send(Bytes::copy_from_slice(&group.to_be_bytes())).await?;
                socket.next().await.context("the reference hub closed")?;
                Ok::<_, anyhow::Error>(Link::Reference(Box::new(socket)))
            });
            field.push(stream::iter(opening).buffered(RAW_ENROLLING_MAX).try_collect().await?);
        }
        Ok(Self(field))
    }

    /// Plays the load and waits until everything has arrived.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    pub(super) async fn play(self, load: &Load, clock: Clock) -> anyhow::Result<Outcome> {
        let began_us = clock.now_us();
        let mut groups = JoinSet::new();
        for links in self.0 {
            groups.spawn(play_group(links, *load, clock));
        }
        let (mut tally, mut latency) = (Tally::default(), Latency::default());
        while let Some(played) = groups.join_next().await {
            let (counted, heard) = played.context("a group ended early")??;
            tally.add(&counted);
            latency.add(&heard);
        }
        let seconds = clock.now_us().saturating_sub(began_us) as f64 / 1e6;
        Ok(Outcome { tally, latency, seconds })
    }
}

async fn play_group(mut links: Vec<Link>, load: Load, clock: Clock) -> anyhow::Result<(Tally, Latency)> {
    let mut sender = links.remove(0);
    let received = links.iter().map(|_| AtomicU64::new(0)).collect();
    let progress = Arc::new(Progress { received, moved: Notify::new() });
    let (announce, goal) = watch::channel(Goal::Unknown);
    let listeners = u64::try_from(links.len())?;
    let mut ears = JoinSet::new();
    for (place, link) in links.into_iter().enumerate() {
        ears.spawn(listen(link, place, Arc::clone(&progress), goal.clone(), clock));
    }
    let sent = send(&mut sender, load, &progress, clock).await?;
    announce.send_replace(Goal::Messages(sent));
    // What has not arrived then is lost; the listeners tell how far they came.
    let _ = timeout(ARRIVAL_PATIENCE, progress.all_have(sent)).await;
    announce.send_replace(Goal::Over);
    let accepted = sender.accepted(sent).await?;
    let mut tally = Tally { sent, accepted, expected: sent * listeners, ..Tally::default() };
    let mut latency = Latency::default();
    while let Some(ear) = ears.join_next().await {
        let heard = ear.context("a listener ended early")??;
        tally.delivered += heard.received;
        tally.duplicated += heard.duplicated;
        tally.out_of_order += heard.out_of_order;
        latency.add(&heard.latency);
    }
    tally.lost = tally.expected.saturating_sub(tally.delivered) + (sent - accepted);
    Ok((tally, latency))
}

/// Sends the load; returns how many messages that were.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times and counts of a run")]
#[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
async fn send(link: &mut Link, load: Load, progress: &Progress, clock: Clock) -> anyhow::Result<u64> {
    let began_us = clock.now_us();
    let ends_us = began_us + (load.seconds * 1e6) as u64;
    let mut number = 0;
    loop {
        let due_us = match load.rate {
            Some(rate) => began_us + (number as f64 / rate * 1e6) as u64,
            None => clock.now_us(),
        };
        if due_us >= ends_us {
            return Ok(number);
        }
        if load.rate.is_some() {
            clock.until(due_us).await;
        } else {
            progress.all_have((number + 1).saturating_sub(load.window)).await;
        }
        number += 1;
        link.post(Payload { due_us, number }, load.bytes).await?;
    }
}

/// What a listener heard.
#[derive(Default)]
struct Heard {
    received: u64,
    newest: u64,
    duplicated: u64,
    out_of_order: u64,
    latency: Latency,
}

impl Heard {
    fn take(&mut self, payload: Payload, now_us: u64) {
        match payload.number.cmp(&(self.newest + 1)) {
            std::cmp::Ordering::Less => {
                self.duplicated += 1;
                return;
            }
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.out_of_order += 1,
        }
        self.newest = payload.number;
        self.received += 1;
        self.latency.record(now_us.saturating_sub(payload.due_us));
    }
}

async fn listen(
    mut link: Link,
    place: usize,
    progress: Arc<Progress>,
    mut goal: watch::Receiver<Goal>,
    clock: Clock,
) -> anyhow::Result<Heard> {
    let (mut heard, mut payloads) = (Heard::default(), Vec::new());
    loop {
        let state = *goal.borrow_and_update();
        let done = match state {
            Goal::Unknown => false,
            Goal::Messages(count) => heard.received >= count,
            Goal::Over => true,
        };
        if done {
            return Ok(heard);
        }
        tokio::select! {
            open = link.hear(&mut payloads) => {
                if !open? {
                    bail!("the hub closed a listener");
                }
                let now_us = clock.now_us();
                payloads.drain(..).for_each(|payload| heard.take(payload, now_us));
                progress.received[place].store(heard.received, Ordering::Release);
                progress.moved.notify_one();
            }
            _ = goal.changed() => {}
        }
    }
}

impl Progress {
    /// Waits until every listener has this many messages.
    async fn all_have(&self, count: u64) {
        while self.received.iter().any(|received| received.load(Ordering::Acquire) < count) {
            self.moved.notified().await;
        }
    }
}

impl Link {
    async fn open(address: &Address, device: &RawDevice, group: GroupId) -> anyhow::Result<Self> {
        let mut session = Session::open(address, &device.keys).await?;
        let Answer::Groups(list) = session.ask(Request::ListGroups(v1::ListGroups {})).await? else {
            bail!("the hub lists no groups");
        };
        let state = list.groups.iter().find(|state| state.group == group.to_bytes());
        let state = state.context("a device is not in its group")?;
        let from: Seq = state.head;
        session.subscribe(&[(group, from)]).await?;
        loop {
            let frame = session.next().await?.context("the hub closed")?;
            if matches!(frame.body, Some(Answer::CatchupComplete(_))) {
                break;
            }
        }
        Ok(Self::Hub { session: Box::new(session), group, epoch: state.epoch, accepted: 0, refused: None })
    }

    /// Sends one message; answers of the hub are read meanwhile, so that neither side waits for the other.
    async fn post(&mut self, payload: Payload, length: usize) -> anyhow::Result<()> {
        let bytes = payload.to_bytes(length);
        match self {
            Self::Reference(socket) => socket.send(bytes.into()).await,
            Self::Hub { session, group, epoch, .. } => {
                let mut random = [0; 10];
                random[2..].copy_from_slice(&payload.number.to_be_bytes());
                let send = v1::SendApplication {
                    group: group.to_bytes(),
                    message_id: MessageId::from_time(now_ms(), &random).to_bytes(),
                    mls: payload::private_message(*group, *epoch, &bytes).into(),
                    blobs: Vec::new(),
                };
                session.tell(Request::SendApplication(send)).await?;
                self.settle(false).await?;
                match self {
                    Self::Hub { refused: Some(code), .. } => bail!("the hub refused a message ({code})"),
                    _ => Ok(()),
                }
            }
        }
    }

    /// How many messages the hub has accepted, once it has answered `sent`.
    async fn accepted(&mut self, sent: u64) -> anyhow::Result<u64> {
        while matches!(self, Self::Hub { accepted, refused: None, .. } if *accepted < sent) {
            self.settle(true).await?;
        }
        match self {
            Self::Reference(_) => Ok(sent),
            Self::Hub { refused: Some(code), .. } => bail!("the hub refused a message ({code})"),
            Self::Hub { accepted, .. } => Ok(*accepted),
        }
    }

    /// Reads answers: those that are there, or at least one.
    async fn settle(&mut self, wait: bool) -> anyhow::Result<()> {
        let Self::Hub { session, accepted, refused, group, .. } = self else { return Ok(()) };
        let mut wait = wait;
        loop {
            let next = session.next();
            let frame = if wait { Some(next.await?) } else { next.now_or_never().transpose()? };
            wait = false;
            match frame {
                None => return Ok(()),
                Some(None) => bail!("the hub closed the sender"),
                Some(Some(frame)) => match frame.body {
                    Some(Answer::Accepted(_)) => *accepted += 1,
                    Some(Answer::Error(error)) => *refused = Some(error.code),
                    // Its own messages, without content.
                    Some(Answer::Entries(entries)) => {
                        let seq = entries.entries.last().map_or(0, |entry| entry.seq);
                        session.tell(acknowledgement(*group, seq)).await?;
                    }
                    _ => {}
                },
            }
        }
    }

    /// Waits for messages and acknowledges them, as every device does; false when the hub has closed.
    async fn hear(&mut self, payloads: &mut Vec<Payload>) -> anyhow::Result<bool> {
        match self {
            Self::Reference(socket) => {
                let Some(bytes) = socket.next().await else { return Ok(false) };
                payloads.extend(Payload::parse(&bytes));
            }
            Self::Hub { session, group, .. } => {
                let Some(frame) = session.next().await? else { return Ok(false) };
                if let Some(Answer::Entries(entries)) = frame.body {
                    let read = entries.entries.iter().filter_map(|entry| payload::payload_of(&entry.mls));
                    payloads.extend(read);
                    if let Some(last) = entries.entries.last() {
                        session.tell(acknowledgement(*group, last.seq)).await?;
                    }
                }
            }
        }
        Ok(true)
    }
}

fn acknowledgement(group: GroupId, seq: Seq) -> Request {
    Request::Ack(v1::Ack { groups: vec![v1::Cursor { group: group.to_bytes(), seq }], inbox: 0 })
}
