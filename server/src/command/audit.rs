//! `cercle-server audit`: checks the audit log and writes it out, of the running hub or of its store.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use cercle_server::{
    admin::{Command, client, client::AdminError},
    at_rest,
    audit::{self, Chain, Form, Line},
    clock::Clock,
    config::Config,
    limits,
};
use cercle_storage::store::Store;
use clap::Subcommand;
use serde_json::Value;

use super::{ConfigFile, admin::text};

/// What is to be done with the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Follows the chain from the first record to the last.
    Verify {
        #[command(flatten)]
        file: ConfigFile,
        /// An export in JSON instead of the hub's own log.
        #[arg(long)]
        export: Option<PathBuf>,
    },
    /// Takes away records whose time is over (`audit_days`, `audit_security_days`); the chain still holds.
    Prune {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Prints every record; the chain is checked meanwhile.
    Export {
        #[command(flatten)]
        file: ConfigFile,
        /// Form.
        #[arg(long, value_enum, default_value_t = Form::Json)]
        form: Form,
    },
}

/// Carries a command out.
pub(super) async fn run(command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify { file: _, export: Some(export) } => {
            let mut chain = Chain::default();
            for line in read(&export)? {
                chain.next(&line?)?;
            }
            say(&chain);
        }
        AuditCommand::Verify { file, export: None } => {
            let (mut chain, config) = (Chain::default(), file.load()?);
            each(&config, |line| Ok(chain.next(line)?)).await?;
            chain.check_times(config.audit_keep(), Clock::system().now())?;
            say(&chain);
        }
        AuditCommand::Prune { file } => super::print(&text(&prune(&file.load()?).await?)),
        AuditCommand::Export { file, form } => {
            let config = file.load()?;
            let mut chain = Chain::default();
            super::print(audit::heading(form));
            each(&config, |line| {
                chain.next(line)?;
                super::print(&audit::line(form, line, &config.domain));
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

fn say(chain: &Chain) {
    let (number, hash) = chain.head();
    super::print(&format!("the chain holds\nrecords: {number}\nhash: {hash}\n"));
    if let (first, emptied @ 1..) = chain.pruned() {
        super::print(&format!("first record kept: {first}\nemptied when their time was over: {emptied}\n"));
    }
}

/// Asks the running hub; if there is none, opens the store itself.
async fn prune(config: &Config) -> anyhow::Result<Value> {
    let keep = config.audit_keep();
    match client::send(&config.admin_socket, &Command::PruneAudit(keep)).await {
        Ok(answer) => return Ok(answer),
        Err(AdminError::Unreachable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let store = open(config).await?;
    let pruned = audit::prune(&*store, keep, "operator", Clock::system().now()).await?;
    tokio::task::spawn_blocking(move || drop(store)).await?;
    Ok(serde_json::to_value(pruned)?)
}

async fn open(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    if !config.data.join("store").exists() {
        bail!("{} holds no store: is --config right?", config.data.display());
    }
    Ok(at_rest::open_store(config).await?)
}

/// Visits every record in order: over the operator's socket, or in the store if no hub runs.
async fn each(config: &Config, mut visit: impl FnMut(&Line) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let answer = match client::send(&config.admin_socket, &Command::Audit { after }).await {
            Ok(answer) => answer,
            Err(AdminError::Unreachable { .. }) if after == 0 => return in_store(config, visit).await,
            Err(error) => return Err(error.into()),
        };
        let lines: Vec<Line> = serde_json::from_value(answer).context("the hub answers in other words")?;
        lines.iter().try_for_each(&mut visit)?;
        match lines.last() {
            Some(last) => after = last.number,
            None => return Ok(()),
        }
    }
}

async fn in_store(config: &Config, mut visit: impl FnMut(&Line) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let store = open(config).await?;
    let mut after = 0;
    loop {
        let records = store.audit(after, limits::ADMIN_PAGE).await?;
        records.iter().map(Line::from).try_for_each(|line| visit(&line))?;
        match records.last() {
            Some(last) => after = last.number,
            None => break,
        }
    }
    tokio::task::spawn_blocking(move || drop(store)).await?;
    Ok(())
}

fn read(export: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>>> {
    let shown = export.display().to_string();
    let file = std::fs::File::open(export).with_context(|| format!("{shown} cannot be read"))?;
    Ok(std::io::BufReader::new(file).lines().enumerate().map(move |(number, line)| {
        let place = || format!("{shown}, line {}", number + 1);
        serde_json::from_str(&line.with_context(place)?).with_context(place)
    }))
}
