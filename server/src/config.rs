//! The whole configuration: one TOML file, each key documented in [`keys`], unknown keys refused with a
//! suggestion, every key overridable by an environment variable `CERCLE_SERVER_<KEY>`.
//!
//! Relative paths count from the directory of the file, so that an installation can be moved as a whole.

pub mod keys;

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use cercle_proto::id::check_domain;
use cercle_storage::EngineKind;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{
    at_rest::KeySource,
    attachments, audit, auth, delivery, directory,
    limits::DAY_MS,
    session::Timing,
    telemetry::log,
    transport::{admission::AdmissionSettings, rate::Rate},
};

/// Everything that can be configured. [`keys::KEYS`] says what each field means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in `keys::KEYS`, which a test compares with these fields")]
pub struct Config {
    pub domain: String,
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub public_address: String,
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    pub tls_web: bool,
    pub admin_socket: PathBuf,
    pub metrics: String,
    pub engine: String,
    pub durability: Durability,
    pub log_format: LogFormat,
    pub log_filter: String,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub connections_loopback_max: usize,
    pub connects_per_second: NonZeroU32,
    pub connects_burst: NonZeroU32,
    pub requests_per_second: NonZeroU32,
    pub requests_burst: NonZeroU32,
    pub authentication_timeout_ms: u64,
    pub ping_interval_ms: u64,
    pub write_timeout_ms: u64,
    pub drain_timeout_ms: u64,
    pub housekeeping_interval_ms: u64,
    pub retention_days: u64,
    pub record_retention_days: u64,
    pub group_devices_max: usize,
    pub devices_per_user_max: usize,
    pub directory_entries_per_day: usize,
    pub certificate_days: u64,
    pub invitation_hours: u64,
    pub attachments: PathBuf,
    pub attachments_per_user_mb: u64,
    pub attachment_retention_days: u64,
    pub push: PathBuf,
    pub backups: PathBuf,
    pub at_rest_key: String,
    pub audit_days: u64,
    pub audit_security_days: u64,
    pub alert_hook: String,
    pub alert_two_persons: bool,
    pub time_zone: String,
}

/// What must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// An acknowledged write survives a power loss.
    PowerLoss,
    /// An acknowledged write survives the end of the process only.
    Process,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Why a configuration cannot be used: what, where, how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read; `cercle-server init` makes one")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is not TOML, or a value does not fit its key.
    #[error("the configuration does not fit: {0}")]
    Malformed(String),
    /// A key that does not exist.
    #[error("unknown key `{key}`{}", suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// A key with a similar name.
        suggestion: Option<&'static str>,
    },
    /// A value that cannot work.
    #[error("`{key}` {wrong}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it and what would be right.
        wrong: String,
    },
}

impl Config {
    /// Reads a file and the environment.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        Self::parse(&text, environment, directory)
    }

    /// Reads TOML text and the environment; relative paths count from `directory`.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn parse(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        directory: &Path,
    ) -> Result<Self, ConfigError> {
        let malformed = |error: toml::de::Error| ConfigError::Malformed(error.to_string());
        let mut table: toml::Table = text.parse().map_err(malformed)?;
        if let Some(key) = table.keys().find(|key| !keys::KEYS.iter().any(|known| known.name == **key)) {
            return Err(ConfigError::UnknownKey { key: key.clone(), suggestion: keys::similar(key) });
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("CERCLE_SERVER_").map(str::to_ascii_lowercase) else {
                continue;
            };
            let Some(known) = keys::KEYS.iter().find(|known| known.name == key) else {
                return Err(ConfigError::UnknownKey { key: name, suggestion: keys::similar(&key) });
            };
            table.insert(key, known.value_of(&value));
        }
        for known in keys::KEYS {
            if let (false, Some(default)) = (table.contains_key(known.name), known.default_value()) {
                table.insert(known.name.to_owned(), default);
            }
        }
        let mut config: Self = table.try_into().map_err(malformed)?;
        for path in [
            &mut config.data,
            &mut config.tls_certificate,
            &mut config.tls_key,
            &mut config.admin_socket,
            &mut config.attachments,
            &mut config.push,
        ] {
            // Components, so that the default "." leaves no trace in messages.
            *path = directory.join(&*path).components().collect();
        }
        if !config.backups.as_os_str().is_empty() {
            config.backups = directory.join(&config.backups).components().collect();
        }
        if let Some(source) = config.at_rest_in(directory)? {
            config.at_rest_key = source.to_string();
        }
        config.check()?;
        Ok(config)
    }

    /// The values as lines of TOML, for the log. Nothing in them is secret: keys are named by path.
    #[must_use]
    pub fn redacted(&self) -> String {
        toml::to_string(self).expect("a configuration is made of TOML values")
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, wrong: &str| Err(ConfigError::Value { key, wrong: wrong.to_owned() });
        if let Err(error) = check_domain(&self.domain) {
            return value("domain", &format!("is not valid: {error}"));
        }
        if self
            .public_address
            .rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            return value("public_address", "must be host:port, as devices reach the hub");
        }
        if self.metrics_address()?.is_some_and(|address| !address.ip().is_loopback()) {
            return value("metrics", "must be a loopback address: whoever reads it needs no password");
        }
        self.engine_kind()?;
        self.time_zone()?;
        for (key, ms) in [
            ("authentication_timeout_ms", self.authentication_timeout_ms),
            ("ping_interval_ms", self.ping_interval_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("drain_timeout_ms", self.drain_timeout_ms),
            ("housekeeping_interval_ms", self.housekeeping_interval_ms),
        ] {
            if !(10..=DAY_MS).contains(&ms) {
                return value(key, "must be between 10 ms and a day");
            }
        }
        for (key, days) in [
            ("retention_days", self.retention_days),
            ("record_retention_days", self.record_retention_days),
            ("certificate_days", self.certificate_days),
            ("invitation_hours", self.invitation_hours),
            ("attachment_retention_days", self.attachment_retention_days),
            ("audit_days", self.audit_days),
            ("audit_security_days", self.audit_security_days),
        ] {
            if !(1..=36_500).contains(&days) {
                return value(key, "must be between 1 and 36500");
            }
        }
        if !(1..=1 << 30).contains(&self.attachments_per_user_mb) {
            return value("attachments_per_user_mb", "must be between 1 and 2^30");
        }
        if self.record_retention_days < self.retention_days {
            return value(
                "record_retention_days",
                "must not be shorter than retention_days: a retried message would be stored twice",
            );
        }
        Ok(())
    }

    /// Where metrics are served, if they are.
    ///
    /// # Errors
    /// When the value is not an address.
    pub fn metrics_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.metrics.is_empty() {
            return Ok(None);
        }
        let wrong = "must be empty or an address with port, like 127.0.0.1:9464".to_owned();
        self.metrics.parse().map(Some).map_err(|_| ConfigError::Value { key: "metrics", wrong })
    }

    /// The time zone of quiet hours.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn time_zone(&self) -> Result<TimeZone, ConfigError> {
        directory::quiet::time_zone(&self.time_zone).ok_or_else(|| ConfigError::Value {
            key: "time_zone",
            wrong: "is no time zone: give a name like Europe/Paris, or a POSIX rule like <+04>-4".into(),
        })
    }

    /// The store's engine. `auto`: the one that made the store, else the default one.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn engine_kind(&self) -> Result<EngineKind, ConfigError> {
        if self.engine == "auto" {
            return Ok(EngineKind::found_in(&self.data.join("store")).unwrap_or_default());
        }
        self.engine.parse().map_err(|error: cercle_storage::UnknownEngine| ConfigError::Value {
            key: "engine",
            wrong: format!("must be auto or the name of an engine; {error}"),
        })
    }

    /// Where the key at rest comes from, if there is one.
    ///
    /// # Errors
    /// When the value is neither a path nor a program.
    pub fn at_rest_source(&self) -> Result<Option<KeySource>, ConfigError> {
        self.at_rest_in(Path::new(""))
    }

    fn at_rest_in(&self, directory: &Path) -> Result<Option<KeySource>, ConfigError> {
        let wrong = || "must be empty, the path of a file, or command:/path/of/a/program".to_owned();
        KeySource::parse(&self.at_rest_key, directory)
            .map_err(|_| ConfigError::Value { key: "at_rest_key", wrong: wrong() })
    }

    /// How long records of the audit log are kept.
    #[must_use]
    pub fn audit_keep(&self) -> audit::Keep {
        audit::Keep { operation_days: self.audit_days, security_days: self.audit_security_days }
    }

    /// Timing of sessions.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing {
            authentication: Duration::from_millis(self.authentication_timeout_ms),
            ping_interval: Duration::from_millis(self.ping_interval_ms),
            write: Duration::from_millis(self.write_timeout_ms),
        }
    }

    /// Who may connect.
    #[must_use]
    pub fn admission(&self) -> AdmissionSettings {
        AdmissionSettings {
            connections_max: self.connections_max,
            per_address_max: self.connections_per_address_max,
            loopback_max: self.connections_loopback_max,
            rate: Rate { per_second: self.connects_per_second, burst: self.connects_burst },
        }
    }

    /// How often a device may ask.
    #[must_use]
    pub fn request_rate(&self) -> Rate {
        Rate { per_second: self.requests_per_second, burst: self.requests_burst }
    }

    /// Settings of the authentication service.
    #[must_use]
    pub fn auth(&self) -> auth::Settings {
        auth::Settings {
            certificate_valid_ms: self.certificate_days * DAY_MS,
            invitation_valid_ms: self.invitation_hours * 60 * 60 * 1000,
            devices_per_user_max: self.devices_per_user_max,
        }
    }

    /// Where backups are kept, if the configuration says so.
    #[must_use]
    pub fn backups_folder(&self) -> Option<PathBuf> {
        (!self.backups.as_os_str().is_empty()).then(|| self.backups.clone())
    }

    /// Where the directory lies.
    #[must_use]
    pub fn directory_folder(&self) -> PathBuf {
        self.data.join("directory")
    }

    /// Settings of the delivery service.
    #[must_use]
    pub fn delivery(&self) -> delivery::Settings {
        delivery::Settings {
            group_devices_max: self.group_devices_max,
            retention_ms: self.retention_days * DAY_MS,
            record_retention_ms: self.record_retention_days * DAY_MS,
        }
    }

    /// Settings of the attachment service.
    #[must_use]
    pub fn attachments(&self) -> attachments::Settings {
        attachments::Settings {
            user_bytes_max: self.attachments_per_user_mb << 20,
            retention_ms: self.attachment_retention_days * DAY_MS,
            silence_max: 2 * Duration::from_millis(self.ping_interval_ms),
        }
    }

    /// The form of log lines.
    #[must_use]
    pub fn log_format(&self) -> log::Format {
        match self.log_format {
            LogFormat::Text => log::Format::Text,
            LogFormat::Json => log::Format::Json,
        }
    }
}

#[cfg(test)]
mod tests;
