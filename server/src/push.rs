//! Wake-ups without content, for devices that have no session.
//!
//! Delivery reports news of groups, alerts ask for wake-ups by name; what leaves the hub is a random id (RFC
//! 8030 and its like). A wake-up is a hint: a device that is not woken finds everything when it connects.
//!
//! - [`address`]: where a device is woken. [`provider`]: what every push service is. [`settings`]: which.
//! - [`web_push`] (also UnifiedPush), [`apns`], [`fcm`]: the services. [`encryption`], [`token`]: what they need.
//! - [`http_client`]: the only way out of the hub. [`quiet`]: who is left in peace.

pub mod address;
pub mod apns;
pub mod encryption;
pub mod fcm;
pub mod http_client;
pub mod provider;
pub mod quiet;
pub mod settings;
pub mod token;
pub mod web_push;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, TimestampMs};
use cercle_storage::store::{Effect, NoteKey, NoteKind, ReadError, Store, WriteError};
use dashmap::DashMap;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, error::Chain, fanout::Fanout, limits, telemetry::Metrics};
use address::Address;
use provider::{Collapse, Outcome, Provider, Urgency, Wake};
use quiet::QuietHours;

/// The push services of a hub.
#[derive(Debug)]
pub(crate) struct Providers {
    web: web_push::WebPush,
    apns: Option<apns::Apns>,
    fcm: Option<fcm::Fcm>,
    public_key: Vec<u8>,
}

/// Why an address is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The operator has not set this service up.
    #[error("this hub has no account with this push service")]
    NotConfigured,
    /// No address is registered that could be tried.
    #[error("no address is registered for this device")]
    NoAddress,
    /// Every place is taken.
    #[error("the hub keeps at most {} addresses", limits::PUSH_ADDRESSES_MAX)]
    Full,
    /// Not stored.
    #[error("the address was not stored")]
    Store(#[from] WriteError),
}

/// Wakes devices. Cheap to clone.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    fanout: Fanout,
    clock: Clock,
    metrics: Arc<Metrics>,
    providers: Providers,
    quiet: Arc<dyn QuietHours>,
    addresses: DashMap<DeviceId, Arc<Address>>,
    /// Devices that were woken for news and have not come since.
    woken: DashMap<DeviceId, TimestampMs>,
    news: Mutex<HashSet<GroupId>>,
    changed: Notify,
    exchanges: Semaphore,
    jobs: mpsc::Sender<Job>,
    /// Taken by the one task that runs.
    queue: Mutex<Option<mpsc::Receiver<Job>>>,
}

/// A wake-up that waits for its turn.
struct Job {
    device: DeviceId,
    wake: Wake,
    /// Tries so far.
    tries: u32,
    pause: Duration,
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").field("addresses", &self.0.addresses.len()).finish_non_exhaustive()
    }
}

impl Providers {
    fn of(&self, address: &Address) -> Option<&dyn Provider> {
        match address {
            Address::Web { .. } | Address::Unified { .. } => Some(&self.web),
            Address::Apns(_) => self.apns.as_ref().map(|apns| apns as &dyn Provider),
            Address::Fcm(_) => self.fcm.as_ref().map(|fcm| fcm as &dyn Provider),
        }
    }
}

impl Push {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        fanout: Fanout,
        clock: Clock,
        metrics: Arc<Metrics>,
        providers: Providers,
        quiet: Arc<dyn QuietHours>,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(limits::PUSH_WAITING_MAX);
        Self(Arc::new(Inner {
            store,
            fanout,
            clock,
            metrics,
            providers,
            quiet,
            addresses: DashMap::new(),
            woken: DashMap::new(),
            news: Mutex::default(),
            changed: Notify::new(),
            exchanges: Semaphore::new(limits::PUSH_EXCHANGES_MAX),
            jobs,
            queue: Mutex::new(Some(queue)),
        }))
    }

    /// With a key of its own and no account anywhere: for hubs without files.
    ///
    /// # Panics
    /// When the system gives no randomness.
    #[must_use]
    pub fn without_accounts(
        store: Arc<dyn Store>,
        fanout: Fanout,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let key = token::SigningKey::es256(&token::SigningKey::generate_es256());
        let key = key.expect("a key that was just made can be read");
        let public_key = key.public().to_vec();
        let http = http_client::HttpClient::new(Vec::new(), false);
        let web = web_push::WebPush::new(http, key, String::new());
        let providers = Providers { web, apns: None, fcm: None, public_key };
        Self::new(store, fanout, clock, metrics, providers, Arc::new(quiet::NoQuietHours))
    }

    /// Reads the registered addresses; called once, before anything is served.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn load(&self) -> Result<(), ReadError> {
        let mut after = None;
        loop {
            let store = &self.0.store;
            let page =
                store.notes(NoteKind::PushAddress, Vec::new(), after.take(), limits::ALERT_PAGE).await?;
            for (key, value) in &page {
                let device = <[u8; 16]>::try_from(key.as_slice()).map(DeviceId::new);
                let damaged = || ReadError::Corrupt("a push address".into());
                let address = postcard::from_bytes(value).map_err(|_| damaged())?;
                self.0.addresses.insert(device.map_err(|_| damaged())?, Arc::new(address));
            }
            if page.len() < limits::ALERT_PAGE {
                return Ok(());
            }
            after = page.into_iter().last().map(|(key, _)| key);
        }
    }

    /// The key by which push services know this hub: P-256, uncompressed.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.0.providers.public_key
    }

    /// Whether a device can be woken.
    #[must_use]
    pub fn is_registered(&self, device: DeviceId) -> bool {
        self.0.addresses.contains_key(&device)
    }

    /// Who is left in peace.
    #[must_use]
    pub fn quiet(&self) -> &dyn QuietHours {
        &*self.0.quiet
    }

    /// Wakes this device here from now on.
    ///
    /// # Errors
    /// As [`RegisterError`] says.
    pub async fn register(&self, device: DeviceId, address: Address) -> Result<(), RegisterError> {
        let inner = &self.0;
        if inner.providers.of(&address).is_none() {
            return Err(RegisterError::NotConfigured);
        }
        if inner.addresses.len() >= limits::PUSH_ADDRESSES_MAX && !inner.addresses.contains_key(&device) {
            return Err(RegisterError::Full);
        }
        let value = postcard::to_stdvec(&address).expect("an address is plain data");
        let effect = Effect::Put(note(device), Bytes::from(value));
        inner.store.change(Vec::new(), Box::new(move |_| vec![effect])).await?;
        inner.addresses.insert(device, Arc::new(address));
        inner.woken.remove(&device);
        Ok(())
    }

    /// Wakes this device no longer.
    ///
    /// # Errors
    /// When that cannot be stored.
    pub async fn forget(&self, device: DeviceId) -> Result<(), WriteError> {
        self.0.woken.remove(&device);
        if self.0.addresses.remove(&device).is_none() {
            return Ok(());
        }
        self.0.store.change(Vec::new(), Box::new(move |_| vec![Effect::Erase(note(device))])).await
    }

    /// Wakes a device because its user wants to see whether it works. Returns whether the service took it.
    ///
    /// # Errors
    /// When no address is registered.
    pub async fn test(&self, device: DeviceId) -> Result<bool, RegisterError> {
        if !self.is_registered(device) {
            return Err(RegisterError::NoAddress);
        }
        let outcome = self.hand_over(device, &wake(device, b"test", Urgency::High)).await;
        Ok(outcome == Outcome::Taken)
    }

    /// The device has a session: it has come, whatever it was woken for.
    pub fn session_opened(&self, device: DeviceId) {
        self.0.woken.remove(&device);
    }

    /// A group has news for devices that do not read it at this moment.
    pub fn news(&self, group: GroupId) {
        if self.0.addresses.is_empty() {
            return;
        }
        let mut news = self.0.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.len() < limits::PUSH_GROUPS_WAITING_MAX {
            news.insert(group);
        } else {
            self.0.metrics.push("overflow");
        }
        drop(news);
        self.0.changed.notify_one();
    }

    /// Wakes a device for an alert and waits until the push service has it, for one try; further tries are
    /// made in the background. Returns whether it was taken at once.
    pub async fn wake_for(&self, device: DeviceId, purpose: &[u8]) -> bool {
        let wake = wake(device, purpose, Urgency::High);
        let outcome = self.hand_over(device, &wake).await;
        self.again(Job { device, wake, tries: 1, pause: limits::PUSH_PAUSE }, outcome);
        outcome == Outcome::Taken
    }

    /// Looks at news and carries out what waits, until the shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queue) = queue else { return };
        // Ends with this task: what is still on its way then is a hint that is lost.
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(_) = running.join_next() => {}
                () = self.0.changed.notified() => self.look_at_news().await,
                Some(job) = queue.recv(), if running.len() < limits::PUSH_WAITING_MAX => {
                    let push = self.clone();
                    running.spawn(async move { push.carry_out(job).await });
                }
            }
        }
    }

    async fn look_at_news(&self) {
        let groups = std::mem::take(&mut *self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        for group in groups {
            if let Err(error) = self.wake_group(group).await {
                tracing::warn!(cause = %Chain(&error), "the members of a group could not be woken");
            }
        }
    }

    /// Wakes the members of a group that have no session and were not woken since they had one.
    async fn wake_group(&self, group: GroupId) -> Result<(), ReadError> {
        let now = self.0.clock.now();
        for member in self.0.store.roster(group).await? {
            let device = member.device;
            let asleep = member.removed_at.is_none() && self.is_registered(device);
            if !asleep || self.0.fanout.has_session(device) {
                continue;
            }
            let recent = self.0.woken.get(&device).is_some_and(|at| now < *at + limits::PUSH_AGAIN_MS);
            if recent || self.0.quiet.quiet_until(&member.user, now).await.is_some() {
                continue;
            }
            self.0.woken.insert(device, now);
            let wake = wake(device, b"news", Urgency::Normal);
            self.queue(Job { device, wake, tries: 0, pause: Duration::ZERO });
        }
        Ok(())
    }

    fn queue(&self, job: Job) {
        if self.0.jobs.try_send(job).is_err() {
            self.0.metrics.push("overflow");
        }
    }

    async fn carry_out(&self, job: Job) {
        tokio::time::sleep(job.pause).await;
        // It may have come by itself meanwhile.
        if self.0.fanout.has_session(job.device) {
            return;
        }
        let outcome = self.hand_over(job.device, &job.wake).await;
        let pause = limits::PUSH_PAUSE * 2_u32.saturating_pow(job.tries);
        self.again(Job { tries: job.tries + 1, pause, ..job }, outcome);
    }

    /// Queues another try if the service wants one.
    fn again(&self, job: Job, outcome: Outcome) {
        let Outcome::Later(asked) = outcome else { return };
        if job.tries < limits::PUSH_TRIES_MAX {
            let pause = asked.unwrap_or(job.pause).min(limits::PUSH_PAUSE_MAX);
            self.queue(Job { pause, ..job });
        } else {
            self.0.woken.remove(&job.device);
        }
    }

    async fn hand_over(&self, device: DeviceId, wake: &Wake) -> Outcome {
        let inner = &self.0;
        let address = inner.addresses.get(&device).map(|address| address.value().clone());
        let Some(address) = address else { return Outcome::Refused };
        let Some(provider) = inner.providers.of(&address) else { return Outcome::Refused };
        let permit = inner.exchanges.acquire().await;
        let outcome = provider.send(&address, wake, inner.clock.now()).await;
        drop(permit);
        inner.metrics.push(name(outcome));
        if outcome == Outcome::Gone {
            self.drop_address(device, &address).await;
        }
        outcome
    }

    /// Forgets an address that is no longer valid, unless the device has registered another one meanwhile.
    async fn drop_address(&self, device: DeviceId, gone: &Arc<Address>) {
        if self.0.addresses.remove_if(&device, |_, address| Arc::ptr_eq(address, gone)).is_none() {
            return;
        }
        let value = postcard::to_stdvec(&**gone).expect("an address is plain data");
        let erase = Box::new(move |found: &[Option<Bytes>]| match found {
            [Some(stored)] if *stored == value => vec![Effect::Erase(note(device))],
            _ => Vec::new(),
        });
        if let Err(error) = self.0.store.change(vec![note(device)], erase).await {
            tracing::warn!(device = ?device, cause = %Chain(&error), "an invalid push address was not erased");
        }
    }
}

fn note(device: DeviceId) -> NoteKey {
    NoteKey::new(NoteKind::PushAddress, device.as_bytes().as_slice())
}

fn wake(device: DeviceId, purpose: &[u8], urgency: Urgency) -> Wake {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).expect("the system gives randomness");
    Wake { id, urgency, ttl_s: limits::PUSH_TTL_S, collapse: Collapse::new(device, purpose) }
}

const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Taken => "taken",
        Outcome::Gone => "gone",
        Outcome::Later(_) => "later",
        Outcome::Refused => "refused",
    }
}
