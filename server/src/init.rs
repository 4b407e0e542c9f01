//! First start: CPTS root, hub certificate, TLS certificate, configuration file, and the invitation of the
//! first administrator. Called by `cercle-server init` and by `cercle demo`.
//!
//! Refuses to touch anything that exists: a root that is replaced makes every enrolled device a stranger.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use cercle_proto::{
    certificate::Root,
    id::check_domain,
    invitation::Invitation,
    v1::{MemberClass, Role},
};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::{
    at_rest::{self, AtRestError, KeySource, WrappingKey},
    auth::{
        self, AuthenticationService, InvitationRequest, Inviter,
        authority::{self, AuthorityError, Issuer},
    },
    clock::Clock,
    config::{Config, ConfigError, keys::sample},
    limits,
    server::keys::{
        HUB_CERTIFICATE, HUB_KEY, KeyFileError, ROOT_CERTIFICATE, ROOT_KEY, make_directory, write_new,
    },
};

/// Name of the configuration file in the data directory.
pub const CONFIG_FILE: &str = "cercle.toml";

/// What a new hub shall be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Data directory; must not exist, or be empty.
    pub data: PathBuf,
    /// Right side of every user id.
    pub domain: String,
    /// `host:port` as devices reach it; port 0 takes a free one of this machine.
    pub address: String,
    /// The operator's own TLS certificate and key (PEM) of the public web, instead of one under the root.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// User id (without domain) of the first administrator.
    pub administrator: String,
    /// Name of the first administrator.
    pub administrator_name: String,
    /// Where the key that the disk is sealed with comes from, as in the configuration. A file that does not exist is
    /// made; nothing: names and user ids lie readable.
    pub at_rest_key: Option<String>,
}

/// A new hub.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its configuration file.
    pub config: PathBuf,
    /// One-time invitation of the first administrator, with the role coordinator.
    pub invitation: Invitation,
}

/// Why no hub was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something already.
    #[error("{0} is not empty: choose another directory; an existing hub is never overwritten")]
    Exists(PathBuf),
    /// An option cannot work.
    #[error("{0}")]
    Option(String),
    /// A file.
    #[error(transparent)]
    Files(#[from] KeyFileError),
    /// A certificate.
    #[error("the certificates cannot be made")]
    Authority(#[from] AuthorityError),
    /// The configuration that was written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store, or the key that it is sealed with.
    #[error(transparent)]
    Store(#[from] AtRestError),
    /// The first invitation.
    #[error("the first invitation cannot be made")]
    Invitation(#[from] auth::Error),
}

/// Makes a hub.
///
/// # Errors
/// As [`InitError`] says.
pub async fn create(options: Options, clock: &Clock) -> Result<Created, InitError> {
    let data = &options.data;
    if std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(InitError::Exists(data.clone()));
    }
    check_domain(&options.domain).map_err(|error| InitError::Option(error.to_string()))?;
    let address = Address::parse(&options.address)?;
    make_directory(data)?;
    let now = clock.now();
    let root = authority::make_root(&options.domain, now)?;
    let hub = authority::make_hub_sender(&root, &options.domain, now)?;
    for (name, keyed, key_name) in [(ROOT_CERTIFICATE, &root, ROOT_KEY), (HUB_CERTIFICATE, &hub, HUB_KEY)] {
        write_new(&data.join(name), 0o644, keyed.certificate_pem().as_bytes())?;
        write_new(&data.join(key_name), 0o600, keyed.key_pem().as_bytes())?;
    }
    if options.tls.is_none() {
        let tls = authority::make_server(&root, &options.domain, &address.names(), now)?;
        // The root comes last, so that a device that knows only its fingerprint can pick it.
        let chain = format!("{}{}", tls.certificate_pem(), root.certificate_pem());
        write_new(&data.join("tls.pem"), 0o644, chain.as_bytes())?;
        write_new(&data.join("tls.key"), 0o600, tls.key_pem().as_bytes())?;
    }
    let config_file = data.join(CONFIG_FILE);
    write_new(&config_file, 0o600, config_text(&options, &address).as_bytes())?;
    let config = Config::load(&config_file, [])?;
    if let Some(KeySource::File(file)) = config.at_rest_source()?
        && !file.exists()
    {
        WrappingKey::make(&file)?;
    }
    let issuer = Issuer::load(&root, hub.certificate, &options.domain, now)?;
    let fingerprint = issuer.root().fingerprint();
    let secret = invite(&options, &config, issuer, now).await?;
    let invitation = Invitation {
        address: config.public_address,
        secret,
        root_fingerprint: fingerprint,
        web_certificate: config.tls_web,
    };
    Ok(Created { config: config_file, invitation })
}

async fn invite(options: &Options, config: &Config, issuer: Issuer, now: u64) -> Result<[u8; 32], InitError> {
    let store = at_rest::open_store(config).await?;
    let service = AuthenticationService::new(Arc::clone(&store), issuer, config.auth());
    let request = InvitationRequest {
        user: Some(options.administrator.clone()),
        display_name: options.administrator_name.clone(),
        profession: String::new(),
        class: MemberClass::Professional,
        roles: vec![Role::Member, Role::Coordinator],
        valid_for_ms: None,
        lost_devices: false,
    };
    let created = service.create_invitation(Inviter::Operator, request, now).await?;
    // The last references: the writer thread ends here, and the next process finds the store free.
    drop(service);
    let closed = tokio::task::spawn_blocking(move || drop(store)).await;
    closed.expect("closing the store does not panic");
    Ok(created.secret)
}

fn config_text(options: &Options, address: &Address) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut given = vec![
        ("domain", quoted(&options.domain)),
        ("listen", quoted(&address.listen().to_string())),
        ("public_address", quoted(&address.public())),
    ];
    if let Some(key) = &options.at_rest_key {
        given.push(("at_rest_key", quoted(key)));
    }
    if let Some((certificate, key)) = &options.tls {
        // An absolute path stays what it is when the installation moves.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        given.push(("tls_certificate", quoted(&absolute(certificate).display().to_string())));
        given.push(("tls_key", quoted(&absolute(key).display().to_string())));
        given.push(("tls_web", "true".to_owned()));
    }
    if address.is_loopback() {
        // A hub for this machine alone is one of several: no fixed port for its metrics.
        given.push(("metrics", quoted("")));
    }
    sample(&given)
}

/// Where devices reach the hub.
struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn parse(text: &str) -> Result<Self, InitError> {
        let wrong = || InitError::Option(format!("`{text}` is not host:port"));
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let mut address = Self { host, port };
        if port == 0 {
            address.port = free_port(address.listen().ip())?;
        }
        Ok(address)
    }

    fn ip(&self) -> Option<IpAddr> {
        match self.host.as_str() {
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            host => host.parse().ok(),
        }
    }

    fn is_loopback(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// This machine only, or every address of it.
    fn listen(&self) -> SocketAddr {
        let any = IpAddr::from([0_u16; 8]);
        SocketAddr::new(self.ip().filter(IpAddr::is_loopback).unwrap_or(any), self.port)
    }

    fn public(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// Names in the TLS certificate.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.host.clone()];
        if self.is_loopback() {
            names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
            names.sort();
            names.dedup();
        }
        names
    }
}

/// A port that nobody uses now, and that the system gives to no outgoing connection later: the hub may be
/// started at any time after `init`, and again after each end.
fn free_port(ip: IpAddr) -> Result<u16, InitError> {
    let mut cause = None;
    for _ in 0..limits::FREE_PORT_TRIES {
        let mut random = [0; 2];
        if SystemRandom::new().fill(&mut random).is_err() {
            break;
        }
        let Range { start, end } = limits::FREE_PORTS;
        let port = start + u16::from_be_bytes(random) % (end - start);
        match std::net::TcpListener::bind((ip, port)) {
            Ok(_) => return Ok(port),
            Err(error) => cause = Some(error),
        }
    }
    let cause = cause.map_or_else(|| "no randomness".to_owned(), |error| error.to_string());
    Err(InitError::Option(format!("no free port: {cause}")))
}

/// The root of a data directory, to show its fingerprint.
///
/// # Errors
/// When it cannot be read.
pub fn root_of(config: &Config) -> Result<Root, KeyFileError> {
    let path = config.data.join(ROOT_CERTIFICATE);
    let content = |path| KeyFileError::Content { path, expected: "certificate" };
    let text = std::fs::read(&path).map_err(|cause| KeyFileError::Io { path: path.clone(), cause })?;
    let block = pem::parse(&text).map_err(|_| content(path.clone()))?;
    Root::from_der(block.contents()).map_err(|_| content(path))
}
