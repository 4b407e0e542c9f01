//! A hub and some devices in one process.
//!
//! The hub is the real one from its sessions down, over a store in memory; a connection is a pair of
//! queues of frames. Devices run when [`World::until`] turns the crank: it delivers frames and, when
//! nothing is on its way, moves the common clock to the next time that a device waits for.

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cercle_proto::{
    id::{GroupId, UserId},
    invitation::Invitation,
    v1,
};
use cercle_sdk::{
    core::{Command, Core, Input, Outcome, Settings},
    error::Error,
};
use cercle_server::{
    alert::Alerts,
    attachments::{self, Attachments},
    auth::{
        self, AuthenticationService, InvitationRequest, Inviter, Issuer,
        authority::{KeyedCertificate, make_hub_sender, make_root},
    },
    clock::Clock,
    delivery::{self, Delivery, HubSender},
    directory::{self, Directory},
    dispatch::{Dispatch, LinkTarget},
    fanout::Fanout,
    lane::Lanes,
    push::Push,
    register::RegisterService,
    session::{
        Timing,
        aborts::Aborts,
        actor::{self, Services},
        link::{Inbound, Link, LinkError},
    },
    telemetry::Metrics,
    transport::rate::{DeviceRates, Rate},
    vault::{Place, Vaults},
};
use cercle_storage::{
    EngineKind, Importer,
    store::{ExpirePolicy, Store},
    table::Table,
};
use futures_util::{Sink, Stream};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[path = "core_device.rs"]
mod core_device;

pub(crate) use core_device::{Device, Stop};
use core_device::{DeviceEnd, SETTINGS};

pub(crate) const DOMAIN: &str = "cpts.example";
const QUEUE_FRAMES: usize = 100_000;

/// The hub's end of a connection.
struct HubEnd {
    frames: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Bytes>,
}

impl Stream for HubEnd {
    type Item = Result<Inbound, LinkError>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(|frame| Ok(Inbound::Frame(frame))))
    }
}

impl Sink<Bytes> for HubEnd {
    type Error = LinkError;
    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }
    fn start_send(self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.out.try_send(frame).map_err(|_| LinkError::Closed)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }
}

impl Link for HubEnd {
    const NAME: &'static str = "test";
    fn trust(&mut self) {}
    async fn finish(self, _: Duration) {}
}

/// A copy of a hub's store.
pub(crate) struct HubCopy {
    rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
    at: u64,
}

impl HubCopy {
    /// Takes the devices of a user out, and the user.
    pub(crate) fn forget_devices_of(&mut self, user: &UserId) {
        let prefix = [user.as_str().as_bytes(), &[0]].concat();
        let index = self
            .rows
            .iter()
            .filter(|(table, key, _)| *table == Table::UserDevices && key.starts_with(&prefix));
        let devices: Vec<Vec<u8>> = index.map(|(_, key, _)| key[prefix.len()..].to_vec()).collect();
        assert!(!devices.is_empty(), "there is something to forget");
        self.rows.retain(|(table, key, _)| match table {
            Table::Devices => !devices.contains(key),
            Table::UserDevices => !key.starts_with(&prefix),
            _ => true,
        });
    }
}

/// What makes a hub itself: its root and its voice in groups.
pub(crate) struct HubKeys {
    root: KeyedCertificate,
    sender: KeyedCertificate,
}

impl HubKeys {
    pub(crate) fn new(now: u64) -> Self {
        let root = make_root(DOMAIN, now).unwrap();
        let sender = make_hub_sender(&root, DOMAIN, now).unwrap();
        Self { root, sender }
    }
}

/// The services of a hub over a store. The folder is for attachments and the directory.
pub(crate) fn services(store: Arc<dyn Store>, keys: &HubKeys, clock: &Clock, folder: &Path) -> Services {
    let certificate = keys.sender.certificate.clone();
    let issuer = Issuer::load(&keys.root, certificate, DOMAIN, clock.now()).unwrap();
    let fanout = Fanout::new();
    let metrics = Arc::new(Metrics::new());
    let trusted = issuer.root().clone();
    let link = LinkTarget {
        address: "127.0.0.1:8443".into(),
        root_fingerprint: trusted.fingerprint(),
        web_certificate: false,
    };
    let sender = HubSender::new(&keys.sender).unwrap();
    let (blobs, blob_settings) = (folder.join("blobs"), attachments::Settings::default());
    std::fs::create_dir_all(&blobs).unwrap();
    let shutdown = CancellationToken::new();
    let attachments =
        Attachments::open(store.clone(), &blobs, blob_settings, metrics.clone(), shutdown.clone());
    let settings = delivery::Settings::default();
    let push = Push::without_accounts(store.clone(), fanout.clone(), clock.clone(), metrics.clone());
    let delivery = Delivery::new(store.clone(), trusted, sender, fanout.clone(), settings);
    let cursors = delivery.cursors().clone();
    let dispatch = Dispatch {
        alerts: Alerts::without_hook(store.clone(), cursors, fanout.clone(), push.clone(), clock.clone()),
        push,
        auth: AuthenticationService::new(store.clone(), issuer, auth::Settings::default()),
        delivery,
        lanes: Lanes::default(),
        vaults: Vaults::new(store.clone(), Place { folder: blobs.join("vaults"), names: None }),
        registers: RegisterService::new(store.clone(), HubSender::new(&keys.sender).unwrap()),
        attachments: attachments.unwrap(),
        directory: Directory::new(folder, store.clone(), directory::Settings::default()),
        fanout,
        link: Arc::new(link),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let plenty = NonZeroU32::new(1_000_000).unwrap();
    // The common clock jumps; nobody is to take a jump for a dead connection.
    let hour = Duration::from_secs(3_600);
    Services {
        dispatch,
        store,
        timing: Timing { authentication: hour, ping_interval: hour, write: hour },
        rates: Arc::new(DeviceRates::new(Rate { per_second: plenty, burst: plenty })),
        metrics,
        shutdown,
        aborts: Aborts::default(),
        tracker: TaskTracker::new(),
    }
}

/// An invitation of a new user, or of a further device of a known one.
pub(crate) async fn invitation(services: &Services, user: &str, now: u64) -> Invitation {
    let request = InvitationRequest {
        user: Some(user.into()),
        display_name: format!("Dr {user}"),
        profession: "10".into(),
        class: v1::MemberClass::Professional,
        roles: Vec::new(),
        valid_for_ms: None,
        lost_devices: false,
    };
    let created = services.dispatch.auth.create_invitation(Inviter::Operator, request, now).await.unwrap();
    Invitation::parse(&services.dispatch.link.link(created.secret)).unwrap()
}

/// A hub and its devices.
pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) clock: Clock,
    pub(crate) devices: Vec<Device>,
    /// The hub's voice in groups, for a hub that misuses it.
    pub(crate) sender: HubSender,
    /// Settings of devices that are installed from here.
    pub(crate) settings: Settings,
    folder: tempfile::TempDir,
    keys: HubKeys,
    /// How many times the hub was restored.
    restored: u64,
    commands: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let keys = HubKeys::new(clock.now());
        let folder = tempfile::tempdir().unwrap();
        let services = services(cercle_storage::open_memory(), &keys, &clock, folder.path());
        let sender = HubSender::new(&keys.sender).unwrap();
        let (devices, settings) = (Vec::new(), SETTINGS);
        Self { services, clock, devices, sender, settings, folder, keys, restored: 0, commands: 0 }
    }

    /// Every row of the hub's store as it is.
    pub(crate) async fn copy_hub(&self) -> HubCopy {
        let (sender, rows) = std::sync::mpsc::channel();
        let visit = move |table, key: &[u8], value: &[u8]| {
            sender.send((table, key.to_vec(), value.to_vec())).unwrap();
            std::ops::ControlFlow::Continue(())
        };
        self.services.store.copies().unwrap().export(Box::new(visit)).await.unwrap();
        HubCopy { rows: rows.into_iter().collect(), at: self.clock.now() }
    }

    /// Puts a hub that was restored from a copy in place of the present one; every connection ends.
    pub(crate) fn restore_hub(&mut self, copy: &HubCopy) {
        let now = self.clock.now();
        for device in &mut self.devices {
            let online = device.online;
            device.disconnect(now);
            device.online = online;
        }
        self.services.shutdown.cancel();
        self.services.aborts.abort();
        self.restored += 1;
        let place = self.folder.path().join(format!("restored-{}", self.restored));
        let mut importer = Importer::create(&place, EngineKind::Redb).unwrap();
        for (table, key, value) in &copy.rows {
            importer.put(*table, key, value).unwrap();
        }
        importer.finish(copy.at, now).unwrap();
        let store = cercle_storage::open(&place, EngineKind::Redb).unwrap();
        self.services = services(store, &self.keys, &self.clock, self.folder.path());
    }

    /// A world with some users, one device each, enrolled and connected.
    pub(crate) async fn with(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            world.enrol(name).await;
        }
        world
    }

    pub(crate) async fn invite(&self, user: &str) -> Invitation {
        invitation(&self.services, user, self.clock.now()).await
    }

    /// Enrols a device of a user and connects it; returns its number.
    pub(crate) async fn enrol(&mut self, user: &str) -> usize {
        let invitation = self.invite(user).await;
        let number = self.install(user, &invitation);
        self.until(|world| world.devices[number].published).await;
        number
    }

    /// A device with an invitation that it has not redeemed; it wants to be connected.
    pub(crate) fn install(&mut self, user: &str, invitation: &Invitation) -> usize {
        let number = self.devices.len();
        let mut device = Device::new(user, self.folder.path().join(format!("{number}.db")));
        device.settings = self.settings;
        self.devices.push(device);
        self.devices[number].open();
        self.devices[number].core().begin_enrolment(invitation).unwrap();
        number
    }

    /// A connection to the hub for a device that is none of this world's.
    pub(crate) fn raw(&self) -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
        let (to_hub, frames) = mpsc::channel(QUEUE_FRAMES);
        let (out, from_hub) = mpsc::channel(QUEUE_FRAMES);
        tokio::spawn(actor::run(HubEnd { frames, out }, Arc::new(self.services.clone()), None));
        (to_hub, from_hub)
    }

    /// The folder of the hub's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Makes the hub delete everything that it may, however young.
    pub(crate) async fn forget_log(&mut self) {
        let policy = ExpirePolicy { keep_after: u64::MAX, keep_records_after: 0, budget_rows: 10_000 };
        self.services.store.expire(policy).await.unwrap();
    }

    /// Another program with a copy of a device's store; returns its number.
    pub(crate) fn twin(&mut self, device: usize, copy: &[u8]) -> usize {
        let number = self.devices.len();
        let twin = Device::new(&self.devices[device].name, self.folder.path().join(format!("{number}.db")));
        twin.restore_store(copy);
        self.devices.push(twin);
        self.devices[number].open();
        number
    }

    pub(crate) fn user(name: &str) -> UserId {
        UserId::new(name, DOMAIN).unwrap()
    }

    /// Starts a command.
    pub(crate) fn start(&mut self, device: usize, command: Command) -> u64 {
        self.commands += 1;
        let id = self.commands;
        let now = self.clock.now();
        self.devices[device].handle(Input::Command { id, command }, now);
        id
    }

    /// Carries out a command to its end.
    pub(crate) async fn run(&mut self, device: usize, command: Command) -> Result<Outcome, Error> {
        let id = self.start(device, command);
        self.result(device, id).await
    }

    pub(crate) async fn result(&mut self, device: usize, id: u64) -> Result<Outcome, Error> {
        self.until(|world| world.devices[device].finished.iter().any(|(known, _)| *known == id)).await;
        let finished = &mut self.devices[device].finished;
        let index = finished.iter().position(|(known, _)| *known == id).unwrap();
        finished.remove(index).unwrap().1
    }

    /// A conversation of these devices, the first of which makes it. Everybody has it when this returns.
    pub(crate) async fn conversation(&mut self, title: &str, devices: &[usize]) -> GroupId {
        let policy = Default::default();
        let created =
            self.run(devices[0], Command::CreateGroup { profile: title.into(), policy }).await.unwrap();
        let Outcome::GroupCreated(group) = created else { panic!("{created:?}") };
        let users = devices[1..].iter().map(|device| Self::user(&self.devices[*device].name)).collect();
        if devices.len() > 1 {
            self.run(devices[0], Command::Invite { group, users }).await.unwrap();
        }
        self.all_at_one_epoch(group, devices).await;
        group
    }

    pub(crate) fn send(&mut self, device: usize, group: GroupId, text: &str) {
        let id =
            self.start(device, Command::Send { group, draft: cercle_sdk::message::Body::text(text).into() });
        let finished = self.devices[device].finished.pop_back();
        if self.devices[device].core.is_some() {
            assert!(matches!(finished, Some((last, Ok(Outcome::Queued(_)))) if last == id), "{finished:?}");
        }
    }

    /// Waits until these devices have read exactly these texts, in this order.
    pub(crate) async fn reads(&mut self, device: usize, group: GroupId, expected: &[&str]) {
        self.until(|world| world.devices[device].texts(group).len() >= expected.len()).await;
        assert_eq!(self.devices[device].texts(group), expected, "{}", self.devices[device].name);
    }

    /// Waits until these devices are in the same epoch, with the same authenticator and nothing to send.
    pub(crate) async fn all_at_one_epoch(&mut self, group: GroupId, devices: &[usize]) {
        self.until(|world| {
            let states: Vec<_> =
                devices.iter().map(|device| world.devices[*device].epoch_and_cursor(group)).collect();
            let quiet =
                devices.iter().all(|device| world.devices[*device].core().outbox().unwrap().is_empty());
            quiet && states[0].is_some() && states.iter().all(|state| *state == states[0])
        })
        .await;
    }

    /// Turns the crank until the condition holds; fails after a while in which nothing moves any more.
    pub(crate) async fn until(&mut self, condition: impl Fn(&mut Self) -> bool) {
        const PATIENCE: Duration = Duration::from_secs(120);
        let turning = async {
            loop {
                let moved = self.turn();
                if condition(self) {
                    return;
                }
                if moved {
                    tokio::task::yield_now().await;
                } else if !self.frame_comes().await {
                    self.advance_to_next_wake();
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, turning).await;
        if done.is_err() {
            for device in &mut self.devices {
                let groups = device.core.as_mut().map(Core::groups);
                let waiting = device.core.as_ref().map(Core::outbox);
                eprintln!("waiting: {waiting:?}");
                let recent = device.events.iter().rev().take(20).rev().collect::<Vec<_>>();
                let (disconnects, errors) = (device.disconnects.len(), device.errors.len());
                let ends = device.disconnects.last();
                let error = device.errors.last();
                eprintln!("{}: {groups:?} {disconnects} x {ends:?} {errors} x {error:?}", device.name);
                eprintln!("    {recent:?}");
            }
            panic!("the condition did not come true");
        }
    }

    /// Turns the crank some times, whatever happens.
    pub(crate) async fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
            tokio::task::yield_now().await;
        }
    }

    /// Lets every device take what has come. Returns whether anything happened.
    fn turn(&mut self) -> bool {
        let now = self.clock.now();
        let mut moved = false;
        for number in 0..self.devices.len() {
            if self.devices[number].online && self.devices[number].connection.is_none() {
                moved |= self.connect(number);
            }
            moved |= self.devices[number].take(now);
        }
        moved
    }

    fn connect(&mut self, number: usize) -> bool {
        if self.devices[number].core.is_none() {
            return false;
        }
        let (to_hub, from_hub) = self.raw();
        let device = &mut self.devices[number];
        device.connection = Some(DeviceEnd { out: to_hub, frames: from_hub, unanswered: BTreeSet::new() });
        device.handle(Input::Connected, self.clock.now());
        true
    }

    /// Waits a moment for a frame to any device.
    async fn frame_comes(&mut self) -> bool {
        // A busy machine must not make the hub look silent while it works on an answer.
        let owed = |device: &Device| device.connection.as_ref().is_some_and(|end| !end.unanswered.is_empty());
        let moment = Duration::from_millis(if self.devices.iter().any(owed) { 500 } else { 40 });
        let now = self.clock.now();
        let connected = self.devices.iter_mut().filter(|device| device.connection.is_some());
        let waiting = connected.map(|device| {
            Box::pin(async {
                let frame = device.connection.as_mut().expect("filtered").frames.recv().await;
                (device, frame)
            })
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            tokio::task::yield_now().await;
            return false;
        }
        let first = tokio::time::timeout(moment, futures_util::future::select_all(waiting)).await;
        let Ok(((device, frame), _, rest)) = first else { return false };
        drop(rest);
        device.arrived(frame, now);
        true
    }

    /// Nothing is on its way: moves the clock to the next time that a device waits for, but not so far that
    /// a connection counts as dead.
    fn advance_to_next_wake(&mut self) {
        const STEP_MAX_MS: u64 = 20_000;
        let now = self.clock.now();
        let wakes = self.devices.iter().filter_map(|device| device.core.as_ref()?.next_wake());
        let next = wakes.filter(|wake| *wake > now).min().unwrap_or(now).min(now + STEP_MAX_MS);
        self.clock.advance(next - now);
        for device in &mut self.devices {
            device.handle(Input::Tick, next);
        }
    }
}
