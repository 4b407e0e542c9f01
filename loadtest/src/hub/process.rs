//! The real `cercle-server` as a child process: made, started, awaited, ended.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use cercle_proto::invitation::Invitation;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    clock::Clock,
    limits::{HUB_PATIENCE, LOOK_EVERY, PORT_TRIES},
};

/// Limits of rates and counts that protect a hub from one address or device: a load has many of them behind
/// one address, and is to find the limits of the hub instead.
const LIMITS_LIFTED: [(&str, &str); 7] = [
    ("CERCLE_SERVER_CONNECTIONS_MAX", "19900"),
    ("CERCLE_SERVER_CONNECTIONS_PER_ADDRESS_MAX", "19900"),
    ("CERCLE_SERVER_CONNECTIONS_LOOPBACK_MAX", "19900"),
    ("CERCLE_SERVER_CONNECTS_PER_SECOND", "100000"),
    ("CERCLE_SERVER_CONNECTS_BURST", "100000"),
    ("CERCLE_SERVER_REQUESTS_PER_SECOND", "1000000"),
    ("CERCLE_SERVER_REQUESTS_BURST", "1000000"),
];

/// A hub of our own, on loopback, with its data in a folder of the run. Killed if it is dropped.
#[derive(Debug)]
pub(crate) struct HubProcess {
    child: Child,
    /// Its folder.
    pub(crate) data: PathBuf,
    /// For its first coordinator.
    pub(crate) invitation: Invitation,
    /// From the start of the program to its line `ready`, ms.
    pub(crate) ready_ms: f64,
    /// What it was started with beside its configuration file.
    settings: Vec<(String, String)>,
}

impl HubProcess {
    /// Makes a hub in a folder that does not exist yet and starts it with these settings (`key=value`).
    ///
    /// # Errors
    /// When the program is missing, refuses, or is not ready in time.
    pub(crate) async fn start(data: &Path, settings: &[String]) -> anyhow::Result<Self> {
        let settings: anyhow::Result<Vec<_>> = settings.iter().map(|setting| variable(setting)).collect();
        let server = program("cercle-server")?;
        let invitation = init(&server, data)?;
        let (process, _) = Self::serve(data, invitation, settings?).await?;
        Ok(process)
    }

    /// Ends it and starts it again, on a port that is free now; also says where it is then.
    ///
    /// # Errors
    /// When it does not end well or start.
    pub(crate) async fn restart(self) -> anyhow::Result<(Self, String)> {
        let (data, invitation) = (self.data.clone(), self.invitation.clone());
        let mut settings = self.settings.clone();
        self.stop().await?;
        settings.push(("CERCLE_SERVER_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        Self::serve(&data, invitation, settings).await
    }

    /// Kills it (`SIGKILL`: it finishes nothing) and starts it again at the same place.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn kill_and_restart(mut self) -> anyhow::Result<Self> {
        self.child.kill().context("killing the hub")?;
        self.child.wait().context("waiting for the killed hub")?;
        let (data, invitation, settings) =
            (self.data.clone(), self.invitation.clone(), self.settings.clone());
        let mut tries = 1;
        loop {
            match Self::serve(&data, invitation.clone(), settings.clone()).await {
                // A connection of this machine may have its port at that moment.
                Err(_) if tries < PORT_TRIES => tries += 1,
                started => return Ok(started?.0),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn serve(
        data: &Path,
        invitation: Invitation,
        settings: Vec<(String, String)>,
    ) -> anyhow::Result<(Self, String)> {
        let server = program("cercle-server")?;
        let clock = Clock::start();
        let mut child = Command::new(&server)
            .args(["serve", "--config"])
            .arg(data)
            .env_clear()
            .env("CERCLE_SERVER_LOG_FILTER", "warn")
            .envs(LIMITS_LIFTED)
            .envs(settings.iter().cloned())
            .stdout(Stdio::piped())
            // Ctrl-C is for this program; it ends the hub when it has read what it needs.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", server.display()))?;
        let stdout = child.stdout.take().context("the hub has no standard output")?;
        let mut starting = Self { child, data: data.to_owned(), invitation, ready_ms: 0.0, settings };
        let first_line = spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = timeout(HUB_PATIENCE, first_line).await.context("the hub did not become ready")???;
        starting.ready_ms = clock.ms_since(0);
        let place = line
            .trim()
            .strip_prefix("ready ")
            .context("the hub ended before it was ready; its log is above")?;
        Ok((starting, place.to_owned()))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to drain and waits until it has ended.
    ///
    /// # Errors
    /// When it ends badly or not in time; then it is killed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process id fits")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("asking the hub to end")?;
        let ended = timeout(HUB_PATIENCE, async {
            loop {
                match self.child.try_wait() {
                    Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
                    done => return done,
                }
            }
        });
        match ended.await.context("the hub did not end")?? {
            Some(status) if status.success() => Ok(()),
            other => bail!("the hub ended badly: {other:?}"),
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself in between; there is nothing more to do either way.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A program of this project, built beside this one.
///
/// # Errors
/// When it is not there; says how to build it.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let path = own.with_file_name(name);
    ensure!(
        path.exists(),
        "{name} is not beside this program; build it with the same profile: cargo build [--release] --bin {name}"
    );
    Ok(path)
}

/// A setting as the environment variable of the hub.
fn variable(setting: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = setting.split_once('=').context("a setting is key=value")?;
    Ok((format!("CERCLE_SERVER_{}", key.to_uppercase()), value.to_owned()))
}

fn init(server: &Path, data: &Path) -> anyhow::Result<Invitation> {
    let made = Command::new(server)
        .args(["init", "--domain", "charge.example", "--address", "127.0.0.1:0", "--data"])
        .arg(data)
        .env_clear()
        .output()
        .with_context(|| format!("running {}", server.display()))?;
    ensure!(made.status.success(), "the hub cannot be made: {}", String::from_utf8_lossy(&made.stderr));
    let shown = String::from_utf8_lossy(&made.stdout);
    let link = shown.lines().last().unwrap_or_default();
    Invitation::parse(link.trim()).context("the last line of `init` is its invitation")
}
