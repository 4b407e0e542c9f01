//! Builds the parts in dependency order, owns their tasks, drains them.
//!
//! Used by the binary, by `cercle demo` and by tests:
//! `Server::new(config).start().await?` gives a [`RunningServer`]; dropping it stops everything at once,
//! [`RunningServer::shutdown`] lets requests finish and tells devices to come back.

mod admin_socket;
mod cursors;
mod group_rules;
mod housekeeping;
pub mod keys;
mod metrics_port;
mod system;
mod timers;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use cercle_storage::store::{ReadError, Store};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alert::{Alerts, hook::Hook},
    at_rest::{AtRest, AtRestError},
    attachments::{Attachments, BodyError},
    auth::{AuthenticationService, CreatedInvitation, InvitationRequest, Inviter, authority::AuthorityError},
    backup,
    clock::Clock,
    config::{Config, ConfigError, Durability},
    delivery::Delivery,
    directory::{self, Directory, local::Place, quiet::CardHours},
    dispatch::{Dispatch, LinkTarget},
    error::Refusal,
    fanout::Fanout,
    lane::Lanes,
    limits,
    push::{
        Push,
        quiet::QuietHours,
        settings::{PushSettings, SettingsError},
    },
    register::RegisterService,
    session::{aborts::Aborts, actor::Services},
    telemetry::Metrics,
    transport::{
        admission::Admission,
        listener::Listener,
        rate::DeviceRates,
        tls::{self, Certificate, TlsError},
    },
    vault::{self, Vaults},
};
use keys::{KeyFileError, Keys};

/// A hub that is about to start.
pub struct Server {
    config: Config,
    clock: Clock,
    store: Option<Arc<dyn Store>>,
    quiet: Option<Arc<dyn QuietHours>>,
}

/// A hub that serves.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    services: Services,
    certificate: Arc<Certificate>,
    certificate_files: (PathBuf, PathBuf),
    drain: Duration,
}

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// Keys and certificates do not fit together.
    #[error("the keys of the hub cannot be used: {0}")]
    Authority(#[from] AuthorityError),
    /// The TLS certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file about push services, or what it names.
    #[error(transparent)]
    Push(#[from] SettingsError),
    /// The store, or the key that it is sealed with.
    #[error(transparent)]
    Store(#[from] AtRestError),
    /// What the store keeps of push addresses and alerts.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Who is given nothing new of groups that follow the directory.
    #[error("the local files of the directory cannot be read: check who owns them")]
    Directory(#[from] directory::Error),
    /// Vaults cannot be given the names that a sealed hub has for them.
    #[error("the vaults below the folder of attachments cannot be renamed: check who owns them")]
    Vaults(#[from] vault::Error),
    /// The folder of attachments.
    #[error("the folder of attachments cannot be used: check `attachments` and who owns it")]
    Attachments(#[source] BodyError),
    /// The engine promises too little.
    #[error(
        "the engine {engine} does not keep acknowledged writes through a power loss, and `durability` asks for it: use journal or redb, or set `durability = \"process\"` if losing messages is acceptable"
    )]
    Durability {
        /// The engine.
        engine: &'static str,
    },
    /// An address or socket cannot be used.
    #[error("{what} cannot be opened at {place}: {mend}")]
    Bind {
        /// Which.
        what: &'static str,
        /// Where.
        place: String,
        /// What to do.
        mend: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Server {
    /// A hub with this configuration, the machine's clock and the store in its data directory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, clock: Clock::system(), store: None, quiet: None }
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// With somebody else who knows quiet hours than the cards of the directory.
    #[must_use]
    pub fn with_quiet_hours(mut self, quiet: Arc<dyn QuietHours>) -> Self {
        self.quiet = Some(quiet);
        self
    }

    /// With a store that is open already.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Opens everything and starts to serve.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing runs then.
    pub async fn start(self) -> Result<RunningServer, StartError> {
        let Self { mut config, clock, store, quiet } = self;
        config.connections_max = system::connections_max(config.connections_max);
        let keys = Keys::load(&config)?;
        let certificate = Arc::new(Certificate::new(tls::load(&config.tls_certificate, &config.tls_key)?));
        let (at_rest, store) = match store {
            Some(store) => (AtRest::default(), store),
            None => open_store(&config).await?,
        };
        if config.durability == Durability::PowerLoss && !store.caps().power_loss_durable {
            return Err(StartError::Durability { engine: store.caps().name });
        }
        let metrics = Arc::new(Metrics::new());
        let shutdown = CancellationToken::new();
        let (directory, vaults) = (at_rest.directory(&config), at_rest.vaults(&config));
        let parts = Parts { keys, directory, vaults, store: store.clone() };
        let dispatch = build(&config, &clock, parts, quiet, &metrics, &shutdown)?;
        dispatch.push.load().await?;
        dispatch.vaults.rename_plain().await?;
        dispatch.alerts.load().await?;
        dispatch.directory.load_withheld().await?;
        let services = Services {
            dispatch,
            store,
            timing: config.timing(),
            rates: Arc::new(DeviceRates::new(config.request_rate())),
            metrics,
            shutdown,
            aborts: Aborts::default(),
            tracker: TaskTracker::new(),
        };
        serve(&config, services, certificate).await
    }
}

/// Starts a hub with this configuration, the machine's clock and the store in its data directory.
///
/// # Errors
/// As [`Server::start`].
pub async fn start(config: Config) -> Result<RunningServer, StartError> {
    Server::new(config).start().await
}

impl RunningServer {
    /// The address that is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served, if they are.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.services.metrics
    }

    /// Whether a device has a session.
    #[must_use]
    pub fn has_session(&self, device: cercle_proto::id::DeviceId) -> bool {
        self.services.dispatch.fanout.has_session(device)
    }

    /// Creates an invitation as the operator; returns it with its link.
    ///
    /// # Errors
    /// As the authentication service says.
    pub async fn invite(&self, request: InvitationRequest) -> Result<(CreatedInvitation, String), Refusal> {
        let invited = self.services.dispatch.invite(Inviter::Operator, request).await?;
        Ok((invited.created, invited.link))
    }

    /// Reads the TLS certificate and its key again, for connections made from now on.
    ///
    /// # Errors
    /// When they cannot be used; the old ones stay in use.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        let (certificate, key) = &self.certificate_files;
        self.certificate.replace(tls::load(certificate, key)?);
        Ok(())
    }

    /// Returns when the store takes no writes any more. What it holds is no longer certain then: the process
    /// must end, so that the next one reads what is really on disk.
    pub async fn store_failed(&self) {
        let mut timer = tokio::time::interval(limits::STORE_CHECK);
        while self.services.store.is_healthy() {
            timer.tick().await;
        }
    }

    /// Stops accepting, tells devices that the hub restarts, waits for requests that are on their way, then
    /// ends what is left. Returns whether everything ended in time.
    pub async fn shutdown(self) -> bool {
        let Services { shutdown, aborts, tracker, .. } = &self.services;
        shutdown.cancel();
        self.services.dispatch.fanout.close();
        tracker.close();
        let drained = timeout(self.drain, tracker.wait()).await.is_ok();
        aborts.abort();
        // What is left only has to notice.
        let ended = timeout(self.drain, tracker.wait()).await.is_ok();
        // The sessions are gone: nobody acknowledges any more.
        cursors::store(&self.services).await;
        drained && ended
    }

    /// Ends everything at once, without a goodbye, and returns when nothing runs any more and the port is
    /// free. Returns whether that was so in time.
    pub async fn end(self) -> bool {
        let Services { shutdown, aborts, tracker, .. } = &self.services;
        shutdown.cancel();
        aborts.abort();
        tracker.close();
        timeout(self.drain, tracker.wait()).await.is_ok()
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.services.shutdown.cancel();
        self.services.aborts.abort();
    }
}

async fn open_store(config: &Config) -> Result<(AtRest, Arc<dyn Store>), AtRestError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let at_rest = AtRest::load(&config)?;
        let store = at_rest.open_store(&config)?;
        Ok((at_rest, store))
    });
    opened.await.expect("opening the store does not panic")
}

/// What was opened, to build services over.
struct Parts {
    keys: Keys,
    directory: Place,
    vaults: vault::Place,
    store: Arc<dyn Store>,
}

fn build(
    config: &Config,
    clock: &Clock,
    Parts { keys, directory: folder, vaults, store }: Parts,
    quiet: Option<Arc<dyn QuietHours>>,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> Result<Dispatch, StartError> {
    let fanout = Fanout::new();
    metrics.register_appended(fanout.appended_counter());
    let issuer = keys.issuer(&config.domain, clock.now())?;
    let root = issuer.root().clone();
    let link = LinkTarget {
        address: config.public_address.clone(),
        root_fingerprint: root.fingerprint(),
        web_certificate: config.tls_web,
    };
    let delivery = Delivery::new(store.clone(), root, keys.hub_sender()?, fanout.clone(), config.delivery());
    let settings = directory::Settings { entries_per_day: config.directory_entries_per_day };
    let directory = Directory::new(folder, store.clone(), settings);
    let cards = CardHours::new(directory.clone(), config.time_zone()?);
    let quiet = quiet.unwrap_or_else(|| Arc::new(cards));
    let (providers, http) = PushSettings::load(&config.push)?.providers(&config.data)?;
    let push = Push::new(store.clone(), fanout.clone(), clock.clone(), metrics.clone(), providers, quiet);
    let hook = Hook::parse(&config.alert_hook, &http)
        .map_err(|error| ConfigError::Value { key: "alert_hook", wrong: error.to_string() })?;
    let (two_persons, store_of_alerts) = (config.alert_two_persons, store.clone());
    let cursors = delivery.cursors().clone();
    let alerts =
        Alerts::new(store_of_alerts, cursors, fanout.clone(), push.clone(), clock.clone(), hook, two_persons);
    let registers = RegisterService::new(store.clone(), keys.hub_sender()?);
    let folder = &config.attachments;
    keys::make_directory(folder)?;
    keys::check_private(folder, 0o700)?;
    let vaults = Vaults::new(store.clone(), vaults);
    let settings = config.attachments();
    let attachments = Attachments::open(store.clone(), folder, settings, metrics.clone(), shutdown.clone());
    Ok(Dispatch {
        push,
        alerts,
        registers,
        lanes: Lanes::default(),
        vaults,
        attachments: attachments.map_err(StartError::Attachments)?,
        auth: AuthenticationService::new(store.clone(), issuer, config.auth()),
        delivery,
        directory,
        fanout,
        link: Arc::new(link),
        clock: clock.clone(),
        metrics: metrics.clone(),
    })
}

async fn serve(
    config: &Config,
    services: Services,
    certificate: Arc<Certificate>,
) -> Result<RunningServer, StartError> {
    let admission = Arc::new(Admission::new(config.admission(), services.metrics.clone()));
    let tls = Arc::new(tls::server_config(certificate.clone())?);
    let port_in_use = |cause| StartError::Bind {
        what: "the port",
        place: config.listen.to_string(),
        mend: "stop the program that uses it, or change `listen`",
        cause,
    };
    let listener = Listener::bind(config.listen, tls, admission.clone(), services.clone());
    let listener = listener.map_err(port_in_use)?;
    let address = listener.address().map_err(port_in_use)?;
    let metrics_address = match config.metrics_address()? {
        Some(address) => Some(metrics_port::start(address, &services).await?),
        None => None,
    };
    admin_socket::start(&config.admin_socket, &services, backup::Source::of(config))?;
    services.tracker.spawn(listener.run());
    services.tracker.spawn(services.dispatch.push.clone().run(services.shutdown.clone()));
    services.tracker.spawn(timers::run(services.clone()));
    services.tracker.spawn(cursors::run(services.clone()));
    let interval = Duration::from_millis(config.housekeeping_interval_ms);
    services.tracker.spawn(group_rules::run(services.clone()));
    services.tracker.spawn(housekeeping::run(services.clone(), admission, interval, config.audit_keep()));
    Ok(RunningServer {
        address,
        metrics_address,
        services,
        certificate,
        certificate_files: (config.tls_certificate.clone(), config.tls_key.clone()),
        drain: Duration::from_millis(config.drain_timeout_ms),
    })
}
