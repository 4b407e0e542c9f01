//! The reference hub as a child process.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use super::Hub;
use crate::raw::wire::Address;

/// The reference hub; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct ReferenceProcess {
    child: Child,
    place: String,
}

impl ReferenceProcess {
    /// Starts it with the TLS certificate of a hub's folder.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["reference-hub", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the reference hub")?;
        let stdout = child.stdout.take().context("the reference hub has no standard output")?;
        let mut starting = Self { child, place: String::new() };
        let read = move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        };
        let line = tokio::task::spawn_blocking(read).await??;
        let place = line.trim().strip_prefix("ready ").context("the reference hub did not start")?;
        starting.place = place.to_owned();
        Ok(starting)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it is; its certificate is that of the hub.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn address(&self, hub: &Hub) -> anyhow::Result<Address> {
        Address::new(&self.place, hub.invitation().root_fingerprint)
    }
}

impl Drop for ReferenceProcess {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
