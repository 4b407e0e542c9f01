//! What an installation needs around it: descriptors, sockets, push services, hooks, a clock that goes forward,
//! backups.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use cercle_storage::EngineKind;
use nix::sys::resource::{Resource, getrlimit};
use tokio::{net::TcpStream, time::timeout};

use super::Finding;
use crate::{
    config::Config,
    error::Chain,
    limits,
    push::settings::PushSettings,
    server::keys::{self, KeyFileError},
    telemetry::log,
};

/// Descriptors: a hub without them lets clients hang.
pub(super) fn check_descriptors(config: &Config) -> Finding {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Finding::good("descriptors", "this machine does not say how many there are");
    };
    let needed = u64::try_from(config.connections_max).unwrap_or(u64::MAX).saturating_add(64);
    if hard < needed {
        let found = format!("{hard} file descriptors for {} connections", config.connections_max);
        return Finding::warning("descriptors", found, "raise LimitNOFILE, or lower connections_max");
    }
    Finding::good("descriptors", format!("{hard}, enough for connections_max"))
}

/// Times that do not fit what the service manager and the clients do.
pub(super) fn check_times(config: &Config) -> Option<Finding> {
    if config.drain_timeout_ms >= limits::SERVICE_STOP_MS {
        let found = format!("a shutdown may take {} ms", config.drain_timeout_ms);
        let mend = "lower drain_timeout_ms: systemd kills after 90 s";
        return Some(Finding::warning("drain", found, mend));
    }
    None
}

/// Where devices are told to connect to.
pub(super) fn check_public_address(config: &Config) -> Option<Finding> {
    let host = config.public_address.rsplit_once(':').map_or("", |(host, _)| host);
    let only_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    (only_here && !config.listen.ip().is_loopback()).then(|| {
        let found =
            format!("public_address is {}: devices look for the hub on themselves", config.public_address);
        Finding::bad(
            "public address",
            found,
            "set public_address to the name that devices reach, and renew the TLS certificate",
        )
    })
}

/// The operator's socket and the address of metrics.
pub(super) fn check_sockets(config: &Config, running: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.admin_socket.as_os_str().len() > limits::SOCKET_PATH_BYTES_MAX {
        let found = format!("{} is too long for a socket", config.admin_socket.display());
        findings.push(Finding::bad("admin socket", found, "set admin_socket to a path below 100 bytes"));
    }
    if let (Ok(Some(address)), false) = (config.metrics_address(), running)
        && let Err(error) = TcpListener::bind(address)
    {
        let found = format!("{address} cannot be used: {error}");
        findings.push(Finding::bad("metrics", found, "stop the program that uses it, or change `metrics`"));
    }
    findings
}

/// Log lines that nobody would see.
pub(super) fn check_log(config: &Config) -> Option<Finding> {
    let mend = "use a level (info), or levels by module (info,cercle_server=debug)";
    (!log::is_readable(&config.log_filter))
        .then(|| Finding::warning("log filter", "it cannot be read, and counts as info", mend))
}

/// A clock that was set back: files of this hub are of the future.
pub(super) fn check_clock_went_back(config: &Config, now: u64) -> Option<Finding> {
    let files = [config.data.join(keys::ROOT_CERTIFICATE), config.data.join("store")];
    let newest = files.iter().filter_map(|file| modified_ms(file)).max()?;
    (newest > now + limits::CLOCK_TOLERANCE_MS).then(|| {
        let hours = (newest - now) / 3_600_000;
        let found = format!("files of this hub are {hours} hours younger than the present time");
        Finding::bad("clock", found, "set the clock, and run a time service (systemd-timesyncd, chrony)")
    })
}

fn modified_ms(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    u64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The store's folder: of the engine that is configured, and private.
pub(super) fn check_store(config: &Config) -> Vec<Finding> {
    let store = config.data.join("store");
    let mut findings = Vec::new();
    if let (Some(found), Ok(wanted)) = (EngineKind::found_in(&store), config.engine_kind())
        && found != wanted
    {
        let (found, wanted) = (found.name(), wanted.name());
        let text = format!("{} holds a {found} store, and engine is {wanted}", store.display());
        findings.push(Finding::bad("store", text, format!("set engine = \"{found}\" or \"auto\"")));
    }
    if let Err(KeyFileError::Permissions { path, mode, wanted }) = keys::check_private(&store, 0o700) {
        let found = format!("{} has mode {mode:o}: other users can read it", path.display());
        findings.push(Finding::bad("store", found, format!("chmod {wanted:o} {}", path.display())));
    }
    findings
}

/// One user's attachments must not fill the disk.
pub(super) fn check_quota(config: &Config) -> Option<Finding> {
    let space = nix::sys::statvfs::statvfs(&config.data).ok()?;
    let whole_mb = space.blocks() * space.fragment_size() / (1 << 20);
    (config.attachments_per_user_mb > whole_mb).then(|| {
        let found = format!(
            "one user may store {} MB, and the whole disk has {whole_mb} MB",
            config.attachments_per_user_mb
        );
        Finding::warning("attachment quota", found, "lower attachments_per_user_mb")
    })
}

/// What is called when an alert reaches nobody.
pub(super) fn check_hook(config: &Config) -> Option<Finding> {
    let hook = config.alert_hook.as_str();
    if hook.is_empty() || hook.starts_with("https://") {
        return None;
    }
    let mend = "set alert_hook to the absolute path of a program, or an https URL";
    if !hook.starts_with('/') {
        return Some(Finding::bad("alert hook", "it is neither a path nor an https URL", mend));
    }
    match std::fs::metadata(hook) {
        Err(error) => Some(Finding::bad("alert hook", format!("{hook} cannot be found: {error}"), mend)),
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            let mend = format!("chmod +x {hook}");
            Some(Finding::bad("alert hook", format!("{hook} is no program that can be run"), mend))
        }
        Ok(_) => None,
    }
}

/// The file about push services, the keys that it names, and whether the services can be reached from here.
pub(super) async fn check_push(config: &Config) -> Vec<Finding> {
    let settings = match PushSettings::load(&config.push) {
        Ok(settings) => settings,
        Err(error) => {
            let mend = "correct the file (docs/operating/push.md)";
            return vec![Finding::bad("push", Chain(&error).to_string(), mend)];
        }
    };
    let mut findings = Vec::new();
    let apns = settings.apns.as_ref().map(|apns| &apns.key_file);
    let fcm = settings.fcm.as_ref().map(|fcm| &fcm.service_account);
    for file in apns.into_iter().chain(fcm) {
        if let Err(error) = keys::check_private(&config.data.join(file), 0o600) {
            let mend =
                format!("put the file there, readable by this user alone (chmod 600 {})", file.display());
            findings.push(Finding::bad("push key", Chain(&error).to_string(), mend));
        }
    }
    for endpoint in settings.endpoints() {
        if !reachable(&endpoint).await {
            let mend = "allow TCP 443 to the push services (docs/operating/push.md)";
            findings.push(Finding::warning("push service", format!("{endpoint} cannot be reached"), mend));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("push", "what is configured can be used"));
    }
    findings
}

async fn reachable(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let address = (host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(443));
    matches!(timeout(Duration::from_secs(5), TcpStream::connect(address)).await, Ok(Ok(_)))
}
