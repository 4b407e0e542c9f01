//! A process that this program started and ends again, by its id.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{self, Command, Stdio},
};

use anyhow::Context;
use tokio::{task::spawn_blocking, time::timeout};

use crate::limits::HUB_PATIENCE;

/// A child process; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Child(process::Child);

impl Child {
    /// Starts a program and waits for its first line.
    ///
    /// # Errors
    /// When it does not start, or says nothing in time.
    pub(crate) async fn start_and_read(
        program: &Path,
        arguments: &[&OsStr],
    ) -> anyhow::Result<(Self, String)> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Self::start(&mut command)?;
        let stdout = child.0.stdout.take().context("the program has no standard output")?;
        let read = move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        };
        let name = program.display();
        let line = timeout(HUB_PATIENCE, spawn_blocking(read))
            .await
            .with_context(|| format!("{name} says nothing"))???;
        Ok((child, line.trim().to_owned()))
    }

    /// Starts a program.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_owned();
        // Ctrl-C is for this program; it ends its children when it has read what it needs.
        command.process_group(0);
        Ok(Self(command.spawn().with_context(|| format!("starting {}", name.display()))?))
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do either way.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
