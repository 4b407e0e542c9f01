//! The hub under test: a running one that somebody invites us to, or one of our own.

mod process;
mod usage;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cercle_proto::invitation::Invitation;

use crate::arguments::{Hub as Named, Target};

pub(crate) use process::{HubProcess, program};
pub(crate) use usage::Usage;

/// The hub that a scenario runs against.
#[derive(Debug)]
pub(crate) struct Hub {
    invitation: Invitation,
    process: Option<HubProcess>,
    pid: Option<u32>,
}

impl Hub {
    /// Takes the hub that the arguments name, or starts one in this folder.
    ///
    /// # Errors
    /// When neither is asked for, or it does not start.
    pub(crate) async fn of(target: &Target, folder: &Path) -> anyhow::Result<Self> {
        match target.hub() {
            None => bail!("name a hub: --target self to start one, or --target <invitation>"),
            Some(Named::Invited(invitation)) => {
                Ok(Self { invitation: *invitation, process: None, pid: target.hub_pid })
            }
            Some(Named::Own) => {
                let process = HubProcess::start(&folder.join("hub"), &target.set).await?;
                let invitation = process.invitation.clone();
                Ok(Self { invitation, pid: Some(process.pid()), process: Some(process) })
            }
        }
    }

    /// The coordinator's invitation; redeemed once.
    pub(crate) fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// The operator's socket of a hub of our own.
    pub(crate) fn operator_socket(&self) -> Option<PathBuf> {
        self.process.as_ref().map(|process| process.data.join("admin.sock"))
    }

    /// The files of a hub of our own.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.process.as_ref().map(|process| process.data.as_path())
    }

    /// What the hub has used up to now, if it runs on this machine.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }

    /// Starts a hub of our own again, on a port that is free now; where it is then. `None`: it is not ours.
    ///
    /// # Errors
    /// When it does not end or start.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Option<String>> {
        let Some(process) = self.process.take() else { return Ok(None) };
        let (process, place) = process.restart().await?;
        self.pid = Some(process.pid());
        self.process = Some(process);
        Ok(Some(place))
    }

    /// Kills a hub of our own and starts it again at the same place, as after a power cut of the process.
    ///
    /// # Errors
    /// When it is not ours, or does not start.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        let process = self.process.take().context("only a hub of our own is killed")?;
        let process = process.kill_and_restart().await?;
        self.pid = Some(process.pid());
        self.process = Some(process);
        Ok(())
    }

    /// Ends a hub of our own; leaves another alone.
    ///
    /// # Errors
    /// When it does not end well.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.process {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}
