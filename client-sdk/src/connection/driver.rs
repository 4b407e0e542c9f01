//! The task that owns the connection: it feeds [`super::state`], dials, reads and writes.
//!
//! [`crate::client`] spawns [`run`] once per client and talks to it through channels. It promises, towards
//! the core: each `Connected` is followed by exactly one `Disconnected`, every frame of a connection lies
//! between the two, and what the core says about the loss ([`Outgoing::HangUp`]) decides about the next
//! attempt, even if the hub had closed first.

use std::time::Duration;

use cercle_proto::{id::TimestampMs, v1};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    limits::{OUTBOUND_FRAMES_MAX, SILENCE_MAX},
    state::{Action, Event, Machine, Retry, Status},
    trust::TlsTrust,
    ws::{self, DialError, EndError},
};

/// What the core hears from the connection, in order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are frames, and each is moved once")]
pub(crate) enum Incoming {
    /// A connection is open; frames for it go into this channel.
    Connected(mpsc::Sender<Outgoing>),
    /// A frame from the hub.
    Frame(v1::ServerFrame),
    /// The connection is gone.
    Disconnected,
}

/// What the core hands to an open connection, in order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A frame for the hub.
    Frame(Box<v1::ClientFrame>),
    /// End the connection after what was sent so far.
    HangUp(Retry),
}

/// What the client asks of the driver.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// Be connected to this hub.
    Connect(Target),
    /// Be connected to none.
    Disconnect,
}

/// Where to connect and what to believe there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    /// What its certificate must lead to.
    pub(crate) trust: TlsTrust,
}

/// Why the last attempt or connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Name look-up, TCP, TLS or the connection itself failed.
    Unreachable,
    /// The certificate does not lead to the pinned root: another hub, or somebody in between.
    Untrusted,
    /// What answers there speaks another protocol.
    NotAHub,
}

/// The connection as the client shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What may be expected.
    pub status: Status,
    /// Why the last attempt or connection ended, if one has since the last success.
    pub failure: Option<Failure>,
}

/// What the driver needs from outside: the shell's clock and randomness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: fn() -> TimestampMs,
    /// An evenly distributed number.
    pub(crate) random: fn() -> u64,
}

/// The driver's ends of its channels.
pub(crate) struct Channels {
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) core: mpsc::Sender<Incoming>,
    pub(crate) link: watch::Sender<Link>,
}

/// How a connection or attempt ended.
enum End {
    Lost(Retry, Option<Failure>),
    Wish(Wish),
    /// The client is gone.
    Closed,
}

/// Runs until the client is gone.
pub(crate) async fn run(mut channels: Channels, surroundings: Surroundings) {
    let mut driver = Driver { machine: Machine::default(), target: None, failure: None, surroundings };
    loop {
        driver.publish(&channels.link);
        let wait_ms = driver.machine.wake_at().map(|at| at.saturating_sub((surroundings.now_ms)()));
        let end = match (driver.machine.status(), &driver.target) {
            (Status::Connecting, Some(target)) => {
                let target = target.clone();
                let dialled = Box::pin(ws::dial(&target.address, target.trust));
                tokio::select! {
                    biased;
                    wish = channels.wishes.recv() => wish.map_or(End::Closed, End::Wish),
                    dialled = dialled => match dialled {
                        Ok((sender, receiver)) => {
                            driver.opened(&channels.link);
                            Box::pin(session(&mut channels, sender, receiver)).await
                        }
                        Err(error) => lost_before(&error),
                    },
                }
            }
            _ => tokio::select! {
                biased;
                wish = channels.wishes.recv() => wish.map_or(End::Closed, End::Wish),
                () = sleep(Duration::from_millis(wait_ms.unwrap_or(0))), if wait_ms.is_some() => {
                    driver.step(Event::Tick);
                    continue;
                }
            },
        };
        match end {
            End::Lost(retry, failure) => {
                driver.failure = failure;
                driver.step(Event::Lost(retry));
            }
            End::Wish(wish) => driver.wish(wish),
            End::Closed => return,
        }
    }
}

struct Driver {
    machine: Machine,
    target: Option<Target>,
    failure: Option<Failure>,
    surroundings: Surroundings,
}

impl Driver {
    /// The machine's actions are followed by looking at its status: connecting means dial, and whatever ran
    /// before this step has ended.
    fn step(&mut self, event: Event) -> Option<Action> {
        self.machine.on(event, (self.surroundings.now_ms)(), (self.surroundings.random)())
    }

    fn opened(&mut self, link: &watch::Sender<Link>) {
        self.failure = None;
        self.step(Event::Opened);
        self.publish(link);
    }

    fn wish(&mut self, wish: Wish) {
        self.step(Event::Unwanted);
        self.failure = None;
        if let Wish::Connect(target) = wish {
            self.target = Some(target);
            self.step(Event::Wanted);
        }
    }

    fn publish(&self, link: &watch::Sender<Link>) {
        link.send_replace(Link { status: self.machine.status(), failure: self.failure });
    }
}

fn lost_before(error: &DialError) -> End {
    tracing::debug!(%error, "no connection");
    let failure = match error {
        DialError::Unreachable(_) => Failure::Unreachable,
        DialError::Untrusted(_) => Failure::Untrusted,
        DialError::NotAHub(_) | DialError::Address => Failure::NotAHub,
    };
    End::Lost(Retry::Backoff, Some(failure))
}

/// One connection, from `Connected` to `Disconnected`.
async fn session(channels: &mut Channels, mut sender: ws::Sender, mut receiver: ws::Receiver) -> End {
    let (out, mut outgoing) = mpsc::channel(OUTBOUND_FRAMES_MAX);
    if channels.core.send(Incoming::Connected(out)).await.is_err() {
        return End::Closed;
    }
    // The two directions are separate futures, so that a hub that does not read and a core that is busy
    // never wait for each other through this task.
    let end = tokio::select! {
        biased;
        wish = channels.wishes.recv() => wish.map_or(End::Closed, End::Wish),
        retry = write(&mut sender, &mut outgoing) => retry,
        retry = read(&mut receiver, &channels.core) => retry,
    };
    sender.close().await;
    if channels.core.send(Incoming::Disconnected).await.is_err() {
        return End::Closed;
    }
    let End::Lost(Retry::Backoff, failure) = end else { return end };
    // The core may still be reading what the hub sent last, and that may say how to go on. It drops its end
    // of the channel when it reads `Disconnected`.
    while let Some(last) = outgoing.recv().await {
        if let Outgoing::HangUp(retry) = last {
            return End::Lost(retry, failure);
        }
    }
    End::Lost(Retry::Backoff, failure)
}

async fn write(sender: &mut ws::Sender, outgoing: &mut mpsc::Receiver<Outgoing>) -> End {
    while let Some(first) = outgoing.recv().await {
        let mut next = Some(first);
        // Everything that waits goes out with one flush.
        while let Some(item) = next {
            match item {
                Outgoing::Frame(frame) => {
                    if let Err(error) = sender.feed(&frame).await {
                        return lost_after(&error);
                    }
                }
                Outgoing::HangUp(retry) => {
                    let _ = sender.flush().await;
                    return End::Lost(retry, None);
                }
            }
            next = outgoing.try_recv().ok();
        }
        if let Err(error) = sender.flush().await {
            return lost_after(&error);
        }
    }
    End::Closed
}

async fn read(receiver: &mut ws::Receiver, core: &mpsc::Sender<Incoming>) -> End {
    loop {
        let frame = match receiver.next(SILENCE_MAX).await {
            Ok(frame) => frame,
            Err(error) => return lost_after(&error),
        };
        if core.send(Incoming::Frame(frame)).await.is_err() {
            return End::Closed;
        }
    }
}

fn lost_after(error: &EndError) -> End {
    tracing::debug!(%error, "connection lost");
    End::Lost(Retry::Backoff, Some(Failure::Unreachable))
}
