//! Drives one session over its transport: the only place where frames, services, time and wake-ups of a
//! connection meet.
//!
//! Spawned by the transport for each connection. It waits for one thing, then makes at most one turn of reading,
//! then one flush: many entries go out in one write. Whatever happens, the connection ends once and leaves the
//! registry by the drop of its [`crate::fanout::Registration`].
//!
//! Its state is the memory of an idle connection, so what is rare is boxed where it is awaited; and its wait is
//! the cost of every delivery, so nothing that all connections share is touched there.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::{ErrorCode, frame, id::DeviceId, signing::NONCE_BYTES};
use cercle_storage::store::Store;
use futures_util::{SinkExt, StreamExt};
use ring::rand::SecureRandom;
use tokio::time::{Instant, error::Elapsed, timeout};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use super::{
    Action, Event, Session, Timing,
    aborts::Aborts,
    alarm::Alarm,
    link::{Inbound, Link, LinkError},
    reading::Reading,
    requests::{Finished, Purpose, Requests},
};
use crate::{
    auth::{Identity, Returning},
    dispatch::{
        Dispatch,
        reply::{self, Reply},
        request::{self, Enrol, Recover},
    },
    error::Refusal,
    fanout::bell::{Bell, Ear},
    limits,
    telemetry::Metrics,
    transport::rate::DeviceRates,
};

/// What every session of a hub shares. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Requests go here.
    pub dispatch: Dispatch,
    /// Entries are read from here.
    pub store: Arc<dyn Store>,
    /// Timing of every session.
    pub timing: Timing,
    /// Requests per device.
    pub rates: Arc<DeviceRates>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Sessions say goodbye when this is cancelled.
    pub shutdown: CancellationToken,
    /// Connections that are stopped at once when the drain took too long.
    pub aborts: Aborts,
    /// Owns the tasks of sessions and requests.
    pub tracker: TaskTracker,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("timing", &self.timing).finish_non_exhaustive()
    }
}

/// Runs a connection until it ends. `refused` ends it with its first frame, before anything is looked at.
pub async fn run<L: Link>(link: L, services: Arc<Services>, refused: Option<Refusal>) {
    services.metrics.session_started(L::NAME);
    services.aborts.run(Actor::new(link, services.clone()).run(refused)).await;
    services.metrics.session_ended(L::NAME);
}

struct Actor<L> {
    link: L,
    services: Arc<Services>,
    session: Session,
    started: Instant,
    alarm: Alarm,
    /// Rung by the mailbox.
    bell: Arc<Bell>,
    /// Hears when the connection has something.
    ear: Ear,
    /// The bell comes second at the next wait, so that a device is heard even while it is told a lot.
    rang_last: bool,
    /// Before authentication; then the mailbox tells.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Number of this connection, in the order in which connections were made.
    connection: u64,
    nonce: [u8; NONCE_BYTES],
    requests: Requests,
    reading: Option<Reading>,
    /// Frames to send with the next write.
    out: Vec<Bytes>,
    /// Length of the frame that is being looked at.
    frame_bytes: usize,
    /// The connection ends after the next write.
    closing: bool,
}

/// What woke the session.
enum Woken {
    Shutdown,
    Rung,
    Inbound(Option<Result<Inbound, LinkError>>),
    Read,
    Tick,
}

impl<L: Link> Actor<L> {
    fn new(link: L, services: Arc<Services>) -> Self {
        let mut nonce = [0; NONCE_BYTES];
        ring::rand::SystemRandom::new().fill(&mut nonce).expect("the operating system has randomness");
        let (session, started) = (Session::new(services.timing), Instant::now());
        let bell = Arc::<Bell>::default();
        Self {
            link,
            alarm: Alarm::new(started + session.wakes_at()),
            session,
            started,
            rang_last: false,
            shutdown: Some(Box::pin(services.shutdown.clone().cancelled_owned())),
            connection: services.dispatch.fanout.next_connection(),
            nonce,
            requests: Requests::new(services.clone()),
            ear: Ear::new(bell.clone()),
            bell,
            reading: None,
            out: Vec::new(),
            frame_bytes: 0,
            closing: false,
            services,
        }
    }

    async fn run(mut self, refused: Option<Refusal>) {
        if let Some(refusal) = refused {
            self.on(Event::Unreadable(refusal)).await;
        }
        loop {
            if !self.write().await {
                return;
            }
            if self.closing {
                break;
            }
            let woken = self.wait().await;
            if matches!(woken, Woken::Inbound(None | Some(Err(LinkError::Closed)))) {
                return;
            }
            self.react(woken).await;
            self.read().await;
        }
        // The registration ends before the goodbye, so that a new session of the device is not kept waiting.
        self.reading = None;
        self.requests.beside(pin!(self.link.finish(limits::GOODBYE))).await;
    }

    /// Waits for the first thing that happens.
    async fn wait(&mut self) -> Woken {
        let wakes_at = self.started + self.session.wakes_at();
        let has_work = self.reading.as_ref().is_some_and(Reading::has_work);
        let woken = poll_fn(|cx| self.poll_wait(wakes_at, has_work, cx)).await;
        self.rang_last = matches!(woken, Woken::Rung);
        woken
    }

    fn poll_wait(&mut self, wakes_at: Instant, has_work: bool, cx: &mut Context<'_>) -> Poll<Woken> {
        if self.shutdown.as_mut().is_some_and(|shutdown| shutdown.as_mut().poll(cx).is_ready()) {
            self.shutdown = None;
            return Poll::Ready(Woken::Shutdown);
        }
        self.bell.listen(cx);
        let finished = self.requests.carry_on(cx);
        if !self.rang_last && (self.bell.has_rung() || finished) {
            return Poll::Ready(Woken::Rung);
        }
        if self.requests.has_room()
            && let Poll::Ready(inbound) = self.ear.poll(|cx| self.link.poll_next_unpin(cx))
        {
            return Poll::Ready(Woken::Inbound(inbound));
        }
        if self.rang_last && (self.bell.has_rung() || finished) {
            return Poll::Ready(Woken::Rung);
        }
        if has_work {
            return Poll::Ready(Woken::Read);
        }
        self.alarm.poll(wakes_at, cx).map(|()| Woken::Tick)
    }

    async fn react(&mut self, woken: Woken) {
        match woken {
            Woken::Shutdown => self.on(Event::End(ErrorCode::ShuttingDown)).await,
            Woken::Rung => {
                for finished in self.requests.finished() {
                    self.finished(finished).await;
                }
                self.look().await;
            }
            Woken::Inbound(Some(Err(LinkError::TooLarge))) => {
                self.on(Event::Unreadable(Refusal::of(ErrorCode::FrameTooLarge))).await;
            }
            Woken::Inbound(Some(Err(LinkError::NotBinary))) => {
                let refusal = Refusal::new(ErrorCode::MalformedFrame, "frames are binary messages");
                self.on(Event::Unreadable(refusal)).await;
            }
            Woken::Inbound(Some(Ok(Inbound::Alive))) => self.on(Event::Alive).await,
            Woken::Inbound(Some(Ok(Inbound::Frame(bytes)))) => self.receive(bytes).await,
            // What ends the connection is seen before this; reading follows in any case.
            Woken::Inbound(None | Some(Err(LinkError::Closed))) | Woken::Read => {}
            Woken::Tick => self.on(Event::Tick).await,
        }
    }

    async fn receive(&mut self, bytes: Bytes) {
        self.frame_bytes = bytes.len();
        let event = match frame::decode_client(bytes) {
            Ok(frame) => {
                let received = request::read(frame);
                let device = self.reading.as_ref().map(|reading| reading.registration().mailbox().device());
                let within_rate = device
                    .filter(|_| !received.is_acknowledgement())
                    .map_or(Ok(()), |device| self.services.rates.check(device));
                Event::Received(received, within_rate)
            }
            Err(error) => Event::Unreadable(error.into()),
        };
        self.on(event).await;
    }

    async fn look(&mut self) {
        let Some(reading) = &mut self.reading else { return };
        if let Some(code) = reading.look(&mut self.out) {
            self.on(Event::End(code)).await;
        }
    }

    async fn finished(&mut self, finished: Finished) {
        let Finished { number, verdict, purpose, .. } = finished;
        match (purpose, &verdict) {
            (Purpose::Renew, Ok(_)) => self.on(Event::Renewed).await,
            (Purpose::Acknowledge, Ok(_)) => return,
            _ => {}
        }
        // Without a number only a refusal is worth a frame.
        if number != 0 || verdict.is_err() {
            self.out.push(reply::frame(number, verdict));
        }
    }

    /// Feeds the state machine and does what it says, and what follows from that.
    async fn on(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.session.on(event, self.started.elapsed()) {
                // At most one action of an event leads to another.
                next = self.act(action).await.or(next);
            }
        }
    }

    async fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Answer(0, Ok(_)) => None,
            Action::Answer(number, verdict) => {
                self.out.push(reply::frame(number, verdict));
                None
            }
            Action::Greet(number) => {
                self.greet(number);
                None
            }
            Action::Ping => {
                self.out.push(reply::ping());
                None
            }
            Action::Enrol(number, enrol) => {
                let verdict = Box::pin(carry_out_enrolment(&self.services, &self.nonce, *enrol)).await;
                Some(Event::Enrolled(number, verdict))
            }
            Action::Recover(number, recover) => {
                let verdict = Box::pin(carry_out_recovery(&self.services, &self.nonce, *recover)).await;
                Some(Event::Enrolled(number, verdict))
            }
            Action::Prove { number, device, proof, certificate } => {
                let (services, nonce) = (&self.services, &self.nonce);
                let verdict = Box::pin(check_proof(services, nonce, device, &proof, &certificate)).await;
                Some(Event::Proved(number, verdict))
            }
            Action::Open(identity) => {
                self.open(&identity);
                None
            }
            Action::Call(number, identity, call) => {
                self.requests.take(number, identity, call, self.frame_bytes);
                None
            }
            Action::Subscribe(number, subscribe) => {
                let reading = self.reading.as_mut()?;
                let subscribed = self.requests.beside(Box::pin(reading.subscribe(subscribe)).as_mut()).await;
                if let Err(refusal) = subscribed {
                    self.out.push(refusal.frame(number));
                }
                None
            }
            Action::Close(last_words) => {
                if let Some(refusal) = last_words {
                    self.services.metrics.session_refused(refusal.code);
                    self.out.push(refusal.frame(0));
                }
                self.closing = true;
                None
            }
        }
    }

    fn greet(&mut self, number: u64) {
        let dispatch = &self.services.dispatch;
        let ping_ms = u32::try_from(self.services.timing.ping_interval.as_millis()).unwrap_or(u32::MAX);
        let (now, domain) = (dispatch.clock.now(), dispatch.auth.domain());
        self.out.push(reply::hello_ok(number, &self.nonce, now, domain, ping_ms));
    }

    fn open(&mut self, identity: &Identity) {
        self.link.trust();
        tracing::debug!(device = ?identity.device, transport = L::NAME, "session opened");
        self.services.dispatch.push.session_opened(identity.device);
        let fanout = &self.services.dispatch.fanout;
        let registration = fanout.register(identity.device, self.connection, self.bell.clone());
        self.shutdown = None;
        let (store, metrics) = (self.services.store.clone(), self.services.metrics.clone());
        let withheld = self.services.dispatch.directory.withheld().clone();
        self.reading = Some(Reading::new(registration, identity.user.clone(), withheld, store, metrics));
    }

    async fn read(&mut self) {
        let Some(reading) = self.reading.as_mut().filter(|reading| !self.closing && reading.has_work())
        else {
            return;
        };
        let read = self.requests.beside(pin!(reading.turn(&mut self.out))).await;
        if let Err(error) = read {
            self.on(Event::Unreadable(error.into())).await;
        }
    }

    /// Sends everything that is due in one write. False: the connection cannot be used any more.
    async fn write(&mut self) -> bool {
        if self.out.is_empty() {
            return true;
        }
        let limit = self.services.timing.write;
        let written = hand_over(&mut self.link, &mut self.out, &mut self.requests, limit).await;
        match written {
            Ok(Ok(())) => {
                self.out.shrink_to(limits::FRAMES_KEPT);
                self.session.on(Event::Sent, self.started.elapsed());
                true
            }
            Ok(Err(_)) => false,
            Err(_) => {
                self.too_slow().await;
                false
            }
        }
    }

    /// The device does not read what it gets. It can hardly be told, but it is tried: the frame may fit into
    /// what the system still buffers.
    async fn too_slow(&mut self) {
        self.services.metrics.session_refused(ErrorCode::ReadTooSlow);
        let goodbye = Refusal::of(ErrorCode::ReadTooSlow).frame(0);
        let _ = timeout(Duration::from_millis(1), self.link.send(goodbye)).await;
    }
}

/// Writes these frames, and watches the time only if they are not taken at once, as they almost always are.
async fn hand_over<L: Link>(
    link: &mut L,
    frames: &mut Vec<Bytes>,
    requests: &mut Requests,
    limit: Duration,
) -> Result<Result<(), LinkError>, Elapsed> {
    let mut write = pin!(async {
        for frame in frames.drain(..) {
            link.feed(frame).await?;
        }
        link.flush().await
    });
    match poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
        Poll::Ready(written) => Ok(written),
        Poll::Pending => timeout(limit, requests.beside(write)).await,
    }
}

async fn carry_out_enrolment(
    services: &Services,
    nonce: &[u8; NONCE_BYTES],
    enrol: Enrol,
) -> Result<Reply, Refusal> {
    let Dispatch { auth, clock, .. } = &services.dispatch;
    let Enrol { secret, device, public_key, proof } = enrol;
    let issued = auth.enrol(nonce, &secret, device, &public_key, &proof, clock.now()).await;
    services.metrics.authentication("enrol", issued.is_ok());
    Ok(Reply::Certificate(issued?))
}

async fn carry_out_recovery(
    services: &Services,
    nonce: &[u8; NONCE_BYTES],
    recover: Recover,
) -> Result<Reply, Refusal> {
    let Dispatch { auth, vaults, clock, .. } = &services.dispatch;
    let recovery_key = vaults.recovery_key(&recover.user).await?;
    let returning = Returning {
        user: &recover.user,
        device: recover.device,
        public_key: &recover.public_key,
        proof: &recover.proof,
        recovery_proof: &recover.recovery_proof,
    };
    let issued = auth.recover(nonce, returning, recovery_key, clock.now()).await;
    services.metrics.authentication("recover", issued.is_ok());
    Ok(Reply::Certificate(issued?))
}

async fn check_proof(
    services: &Services,
    nonce: &[u8; NONCE_BYTES],
    device: DeviceId,
    proof: &[u8],
    certificate: &[u8],
) -> Result<(Reply, Arc<Identity>), Refusal> {
    let Dispatch { auth, clock, .. } = &services.dispatch;
    if !certificate.is_empty() {
        auth.readmit(nonce, device, proof, certificate, clock.now()).await?;
    }
    let session = auth.authenticate(nonce, device, proof, clock.now()).await;
    services.metrics.authentication("session", session.is_ok());
    let session = session?;
    let identity = Arc::new(session.identity.clone());
    Ok((Reply::Authenticated(Box::new(session)), identity))
}
