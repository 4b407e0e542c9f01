//! The real program: its commands, its signals, its exit codes.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
};

use cercle_proto::{
    ErrorCode,
    v1::{self, client_frame::Body, server_frame},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{PATIENCE, Peer, tls_to, websocket_over};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cercle-server");

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env_clear().output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn init(data: &Path) {
    let data = data.to_str().unwrap();
    let made = run(&["init", "--data", data, "--domain", "cpts.example", "--address", "127.0.0.1:0"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let link = text(&made.stdout).lines().last().unwrap().to_owned();
    assert!(cercle_proto::invitation::Invitation::parse(&link).is_ok(), "{link}");
}

/// A running hub.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    child: Child,
    lines: mpsc::Receiver<String>,
    log: String,
}

impl Hub {
    pub(crate) fn serve(data: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config", data.to_str().unwrap()]);
        Self::start(command)
    }

    /// The same with a hard limit of file descriptors.
    fn serve_with_descriptors(data: &Path, descriptors: u32) -> Self {
        let mut command = Command::new("/bin/sh");
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" serve --config \"$1\"");
        command.args(["-c", &limited, PROGRAM, data.to_str().unwrap()]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("ready ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{first}"));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { address, child, lines, log: String::new() }
    }

    /// Waits until the log says something.
    fn wait_for(&mut self, text: &str) {
        while !self.log.contains(text) {
            let line = self.lines.recv_timeout(PATIENCE).expect("the log says it in time");
            self.log.push_str(&line);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end; returns whether it was a good one, and the log.
    pub(crate) fn end(mut self) -> (bool, String) {
        let status = self.child.wait().unwrap();
        self.log.extend(self.lines.iter());
        (status.success(), std::mem::take(&mut self.log))
    }
}

/// A failed test leaves no hub behind.
impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_hub_is_made_served_asked_and_ended() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    let config = data.to_str().unwrap().to_owned();
    init(&data);
    let again = run(&["init", "--data", &config, "--domain", "cpts.example", "--address", "127.0.0.1:0"]);
    assert!(!again.status.success(), "an existing hub is never overwritten");

    let mut hub = Hub::serve(&data);
    assert_eq!(text(&run(&["health", "--config", &config]).stdout), "ready\n");
    let doctor = run(&["doctor", "--config", &config]);
    let faults = text(&doctor.stdout);
    let faults: Vec<&str> = faults.lines().filter(|line| !line.starts_with("ok ")).collect();
    for warned in ["warn key at rest: ", "warn backups: none are known"] {
        assert!(faults.iter().any(|line| line.starts_with(warned)), "{faults:?}");
    }
    assert!(!faults.iter().any(|line| line.starts_with("BAD")), "{faults:?}");
    assert_eq!(doctor.status.code(), Some(3));

    let invited = run(&[
        "admin",
        "--config",
        &config,
        "--json",
        "invite",
        "claire",
        "--name",
        "Claire Martin",
        "--role",
        "coordinator",
    ]);
    let invited: serde_json::Value = serde_json::from_slice(&invited.stdout).unwrap();
    assert_eq!(invited["user"], "claire@cpts.example");
    assert!(invited["link"].as_str().unwrap().starts_with("cercle://127.0.0.1:"));
    let audit = run(&["admin", "--config", &config, "audit"]);
    assert!(text(&audit.stdout).contains("invitation.created"), "{}", text(&audit.stdout));
    let chain = run(&["audit", "verify", "--config", &config]);
    assert!(text(&chain.stdout).starts_with("the chain holds"), "{}", text(&chain.stderr));
    let export = directory.path().join("audit.json");
    std::fs::write(&export, run(&["audit", "export", "--config", &config]).stdout).unwrap();
    let chain = run(&["audit", "verify", "--export", export.to_str().unwrap()]);
    assert!(text(&chain.stdout).starts_with("the chain holds"), "{}", text(&chain.stderr));
    let changed =
        std::fs::read_to_string(&export).unwrap().replace("invitation.created", "invitation.creat3d");
    std::fs::write(&export, changed).unwrap();
    let chain = run(&["audit", "verify", "--export", export.to_str().unwrap()]);
    assert!(text(&chain.stderr).contains("the chain breaks at record 1"), "{}", text(&chain.stderr));
    let fhir = run(&["audit", "export", "--config", &config, "--form", "fhir"]);
    assert!(text(&fhir.stdout).contains("\"resourceType\":\"AuditEvent\""), "{}", text(&fhir.stderr));

    let groups = run(&["admin", "--config", &config, "--json", "groups"]);
    assert_eq!(text(&groups.stdout), "[]\n");
    let unknown = run(&["admin", "--config", &config, "revoke", &"ab".repeat(16)]);
    assert!(text(&unknown.stderr).contains("refused (202)"), "{}", text(&unknown.stderr));

    let second = run(&["serve", "--config", &config]);
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("in use"), "{}", text(&second.stderr));

    hub.signal(Signal::SIGHUP);
    hub.wait_for("the TLS certificate was read again");
    hub.signal(Signal::SIGTERM);
    let (good, log) = hub.end();
    assert!(good, "{log}");
    assert!(log.contains("stopped"), "{log}");
    assert!(!log.contains("claire") && !log.contains("Claire"), "{log}");

    let asked = run(&["health", "--config", &config]);
    assert!(!asked.status.success());
    assert!(text(&asked.stderr).contains("is the hub running"), "{}", text(&asked.stderr));
}

/// Says hello over a new connection; returns the connection if it is greeted, else the code of the refusal.
async fn knock(hub: &Hub, data: &Path) -> Result<Peer, u32> {
    let mut peer = Peer::WebSocket(Box::new(websocket_over(tls_to(hub.address, data, b"").await).await));
    let hello = v1::Hello { version_min: 1, version_max: 1, client: String::new() };
    peer.send(1, Body::Hello(hello)).await;
    match peer.body().await {
        server_frame::Body::HelloOk(_) => Ok(peer),
        server_frame::Body::Error(error) => Err(error.code),
        body => panic!("unexpected {body:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_with_few_descriptors_admits_as_many_and_tells_the_others_to_wait() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    init(&data);
    let mut hub = Hub::serve_with_descriptors(&data, 256);
    hub.wait_for("fewer file descriptors than connections_max");
    let mut held = Vec::new();
    let refused = loop {
        match knock(&hub, &data).await {
            Ok(peer) => held.push(peer),
            Err(code) => break code,
        }
        assert!(held.len() <= 256, "descriptors are a limit");
    };
    assert_eq!((refused, held.len()), (ErrorCode::TooManyConnections.number(), 128));
    // One leaves: its place is free as soon as the hub has noticed.
    held.pop();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while knock(&hub, &data).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the place stays taken");
    }
    hub.signal(Signal::SIGTERM);
    let (good, log) = hub.end();
    assert!(good, "{log}");
}

#[test]
fn a_misspelt_key_and_loose_permissions_stop_the_hub_with_the_mending() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    init(&data);
    let config = data.join("cercle.toml");
    let whole = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{whole}\nlog_formt = \"json\"\n")).unwrap();
    let refused = run(&["serve", "--config", data.to_str().unwrap()]);
    assert!(text(&refused.stderr).contains("did you mean `log_format`"), "{}", text(&refused.stderr));

    std::fs::write(&config, whole).unwrap();
    let key = data.join("root.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let refused = run(&["serve", "--config", data.to_str().unwrap()]);
    assert!(text(&refused.stderr).contains("chmod 600"), "{}", text(&refused.stderr));
}

#[test]
fn a_killed_hub_starts_again_beside_its_old_socket() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    init(&data);
    let killed = Hub::serve(&data);
    killed.signal(Signal::SIGKILL);
    assert!(!killed.end().0);
    assert!(data.join("admin.sock").exists(), "a killed hub cannot tidy up");
    let hub = Hub::serve(&data);
    let status = run(&["admin", "--config", data.to_str().unwrap(), "status"]);
    assert!(text(&status.stdout).contains("healthy: true"), "{}", text(&status.stderr));
    hub.signal(Signal::SIGINT);
    assert!(hub.end().0);
}

#[test]
fn the_sample_configuration_is_printed() {
    let printed = text(&run(&["config"]).stdout);
    assert!(printed.contains("#retention_days = 90"), "{printed}");
}

#[test]
fn a_backup_is_made_while_the_hub_serves_and_restored_in_one_go() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    init(&data);
    let (config, repository) = (data.to_str().unwrap(), directory.path().join("backups"));
    let (repository, key) = (repository.to_str().unwrap(), directory.path().join("backup.key"));
    let key = key.to_str().unwrap();
    let keys = run(&["backup", "--json", "keygen", key]);
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
    let recipient = keys["public_key"].as_str().unwrap();

    let hub = Hub::serve(&data);
    let create = |more: &[&str]| {
        let common = ["backup", "--json", "create", "--config", config, "--repository", repository];
        let made = run(&[&common[..], more].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        serde_json::from_slice::<serde_json::Value>(&made.stdout).unwrap()
    };
    let first = create(&["--recipient", recipient]);
    assert_eq!(first["sealed"], true);
    let invited = run(&["admin", "--config", config, "invite", "claire", "--name", "Claire Martin"]);
    assert!(invited.status.success());
    let second = create(&[]);
    assert!(second["new_bytes"].as_u64() < first["new_bytes"].as_u64(), "{first} {second}");
    hub.signal(Signal::SIGTERM);
    assert!(hub.end().0);
    create(&[]);

    let listed = run(&["backup", "list", "--repository", repository]);
    assert_eq!(text(&listed.stdout).lines().count(), 3, "{}", text(&listed.stderr));
    let verified = run(&["backup", "verify", "--repository", repository, "--key-file", key]);
    assert!(text(&verified.stdout).contains("rows: "), "{}", text(&verified.stderr));
    let pruned = run(&[
        "backup",
        "prune",
        "--repository",
        repository,
        "--keep-last",
        "1",
        "--keep-daily",
        "0",
        "--keep-weekly",
        "0",
    ]);
    assert!(text(&pruned.stdout).contains("kept: 1"), "{} {}", text(&pruned.stdout), text(&pruned.stderr));
    assert!(run(&["backup", "verify", "--repository", repository, "--key-file", key]).status.success());

    let successor = directory.path().join("successor");
    let data = successor.to_str().unwrap();
    let refused = run(&["restore", repository, "--data", data]);
    assert!(text(&refused.stderr).contains("--key-file"), "{}", text(&refused.stderr));
    assert!(!successor.exists());
    let refused = run(&["restore", repository, "--data", data, "--key-file", key]);
    assert!(text(&refused.stderr).contains("--at-rest-key"), "{}", text(&refused.stderr));
    assert!(!successor.exists());
    let at_rest = directory.path().join("hub/at-rest.key");
    let both = ["--key-file", key, "--at-rest-key", at_rest.to_str().unwrap()];
    let restored = run(&[&["restore", repository, "--data", data][..], &both].concat());
    assert!(text(&restored.stdout).contains("must be revoked again"), "{}", text(&restored.stderr));
    let refused = run(&["restore", repository, "--data", data, "--key-file", key]);
    assert!(text(&refused.stderr).contains("is not empty"), "{}", text(&refused.stderr));
    let hub = Hub::serve(&successor);
    let audit = run(&["admin", "--config", data, "audit"]);
    assert!(text(&audit.stdout).contains("store.restored"), "{}", text(&audit.stdout));
    assert!(text(&audit.stdout).contains("backup.created"), "{}", text(&audit.stdout));
    hub.signal(Signal::SIGTERM);
    assert!(hub.end().0);
}
