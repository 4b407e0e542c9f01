//! The thread that owns the core: it feeds it requests, frames and time, and carries out its actions.
//!
//! One per [`Client`](super::Client). It runs its own single-threaded runtime, on which the connection's
//! driver also lives, so that an app needs no particular runtime and the core is never touched by two
//! threads. While frames wait for room in the connection's queue no command is taken, so that whoever
//! writes faster than the network waits; the bounds are in [`super::limits`].

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use cercle_proto::ErrorCode;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    ClientError, ClientOpenError, Session,
    clock::{now_ms, random},
    limits::{BACKLOG_FRAMES_MAX, BATCH_INPUTS_MAX, COMMANDS_MAX},
};
use crate::{
    connection::{
        Link, Retry,
        driver::{self, Channels, Incoming, Outgoing, Surroundings, Target, Wish},
        limits::{CLOSE_TIMEOUT, INBOUND_FRAMES_MAX},
        trust::TlsTrust,
    },
    core::{Action, Command, Core, DisconnectReason, Input, Outcome, Settings, StoreKey},
    error::OpenError,
    event::Event,
    profile::Profile,
};

/// Room for wishes: the newest few matter.
const WISHES_MAX: usize = 4;

/// What a handle asks for.
pub(super) enum Request {
    /// Carry out and answer.
    Command(Command, oneshot::Sender<Result<Outcome, ClientError>>),
    /// Read from the core.
    Query(Box<dyn FnOnce(&mut Core) + Send>),
    /// Be connected; answered when the wish is known to the driver.
    Connect(oneshot::Sender<()>),
    /// Be disconnected.
    Disconnect,
    /// End; answered when the profile is released.
    Close(oneshot::Sender<()>),
}

/// The actor's ends of the client's channels.
pub(super) struct Ends {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) link: watch::Sender<Link>,
    pub(super) session: watch::Sender<SessionState>,
}

/// Where the session stands, and why it will not be opened again, if so.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionState {
    pub(super) session: Session,
    pub(super) stopped: Option<DisconnectReason>,
}

impl Default for SessionState {
    fn default() -> Self {
        Self { session: Session::Offline, stopped: None }
    }
}

/// What the thread holds.
pub(super) struct Actor {
    core: Core,
    requests: mpsc::Receiver<Request>,
    events: broadcast::Sender<Event>,
    session: watch::Sender<SessionState>,
    incoming: mpsc::Receiver<Incoming>,
    wishes: mpsc::Sender<Wish>,
    outgoing: Option<mpsc::Sender<Outgoing>>,
    /// The connection is ending for good; whether the app has asked for another one since.
    ending: Option<Another>,
    backlog: VecDeque<Outgoing>,
    running: HashMap<u64, oneshot::Sender<Result<Outcome, ClientError>>>,
    next_command: u64,
    batch: Vec<Input>,
}

/// Whether another connection is wanted after the one that is ending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Another {
    Wanted,
    No,
}

/// How a request or a word of the connection was served.
enum Served {
    /// Done, or the batch is full: let the core have it.
    Yes,
    /// In the batch, which has room for more.
    Batched,
    /// The client is to be closed; then tell.
    Closing(oneshot::Sender<()>),
}

impl Actor {
    /// The thread's body: opens the store, says how that went, serves until closed.
    pub(super) fn run(
        profile: Profile,
        settings: Settings,
        ends: Ends,
        opened: oneshot::Sender<Result<(), ClientOpenError>>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let parts = runtime
            .map_err(ClientOpenError::Thread)
            .and_then(|runtime| Ok((runtime, open_core(&profile, settings)?)));
        let (runtime, core) = match parts {
            Ok(parts) => parts,
            Err(error) => {
                // The profile is released first: whoever hears of the failure may want to try again.
                drop(profile);
                let _ = opened.send(Err(error));
                return;
            }
        };
        let closed = runtime.block_on(async {
            let (mut actor, driver) = Self::start(core, ends);
            // If nobody waits any more, the request channel is closed too and serving ends at once.
            let _ = opened.send(Ok(()));
            let closed = actor.serve().await;
            actor.hang_up().await;
            drop(actor);
            let _ = timeout(CLOSE_TIMEOUT, driver).await;
            closed
        });
        drop(runtime);
        drop(profile);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    fn start(core: Core, ends: Ends) -> (Self, JoinHandle<()>) {
        let (core_sender, incoming) = mpsc::channel(INBOUND_FRAMES_MAX);
        let (wishes, wish_queue) = mpsc::channel(WISHES_MAX);
        let channels = Channels { wishes: wish_queue, core: core_sender, link: ends.link };
        let driver = tokio::spawn(driver::run(channels, Surroundings { now_ms, random }));
        let actor = Self {
            core,
            requests: ends.requests,
            events: ends.events,
            session: ends.session,
            incoming,
            wishes,
            outgoing: None,
            ending: None,
            backlog: VecDeque::new(),
            running: HashMap::new(),
            next_command: 1,
            batch: Vec::new(),
        };
        (actor, driver)
    }

    /// Serves until a handle closes the client (returns whom to tell) or the last handle is dropped.
    async fn serve(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            let wake = self.core.next_wake();
            let wait_ms = wake.map_or(u64::MAX, |at| at.saturating_sub(now_ms()));
            // A queue with room resolves at once, so this is first: it empties the backlog and nothing else
            // can fill it meanwhile. Time is next, because it is rarely due. A command is ahead of frames:
            // its caller waits for the answer before the next, so it cannot starve them.
            tokio::select! {
                biased;
                () = flush(&mut self.outgoing, &mut self.backlog), if !self.backlog.is_empty() => {}
                () = sleep(Duration::from_millis(wait_ms)), if wake.is_some() => self.feed(vec![Input::Tick]),
                request = self.requests.recv(), if self.backlog.is_empty() => {
                    if let Some(done) = self.serve_requests(request?) {
                        return Some(done);
                    }
                }
                Some(incoming) = self.incoming.recv(), if self.backlog.len() < BACKLOG_FRAMES_MAX => {
                    self.take_incoming(incoming);
                }
            }
        }
    }

    /// Serves one request, and with a command those that wait behind it. Returns whom to tell if the client
    /// is to be closed.
    fn serve_requests(&mut self, first: Request) -> Option<oneshot::Sender<()>> {
        let mut next = Some(first);
        while let Some(request) = next {
            match self.request(request) {
                Served::Closing(done) => return Some(done),
                Served::Yes => next = None,
                Served::Batched => next = self.requests.try_recv().ok(),
            }
        }
        self.feed_batch();
        None
    }

    /// Takes one word of the connection, and with a frame those that wait behind it.
    fn take_incoming(&mut self, first: Incoming) {
        let mut next = Some(first);
        while let Some(incoming) = next {
            next = match self.incoming(incoming) {
                Served::Batched => self.incoming.try_recv().ok(),
                Served::Yes | Served::Closing(_) => None,
            };
        }
        self.feed_batch();
    }

    /// Serves a request. Commands are gathered, up to a bound, so that those of many callers share one write
    /// to the disk; any other request first lets the core have what was gathered before it.
    fn request(&mut self, request: Request) -> Served {
        if let Request::Command(command, reply) = request {
            if self.running.len() >= COMMANDS_MAX {
                let _ = reply.send(Err(ClientError::Busy));
                return Served::Yes;
            }
            let id = self.next_command;
            self.next_command += 1;
            self.running.insert(id, reply);
            return self.gather(Input::Command { id, command });
        }
        self.feed_batch();
        match request {
            Request::Query(query) => query(&mut self.core),
            Request::Connect(done) => {
                self.connect();
                let _ = done.send(());
            }
            Request::Disconnect => self.wish(Wish::Disconnect),
            Request::Close(done) => return Served::Closing(done),
            Request::Command(..) => {}
        }
        Served::Yes
    }

    fn gather(&mut self, input: Input) -> Served {
        self.batch.push(input);
        if self.batch.len() < BATCH_INPUTS_MAX { Served::Batched } else { Served::Yes }
    }

    fn connect(&mut self) {
        self.session.send_modify(|state| state.stopped = None);
        if self.outgoing.is_some() {
            // One that is ending is no answer to the wish: the next is made when it is gone.
            self.ending = self.ending.map(|_| Another::Wanted);
            return;
        }
        if let Some(trust) = self.core.trust() {
            let root = trust.root_fingerprint;
            let tls = if trust.web_certificate { TlsTrust::Web } else { TlsTrust::Root(root) };
            self.wish(Wish::Connect(Target { address: trust.address, trust: tls }));
        }
    }

    fn wish(&self, wish: Wish) {
        // A full queue means that the driver has newer wishes than it can follow; it will follow those.
        if self.wishes.try_send(wish).is_err() {
            tracing::debug!("the connection has more wishes than it can follow");
        }
    }

    /// Takes what the connection says. Frames that wait are gathered, so that a catch-up is written to the
    /// disk in few pieces; the ends of a connection are not mixed with its frames.
    fn incoming(&mut self, incoming: Incoming) -> Served {
        match incoming {
            Incoming::Connected(outgoing) => {
                self.outgoing = Some(outgoing);
                self.gather(Input::Connected);
            }
            Incoming::Frame(frame) => return self.gather(Input::Frame(frame)),
            Incoming::Disconnected => {
                // What the core still answers to the last frames has nowhere to go, except how to go on,
                // which the driver waits for as long as the queue is open.
                self.feed_batch();
                self.outgoing = None;
                self.backlog.clear();
                self.gather(Input::Disconnected);
                if self.ending.take() == Some(Another::Wanted) {
                    self.connect();
                }
            }
        }
        Served::Yes
    }

    fn feed_batch(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.feed(batch);
        }
    }

    fn feed(&mut self, inputs: Vec<Input>) {
        for action in self.core.handle_all(inputs, now_ms()) {
            match action {
                Action::Send(frame) => self.send(Outgoing::Frame(Box::new(frame))),
                Action::Emit(event) => self.emit(event),
                Action::Finished { id, result } => {
                    if let Some(reply) = self.running.remove(&id) {
                        // A caller that stopped waiting finds the outcome in the store.
                        let _ = reply.send(result.map_err(ClientError::Core));
                    }
                }
                Action::Disconnect { reason, retry } => {
                    if !retry {
                        self.session.send_modify(|state| state.stopped = Some(reason));
                        self.ending = self.outgoing.as_ref().map(|_| Another::No);
                    }
                    self.send(Outgoing::HangUp(next_attempt(reason, retry)));
                }
            }
        }
    }

    fn send(&mut self, item: Outgoing) {
        let Some(outgoing) = &self.outgoing else { return };
        if !self.backlog.is_empty() {
            self.backlog.push_back(item);
        } else if let Err(mpsc::error::TrySendError::Full(item)) = outgoing.try_send(item) {
            self.backlog.push_back(item);
        }
    }

    fn emit(&self, event: Event) {
        let session = match &event {
            Event::Connected => Some(Session::Reading),
            Event::CaughtUp => Some(Session::CaughtUp),
            Event::Disconnected => Some(Session::Offline),
            _ => None,
        };
        if let Some(session) = session {
            self.session.send_modify(|state| state.session = session);
        }
        // Without a subscriber there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// Lets what is on its way go out, within the time that closing may take.
    async fn hang_up(&mut self) {
        if self.outgoing.is_none() {
            return;
        }
        let last_words = self.core.last_words(now_ms());
        self.backlog.extend(last_words.into_iter().map(|frame| Outgoing::Frame(Box::new(frame))));
        self.backlog.push_back(Outgoing::HangUp(Retry::Never));
        let goodbye = async {
            flush(&mut self.outgoing, &mut self.backlog).await;
            while let Some(incoming) = self.incoming.recv().await {
                if matches!(incoming, Incoming::Disconnected) {
                    return;
                }
            }
        };
        let _ = timeout(2 * CLOSE_TIMEOUT, goodbye).await;
    }
}

/// Moves the backlog into the connection's queue as it makes room. Cancelling it loses nothing.
async fn flush(outgoing: &mut Option<mpsc::Sender<Outgoing>>, backlog: &mut VecDeque<Outgoing>) {
    while let Some(queue) = outgoing.as_ref().filter(|_| !backlog.is_empty()) {
        let Ok(room) = queue.reserve().await else {
            // The connection is gone; `Disconnected` is on its way.
            *outgoing = None;
            break;
        };
        if let Some(item) = backlog.pop_front() {
            room.send(item);
        }
    }
    backlog.clear();
}

fn open_core(profile: &Profile, settings: Settings) -> Result<Core, ClientOpenError> {
    let path = profile.store_path()?;
    let database = rusqlite::Connection::open(path)
        .map_err(|error| OpenError::Store(crate::store::StoreError::Sqlite(error)))?;
    Core::open(database, StoreKey::new(*profile.key()), settings).map_err(|error| match error {
        OpenError::WrongKey => ClientOpenError::Profile(profile.wrong_key()),
        other => ClientOpenError::Store(other),
    })
}

/// What the core's reason for ending a connection says about the next.
fn next_attempt(reason: DisconnectReason, retry: bool) -> Retry {
    match reason {
        _ if !retry => Retry::Never,
        DisconnectReason::Refused { code: Some(ErrorCode::ShuttingDown), retry_after_ms: 0 } => Retry::Soon,
        DisconnectReason::Refused { retry_after_ms, .. } if retry_after_ms > 0 => {
            Retry::After(retry_after_ms.into())
        }
        _ => Retry::Backoff,
    }
}
