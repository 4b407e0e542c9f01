//! Every key of the configuration: default, meaning, reason. The sample file, `docs/operating/configure.md`
//! and the suggestions for misspelt keys are all made from this table.

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default as TOML; empty if it must be given.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Why the default is what it is, or when to change it.
    pub reason: &'static str,
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str, reason: &'static str) -> Key {
    Key { name, default, meaning, reason }
}

/// All keys, in the order of the sample file.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("domain", "",
        "Right side of every user id of this hub, usually the domain name of the CPTS.",
        "It is written into every certificate: it cannot be changed later."),
    key("data", "\".\"",
        "Directory of the store and of the keys. It belongs to the user of the hub alone (mode 0700).",
        "The directory of this file: an installation is one directory."),
    key("listen", "\"[::]:8443\"",
        "Address and port on which devices are served, TLS 1.3.",
        "All addresses; 8443 needs no privilege."),
    key("public_address", "",
        "Host and port as devices reach the hub; written into invitation links.",
        "Only you know what stands between the hub and the devices."),
    key("tls_certificate", "\"tls.pem\"",
        "TLS certificate chain, PEM, the hub's own first. Read again on SIGHUP.",
        "Made by `init` under the CPTS root."),
    key("tls_key", "\"tls.key\"",
        "Private key of the TLS certificate, PEM, mode 0600. Read again on SIGHUP.",
        "Made by `init`."),
    key("tls_web", "false",
        "The TLS certificate is one of the public web, not one under the CPTS root; links say so.",
        "`init` makes a certificate under the CPTS root."),
    key("admin_socket", "\"admin.sock\"",
        "Unix socket of `cercle-server admin`, mode 0600.",
        "Who may use it is who may read the data directory."),
    key("metrics", "\"127.0.0.1:9464\"",
        "Loopback address of /metrics for Prometheus; empty: none.",
        "It has no password, so it is not offered to the network."),
    key("engine", "\"auto\"",
        "Engine of the store: auto, journal, redb, or sled in builds that have it. With auto a store keeps the engine that made it, and a new one gets journal.",
        "journal keeps every acknowledged write through a power loss, as redb does, and takes several times as many."),
    key("durability", "\"power_loss\"",
        "What an acknowledged message must survive: power_loss, or process (the end of the process only). The hub does not start with an engine that promises less.",
        "A message that was acknowledged must never be lost."),
    key("log_format", "\"text\"",
        "Log lines on standard error: text, or json.",
        "systemd and people read text."),
    key("log_filter", "\"info\"",
        "Which log lines: error, warn, info, debug, or levels by module (`info,cercle_server=debug`).",
        "info tells of starts, stops and changes; debug of every request."),
    key("connections_max", "16000",
        "Connections altogether. Each takes a file descriptor and about 40 KB.",
        "More than a department has professionals; limited by LimitNOFILE too."),
    key("connections_per_address_max", "2000",
        "Connections of one address (IPv6: of one /64).",
        "A hospital behind one address."),
    key("connections_loopback_max", "16000",
        "Connections from this machine itself: a reverse proxy, tools, tests.",
        "A proxy brings everybody."),
    key("connects_per_second", "50",
        "New connections of one address per second, on average; loopback is free.",
        "A TLS handshake costs about 0.3 ms: one address takes at most 2 % of a core."),
    key("connects_burst", "1000",
        "New connections of one address at once, after a pause.",
        "Everybody behind one address comes back at once after a restart."),
    key("requests_per_second", "200",
        "Requests of one device per second, on average.",
        "Far above what a person does, far below what hurts others."),
    key("requests_burst", "2000",
        "Requests of one device at once, after a pause.",
        "A device that was offline for days sends what it has written, and joins its groups."),
    key("authentication_timeout_ms", "10000",
        "How long a connection may stay unauthenticated.",
        "A few round trips of a bad mobile network."),
    key("ping_interval_ms", "30000",
        "The hub pings after so long a silence; a device silent for twice as long is gone.",
        "Below the 60 s after which many routers forget a connection."),
    key("write_timeout_ms", "20000",
        "How long a device may take to read what is sent to it, before it is disconnected.",
        "256 KiB over a slow mobile network; it reads on from its cursor when it is back."),
    key("drain_timeout_ms", "10000",
        "How long a shutdown waits for requests that are on their way.",
        "Longer than any request; shorter than the 90 s after which systemd kills."),
    key("housekeeping_interval_ms", "60000",
        "How often old entries are deleted and pending removals repeated.",
        "A minute of backlog is deleted in milliseconds."),
    key("retention_days", "90",
        "Messages are kept at most so long, even for devices that have not read them. Read by all: deleted at once.",
        "A device away for longer joins its groups again and misses what was sent meanwhile."),
    key("record_retention_days", "120",
        "How long retried writes are recognised, and unused invitations and welcomes kept.",
        "Longer than the messages themselves."),
    key("group_devices_max", "500",
        "Devices in one group.",
        "The cost of MLS grows with the group: at 1000 members each message costs every receiver 3 ms."),
    key("devices_per_user_max", "10",
        "Devices of one user that are not revoked.",
        "Phones, tablets and workplaces of one professional."),
    key("directory_entries_per_day", "1500",
        "Different entries of the directory that one user may see in a day.",
        "A busy secretary needs a few hundred; who copies a department needs thousands."),
    key("certificate_days", "90",
        "Validity of device certificates; devices renew them by themselves.",
        "A device that was lost and not reported is out after this time."),
    key("invitation_hours", "72",
        "How long an invitation can be redeemed, if the inviter says nothing else.",
        "Over a weekend."),
    key("attachments", "\"attachments\"",
        "Folder of attachments (ciphertext). It belongs to the user of the hub alone (mode 0700).",
        "Beside the store; a larger and slower disk will do."),
    key("attachments_per_user_mb", "5120",
        "What the attachments of one user may take on the hub, MB.",
        "Thousands of letters, hundreds of photos; 200 users fill a disk of 1 TB at worst."),
    key("attachment_retention_days", "365",
        "Attachments are deleted so long after the newest message that refers to them.",
        "Devices keep what they have opened; the hub is not an archive."),
    key("push", "\"push.toml\"",
        "File about push services (docs/operating/push.md). Without it, Web Push and UnifiedPush work, Apple and Firebase do not.",
        "Accounts with Apple and Google are the operator's, and few have them."),
    key("backups", "\"\"",
        "Folder of backups, best on another disk or machine; empty: none is known, and `doctor` warns.",
        "Only you know where copies are safe."),
    key("at_rest_key", "\"\"",
        "File with the key that the hub seals names, user ids and addresses on its disk with, or `command:` and the absolute path of a program that prints it; empty: they lie readable (docs/operating/at-rest.md).",
        "`init` makes `at-rest.key`; only you know a better place: another disk, a credential of systemd, a key service."),
    key("audit_days", "400",
        "Records of the audit log about operations (alerts, backups, reports of devices) are kept so long.",
        "A year, and time to look into it."),
    key("audit_security_days", "1100",
        "Records of the audit log about devices, invitations, certificates and the log itself are kept so long.",
        "Three years: who had access is asked long after."),
    key("alert_hook", "\"\"",
        "What is called for a recipient who does not acknowledge an alert: absolute path of a program, or https URL (docs/operating/alerts.md); empty: nothing.",
        "Gateways for SMS and voice differ."),
    key("alert_two_persons", "false",
        "A second crisis publisher must confirm an alert before it rings.",
        "A territory with one publisher on duty could not alert."),
    key("time_zone", "\"Europe/Paris\"",
        "Time zone in which members' quiet hours are meant: a name of the IANA database, or a POSIX rule (`<+04>-4`).",
        "Most territories; those overseas have their own."),
];

impl Key {
    /// The default as a TOML value, if there is one.
    #[must_use]
    pub fn default_value(&self) -> Option<toml::Value> {
        let line = format!("value = {}", self.default);
        let table: toml::Table = if self.default.is_empty() { return None } else { line.parse().ok()? };
        table.get("value").cloned()
    }

    /// What an environment variable says for this key: numbers and switches as TOML writes them, anything
    /// else as text.
    #[must_use]
    pub fn value_of(&self, text: &str) -> toml::Value {
        let is_text = self.default_value().is_none_or(|default| default.is_str());
        let parsed = format!("value = {text}").parse::<toml::Table>().ok();
        let value = parsed.and_then(|table| table.get("value").cloned());
        match value {
            Some(value) if !is_text => value,
            _ => toml::Value::String(text.to_owned()),
        }
    }
}

/// The key with the most similar name, if any is similar.
#[must_use]
pub fn similar(name: &str) -> Option<&'static str> {
    let score = |key: &Key| strsim::jaro_winkler(key.name, name);
    let best = KEYS.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) > 0.8).then_some(best.name)
}

/// A configuration file with every key explained. Keys in `given` have these values (as TOML), the others are
/// commented out with their default.
#[must_use]
pub fn sample(given: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Configuration of a Cercle hub. Every key can also be set by an environment variable\n\
         # CERCLE_SERVER_<KEY>. Relative paths count from the directory of this file.\n",
    );
    for key in KEYS {
        text.push_str(&format!("\n# {}\n# {}\n", key.meaning, key.reason));
        match given.iter().find(|(name, _)| *name == key.name) {
            Some((name, value)) => text.push_str(&format!("{name} = {value}\n")),
            None if key.default.is_empty() => text.push_str(&format!("{} = \"\"\n", key.name)),
            None => text.push_str(&format!("#{} = {}\n", key.name, key.default)),
        }
    }
    text
}

/// The table of `docs/operating/configure.md`.
#[must_use]
pub fn markdown() -> String {
    let row = |key: &Key| {
        let default =
            if key.default.is_empty() { "(required)".to_owned() } else { format!("`{}`", key.default) };
        format!("| `{}` | {default} | {} | {} |\n", key.name, key.meaning, key.reason)
    };
    let rows: String = KEYS.iter().map(row).collect();
    format!("| key | default | meaning | why |\n|---|---|---|---|\n{rows}")
}
