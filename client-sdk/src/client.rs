//! The client an app holds: open, enrol, connect, act, observe.
//!
//! A [`Client`] is a cheap handle. Behind it, one thread owns the [`Core`], its store and
//! its connection ([`actor`]); handles talk to it through bounded channels and can be used from any async
//! runtime. Dropping the last handle ends the thread; [`Client::close`] does so and waits.
//!
//! Everything that is promised is in the store: what [`Client::send`] has returned for is sent, by this
//! process or the next that opens the profile; what [`Client::messages`] gives was received once.

mod actor;
mod alerts;
mod circle;
mod clock;
mod documents;
mod error;
mod events;
mod limits;
pub(crate) mod operations;

use std::{sync::Arc, thread};

use cercle_proto::invitation::Invitation;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    connection::{Link, Status},
    core::{Core, Identity, Settings},
    event::Event,
    profile::Profile,
    transfer::{
        Device, Spool,
        worker::{self, Order},
    },
};
use actor::{Actor, Request};

pub use clock::now_ms;
pub(crate) use clock::random;
pub use error::{ClientError, ClientOpenError};
pub use events::{Events, Notice};

/// Where the session with the hub stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// No authenticated session.
    Offline,
    /// Authenticated; groups are being read.
    Reading,
    /// Every group has been read to the head it had when the session began; what follows is live.
    CaughtUp,
}

/// A device taking part in Cercle.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    requests: mpsc::Sender<Request>,
    events: broadcast::Sender<Event>,
    link: watch::Receiver<Link>,
    session: watch::Receiver<actor::SessionState>,
    /// The transfer thread; its own handle of the client has none, so that the last handle of an app ends it.
    transfers: Option<mpsc::Sender<Order>>,
    /// The vault as this process has read or written it last; one backup at a time holds it.
    vault: Arc<tokio::sync::Mutex<crate::recovery::KnownVault>>,
}

impl Client {
    /// Opens the store of a profile. Nothing is sent until [`Client::connect`] or [`Client::enrol`].
    ///
    /// # Errors
    /// When the key does not open the store, a newer program wrote it, or the disk fails.
    pub async fn open(profile: Profile, settings: Settings) -> Result<Self, ClientOpenError> {
        let (requests, request_queue) = mpsc::channel(limits::REQUESTS_MAX);
        let (events, _) = broadcast::channel(limits::EVENTS_MAX);
        let (link_sender, link) = watch::channel(Link { status: Status::Idle, failure: None });
        let (session_sender, session) = watch::channel(actor::SessionState::default());
        let (opened, outcome) = oneshot::channel();
        let spool = Spool::of_profile(profile.folder());
        let ends = actor::Ends {
            requests: request_queue,
            events: events.clone(),
            link: link_sender,
            session: session_sender,
        };
        thread::Builder::new()
            .name("cercle-client".to_owned())
            .spawn(move || Actor::run(profile, settings, ends, opened))
            .map_err(ClientOpenError::Thread)?;
        outcome.await.map_err(|_| ClientOpenError::Died)??;
        let vault = Arc::default();
        let shared = Shared { requests, events, link, session, transfers: None, vault };
        let inner = Self { shared: Arc::new(shared.clone()) };
        let device = Device::new(inner, shared.events.clone());
        let transfers = Some(worker::start(device, spool).map_err(ClientOpenError::Thread)?);
        Ok(Self { shared: Arc::new(Shared { transfers, ..shared }) })
    }

    /// Redeems an invitation and stays connected. Retries while the hub cannot be reached, so bound it; it
    /// can be called again with the same invitation after an interruption.
    ///
    /// # Errors
    /// When the device is enrolled already, the hub refuses the invitation, or what it presents is not what
    /// the invitation vouches for.
    pub async fn enrol(&self, invitation: &Invitation) -> Result<Identity, ClientError> {
        let invitation = invitation.clone();
        self.enrol_with(move |core| core.begin_enrolment(&invitation)).await
    }

    /// Notes with what this device is to enrol, connects, and waits for the certificate.
    pub(crate) async fn enrol_with(
        &self,
        begin: impl FnOnce(&mut Core) -> Result<(), crate::error::Error> + Send + 'static,
    ) -> Result<Identity, ClientError> {
        let mut events = self.events();
        self.query(begin).await??;
        self.request_connection().await?;
        let mut session = self.shared.session.clone();
        loop {
            tokio::select! {
                biased;
                notice = events.next() => match notice {
                    Some(Notice::Event(Event::Enrolled { .. }) | Notice::Missed(_)) => {
                        if let Some(identity) = self.identity().await? {
                            return Ok(identity);
                        }
                    }
                    Some(Notice::Event(_)) => {}
                    None => return Err(ClientError::Closed),
                },
                changed = session.wait_for(|state| state.stopped.is_some()) => {
                    let stopped = changed.map_err(|_| ClientError::Closed)?.stopped;
                    return Err(stopped.map_or(ClientError::Closed, ClientError::Stopped));
                }
            }
        }
    }

    /// Connects, and stays connected whatever happens to the network and the hub, until [`Client::close`],
    /// [`Client::disconnect`], or the hub ends the session for good. While it waits for its next attempt,
    /// it tries at once.
    ///
    /// # Errors
    /// When the device is not enrolled.
    pub async fn connect(&self) -> Result<(), ClientError> {
        if self.identity().await?.is_none() {
            return Err(crate::error::Error::NotEnrolled.into());
        }
        self.request_connection().await
    }

    /// Ends the connection; what waits in the outbox waits for the next.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn disconnect(&self) -> Result<(), ClientError> {
        self.request(Request::Disconnect).await
    }

    /// Waits until every group has been read to the head it had when the session began. Without a limit:
    /// bound it.
    ///
    /// # Errors
    /// When the hub ended the session for good, or the client is closed.
    pub async fn caught_up(&self) -> Result<(), ClientError> {
        let mut session = self.shared.session.clone();
        let state = session
            .wait_for(|state| state.session == Session::CaughtUp || state.stopped.is_some())
            .await
            .map_err(|_| ClientError::Closed)?;
        state.stopped.map_or(Ok(()), |reason| Err(ClientError::Stopped(reason)))
    }

    /// Waits until the session has ended for good, and says why. Cancelling it loses nothing.
    pub async fn stopped(&self) -> ClientError {
        let mut session = self.shared.session.clone();
        let stopped = session.wait_for(|state| state.stopped.is_some()).await;
        stopped.ok().and_then(|state| state.stopped).map_or(ClientError::Closed, ClientError::Stopped)
    }

    /// The connection at the moment.
    #[must_use]
    pub fn link(&self) -> Link {
        *self.shared.link.borrow()
    }

    /// Follows the connection, to show it.
    #[must_use]
    pub fn watch_link(&self) -> watch::Receiver<Link> {
        self.shared.link.clone()
    }

    /// The session at the moment.
    #[must_use]
    pub fn session(&self) -> Session {
        self.shared.session.borrow().session
    }

    /// Everything that happens from this moment on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.shared.events.subscribe())
    }

    /// Sends what is on its way, closes the connection and the store, and releases the profile.
    pub async fn close(self) {
        self.end_transfers().await;
        let (done, closed) = oneshot::channel();
        if self.request(Request::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Waits for an authenticated session. Without a limit.
    pub(crate) async fn online(&self) -> Result<(), ClientError> {
        let mut session = self.shared.session.clone();
        let online = session.wait_for(|state| state.session != Session::Offline).await;
        online.map(drop).map_err(|_| ClientError::Closed)
    }

    /// Asks the core on its thread.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let (reply, answer) = oneshot::channel();
        let query = move |core: &mut Core| {
            // Nobody waits any more if this fails, so nobody misses the answer.
            let _ = reply.send(ask(core));
        };
        self.request(Request::Query(Box::new(query))).await?;
        answer.await.map_err(|_| ClientError::Closed)
    }

    /// The vault as this process has read or written it last.
    pub(crate) fn known_vault(&self) -> &tokio::sync::Mutex<crate::recovery::KnownVault> {
        &self.shared.vault
    }

    async fn request_connection(&self) -> Result<(), ClientError> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Connect(reply)).await?;
        answer.await.map_err(|_| ClientError::Closed)
    }

    async fn request(&self, request: Request) -> Result<(), ClientError> {
        self.shared.requests.send(request).await.map_err(|_| ClientError::Closed)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("link", &self.link()).finish_non_exhaustive()
    }
}
