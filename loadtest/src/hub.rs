//! The hub under test: a running one that somebody invites us to, or one of our own.

mod process;
mod reference;
mod usage;

use std::path::{Path, PathBuf};

use anyhow::bail;
use cercle_proto::invitation::Invitation;

use crate::arguments::Target;

pub(crate) use process::{HubProcess, program};
pub(crate) use reference::ReferenceProcess;
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
        if let Some(invitation) = &target.invitation {
            return Ok(Self { invitation: invitation.clone(), process: None, pid: target.hub_pid });
        }
        if !target.self_hosted {
            bail!("name a hub: --invitation <link>, or --self-hosted to start one");
        }
        let process = HubProcess::start(&folder.join("hub")).await?;
        Ok(Self { invitation: process.invitation.clone(), pid: Some(process.pid()), process: Some(process) })
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
