//! Looks at an installation and names what is wrong with it, each with its mending. Reads only: it may run
//! beside the hub.

use std::{fmt, net::TcpListener, path::Path};

use cercle_storage::EngineKind;
use serde::Serialize;
use x509::Period;

use crate::{
    clock::Clock,
    config::{Config, Durability},
    health,
    limits::{self, DAY_MS},
    server::keys::{self, KeyFileError, Keys},
    transport::tls,
};

mod at_rest;
mod copies;
#[cfg(test)]
mod seeded;
mod surroundings;
mod x509;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub mend: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Good,
    /// It works, but not for long, or not as well as it could.
    Warning,
    /// The hub does not start, or devices cannot use it.
    Bad,
}

impl Finding {
    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.state == State::Good
    }

    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, state: State::Good, found: found.into(), mend: String::new() }
    }

    fn warning(subject: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, state: State::Warning, found: found.into(), mend: mend.into() }
    }

    fn bad(subject: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, state: State::Bad, found: found.into(), mend: mend.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.state {
            State::Good => "ok  ",
            State::Warning => "warn",
            State::Bad => "BAD ",
        };
        write!(f, "{mark} {}: {}", self.subject, self.found)?;
        if !self.mend.is_empty() {
            write!(f, "\n     -> {}", self.mend)?;
        }
        Ok(())
    }
}

/// Looks at everything. Without a configuration nothing else can be looked at.
pub async fn examine(
    config_file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    clock: &Clock,
) -> Vec<Finding> {
    let config = match Config::load(config_file, environment) {
        Ok(config) => config,
        Err(error) => {
            let found = crate::error::Chain(&error).to_string();
            let mend = "correct the file; `cercle-server config` prints a documented one";
            return vec![Finding::bad("configuration", found, mend)];
        }
    };
    let now = clock.now();
    let running = health::ask(&config).await;
    let mut findings =
        vec![Finding::good("configuration", config_file.display().to_string()), check_clock(now)];
    findings.extend(check_permissions(&config));
    findings.push(check_keys(&config, now));
    findings.extend(check_at_rest(&config).await);
    findings.extend(check_tls(&config, now));
    findings.push(check_engine(&config));
    findings.push(check_disk("disk", &config.data));
    findings.extend(check_attachments(&config));
    findings.push(check_port(&config, &running));
    findings.extend(check_surroundings(&config, now, running.is_ok()).await);
    findings.extend(copies::check(&config, now));
    findings
}

/// A program that gives the key takes its time.
async fn check_at_rest(config: &Config) -> Vec<Finding> {
    let config = config.clone();
    let checked = tokio::task::spawn_blocking(move || at_rest::check(&config)).await;
    checked.expect("looking at the key does not panic")
}

async fn check_surroundings(config: &Config, now: u64, running: bool) -> Vec<Finding> {
    let mut findings = vec![surroundings::check_descriptors(config)];
    findings.extend(surroundings::check_times(config));
    findings.extend(surroundings::check_public_address(config));
    findings.extend(surroundings::check_sockets(config, running));
    findings.extend(surroundings::check_log(config));
    findings.extend(surroundings::check_clock_went_back(config, now));
    findings.extend(surroundings::check_store(config));
    findings.extend(surroundings::check_quota(config));
    findings.extend(surroundings::check_hook(config));
    findings.extend(surroundings::check_push(config).await);
    findings
}

/// Nobody can tell the hub the right time here; a clock before this program was written is certainly wrong.
fn check_clock(now: u64) -> Finding {
    if now < limits::EARLIEST_PLAUSIBLE_TIME_MS {
        let mend =
            "set the clock and run a time service (systemd-timesyncd, chrony): certificates depend on it";
        return Finding::bad("clock", "the clock of this machine is years behind", mend);
    }
    Finding::good("clock", "plausible")
}

fn check_permissions(config: &Config) -> Vec<Finding> {
    let data = &config.data;
    let places = [
        (data.clone(), 0o700),
        (data.join(keys::ROOT_KEY), 0o600),
        (data.join(keys::HUB_KEY), 0o600),
        (config.tls_key.clone(), 0o600),
    ];
    let loose: Vec<Finding> = places
        .iter()
        .filter_map(|(path, wanted)| keys::check_private(path, *wanted).err())
        .map(|error| match error {
            KeyFileError::Permissions { path, mode, wanted } => Finding::bad(
                "permissions",
                format!("{} has mode {mode:o}: other users can read it", path.display()),
                format!("chmod {wanted:o} {}", path.display()),
            ),
            other => {
                let found = crate::error::Chain(&other).to_string();
                Finding::bad(
                    "permissions",
                    found,
                    "restore the file from a backup, or run init for a new hub",
                )
            }
        })
        .collect();
    if loose.is_empty() {
        return vec![Finding::good("permissions", "keys belong to this user alone")];
    }
    loose
}

fn check_keys(config: &Config, now: u64) -> Finding {
    let mend = "restore the key files of this hub together, from one backup";
    let keys = match Keys::load(config) {
        Ok(keys) => keys,
        Err(error) => return Finding::bad("keys", crate::error::Chain(&error).to_string(), mend),
    };
    match keys.issuer(&config.domain, now).and_then(|_| keys.hub_sender()) {
        Ok(_) => Finding::good("keys", "root, hub certificate and domain belong together"),
        Err(error) => Finding::bad("keys", crate::error::Chain(&error).to_string(), mend),
    }
}

fn check_tls(config: &Config, now: u64) -> Vec<Finding> {
    let certified = match tls::load(&config.tls_certificate, &config.tls_key) {
        Ok(certified) => certified,
        Err(error) => {
            let found = crate::error::Chain(&error).to_string();
            let mend = "set tls_certificate and tls_key to a chain and its key, in PEM";
            return vec![Finding::bad("tls certificate", found, mend)];
        }
    };
    let leaf = &certified.cert[0];
    let mut findings = vec![match x509::period(leaf) {
        Some(Period { not_after_ms, .. }) if not_after_ms <= now => {
            Finding::bad("tls certificate", "it has expired", "renew it, then send the hub SIGHUP")
        }
        Some(Period { not_after_ms, .. }) if not_after_ms < now + limits::CERTIFICATE_WARNING_MS => {
            let days = (not_after_ms - now) / DAY_MS;
            let found = format!("it expires in {days} days");
            Finding::warning("tls certificate", found, "renew it, then send the hub SIGHUP")
        }
        Some(Period { not_before_ms, .. }) if not_before_ms > now => {
            Finding::bad("tls certificate", "it is not valid yet", "check the clock of this machine")
        }
        Some(_) => Finding::good("tls certificate", "valid, and its key fits"),
        None => Finding::bad("tls certificate", "it is not X.509", "replace it"),
    }];
    let host = config.public_address.rsplit_once(':').map_or("", |(host, _)| host);
    if !x509::names(leaf, host) {
        let found = format!("it does not name {host}, the host of public_address");
        findings.push(Finding::bad(
            "tls name",
            found,
            "get a certificate for that name, or correct public_address",
        ));
    }
    findings.extend(check_root(config, &certified.cert));
    findings
}

/// A device picks the root out of the chain by its fingerprint; without it there, none can connect.
fn check_root(config: &Config, chain: &[rustls_pki_types::CertificateDer<'static>]) -> Option<Finding> {
    let root = crate::init::root_of(config).ok()?;
    let is_root = |certificate: &rustls_pki_types::CertificateDer<'_>| certificate.as_ref() == root.der();
    if config.tls_web {
        return None;
    }
    if !chain.last().is_some_and(is_root) {
        let mend = "append root.pem to the file of tls_certificate; or, for a certificate of the public web, set tls_web = true";
        return Some(Finding::bad("tls root", "the chain does not end with the CPTS root", mend));
    }
    if !x509::issued_by(&chain[0], &root.der().into()) {
        let mend = "make the TLS certificate under this hub's root, or set tls_web = true";
        return Some(Finding::bad("tls root", "the certificate was not issued by the CPTS root", mend));
    }
    Some(Finding::good("tls root", "issued by the CPTS root, which ends the chain"))
}

fn check_engine(config: &Config) -> Finding {
    let durable = matches!(config.engine_kind(), Ok(EngineKind::Journal | EngineKind::Redb));
    match (config.durability, durable) {
        (Durability::PowerLoss, true) => {
            Finding::good("durability", "acknowledged messages survive a power loss")
        }
        (Durability::PowerLoss, false) => {
            Finding::good("durability", format!("{} is checked when the hub starts", config.engine))
        }
        (Durability::Process, _) => Finding::warning(
            "durability",
            "acknowledged messages need not survive a power loss",
            "set durability = \"power_loss\"",
        ),
    }
}

/// Whether the folder of attachments belongs to this user alone, and has room. Files without rows and rows
/// without files are found by the hub's housekeeping, which has the store open: see the log.
fn check_attachments(config: &Config) -> Vec<Finding> {
    let folder = &config.attachments;
    if !folder.exists() {
        return vec![Finding::good("attachments", "none yet; the hub makes the folder when it starts")];
    }
    match keys::check_private(folder, 0o700) {
        Err(KeyFileError::Permissions { path, mode, wanted }) => {
            let found = format!("{} has mode {mode:o}: other users can read it", path.display());
            vec![Finding::bad("attachments", found, format!("chmod {wanted:o} {}", path.display()))]
        }
        Err(other) => {
            let found = crate::error::Chain(&other).to_string();
            vec![Finding::bad("attachments", found, "check `attachments` and who owns the folder")]
        }
        Ok(()) => vec![
            Finding::good("attachments", "the folder belongs to this user alone"),
            check_disk("attachments disk", folder),
        ],
    }
}

fn check_disk(subject: &'static str, data: &Path) -> Finding {
    let Ok(space) = nix::sys::statvfs::statvfs(data) else {
        let mend = "check that it is on a mounted file system";
        return Finding::bad(subject, format!("{} cannot be looked at", data.display()), mend);
    };
    let free = space.blocks_available() * space.fragment_size();
    let free_mb = free / (1 << 20);
    if free < limits::DISK_FREE_BYTES_MIN {
        let found = format!("{free_mb} MB free");
        let mend = "make room: the hub refuses writes when the disk is full";
        return Finding::warning(subject, found, mend);
    }
    Finding::good(subject, format!("{free_mb} MB free"))
}

fn check_port(config: &Config, running: &Result<health::Answer, health::HealthError>) -> Finding {
    match running {
        Ok(health::Answer { ready: true, .. }) => {
            return Finding::good("port", format!("the hub serves {}", config.listen));
        }
        Ok(health::Answer { text, .. }) => {
            let mend = "see the log of the hub";
            return Finding::bad("port", format!("the hub answers, but: {text}"), mend);
        }
        Err(_) => {}
    }
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::good("port", format!("{} is free; the hub is not running", config.listen)),
        Err(error) => Finding::bad(
            "port",
            format!("{} cannot be used, and this hub does not answer there: {error}", config.listen),
            "stop the program that uses it, or change `listen`; if it is this hub, send it SIGHUP",
        ),
    }
}

#[cfg(test)]
mod tests;
